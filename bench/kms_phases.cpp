#include "kms_phases.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <thread>

#include "audit/audit.hpp"
#include "kms_database.hpp"
#include "net/server.hpp"
#include "services/kms/kma/access.hpp"
#include "services/kms/kma/admission.hpp"
#include "services/kms/kma/charging_records.hpp"
#include "services/kms/kma/ledger.hpp"
#include "services/kms/kp/known_terminals.hpp"
#include "services/kms/kp/pool_keys.hpp"
#include "statistics.hpp"

namespace qanat::bench {
namespace {

constexpr double us_per_s = 1e6;
constexpr std::chrono::milliseconds exchange_max{10000};
constexpr std::chrono::milliseconds stop_max{1000};
constexpr std::chrono::hours pool_key_life{30 * 24};
constexpr UnixMs key_life_ms = 600'000;
constexpr std::size_t known_terminals = 1024;
constexpr kms::Rate generous{.burst = 1'000'000, .per_minute = 1'000'000};

/// One application and its terminal, as the KMS's database has it.
struct Applied {
  kms::Terminal terminal;
  Bytes digest;  // of the terminal's row
  wire::Framed<wire::KeyRequest> request;
  Bytes answer;
};
/// A caller's and a callee's.
struct Pair {
  Applied caller;
  Applied callee;
};

/// The KMS's own functions on its own database, in this process.
class OnDatabase {
 public:
  OnDatabase(ApplicationLoad& load, const PhasesPlan& plan, KmsDatabase& database, kms::PoolKeys& keys)
      : ground_(load.ground()),
        plan_(plan),
        store_(database.store()),
        ledger_(keys.of(kms::Library::in_use)),
        senders_(ground_.op().node()),
        access_(ground_.op().node(), store_, senders_, [](points::Endpoint, const wire::Json&, Deadline, const std::string&) -> Result<wire::Json> {
          return fail(ErrorCode::unavailable, "a token or a grant is not known: IAM would be asked");
        }) {}

  /// The applications of the load, with what the database has of their terminals.
  Result<void> take(std::span<const AppliedLeg> legs) {
    for (std::size_t i = 0; i + 1 < legs.size(); i += 2) {
      ASSIGN_OR_RETURN(Applied caller, applied(legs[i]));
      ASSIGN_OR_RETURN(Applied callee, applied(legs[i + 1]));
      pairs_.push_back({.caller = std::move(caller), .callee = std::move(callee)});
    }
    return {};
  }

  /// Step 6: the token that the application names still holds, and the grant for the callee's domain.
  Result<std::vector<double>> token() {
    return per_delivery([&](const Pair& pair) -> Result<void> {
      for (const Applied* one : {&pair.caller, &pair.callee}) {
        const wire::KeyRequest& asked = one->request.message;
        TRY(access_.token_for(one->terminal, asked.fps, asked.token_ref, asked.min_assurance, Deadline::after(exchange_max), "bench"));
        TRY(access_.level_towards(one->terminal, "a", asked.min_assurance, Deadline::after(exchange_max), "bench"));
      }
      return {};
    });
  }
  /// Who applies, and for the caller who is called.
  Result<std::vector<double>> locate() {
    return per_delivery([&](const Pair& pair) -> Result<void> {
      TRY(look(pair.caller.request.message.uid));
      TRY(look(pair.callee.request.message.uid));
      TRY(look(pair.caller.request.message.num_called));
      return {};
    });
  }
  /// Step 10: the encryption keys, and that their certificates belong to those of step 5.
  Result<std::vector<double>> pool() {
    return per_delivery([&](const Pair& pair) -> Result<void> {
      for (const Applied* one : {&pair.caller, &pair.callee}) {
        ASSIGN_OR_RETURN(const kms::TerminalLook row, look(one->request.message.uid));
        const auto kept = known_.kept(row);
        if (kept == nullptr) TRY(known_.of(one->terminal));
        if (kept != nullptr && !kept->bundle) return fail(kept->bundle.error());
      }
      return {};
    });
  }
  /// Everything that is written, in the transactions of kma/application.cpp: both legs made with the caller's delivery, each delivered and charged, and its
  /// application remembered.
  Result<std::vector<double>> store() {
    return per_delivery([&](const Pair& pair) { return session(pair); });
  }
  /// The record of a delivery.
  Result<std::vector<double>> audit() {
    const SystemClock clock;
    ASSIGN_OR_RETURN(const auto log, audit::Log::open(ground_.scratch() / "phases.jsonl", "qanat://a/kms/kms-a", clock));
    return per_delivery([&](const Pair& pair) -> Result<void> {
      for (const Applied* one : {&pair.caller, &pair.callee}) {
        TRY(log->append({.action = "km-1.delivered",
                         .outcome = audit::Outcome::success,
                         .subject = one->terminal.uid.text(),
                         .object = one->request.message.sid_wk.hex(),
                         .reason = "inside the domain: from the crypto device",
                         .request_id = "0123456789abcdef"}));
      }
      return {};
    });
  }

 private:
  Result<Applied> applied(const AppliedLeg& leg) {
    ASSIGN_OR_RETURN(auto request, wire::parse<wire::KeyRequest>(leg.application->octets()));
    ASSIGN_OR_RETURN(const kms::Terminal terminal, find(request.message.uid));
    if (!leg.answer) return fail(leg.answer.error());
    return Result<Applied>(Applied{.terminal = terminal, .digest = kms::content_digest(terminal), .request = std::move(request), .answer = *leg.answer});
  }

  /// In the KMS it is one of the queries of a transaction, or a transaction that only reads.
  template <class Key>
  Result<kms::TerminalLook> look(const Key& key) {
    ASSIGN_OR_RETURN(const std::optional<kms::TerminalLook> found,
                     store_.look([&](store::Transaction& transaction) { return kms::look_at_terminal(transaction, key); }));
    if (!found) return fail(ErrorCode::not_found, "a terminal of the bench is not in the pool");
    return *found;
  }
  template <class Key>
  Result<kms::Terminal> find(const Key& key) {
    ASSIGN_OR_RETURN(const std::optional<kms::Terminal> found,
                     store_.transact([&](store::Transaction& transaction) { return kms::find_terminal(transaction, key); }));
    if (!found) return fail(ErrorCode::not_found, "a terminal of the bench is not in the pool");
    return *found;
  }

  kms::WorkingKey leg_of(const SidWk& sid_wk, wire::Role role, const Applied& owner, const Applied& peer, const Secret& wk, UnixMs now) const {
    return {.sid_wk = sid_wk,
            .leg = role,
            .sid_call = owner.request.message.sid_call,
            .uid = owner.terminal.uid,
            .wk = wk.duplicate(),
            .assurance = wire::Assurance::local_rng,
            .n_paths = 0,
            .path_min = 0,
            .th9 = wire::no_th9(ground_.suite()),
            .peer_uid = peer.terminal.uid,
            .peer_number = peer.terminal.number,
            .peer_kms = ElementName("kms-a"),
            .peer_fps = peer.request.message.fps,
            .expires_ms = now + key_life_ms,
            .terms = {}};
  }

  static kms::MadeApplication made(const Applied& one, ByteView h_req, UnixMs now) {
    return {.h_req = h_req, .uid = one.terminal.uid, .ts_ms = now, .forget_ms = now + key_life_ms};
  }
  Result<void> judge(const Applied& one, ByteView h_req, UnixMs now) {
    return store_.read([&](store::Transaction& transaction) -> Result<void> {
      TRY(kms::judge(transaction, made(one, h_req, now), generous, now));
      return {};
    });
  }

  /// The key is delivered by `how`, in the transaction that charges for it.
  template <class How>
  Result<void> hand_over(const kms::WorkingKey& key, const Applied& one, ByteView h_req, UnixMs now, const How& how) {
    const kms::ChargingRecord charge{.sid_wk = key.sid_wk,
                                     .leg = key.leg,
                                     .sid_call = key.sid_call,
                                     .uid = key.uid,
                                     .number = one.terminal.number,
                                     .peer_uid = key.peer_uid,
                                     .peer_number = key.peer_number,
                                     .peer_kms = key.peer_kms,
                                     .traffic = kms::Traffic::voice,
                                     .assurance = key.assurance,
                                     .n_paths = key.n_paths,
                                     .delivered_ms = now,
                                     .expires_ms = key.expires_ms,
                                     .confirmed_ms = {}};
    return store_.transact([&](store::Transaction& transaction) -> Result<void> {
      TRY(kms::check_unchanged(transaction, one.terminal, one.digest));
      TRY(kms::Access::is_held(transaction, key.uid, one.request.message.token_ref, now));
      TRY(kms::take_on(transaction, made(one, h_req, now), generous, now));
      TRY(how(transaction, kms::Delivery{.h_req = h_req, .h_deliver = h_req, .octets = one.answer},
              kms::KeyUse{.by = key.uid, .traffic = kms::Traffic::voice, .now_ms = now}));
      return kms::add_charging_record(transaction, charge);
    });
  }

  Result<void> session(const Pair& pair) {
    const UnixMs now = SystemClock().now_ms();
    const SidWk sid_wk = id();
    const std::array requests{fresh_hash(), fresh_hash()};
    const Secret wk = fresh_key();
    TRY(judge(pair.caller, requests[0], now));
    const kms::WorkingKey own = leg_of(sid_wk, wire::Role::caller, pair.caller, pair.callee, wk, now);
    const kms::WorkingKey drawn = leg_of(sid_wk, wire::Role::callee, pair.callee, pair.caller, wk, now);
    TRY(hand_over(own, pair.caller, requests[0], now, [&](store::Transaction& transaction, const kms::Delivery& delivery, const kms::KeyUse& use) {
      return ledger_.add_session(transaction, own, delivery, use, drawn);
    }));
    TRY(judge(pair.callee, requests[1], now));
    ASSIGN_OR_RETURN(const std::optional<kms::StoredKey> others,
                     store_.look([&](store::Transaction& transaction) { return ledger_.find(transaction, sid_wk, wire::Role::callee); }));
    if (!others) return fail(ErrorCode::internal, "the callee's leg is not in the ledger");
    return hand_over(others->key, pair.callee, requests[1], now, [&](store::Transaction& transaction, const kms::Delivery& delivery, const kms::KeyUse& use) {
      return ledger_.delivered(transaction, *others, delivery, use);
    });
  }

  /// Processor microseconds of this process per delivery, one value a turn; the pairs are shared out among the threads.
  template <class Work>
  Result<std::vector<double>> per_delivery(const Work& work) {
    std::vector<double> out;
    for (std::size_t turn = 0; turn < plan_.turns; ++turn) {
      std::atomic<std::size_t> next = 0;
      std::optional<Error> failed;
      const double before = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
      {
        std::vector<std::jthread> threads;
        threads.reserve(plan_.threads);
        for (std::size_t i = 0; i < plan_.threads; ++i) {
          threads.emplace_back([&] {
            for (std::size_t at = next++; at < pairs_.size(); at = next++) {
              const Result<void> done = work(pairs_[at]);
              const std::lock_guard lock(mutex_);
              if (!done && !failed) failed = done.error();
            }
          });
        }
      }
      if (failed) return fail(*failed);
      out.push_back((seconds_of(CLOCK_PROCESS_CPUTIME_ID) - before) * us_per_s / static_cast<double>(2 * pairs_.size()));
    }
    return out;
  }

  // Drawn under the lock: the bench's generator is one for all threads.
  SidWk id() {
    const std::lock_guard lock(mutex_);
    return ground_.rng().id<SidWk>();
  }
  Bytes fresh_hash() {
    const std::lock_guard lock(mutex_);
    return ground_.rng().bytes(ground_.suite().digest);
  }
  Secret fresh_key() {
    const std::lock_guard lock(mutex_);
    return ground_.rng().secret(wire::wk_size);
  }

  Ground& ground_;
  const PhasesPlan plan_;
  store::Store& store_;
  kms::Ledger ledger_;
  node::SenderDirectory senders_;
  kms::Access access_;
  kms::KnownTerminals known_{ground_.suite(), known_terminals};
  std::vector<Pair> pairs_;
  std::mutex mutex_;
};

/// A server like the KMS's that answers at once, in this process: what it costs beside the client's thread, for octets as many as an application and its
/// answer.
Result<std::vector<double>> transport(Ground& ground, const BenchTerminal& terminal, std::size_t asked_octets, std::size_t answered_octets,
                                      std::size_t exchanges, std::size_t turns) {
  constexpr const char* type = "application/octet-stream";
  ASSIGN_OR_RETURN(const node::Credentials credentials, ground.credentials_of("kms-b"));
  ASSIGN_OR_RETURN(net::Target target, ground.target("kms-b"));
  const Bytes body = ground.rng().bytes(answered_octets);
  std::vector<net::Route> routes{
      {.point = "bench",
       .method = "POST",
       .path = "/bench",
       .callers = apps,
       .anonymous = false,
       .body_max = std::max<std::size_t>(asked_octets, 1),
       .request_type = type,
       .answer = [&body](const net::Request&) -> Result<net::Response> { return net::Response{.status = 200, .content_type = type, .body = body}; }}};
  ASSIGN_OR_RETURN(const auto server, net::Server::start(
                                          {.address = "127.0.0.1", .port = 0, .limits = {}}, *credentials.tls, ground.trust(), std::move(routes),
                                          [](const crypto::Certificate&, Deadline) -> Result<void> { return {}; }, [](const net::Refusal&) {}));
  target.port = server->port();
  const auto client = net::Client::create(target, terminal.tls(), ground.trust(), {});
  const Bytes question = ground.rng().bytes(asked_octets);
  const net::Call call{.method = "POST", .path = "/bench", .query = "", .content_type = type, .body = question, .request_id = ""};
  const auto exchange = [&]() -> Result<void> {
    ASSIGN_OR_RETURN(const net::Response answer, client->call(call, Deadline::after(exchange_max)));
    if (answer.status != 200) return fail_in("bench server", net::error_of(answer));
    return {};
  };
  TRY(exchange());  // opens the connection
  std::vector<double> out;
  for (std::size_t turn = 0; turn < turns; ++turn) {
    const double before = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - thread_cpu_s();
    for (std::size_t i = 0; i < exchanges; ++i) TRY(exchange());
    out.push_back((seconds_of(CLOCK_PROCESS_CPUTIME_ID) - thread_cpu_s() - before) * us_per_s / static_cast<double>(exchanges));
  }
  server->stop(stop_max);
  return out;
}

struct Phase {
  std::string_view name;
  std::vector<double> us;
  std::string note;
};

void add_rows(Report& report, const std::vector<Phase>& phases, double whole_us) {
  double sum = 0;
  for (const Phase& phase : phases) {
    sum += median(phase.us);
    report.add(median_row(fmt::format("KMS CPU per delivery: {}", phase.name), phase.us, "CPU us", phase.note));
  }
  report.add(median_row(
      "KMS CPU per delivery: rest", {whole_us - sum}, "CPU us",
      "not measured: what is left of the whole when the phases above are taken away. Reading the request, the look into the status of four certificates, "
      "the working key's draw, the trace of steps, reports of behaviour to IAM, housekeeping. The phases ran by themselves with warm caches, and group "
      "commits otherwise than in the KMS, so that this is also their error, and may come out below nothing"));
  report.add(median_row(
      "KMS CPU per delivery: all of it", {whole_us}, "CPU us",
      "measured from outside: the KMS's process while it was saturated (the rounds of `applications per second when saturated`), acknowledgements outside"));
}

}  // namespace

Result<void> measure_phases(ApplicationLoad& load, const HalfLoad& found, const PhasesPlan& plan, Report& report) {
  Ground& ground = load.ground();
  TRY(load.warm_up(Legs::both));
  TRY(load.prepare(plan.sessions, Legs::both));
  TRY(load.saturate(plan.threads));
  const std::size_t count = load.legs().size();
  if (count == 0) return fail(ErrorCode::internal, "no applications");
  Report aside;  // the primitives have their rows elsewhere
  ASSIGN_OR_RETURN(const Primitives one, measure_primitives(ground, plan.sessions, aside));
  const AppliedLeg& some = load.legs().front();
  ASSIGN_OR_RETURN(const auto octets, transport(ground, *some.terminal, some.application->octets().size(), some.answer->size(), count, plan.turns));

  ground.running().stop_element(load.kms(), app::RunningNetwork::Ending::orderly);
  ASSIGN_OR_RETURN(const auto database, KmsDatabase::open(ground, load.kms()));
  ASSIGN_OR_RETURN(const auto keys,
                   kms::PoolKeys::open({.store = database->store(), .device = database->device(), .suite = ground.suite(), .lifetime = pool_key_life},
                                       SystemClock().now_ms()));
  OnDatabase on_database(load, plan, *database, *keys);
  TRY(on_database.take(load.legs()));
  const std::string in_process = "measured: the KMS's functions in this process, on the database that it left; ";
  std::vector<Phase> phases;
  phases.push_back(
      {.name = "verify", .us = {one.verify_kept * 1000}, .note = "measured: the primitive, both signatures of the application under keys parsed before"});
  ASSIGN_OR_RETURN(auto token, on_database.token());
  phases.push_back({.name = "token", .us = std::move(token), .note = in_process + "the access token and the grant for the domain, both known from before"});
  ASSIGN_OR_RETURN(auto locate, on_database.locate());
  phases.push_back(
      {.name = "locate", .us = std::move(locate), .note = in_process + "the applicant by its name, and for every second delivery the callee by its number"});
  ASSIGN_OR_RETURN(auto pool, on_database.pool());
  phases.push_back({.name = "pool", .us = std::move(pool), .note = in_process + "the encryption keys, their certificates found to be of one bundle when the row was read first; the row looked at once more"});
  phases.push_back({.name = "encapsulate",
                    .us = {(one.encapsulate_kept + one.encapsulate_ephemeral + one.schedule + one.seal_1k) * 1000},
                    .note = "measured: the primitives, to the static key parsed before and to the ephemeral key, key schedule, sealing"});
  phases.push_back({.name = "sign",
                    .us = {one.sign * 1000 / found.together},
                    .note = fmt::format("measured: the primitive, both signatures, {:.0f} us, shared by {:.2f} deliveries as in the rounds above", one.sign * 1000, found.together)});
  ASSIGN_OR_RETURN(auto written, on_database.store());
  phases.push_back(
      {.name = "store",
       .us = std::move(written),
       .note =
           fmt::format("{}a session, halved: replay and rate looked at, then one transaction for each delivery with replay and rate, both legs made with the first, and the charging record; rows "
                       "guarded, keys sealed; {} threads, so that commits meet. In the KMS those that share a signature share the transaction too, and cost less than this",
                       in_process, plan.threads)});
  ASSIGN_OR_RETURN(auto audit, on_database.audit());
  phases.push_back({.name = "audit", .us = std::move(audit), .note = fmt::format("measured: one record in a log of this process, {} threads", plan.threads)});
  phases.push_back(
      {.name = "TLS and HTTP",
       .us = octets,
       .note = fmt::format(
           "measured: the server of src/net in this process, answering {} octets to {} at once, one connection, one request under way; the client's "
           "thread taken off",
           some.answer->size(), some.application->octets().size())});
  add_rows(report, phases, found.kms_cpu_s * us_per_s);
  return database->close();
}

}  // namespace qanat::bench
