#include "services/kms/service.hpp"

#include "node/log.hpp"
#include "services/kms/kim/enrolment.hpp"
#include "services/kms/kim/renewal.hpp"
#include "services/kms/kim/successions.hpp"
#include "services/kms/kma/application.hpp"
#include "services/kms/kma/incarnation.hpp"
#include "services/kms/kma/pending.hpp"
#include "services/kms/schema.hpp"

namespace qanat::kms {
namespace {

constexpr std::chrono::milliseconds sweep_every{1000};

std::string front_end_of(const node::Node& node) { return node.settings().store ? std::to_string(node.settings().store->front_end) : ""; }

using Answer = std::function<Result<net::Response>(const net::Request&)>;

/// What is granted, the work itself records with its session; that it was refused is recorded here, before it is answered.
Answer refusals_recorded(node::Node& node, std::string_view action, Answer work) {
  return [&node, action, work = std::move(work)](const net::Request& request) -> Result<net::Response> {
    auto answer = work(request);
    if (!answer) {
      TRY(node.record({.action = action, .outcome = audit::outcome_of(answer.error().code), .subject = request.peer.identity->uri(), .object = "",
                       .reason = answer.error().message, .request_id = request.request_id}));
    }
    return answer;
  };
}

}  // namespace

struct KmsService::Parts {
  Parts(node::Node& node_, KmsSettings settings_, std::unique_ptr<store::Store> store_, crypto::SiteKey site_key)
      : node(node_),
        settings(std::move(settings_)),
        store(std::move(store_)),
        trace(node.settings().state),
        ledger(node.device(), front_end_of(node)),
        senders(node),
        access(node, *store, senders),
        agreement(node, *store, ledger, senders, trace, errands, settings, std::move(site_key)),
        application(node, *store, ledger, agreement, access, trace, settings),
        enrolment(node, *store, trace) {}

  node::Node& node;
  KmsSettings settings;
  std::unique_ptr<store::Store> store;
  node::StepTrace trace;
  Ledger ledger;
  node::SenderDirectory senders;
  Access access;
  Errands errands;
  Agreement agreement;
  Application application;
  EnrolmentService enrolment;

  std::mutex mutex;
  std::condition_variable changed;
  bool stopping = false;
  std::thread sweeper;

  /// Destroys what is past its time and forgets what may be forgotten; the destroyed sessions go into the audit record.
  Result<void> sweep(Ledger::Sweep which);
  void run_sweeper();
};

Result<void> KmsService::Parts::sweep(Ledger::Sweep which) {
  const UnixMs now = node.clock().now_ms();
  ASSIGN_OR_RETURN(const std::vector<SidWk> destroyed, store->transact([&](store::Transaction& transaction) -> Result<std::vector<SidWk>> {
    TRY(transaction.run("DELETE FROM replay WHERE forget_ms < ?", {static_cast<std::int64_t>(now)}));
    TRY(forget_old_prepared(transaction, now));
    TRY(drop_expired_pending(transaction, now));
    TRY(transaction.run("DELETE FROM announced_session WHERE expires_ms < ?", {static_cast<std::int64_t>(now)}));
    return ledger.sweep(transaction, which, now);
  }));
  for (const SidWk& sid_wk : destroyed) {
    TRY(node.record({.action = "wk.expired", .outcome = audit::Outcome::success, .subject = "", .object = sid_wk.hex(),
                     .reason = which == Ledger::Sweep::at_start ? "left over from before the restart" : "past its time", .request_id = ""}));
  }
  return {};
}

void KmsService::Parts::run_sweeper() {
  std::unique_lock lock(mutex);
  while (!changed.wait_for(lock, sweep_every, [this] { return stopping; })) {
    lock.unlock();
    if (const auto swept = sweep(Ledger::Sweep::expired); !swept) node::log(node::LogLevel::error, "sweep: {}", swept.error().message);
    lock.lock();
  }
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
    ASSIGN_OR_RETURN(const std::int64_t destroyed, begin_life(transaction, now, now, "the database has another history"));
    return node.record({.action = "database.other_history", .outcome = audit::Outcome::success, .subject = "", .object = "",
                        .reason = "working keys destroyed: " + std::to_string(destroyed), .request_id = ""});
  };
  ASSIGN_OR_RETURN(auto store, node.open_store("kms", migrations, on_other_history));
  TRY(store->transact([](store::Transaction& transaction) { return check_is_no_backup(transaction); }));
  ASSIGN_OR_RETURN(auto site_key, crypto::SiteKey::read(settings.site_key));
  auto parts = std::make_unique<Parts>(node, std::move(settings), std::move(store), std::move(site_key));
  TRY(parts->sweep(Ledger::Sweep::at_start));
  Parts& those = *parts;
  node.describe_health([&those](wire::Json& body) {
    const auto census = those.store->transact([&](store::Transaction& transaction) { return those.ledger.census(transaction); });
    if (census) {
      wire::Json keys = wire::Json::object();
      for (std::size_t i = 0; i < census->size(); ++i) keys.set(store::name(store::all_key_states[i]), (*census)[i]);
      body.set("working_keys", keys);
    }
    if (those.node.settings().store) {
      const store::Store::Counts counts = those.store->counts();
      body.set("store", wire::Json::object({{"repeated", counts.repeated}, {"connections", counts.connections}, {"outcomes_asked", counts.asked}, {"outcomes_unknown", counts.unknown}}));
    }
  });
  return std::unique_ptr<KmsService>(new KmsService(std::move(parts)));
}

std::vector<points::Handler> KmsService::handlers() {
  using points::Endpoint;
  Parts& parts = *parts_;
  return {
      {Endpoint::km1_enrol, [&](const net::Request& request) { return parts.enrolment.enrol(request); }},
      {Endpoint::km1_receipt, refusals_recorded(parts.node, "km-1.receipt", [&](const net::Request& request) { return parts.enrolment.receipt(request); })},
      {Endpoint::km1_certificates, refusals_recorded(parts.node, "km-1.certificates", [&](const net::Request& request) { return successions(parts.node, request); })},
      {Endpoint::km1_renewed,
       refusals_recorded(parts.node, "km-1.renewed", [&](const net::Request& request) { return take_renewal(parts.node, *parts.store, request); })},
      {Endpoint::km1_application, [&](const net::Request& request) { return parts.application.apply(request); }},
      {Endpoint::km1_ack, refusals_recorded(parts.node, "km-1.ack", [&](const net::Request& request) { return parts.application.acknowledge(request); })},
      {Endpoint::km1_application_v1, [&](const net::Request& request) { return parts.application.apply_v1(request); }},
      {Endpoint::ma2_notify, refusals_recorded(parts.node, "ma-2.notify", [&](const net::Request& request) { return parts.agreement.notify(request); })},
      {Endpoint::pm1_revoked, refusals_recorded(parts.node, "pm-1.revoked", [&](const net::Request& request) { return parts.access.revoked(request); })},
      {Endpoint::km2_offer, refusals_recorded(parts.node, "km-2.offer", [&](const net::Request& request) { return parts.agreement.offer(request); })},
      {Endpoint::km2_confirm, refusals_recorded(parts.node, "km-2.confirm", [&](const net::Request& request) { return parts.agreement.confirm(request); })},
  };
}

void KmsService::start() {
  parts_->errands.start();
  parts_->sweeper = std::thread([this] { parts_->run_sweeper(); });
}

void KmsService::stop() {
  {
    const std::lock_guard lock(parts_->mutex);
    parts_->stopping = true;
  }
  parts_->changed.notify_all();
  if (parts_->sweeper.joinable()) parts_->sweeper.join();
  parts_->errands.stop();
}

}  // namespace qanat::kms
