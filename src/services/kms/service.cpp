#include "services/kms/service.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <set>

#include "node/log.hpp"
#include "node/recorded.hpp"
#include "node/revocations.hpp"
#include "node/shared_notices.hpp"
#include "services/kms/compliance/evidence.hpp"
#include "services/kms/forgetting.hpp"
#include "services/kms/kim/enrolment.hpp"
#include "services/kms/kim/medium_desk.hpp"
#include "services/kms/kim/renewal.hpp"
#include "services/kms/kim/successions.hpp"
#include "services/kms/kma/application.hpp"
#include "services/kms/kma/chains.hpp"
#include "services/kms/kma/charging_archive.hpp"
#include "services/kms/kma/groups.hpp"
#include "services/kms/kma/history_desk.hpp"
#include "services/kms/kma/incarnation.hpp"
#include "services/kms/kma/ledger_sweep.hpp"
#include "services/kms/kma/orders.hpp"
#include "services/kms/kma/policy_feed.hpp"
#include "services/kms/kma/pool_state.hpp"
#include "services/kms/kp/database.hpp"
#include "services/kms/kp/owed_records.hpp"
#include "services/kms/kp/recovery.hpp"
#include "services/kms/kp/refill.hpp"
#include "services/kms/sae/sae_front.hpp"

namespace qanat::kms {
namespace {

constexpr std::chrono::milliseconds sweep_every{1000};
constexpr std::chrono::milliseconds list_answer_max{10000};
constexpr std::chrono::milliseconds evidence_answer_max{10000};
constexpr std::chrono::seconds evidence_again{30};  // after a failure
constexpr std::chrono::milliseconds pool_round_max{4000};  // for one look at the pools of quantum keys
constexpr std::string_view certificates_revoked = "x-10.revoked";  // kinds of notices from front end to front end
constexpr std::string_view subject_changed = "pm-1.revoked";
constexpr std::string_view every_application = "class:application";
constexpr std::chrono::milliseconds directory_every{5000};
constexpr std::chrono::milliseconds directory_answer_max{4000};
constexpr std::chrono::milliseconds give_back_max{2000};   // at the end: the QKM destroys by itself what it is not told of

std::string front_end_of(const node::Node& node) { return node.settings().store ? std::to_string(node.settings().store->front_end) : ""; }

using Answer = std::function<Result<net::Response>(const net::Request&)>;

/// What is granted, the work itself records with its session; that it was refused is recorded here, before it is answered.
Answer refusals_recorded(node::Node& node, std::string_view action, Answer work) {
  return [&node, action, work = std::move(work)](const net::Request& request) { return node::refusal_recorded(node, action, request, "", work(request)); };
}

}  // namespace

struct KmsService::Parts {
  Parts(node::Node& node_, KmsSettings settings_, std::unique_ptr<store::Store> store_, std::unique_ptr<PoolKeys> keys_, crypto::SiteKey site_key,
        crypto::SiteKey chain_key)
      : node(node_),
        settings(std::move(settings_)),
        store(std::move(store_)),
        keys(std::move(keys_)),
        pairs(node, *store, *keys, [this] { return agreement.terms()->history; }),
        trace(node.settings().state),
        ledger(keys->of(Library::in_use), front_end_of(node)),
        history(node, *store, ledger, settings),
        senders(node),
        access(node, *store, senders),
        agreement(node, *store, ledger, senders, trace, errands, settings, std::move(site_key)),
        chains(node, settings, agreement, std::move(chain_key)),
        injection({.node = node, .store = *store, .settings = settings, .seals = keys->of(Pool::charged), .ledger = ledger}, quantum_for_charges(node, agreement)),
        media(node, *store, settings, injection),
        application(node, *store, ledger, agreement, access, injection, trace, settings),
        groups(node, *store, ledger, agreement, access, settings),
        orders(node, *store, ledger, agreement),
        enrolment(node, *store, pairs, ledger, trace),
        csa(node, *store, keys->of(Pool::csa), settings.csa.limits),
        recovery(node, *store, *keys, [this] { return agreement.terms()->history; }),
        quantum(quantum_parts(), {.low = settings.quantum_pool_low, .high = settings.quantum_pool_high}),
        feed(node, *store, senders, agreement.policy(), [this](Deadline deadline) { return pool_state(deadline); }) {
    if (node.settings().store) {
      notices.emplace(*store, node.clock(), front_end_of(node),
                      node::SharedNotices::Ports{.act = [this](std::string_view kind, const std::string& body) { return heard(kind, body); },
                                                 .missed = [this] { missed_notices(); }});
    }
    if (settings.sae) saes.emplace(node, SaeFront::Parts{.store = *store, .device = keys->of(Pool::sae), .senders = senders, .agreement = agreement}, *settings.sae);
  }

  node::Node& node;
  KmsSettings settings;
  std::unique_ptr<store::Store> store;
  store::GuardedStore* guard = nullptr;  // the same, where it is guarded
  std::unique_ptr<PoolKeys> keys;
  EncryptionPairs pairs;
  node::StepTrace trace;
  Ledger ledger;
  HistoryDesk history;
  node::SenderDirectory senders;
  Access access;
  Errands errands;
  Errands rounds;  // lists and evidence: a CAS or CMSP that is slow keeps no QKM from what it is told
  Agreement agreement;
  Chains chains;
  Injection injection;
  MediumDesk media;
  Application application;
  Groups groups;
  Orders orders;
  EnrolmentService enrolment;
  csa::Desk csa;
  std::unique_ptr<csa::ForeignFront> csa_front;  // absent where the configuration has no such listener
  std::optional<SaeFront> saes;  // if they are served
  Recovery recovery;
  QuantumPool quantum;
  PolicyFeed feed;
  std::optional<node::SharedNotices> notices;  // where there are other front ends; they act on what is at one alone, the database is everybody's
  // The first to go: they work in the background, on what is above.
  Refill standby_refill{"encryption pairs", [this] { return fill_standby(); }};
  Refill quantum_refill{"pool of quantum keys", [this] { return fill_quantum(); }};
  Refill directory_refill{"CMSP's directory", [this] { return fetch_directory(); }, {.look_every = directory_every, .failed_max = 2 * directory_every}};

  std::mutex mutex;
  std::condition_variable changed;
  bool stopping = false;
  std::thread sweeper;

  QuantumPool::Parts quantum_parts();
  Result<void> fill_standby();
  Result<void> fill_quantum();
  Result<void> fetch_directory();
  void describe(wire::Json& body);
  /// What could have been used by a process that did not stop in order, or in a later copy of the database, is not used again.
  Result<void> after_crash();
  /// Mo-2.
  Result<points::KmsState> pool_state(Deadline deadline);
  /// Destroys what is past its time and forgets what may be forgotten; the destroyed sessions go into the audit record.
  Result<void> sweep(Ledger::Sweep which);
  void run_sweeper();
  /// Pm-1: of subscribers and of SAEs.
  Result<net::Response> revoked(const net::Request& request);
  /// What another front end was told.
  Result<void> heard(std::string_view kind, const std::string& body);
  void missed_notices();
  Result<net::Response> of_saes(Result<net::Response> (SaeFront::*answer)(const net::Request&), const net::Request& request);
  /// In the background, where it is time: revocations whose notice never came.
  void compare_with_lists();
  std::chrono::steady_clock::time_point lists_due = std::chrono::steady_clock::now();  // the sweeper's
  /// In the background, where it is time: Mc-2.
  void show_evidence_in_time();
  std::chrono::steady_clock::time_point evidence_due = std::chrono::steady_clock::now();  // the sweeper's
  std::atomic<bool> evidence_failed = false;
  /// The archive of charging records, a little further.
  Result<void> check_archive();
  LedgerSweep ledger_sweep{node, *store, ledger};  // the sweeper's
  ArchiveCheck archive_check;                      // the sweeper's
  std::int64_t charges_archived = 0;               // by its last look
};

Result<points::KmsState> KmsService::Parts::pool_state(Deadline deadline) {
  ASSIGN_OR_RETURN(points::KmsState out, state_of_pools(node, *store, ledger, deadline));
  if (saes) out.stocks = saes->stocks();
  return out;
}

Result<void> KmsService::Parts::sweep(Ledger::Sweep which) {
  const UnixMs now = node.clock().now_ms();
  // Each by itself: a row that was changed underneath keeps neither a key alive nor anything else from being forgotten.
  const auto ended = ledger_sweep.run(which, now);
  const auto archived = archive_charges(*store, node.rng(), now - std::min(now, charge_archived_after_ms));
  if (archived) charges_archived = *archived;
  const auto forgotten = forget_what_is_over(*store, settings.policy, now);
  const auto erased = end_history_keys(node, *store, {.policy = settings.history, .kept = settings.history_keys_kept});
  const auto paid_gone = application.forget_paid();
  auto paid = pay_records(node, *store, Owed::left_over);
  TRY(ended);
  TRY(archived);
  TRY(forgotten);
  TRY(erased);
  TRY(paid_gone);
  return paid;
}

Result<void> KmsService::Parts::after_crash() {
  ASSIGN_OR_RETURN(const std::int64_t pairs_gone, store->transact([](store::Transaction& transaction) { return EncryptionPairs::discard_standby(transaction); }));
  if (pairs_gone == 0) return {};
  return node.record({.action = "kp.discarded", .outcome = audit::Outcome::success, .subject = "", .object = std::to_string(pairs_gone) + " encryption pairs in standby",
                      .reason = "left over from before the restart", .request_id = ""});
}

QuantumPool::Parts KmsService::Parts::quantum_parts() {
  return {.store = *store,
          .keys = *keys,
          .clock = node.clock(),
          .rng = node.rng(),
          .owner = node.settings().store ? front_end_of(node) : "0",
          .draw = [this](const std::string& domain, std::int64_t count, std::int64_t paths, Deadline deadline) {
            const QuantumPool::Lot lot{.keys = paths > 1 ? paths : lot_under(*agreement.terms()).keys, .paths = paths};
            return agreement.draw(domain,
                                  {.what_for = "pool", .session = node.rng().id<SidWk>(), .lot = lot, .lots = std::max<std::int64_t>(1, count / lot.keys)}, deadline,
                                  node.new_request_id());
          },
          .give_back = [this](const std::vector<KeyId>& ids, Deadline deadline) { return agreement.give_back(ids, deadline); },
          .record = [this](std::string_view action, std::string_view object, std::string_view reason) {
            return node.record({.action = action, .outcome = audit::Outcome::success, .subject = "", .object = object, .reason = reason, .request_id = ""});
          }};
}

Result<void> KmsService::Parts::fill_standby() {
  TRY(pairs.fill(static_cast<std::size_t>(settings.standby_low), static_cast<std::size_t>(settings.standby_high)));
  return {};
}

Result<void> KmsService::Parts::fill_quantum() {
  std::set<std::string> domains;
  for (const auto& [name, target] : node.settings().peers) {
    const std::string& domain = target.expected.domain;
    if (target.expected.kind != Kind::kms || domain == node.identity().domain || settings.policy.no_quantum_with.contains(domain)) continue;
    domains.insert(domain);
  }
  const QuantumPool::Lot lot = lot_under(*agreement.terms());
  // A domain that cannot be reached keeps no other from its keys.
  const auto each = pool_round_max / static_cast<int>(domains.size() + 1);
  Result<void> out = quantum.expire(Deadline::after(each));
  for (const std::string& domain : domains) {
    if (node.stopping()) break;
    if (auto filled = quantum.refill(domain, lot, Deadline::after(each)); !filled) out = std::move(filled);
  }
  return out;
}

Result<void> KmsService::Parts::fetch_directory() {
  TRY(agreement.directory().fetch(Deadline::after(directory_answer_max)));
  return {};
}

void KmsService::Parts::describe(wire::Json& body) {
  history.describe(body);
  describe_charges(*store, body);
  application.describe_health(body);
  body.set("policy_version", agreement.terms()->version);
  agreement.directory().describe(body);
  if (guard != nullptr) body.set("database_epoch", guard->epoch());
  if (node.settings().store) {
    const store::Store::Counts counts = store->counts();
    body.set("store", wire::Json::object({{"repeated", counts.repeated},
                                          {"connections", counts.connections},
                                          {"outcomes_asked", counts.asked},
                                          {"outcomes_unknown", counts.unknown},
                                          {"round_trips", counts.round_trips},
                                          {"waiting", store->queued()}}));
  }
  if (const auto standby = pairs.standby()) {
    body.set("standby_pairs", wire::Json::object({{"there", static_cast<std::int64_t>(*standby)}, {"low", settings.standby_low}, {"high", settings.standby_high}}));
  }
  if (const auto levels = quantum.levels(); levels && quantum.is_on()) {
    wire::Json pools = wire::Json::object();
    for (const QuantumPool::Level& level : *levels) pools.set(level.domain, level.lots);
    body.set("quantum_pool", wire::Json::object({{"low", settings.quantum_pool_low}, {"high", settings.quantum_pool_high}, {"domains", pools}}));
  }
  if (const auto csa_keys = csa.census()) body.set("csa_keys", *csa_keys);
  if (csa_front) body.set("csa_port", csa_front->port());
  if (saes) saes->describe(body);
}

Result<void> KmsService::Parts::check_archive() {
  ASSIGN_OR_RETURN(const std::optional<std::string> found, archive_check.step(*store, node.clock().now_ms(), ArchiveCheck::pace(charges_archived)));
  if (!found) return {};
  node::log(node::LogLevel::error, "{}", *found);
  return node.record({.action = "kp.archive.altered", .outcome = audit::Outcome::failure, .subject = node.identity().uri(), .object = "kms.db", .reason = *found, .request_id = ""});
}

void KmsService::Parts::run_sweeper() {
  std::unique_lock lock(mutex);
  while (!changed.wait_for(lock, sweep_every, [this] { return stopping; })) {
    lock.unlock();
    compare_with_lists();
    show_evidence_in_time();
    if (const auto swept = sweep(Ledger::Sweep::expired); !swept) {
      node::log(node::LogLevel::error, "sweep: {}", swept.error().message);
      const bool altered = guard != nullptr && swept.error().code == ErrorCode::denied;  // a row of whatever table that was changed underneath
      const auto told = altered ? ledger_sweep.tell(swept.error()) : Result<void>();
      if (!told) node::log(node::LogLevel::error, "sweep: {}", told.error().message);
    }
    if (const auto kept = keys->maintain(node.clock().now_ms()); !kept) node::log(node::LogLevel::error, "pool keys: {}", kept.error().message);
    if (const auto archived = history.keep_up(); !archived) node::log(node::LogLevel::error, "archive of keys: {}", archived.error().message);
    if (const auto checked = check_archive(); !checked) node::log(node::LogLevel::error, "archive of charging records: {}", checked.error().message);
    if (const auto settled = store->settle(); !settled) node::log(node::LogLevel::error, "guard: {}", settled.error().message);
    if (const auto swept = csa.sweep(node.clock().now_ms()); !swept) node::log(node::LogLevel::error, "sweep of the CSA: {}", swept.error().message);
    if (const auto swept = csa_front ? csa_front->sweep() : Result<void>(); !swept) node::log(node::LogLevel::error, "the CSA's listener: {}", swept.error().message);
    if (const auto swept = saes ? saes->sweep() : Result<void>(); !swept) node::log(node::LogLevel::error, "sweep: {}", swept.error().message);
    lock.lock();
  }
}

Result<net::Response> KmsService::Parts::revoked(const net::Request& request) {
  ASSIGN_OR_RETURN(net::Response answer, access.revoked(request));
  if (saes) {
    ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
    ASSIGN_OR_RETURN(const std::string subject, json.text("subject"));
    saes->changed(subject);
    if (notices) TRY(notices->tell(subject_changed, subject));
  }
  return answer;
}

Result<void> KmsService::Parts::heard(std::string_view kind, const std::string& body) {
  if (kind == certificates_revoked) {
    ASSIGN_OR_RETURN(const std::set<Bytes> fingerprints, node::read_revocation_notice(as_bytes(body)));
    node.drop_revoked(fingerprints);
  } else if (kind == subject_changed && saes) {
    saes->changed(body);
  }
  return {};
}

void KmsService::Parts::missed_notices() {
  node::log(node::LogLevel::warning, "notices to the other front ends were missed: every status is asked for again");
  node.forget_statuses();
  if (saes) saes->changed(std::string(every_application));
}

Result<net::Response> KmsService::Parts::of_saes(Result<net::Response> (SaeFront::*answer)(const net::Request&), const net::Request& request) {
  if (!saes) return fail(ErrorCode::unavailable, "this KMS serves no SAEs");
  return (*saes.*answer)(request);
}

void KmsService::Parts::compare_with_lists() {
  const auto now = std::chrono::steady_clock::now();
  const auto cas = node.peer_of(Kind::cas);
  if (settings.revocation_lists_every.count() == 0 || now < lists_due || !cas) return;
  lists_due = now + settings.revocation_lists_every;
  rounds.post([this, cas = *cas] {
    const auto compared = injection.compare_with_lists([&](std::string_view branch) -> Result<Bytes> {
      ASSIGN_OR_RETURN(net::Response list, node.call(points::Endpoint::cd1_crl, cas, {}, Deadline::after(list_answer_max), node.new_request_id(),
                                                     "branch=" + std::string(branch) + "&list=full"));
      return std::move(list.body);
    });
    if (!compared) node::log(node::LogLevel::warning, "the stock of charged keys: {}", compared.error().message);
  });
}

void KmsService::Parts::show_evidence_in_time() {
  const auto now = std::chrono::steady_clock::now();
  if (evidence_failed.exchange(false)) evidence_due = std::min(evidence_due, now + evidence_again);
  if (settings.evidence_every.count() == 0 || now < evidence_due || !node.peer_of(Kind::cmsp)) return;
  evidence_due = now + settings.evidence_every;
  rounds.post([this] {
    const auto findings = show_evidence(node, *store, ledger, Deadline::after(evidence_answer_max));
    if (!findings) {
      evidence_failed = true;
      node::log(node::LogLevel::warning, "Mc-2: {}", findings.error().message);
      return;
    }
    for (const std::string& finding : *findings) node::log(node::LogLevel::error, "Mc-2: CMSP finds: {}", finding);
  });
}

KmsService::KmsService(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
KmsService::~KmsService() { stop(); }

Result<std::unique_ptr<KmsService>> KmsService::open(node::Node& node, KmsSettings settings) {
  if (settings.profile_v1) {
    if (node.suite().id != crypto::SuiteId::gm_hybrid) return fail(ErrorCode::invalid_argument, "kms.profile_v1: there is no profile v1 in suite " + std::string(node.suite().name));
    node::log(node::LogLevel::warning, "profile v1 is on: working keys that go out in it are protected by TLS alone");
  }
  // Another server has taken over, or the operator has restored one: it may lack what was acknowledged, and keys that were delivered would be there again.
  const auto on_other_history = [&node](store::Transaction& transaction) -> Result<void> {
    const UnixMs now = node.clock().now_ms();
    TRY(node::SharedNotices::pass_over_lost(transaction));
    ASSIGN_OR_RETURN(const std::int64_t destroyed, begin_life(transaction, now, now, NewLife::other_history));
    // Owed, since this may run more than once; and as if for long, so that whoever looks first makes the record: at the end of open(), or the sweeper.
    const std::string what = "working keys destroyed: " + std::to_string(destroyed);
    const std::array begun{OwedRecord{.action = "database.other_history", .subject = "", .object = "", .reason = what}};
    return owe_records(transaction, node.rng().id<OwedId>(), begun, now - std::min(now, owed_left_over_after_ms));
  };
  ASSIGN_OR_RETURN(Database database, open_kms_database(node, on_other_history));
  std::unique_ptr<store::Store> store = std::move(database.store);
  TRY(store->transact([](store::Transaction& transaction) { return check_is_no_backup(transaction); }));
  ASSIGN_OR_RETURN(auto keys, PoolKeys::open({.store = *store, .device = node.device(), .suite = node.suite(), .lifetime = settings.pool_key_lifetime}, node.clock().now_ms()));
  ASSIGN_OR_RETURN(auto site_key, crypto::SiteKey::read(settings.site_key));
  ASSIGN_OR_RETURN(auto chain_key, crypto::SiteKey::read(settings.site_key));  // the same: a secret has one holder
  const bool crashed = (database.guard != nullptr && database.guard->after_crash()) || keys->is_first();
  auto parts = std::make_unique<Parts>(node, std::move(settings), std::move(store), std::move(keys), std::move(site_key), std::move(chain_key));
  Parts& those = *parts;
  those.guard = database.guard;
  TRY(those.history.open());
  TRY(those.agreement.policy().take_up(*those.store, node.settings().policy_epoch));
  TRY(those.store->transact([](store::Transaction& transaction) { return name_all_certificates(transaction); }));
  TRY(those.sweep(crashed ? Ledger::Sweep::after_crash : Ledger::Sweep::at_start));
  if (crashed) TRY(those.after_crash());
  TRY(those.quantum.void_left_over());
  those.agreement.use_pool(those.quantum, [&those] { those.quantum_refill.ring(); });
  if (those.settings.km2_chain == net::ChainNeed::required)
    node.require_chained({points::Endpoint::km2_open, points::Endpoint::km2_offer, points::Endpoint::km2_confirm, points::Endpoint::km2_group,
                          points::Endpoint::km2_supply, points::Endpoint::km2_activate});
  if (those.settings.csa.listener) {
    ASSIGN_OR_RETURN(those.csa_front, csa::ForeignFront::start(*those.settings.csa.listener, those.csa, node));
  }
  if (those.notices) TRY(those.notices->begin());
  if (those.saes) TRY(those.saes->open());
  node.on_revoked([&those](const std::set<Bytes>& fingerprints) -> Result<void> {
    if (those.notices) {
      std::vector<std::string> named;
      named.reserve(fingerprints.size());
      for (const Bytes& fingerprint : fingerprints) named.push_back(to_hex(fingerprint));
      TRY(those.notices->tell(certificates_revoked, node::revocation_notice(named)));
    }
    return those.injection.revoked(fingerprints);
  });
  // What a process that was killed did, and did not say; where there are other front ends, they may be about to say it.
  TRY(pay_records(node, *those.store, node.settings().store ? Owed::left_over : Owed::all));
  node.describe_health([&those](wire::Json& body) { those.describe(body); });
  return std::unique_ptr<KmsService>(new KmsService(std::move(parts)));
}

std::vector<points::Handler> KmsService::handlers() {
  using points::Endpoint;
  Parts& parts = *parts_;
  // Symmetric mode begins where a certificate's status cannot be had: the application's own handler decides (kim/injection.hpp).
  const net::UnknownStatus unknown = parts.settings.symmetric_mode ? net::UnknownStatus::passed_on : net::UnknownStatus::refused;
  std::vector<points::Handler> out{
      {Endpoint::km1_enrol, [&](const net::Request& request) { return parts.enrolment.enrol(request); }},
      {Endpoint::km1_receipt, refusals_recorded(parts.node, "km-1.receipt", [&](const net::Request& request) { return parts.enrolment.receipt(request); })},
      // Public, and signed by keys that the terminal knows: what it needs to go on is not refused before it can show a charged key.
      {Endpoint::km1_certificates, refusals_recorded(parts.node, "km-1.certificates", [&](const net::Request& request) { return successions(parts.node, request); }),
       unknown},
      {Endpoint::km1_renewed,
       refusals_recorded(parts.node, "km-1.renewed", [&](const net::Request& request) { return take_renewal(parts.node, *parts.store, request); })},
      {Endpoint::km1_charge, refusals_recorded(parts.node, "km-1.charge", [&](const net::Request& request) { return parts.injection.charge(request); })},
      {Endpoint::km1_charged, refusals_recorded(parts.node, "km-1.charged", [&](const net::Request& request) { return parts.injection.receipt(request); })},
      {Endpoint::x5_medium, [&](const net::Request& request) { return parts.media.answer(request); }},
      {Endpoint::km1_application, [&](const net::Request& request) { return parts.application.apply(request); }, unknown},
      {Endpoint::km1_ack, refusals_recorded(parts.node, "km-1.ack", [&](const net::Request& request) { return parts.application.acknowledge(request); }), unknown},
      {Endpoint::km1_application_v1, [&](const net::Request& request) { return parts.application.apply_v1(request); }},
      {Endpoint::km1_group, [&](const net::Request& request) { return parts.groups.answer(request); }},
      {Endpoint::km2_group, refusals_recorded(parts.node, "km-2.group", [&](const net::Request& request) { return parts.groups.take_key(request); })},
      {Endpoint::ma2_notify, refusals_recorded(parts.node, "ma-2.notify", [&](const net::Request& request) { return parts.agreement.notify(request); })},
      {Endpoint::pm1_revoked, refusals_recorded(parts.node, "pm-1.revoked", [&](const net::Request& request) { return parts.revoked(request); })},
      {Endpoint::x5_recovery, [&](const net::Request& request) { return parts.recovery.answer(request); }},
      {Endpoint::km2_open, refusals_recorded(parts.node, "km-2.open", [&](const net::Request& request) { return parts.agreement.open(request); })},
      {Endpoint::km2_offer, refusals_recorded(parts.node, "km-2.offer", [&](const net::Request& request) { return parts.agreement.offer(request); })},
      {Endpoint::km2_chain, [&](const net::Request& request) { return parts.chains.answer(request); }},
      {Endpoint::x5_keys, [&](const net::Request& request) { return parts.orders.keys(request); }},
      {Endpoint::x5_charges, [&](const net::Request& request) { return parts.orders.charges(request); }},
      {Endpoint::x5_archive, [&](const net::Request& request) { return parts.history.answer(request); }},
      {Endpoint::km2_confirm, refusals_recorded(parts.node, "km-2.confirm", [&](const net::Request& request) { return parts.agreement.confirm(request); })},
      {Endpoint::km2_supply, refusals_recorded(parts.node, "km-2.supplied", [&](const net::Request& request) { return parts.of_saes(&SaeFront::supply, request); })},
      {Endpoint::km2_activate,
       refusals_recorded(parts.node, "km-2.activate", [&](const net::Request& request) { return parts.of_saes(&SaeFront::activate, request); })},
  };
  for (points::Handler& handler : csa::handlers_of(parts.csa, parts.node.clock())) out.push_back(std::move(handler));
  return out;
}

void KmsService::start() {
  parts_->chains.begin();
  parts_->errands.start();
  parts_->rounds.start();
  if (parts_->settings.standby_high > 0) parts_->standby_refill.start();
  if (parts_->quantum.is_on()) parts_->quantum_refill.start();
  if (parts_->saes) parts_->saes->start();
  parts_->feed.start();
  if (parts_->notices) parts_->notices->start();
  if (parts_->settings.directory_fallback && parts_->node.peer_of(Kind::cmsp)) parts_->directory_refill.start();
  parts_->sweeper = std::thread([this] { parts_->run_sweeper(); });
}

void KmsService::stop() {
  if (parts_->csa_front) parts_->csa_front->stop();
  {
    const std::lock_guard lock(parts_->mutex);
    parts_->stopping = true;
  }
  parts_->changed.notify_all();
  if (parts_->sweeper.joinable()) parts_->sweeper.join();
  parts_->feed.stop();
  if (parts_->notices) parts_->notices->stop();
  if (parts_->saes) parts_->saes->stop();
  parts_->errands.stop();
  parts_->rounds.stop();
  parts_->standby_refill.stop();
  parts_->quantum_refill.stop();
  parts_->directory_refill.stop();
  if (parts_->quantum.is_on()) {
    const auto voided = parts_->quantum.void_all("this KMS stops", Deadline::after(give_back_max));
    if (!voided) node::log(node::LogLevel::warning, "pool of quantum keys: {}", voided.error().message);
  }
  if (const auto forgotten = parts_->application.forget_paid(); !forgotten) node::log(node::LogLevel::warning, "owed records: {}", forgotten.error().message);
  if (parts_->guard == nullptr) return;
  if (const auto closed = parts_->guard->close(); !closed) node::log(node::LogLevel::error, "guard: {}", closed.error().message);
}

}  // namespace qanat::kms
