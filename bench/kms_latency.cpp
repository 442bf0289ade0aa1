#include "kms_latency.hpp"

#include <fmt/format.h>

#include "statistics.hpp"

namespace qanat::bench {
namespace {

constexpr double part_of_throughput = 0.5;

Row latency_row(const std::string& name, const std::vector<double>& values, double part, double alone, std::string note) {
  const double value = quantile(values, part);
  return {.name = name,
          .value = value,
          .unit = "ms",
          .limit = alone,
          .ratio = alone / value,
          .value_spread = spread_of(values),
          .ratio_spread = {},
          .note = std::move(note)};
}

/// Rounds that are each prepared, sent by `send`, and finished.
template <class Send>
Result<std::vector<Driven>> rounds_of(ApplicationLoad& load, const LatencyPlan& plan, std::size_t rounds, Send&& send) {
  std::vector<Driven> out;
  for (std::size_t i = 0; i < rounds; ++i) {
    TRY(load.prepare(plan.sessions, Legs::both));
    ASSIGN_OR_RETURN(Driven done, send());
    out.push_back(std::move(done));
    TRY(load.finish(plan.senders));
  }
  return out;
}

struct Delivered {
  double count = 0;
  double signatures = 0;
};
Result<Delivered> delivered_by(Ground& ground) {
  ASSIGN_OR_RETURN(const wire::Json health, ground.op().health("kms-a"));
  ASSIGN_OR_RETURN(const wire::Json said, health.object("deliveries"));
  ASSIGN_OR_RETURN(const std::int64_t count, said.integer("count"));
  ASSIGN_OR_RETURN(const std::int64_t signatures, said.integer("signatures"));
  return Delivered{.count = static_cast<double>(count), .signatures = static_cast<double>(signatures)};
}

std::vector<double> latencies(const std::vector<Driven>& rounds) {
  std::vector<double> out;
  for (const Driven& round : rounds) out.insert(out.end(), round.latency_ms.begin(), round.latency_ms.end());
  return out;
}

}  // namespace

Result<HalfLoad> measure_latency(ApplicationLoad& load, const LatencyPlan& plan, Report& report) {
  TRY(load.warm_up(Legs::both));
  ASSIGN_OR_RETURN(const std::vector<Driven> alone, rounds_of(load, plan, 1, [&] { return load.saturate(1); }));
  ASSIGN_OR_RETURN(const Delivered before, delivered_by(load.ground()));
  ASSIGN_OR_RETURN(const std::vector<Driven> full, rounds_of(load, plan, plan.rounds / 2 + 1, [&] { return load.saturate(plan.senders); }));
  ASSIGN_OR_RETURN(const Delivered after, delivered_by(load.ground()));
  std::vector<double> rates;
  std::vector<double> costs;
  for (const Driven& round : full) {
    rates.push_back(round.per_second());
    costs.push_back(round.kms_cpu_s / round.count());
  }
  const double rate = part_of_throughput * median(rates);
  ASSIGN_OR_RETURN(const std::vector<Driven> half, rounds_of(load, plan, plan.rounds, [&] { return load.pace(rate); }));

  report.add(median_row(
      "KMS: applications per second when saturated", rates, "1/s",
      fmt::format("both legs, {} senders, each with one request under way; by the clock, client and other elements on the same processors; status and "
                  "access tokens known",
                  plan.senders)));
  const double together = (after.count - before.count) / (after.signatures - before.signatures);
  report.add(median_row("KMS: deliveries to a signature when saturated", {together}, "1",
                        "the same rounds, by the KMS's health answer: those that were ready at one moment share a signature, a commit and a wait for the record"));
  const std::vector<double> values = latencies(half);
  const double limit = quantile(latencies(alone), 0.5);
  report.add(latency_row(
      "KMS: application at half of that, p50", values, 0.5, limit,
      fmt::format("open loop: {:.0f} applications a second at the times of a Poisson process, drawn before and moved by no late answer; latency from "
                  "the time that was drawn to the answer, so that what waits behind a slow one counts; {} applications, the callee's 200 ms behind "
                  "the caller's. Limit: p50 with one application at a time",
                  rate, values.size())));
  report.add(latency_row("KMS: application at half of that, p99", values, 0.99, limit, "the same applications"));
  return HalfLoad{.kms_cpu_s = median(costs), .together = together};
}

}  // namespace qanat::bench
