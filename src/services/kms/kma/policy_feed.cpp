#include "services/kms/kma/policy_feed.hpp"

#include "node/log.hpp"
#include "wire/signed_text.hpp"

namespace qanat::kms {
namespace {

constexpr std::chrono::milliseconds policy_question_max{2000};  // of which CSO waits for half: stop() takes no longer

}  // namespace

Result<points::KmsPolicy> PolicyFeed::open(ByteView octets, const std::string& cmsp, Deadline deadline) {
  ASSIGN_OR_RETURN(const wire::Envelope envelope, wire::parse_envelope(octets));
  ASSIGN_OR_RETURN(const auto signer, senders_.check(envelope.classical, envelope.ml_dsa, node_.settings().peers.at(cmsp).expected, deadline));
  ASSIGN_OR_RETURN(const wire::SignedText document, wire::parse_signed_text(node_.suite(), envelope.message));
  TRY(wire::verify(document, points::kms_policy_label, signer->verifier, signer->fps));
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(document.text));
  return points::read_kms_policy(json);
}

Result<void> PolicyFeed::record(audit::Outcome outcome, const std::string& object, const std::string& reason, const std::string& request_id) {
  return node_.record({.action = "mo-2.policy", .outcome = outcome, .subject = "cmsp", .object = object, .reason = reason, .request_id = request_id});
}

Result<bool> PolicyFeed::fetch(Deadline deadline) {
  ASSIGN_OR_RETURN(const std::string cmsp, node_.peer_of(Kind::cmsp));
  ASSIGN_OR_RETURN(const std::int64_t version, policy_.last_version(store_));
  const std::uint32_t epoch = node_.settings().policy_epoch;
  const std::string request_id = node_.new_request_id();
  if (const std::int64_t followed = policy_.terms()->version; followed != version) {
    TRY(policy_.take_up(store_, epoch));
    // Not where it is for another epoch. Each front end has an audit record of its own.
    if (const std::int64_t taken_up = policy_.terms()->version; taken_up != followed) {
      TRY(record(audit::Outcome::success, std::to_string(taken_up), "another front end has taken it", request_id));
    }
  }
  ASSIGN_OR_RETURN(const net::Response answer,
                   node_.call(points::Endpoint::mo2_policy, cmsp, {}, deadline, request_id, std::string(points::kms_policy_query) + std::to_string(version)));
  if (answer.body.empty()) return false;
  const auto taken = [&]() -> Result<bool> {
    ASSIGN_OR_RETURN(const points::KmsPolicy policy, open(answer.body, cmsp, deadline));
    ASSIGN_OR_RETURN(const PolicyInForce::News news, policy_.judge(store_, policy, epoch, version));
    if (news != PolicyInForce::News::later) return false;
    TRY(record(audit::Outcome::success, std::to_string(policy.version), points::to_json(policy).dump(), request_id));
    ASSIGN_OR_RETURN(const PolicyInForce::News put, policy_.put_in_force(store_, policy, epoch, version, node_.clock().now_ms()));
    return put != PolicyInForce::News::overtaken;
  }();
  if (taken) {
    refused_.clear();
  } else if (refused_ != taken.error().message) {
    TRY(record(audit::outcome_of(taken.error().code), "", taken.error().message, request_id));
    refused_ = taken.error().message;
  }
  return taken;
}

Result<void> PolicyFeed::report(Deadline deadline) {
  ASSIGN_OR_RETURN(const std::string cmsp, node_.peer_of(Kind::cmsp));
  ASSIGN_OR_RETURN(points::KmsState state, describe_(deadline));
  state.policy = policy_.terms()->version;
  state.epoch = node_.settings().policy_epoch;
  TRY(node_.call_json(points::Endpoint::mo2_state, cmsp, points::to_json(state), deadline, node_.new_request_id()));
  return {};
}

void PolicyFeed::start() {
  if (node_.peer_of(Kind::cmsp)) thread_ = std::thread([this] { run(); });
}

void PolicyFeed::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void PolicyFeed::run() {
  std::string logged;  // said once, not every few seconds
  auto report_due = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    const auto began = std::chrono::steady_clock::now();
    const auto asked = fetch(Deadline::after(policy_question_max));
    std::string failed = asked ? "" : asked.error().message;
    if (asked && !node_.stopping() && (*asked || began >= report_due)) {
      report_due = began + pauses_.report;
      if (const auto told = report(Deadline::after(policy_question_max)); !told) failed = told.error().message;
    }
    if (!failed.empty() && failed != logged) node::log(node::LogLevel::warning, "Mo-2: {}", failed);
    logged = failed;
    lock.lock();
    changed_.wait_until(lock, began + (failed.empty() ? pauses_.answered : pauses_.failed), [this] { return stopping_; });
  }
}

}  // namespace qanat::kms
