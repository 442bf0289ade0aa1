#include "call_setup.hpp"

#include <fmt/format.h>

#include "network_session.hpp"
#include "statistics.hpp"
#include "terminal/wav.hpp"

namespace qanat::bench {
namespace {

constexpr std::size_t warm_calls_max = 12;  // until a call rests on a quantum key: the links begin without any
constexpr std::size_t said_samples = 8000;
constexpr int quantum_assurance = 3;

double ms_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

/// Clock milliseconds of each `work`.
template <class Work>
Result<std::vector<double>> times_of(std::size_t turns, Work&& work) {
  std::vector<double> out;
  for (std::size_t i = 0; i < turns; ++i) {
    const auto start = std::chrono::steady_clock::now();
    TRY(work());
    out.push_back(ms_since(start));
  }
  return Result<std::vector<double>>(std::move(out));
}

/// Counted along the slower way, the caller's: INVITE, key application, agreement of the two KMSs, delivery, Ax, first packet. What runs beside it
/// (the callee's application, SIP) is not counted, nor what a cache may answer (status questions of the elements), nor writing to disk.
std::vector<CostLine> critical_path(const Primitives& one, const Travel& travel) {
  return {
      {.what = "connections opened: caller to CAS, to its KMS", .count = 2, .unit_ms = travel.connection},
      {.what = "round trips: application 1, CMSP 1, notification 1, Km-3 take and fetch 2, offer 1, confirmation 1",
       .count = 7,
       .unit_ms = travel.round_trip},
      {.what = "round trips for status: caller of its KMS 2, callee of the caller 2, caller of the callee 2", .count = 6, .unit_ms = travel.round_trip},
      {.what = "status answers for two certificates, signed and verified: the same three", .count = 3, .unit_ms = one.statuses},
      {.what = "certificate chains of two certificates, where a new process meets them: caller of its KMS, callee of the caller, caller of the callee", .count = 3, .unit_ms = one.chains},
      {.what = "signatures made: KeyRequest, SessionOpen, -Notify, -Grant, KmsOffer, KmsAccept, KeyDeliver, AX2, AX3", .count = 9, .unit_ms = one.sign},
      {.what = "signatures verified, key met for the first time: KeyRequest, KeyDeliver, AX2, AX3", .count = 4, .unit_ms = one.verify_parsed},
      {.what = "signatures verified, key known: SessionOpen, -Notify, -Grant, KmsOffer, KmsAccept", .count = 5, .unit_ms = one.verify_kept},
      {.what = "ephemeral key pairs: KeyRequest, KmsOffer, AX1", .count = 3, .unit_ms = one.keygen_ephemeral},
      {.what = "encapsulations to ephemeral keys: KmsAccept, KeyDeliver, AX2", .count = 3, .unit_ms = one.encapsulate_ephemeral},
      {.what = "encapsulations to static keys: KeyDeliver", .count = 1, .unit_ms = one.encapsulate_static},
      {.what = "decapsulations, ephemeral: KmsAccept, KeyDeliver, AX2", .count = 3, .unit_ms = one.decapsulate_ephemeral},
      {.what = "decapsulations, static: KeyDeliver", .count = 1, .unit_ms = one.decapsulate_static},
      {.what = "key schedules of step 11, both ends", .count = 2, .unit_ms = one.schedule},
  };
}

struct CallTimes {
  std::vector<double> setup_ms;
  std::vector<double> to_wk_ms;
  std::size_t quantum = 0;
  std::vector<std::string> failures;
};

class Caller {
 public:
  Caller(Ground& ground, const CallPlan& plan) : ground_(ground), plan_(plan) {}

  Result<void> prepare() {
    for (const char* uid : {"A", "B"}) {
      ASSIGN_OR_RETURN(const app::TerminalPlan* terminal, ground_.network().terminal(uid));
      TRY(app::enrol_terminal(ground_.network(), ground_.program(), ground_.op(), *terminal));
    }
    TRY(cut("caller.wav"));
    return cut("callee.wav");
  }

  /// The caller's result of one call.
  Result<wire::Json> call() {
    const app::CallOptions options{.folder = ground_.network().folder(),
                                   .from = "A",
                                   .to = "B",
                                   .out = ground_.scratch() / "call",
                                   .caller_wav = ground_.scratch() / "caller.wav",
                                   .callee_wav = ground_.scratch() / "callee.wav",
                                   .pace = plan_.pace,
                                   .output = app::Output::json,
                                   .program = ground_.program()};
    ASSIGN_OR_RETURN(const wire::Json summary, app::run_call(ground_.network(), options));
    return summary.object("caller");
  }

  Result<void> into(CallTimes& times) {
    const auto report = call();
    if (!report) {
      times.failures.push_back(report.error().message);
      return {};
    }
    ASSIGN_OR_RETURN(const double setup, report->number("setup_ms"));
    ASSIGN_OR_RETURN(const double to_wk, report->number("invite_to_wk_ms"));
    ASSIGN_OR_RETURN(const std::int64_t assurance, report->integer("assurance"));
    times.setup_ms.push_back(setup);
    times.to_wk_ms.push_back(to_wk);
    if (assurance >= quantum_assurance) ++times.quantum;
    return {};
  }

 private:
  /// The beginning of a voice sample: the shorter the call, the more of them.
  Result<void> cut(const char* name) {
    ASSIGN_OR_RETURN(std::vector<std::int16_t> samples, terminal::read_wav(app::default_voice(name)));
    samples.resize(std::min(samples.size(), said_samples));
    return terminal::write_wav(ground_.scratch() / name, samples);
  }

  Ground& ground_;
  const CallPlan plan_;
};

Row quantile_row(const std::string& name, const std::vector<double>& values, double part, std::optional<double> limit, std::string note) {
  const double value = quantile(values, part);
  std::optional<double> ratio;
  if (limit) ratio = *limit / value;
  return {.name = name,
          .value = value,
          .unit = "ms",
          .limit = limit,
          .ratio = ratio,
          .value_spread = spread_of(values),
          .ratio_spread = {},
          .note = std::move(note)};
}

}  // namespace

Result<Travel> measure_travel(Ground& ground, BenchTerminal& terminal, std::size_t turns, Report& report) {
  Travel out;
  ASSIGN_OR_RETURN(const std::vector<double> trips, times_of(turns, [&] { return ground.op().health("kms-a"); }));
  out.round_trip = median(trips);

  ASSIGN_OR_RETURN(const net::Target cas, ground.target("cas"));
  const crypto::Certificate& own = terminal.signer().ml_dsa;
  const crypto::Certificate* issuer = ground.trust()->issuer_of(own);
  if (issuer == nullptr) return fail(ErrorCode::internal, "the issuer of " + own.subject() + " is not trusted");
  const auto ask = [&](net::Client& client) -> Result<void> {
    ASSIGN_OR_RETURN(const Bytes request, crypto::make_status_request(own, *issuer, ground.rng().bytes(32)));
    TRY(exchange(client, points::Endpoint::cq2_status, request, ground.rng()));
    return {};
  };
  const auto kept = net::Client::create(cas, terminal.tls(), ground.trust(), {});
  TRY(ask(*kept));
  ASSIGN_OR_RETURN(const std::vector<double> on_kept, times_of(turns, [&] { return ask(*kept); }));
  ASSIGN_OR_RETURN(const std::vector<double> on_new, times_of(turns, [&] { return ask(*net::Client::create(cas, terminal.tls(), ground.trust(), {})); }));
  out.connection = median(on_new) - median(on_kept);

  report.add(quantile_row("round trip on a kept connection, p50", trips, 0.5, {},
                          "a health request from the operator to KMS-A: mutual TLS, HTTP, JSON; no cryptography of the protocol"));
  report.add({.name = "connection set-up",
              .value = out.connection,
              .unit = "ms",
              .limit = {},
              .ratio = {},
              .value_spread = {},
              .ratio_spread = {},
              .note = fmt::format("median of {} status questions to CAS on new connections less the median on a kept one", turns)});
  return out;
}

Result<void> measure_calls(Ground& ground, const CallPlan& plan, const Primitives& primitives, const Travel& travel, Report& report) {
  Caller caller(ground, plan);
  TRY(caller.prepare());
  CallTimes warm;
  for (std::size_t i = 0; i < warm_calls_max && warm.quantum == 0; ++i) TRY(caller.into(warm));
  CallTimes times;
  for (std::size_t i = 0; i < plan.calls; ++i) TRY(caller.into(times));
  if (times.setup_ms.empty()) return fail(ErrorCode::unavailable, "no call succeeded: " + times.failures.front());
  if (!times.failures.empty()) report.remark(fmt::format("{} of {} calls failed, the first: {}", times.failures.size(), plan.calls, times.failures.front()));
  report.remark(fmt::format("{} of {} measured calls rested on a quantum key; the QKD simulators ran beside them", times.quantum, times.setup_ms.size()));

  const std::vector<CostLine> lines = critical_path(primitives, travel);
  double limit = 0;
  for (const CostLine& line : lines) limit += line.ms();
  const std::string note = fmt::format(
      "INVITE sent → first RTP packet that the caller could decipher, A (domain a) to B (domain b), {} calls; each call runs two new terminal processes, so "
      "that their connections are opened and their certificates' status is asked within the time. Limit: the sum of the table below, which leaves out what "
      "the elements wait for the disk (audit records and store commits, see their rows).",
      times.setup_ms.size());
  report.add(quantile_row("call set-up, p50", times.setup_ms, 0.5, limit, note));
  report.add(quantile_row("call set-up, p99", times.setup_ms, 0.99, limit, "the same calls; with fewer than 100 of them it is the slowest"));
  report.add(quantile_row("INVITE to working key, p50", times.to_wk_ms, 0.5, {}, "at the caller"));
  report.add(quantile_row("INVITE to working key, p99", times.to_wk_ms, 0.99, {}, "at the caller"));
  report.set_call_limit(lines);
  return {};
}

}  // namespace qanat::bench
