#include "terminal/key_client.hpp"

#include <algorithm>
#include <condition_variable>

#include "node/log.hpp"

namespace qanat::terminal {
namespace {

constexpr std::chrono::milliseconds retry_first{100};
constexpr std::chrono::milliseconds retry_longest{800};
constexpr int symmetric_attempts_max = 3;  // each spends a key of the authentication set, and one of the call set
constexpr int charged_applications_max = 1 + symmetric_attempts_max;  // each spends one of the call set: the KMS's want of keys is not to empty it
constexpr std::chrono::milliseconds charged_retry_first{400};  // there are few of these: they are further apart

/// Worth another application: the KMS (or something behind it) had nothing to give just now.
bool may_pass(ErrorCode code) {
  switch (code) {
    case ErrorCode::exhausted:
    case ErrorCode::unavailable: return true;
    case ErrorCode::invalid_argument:
    case ErrorCode::unauthenticated:
    case ErrorCode::denied:
    case ErrorCode::not_found:
    case ErrorCode::conflict:
    case ErrorCode::deadline_exceeded:
    case ErrorCode::internal: return false;
  }
  return false;
}

double ms_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

/// Waits without outlasting a stop request.
void pause(std::chrono::milliseconds span, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, stop, span, [] { return false; });
}

}  // namespace

Result<WorkingKey> KeyClient::fetch(const KeyWanted& wanted, Deadline deadline, const std::stop_token& stop) {
  parts_.observe({.event = "session", .step = {}, .what = wanted.sid_wk.hex(), .ms = {}});
  Fetching fetching{.wanted = wanted, .deadline = deadline};
  std::optional<Error> first;
  Proof proof = Proof::certificates;
  int symmetric_attempts = 0;
  for (auto wait = retry_first;; wait = std::min(2 * wait, retry_longest)) {
    const bool same_octets = fetching.unanswered.has_value();
    auto key = attempt(fetching, proof);
    if (key) return key;
    if (!first) first = key.error();
    // That the first answer is merely lost is tried before a key of the authentication set is spent.
    const bool unchecked = same_octets && key.error().code == ErrorCode::unavailable && parts_.symmetric_mode && symmetric_attempts < symmetric_attempts_max;
    proof = unchecked ? Proof::and_charged_key : Proof::certificates;
    if (unchecked) {
      ++symmetric_attempts;
      fetching.unanswered.reset();
    }
    const bool fresh = !fetching.unanswered.has_value();
    if (fresh && !unchecked && fetching.charged > 0) wait = std::max(wait, charged_retry_first);
    const bool spent = fresh && fetching.charged >= charged_applications_max;
    if (spent) node::log(node::LogLevel::warning, "session {}: {} charged keys are spent on it, and no other will be", wanted.sid_wk.hex(), fetching.charged);
    if (!may_pass(key.error().code) || spent || stop.stop_requested() || deadline.remaining() <= wait) {
      // Of a session whose application was used up without an answer the next one is refused: the first reason is the one that helps.
      return *first == key.error() ? fail(key.error()) : fail_in("after " + first->message, key.error());
    }
    node::log(node::LogLevel::warning, "session {}: applying again: {}", wanted.sid_wk.hex(), key.error().message);
    pause(wait, stop);
  }
}

Result<ApplicationKeys> KeyClient::take_keys(Proof proof) {
  ApplicationKeys out;
  ASSIGN_OR_RETURN(out.call, take_call_key());
  if (out.call && proof == Proof::and_charged_key) {
    ASSIGN_OR_RETURN(out.authentication, parts_.medium->take(wire::KeySet::authentication));
  }
  return Result<ApplicationKeys>(std::move(out));
}

Result<std::optional<TakenKey>> KeyClient::take_call_key() {
  using Out = Result<std::optional<TakenKey>>;
  std::optional<TakenKey> out;
  if (parts_.medium != nullptr) {
    ASSIGN_OR_RETURN(out, parts_.medium->take(wire::KeySet::call));
    // What came over a wire is passed over: it does not do what is demanded, and the KMS would refuse it.
    while (parts_.charged_required && out && !wire::counts(out->charged)) {
      ASSIGN_OR_RETURN(out, parts_.medium->take(wire::KeySet::call));
    }
  }
  if (out) return Out(std::move(out));
  if (parts_.charged_required) {
    return fail(ErrorCode::denied, "terminal.charged_keys demands a charged key in each application, and the medium gives none that came by file:"
                                   " have it charged by file (docs/operations/injection.md)");
  }
  if (parts_.medium != nullptr) node::log(node::LogLevel::warning, "the medium's call set is used up: nothing charged goes into the last mile");
  return Out(std::nullopt);
}

Result<WorkingKey> KeyClient::attempt(Fetching& fetching, Proof proof) {
  const Applicant& applicant = parts_.applicant;
  const Deadline deadline = fetching.deadline;
  ASSIGN_OR_RETURN(const auto kms, parts_.check_kms(deadline));
  const bool again = fetching.unanswered.has_value();
  if (!again) TRY(make_application(fetching, proof));
  KeyApplication application = *std::exchange(fetching.unanswered, std::nullopt);

  const auto sent = std::chrono::steady_clock::now();
  const auto received = parts_.send(points::Endpoint::km1_application, application.octets(), deadline);
  if (!received) {
    // It may have been served, and its answer lost: the same octets get the same answer then, and no second key is made.
    if (received.error().code == ErrorCode::unavailable) fetching.unanswered.emplace(std::move(application));
    // Made before, and there is no answer to it: a fresh one.
    if (again && received.error().code == ErrorCode::conflict && fetching.charged < charged_applications_max) return attempt(fetching, proof);
    return fail(received.error());
  }
  const Bytes& answer = *received;
  ASSIGN_OR_RETURN(const auto delivery, application.authenticate(answer, *kms));
  auto opened = application.open(delivery, *kms, parts_.clock.now_ms());
  if (!opened) {
    send_acknowledgement(application, delivery.hash, false, deadline);
    return fail(opened.error());
  }
  if (!opened->token_ref.empty()) TRY(parts_.store.save_token_ref(opened->token_ref));
  const std::string granted = opened->key.directory ? "; granted by the directory, CMSP did not answer" : "";
  parts_.observe({.event = "step", .step = 11, .what = "working key delivered by " + applicant.kms.text() + " and opened" + granted, .ms = ms_since(sent)});
  if (parts_.peer_known != nullptr && fetching.under_charged_key) *parts_.peer_known = opened->key.peer_fps != wire::no_fingerprints(applicant.suite);
  delivered_.emplace(std::move(application));
  return Result<WorkingKey>(std::move(opened->key));
}

Result<void> KeyClient::make_application(Fetching& fetching, Proof proof) {
  const Applicant& applicant = parts_.applicant;
  const auto started = std::chrono::steady_clock::now();
  ASSIGN_OR_RETURN(const auto token_ref, parts_.store.token_ref());
  ASSIGN_OR_RETURN(ApplicationKeys charged, take_keys(proof));
  if (!charged.call && parts_.status_unknown && parts_.status_unknown())
    return fail(ErrorCode::denied, "symmetric mode: the KMS's certificates could not be checked, and the medium has no key that would do instead");
  fetching.under_charged_key = charged.call.has_value();
  if (charged.call) ++fetching.charged;
  const std::string also = charged.call ? ", with charged key " + std::to_string(charged.call->index) : "";
  ASSIGN_OR_RETURN(auto application, KeyApplication::make(applicant, fetching.wanted, token_ref.value_or(Bytes(applicant.suite.digest)), parts_.clock.now_ms(), parts_.rng,
                                                          std::move(charged)));
  fetching.unanswered.emplace(std::move(application));
  parts_.observe({.event = "step", .step = 4, .what = "working key application signed (classical and ML-DSA) for " + applicant.kms.text() + also, .ms = ms_since(started)});
  return {};
}

void KeyClient::acknowledge(const Bytes& h_deliver, Deadline deadline) {
  if (!delivered_) return;
  send_acknowledgement(*delivered_, h_deliver, true, deadline);
  delivered_.reset();
}

void KeyClient::send_acknowledgement(const KeyApplication& application, const Bytes& h_deliver, bool ok, Deadline deadline) {
  const auto message = application.acknowledgement(h_deliver, ok, parts_.rng);
  const auto sent = message ? parts_.send(points::Endpoint::km1_ack, *message, deadline) : message;
  if (!sent) node::log(node::LogLevel::warning, "DeliverAck: {} (the KMS destroys the key when it expires)", sent.error().message);
}

}  // namespace qanat::terminal
