#include "soak_terminal.hpp"

#include <thread>

namespace qanat::bench {
namespace {

constexpr std::chrono::milliseconds answer_max{8000};  // more than the callee's KMS waits for the caller's side
constexpr std::chrono::milliseconds retry_first{100};
constexpr std::chrono::milliseconds retry_longest{800};

/// What becomes of an application that was not answered with a key.
enum class Next : std::uint8_t { give_up, same_octets, fresh };
Next next_after(ErrorCode code, bool sent_before) {
  switch (code) {
    case ErrorCode::unavailable:
    case ErrorCode::deadline_exceeded:
      return Next::same_octets;  // it may have been served, and its answer lost
    case ErrorCode::exhausted:
      return Next::fresh;
    case ErrorCode::conflict:
      return sent_before ? Next::fresh : Next::give_up;  // used up by a front end that did not live to answer
    case ErrorCode::invalid_argument:
    case ErrorCode::unauthenticated:
    case ErrorCode::denied:
    case ErrorCode::not_found:
    case ErrorCode::internal:
      return Next::give_up;
  }
  return Next::give_up;
}

}  // namespace

Result<std::unique_ptr<SoakTerminal>> SoakTerminal::enrol(Ground& ground, const app::TerminalPlan& plan, const std::vector<net::Target>& places,
                                                          std::size_t first) {
  ASSIGN_OR_RETURN(auto terminal, BenchTerminal::enrol(ground, plan));
  std::unique_ptr<SoakTerminal> out(new SoakTerminal(ground, std::move(terminal), plan.domain, first));
  for (const net::Target& place : places) out->places_.push_back(net::Client::create(place, out->terminal_->tls(), ground.trust(), {}));
  return Result<std::unique_ptr<SoakTerminal>>(std::move(out));
}

Leg SoakTerminal::obtain(const terminal::KeyWanted& wanted, Deadline deadline, Probing probing, Promises& promises, SoakCounts& counts) {
  Leg out;
  std::optional<terminal::KeyApplication> application;
  std::size_t place = first_;
  bool sent_before = false;
  for (auto wait = retry_first;; wait = std::min(2 * wait, retry_longest)) {
    if (!application) {
      auto made = make(wanted, counts);
      if (!made) {
        out.reason = made.error();
        return out;
      }
      application.emplace(*std::move(made));
    }
    const auto answer = post(place, points::Endpoint::km1_application, application->octets(), deadline);
    if (answer) {
      take(out, wanted, *application, *answer, {.place = place, .deadline = deadline, .probing = probing, .promises = promises, .counts = counts});
      return out;
    }
    out.reason = answer.error();
    const Next next = next_after(answer.error().code, sent_before);
    if (next == Next::give_up || deadline.remaining() <= wait) return out;
    sent_before = next == Next::same_octets;
    if (sent_before) ++counts.sent_again;
    if (next == Next::fresh) application.reset();
    ++place;  // the other front end, where there is one
    std::this_thread::sleep_for(wait);
  }
}

void SoakTerminal::take(Leg& out, const terminal::KeyWanted& wanted, const terminal::KeyApplication& application, const Bytes& answer, const Taking& how) {
  std::unique_lock lock(mutex_);
  const auto key = terminal_->open(application, answer, SystemClock().now_ms());
  lock.unlock();
  if (!key) {
    how.promises.broken("session " + wanted.sid_wk.hex() + ": what was delivered cannot be used: " + key.error().message);
    out.reason = key.error();
    return;
  }
  how.promises.opened(wanted.sid_wk, key->wk);
  ++how.counts.deliveries;
  out.opened = true;
  out.assurance = key->assurance;
  if (how.probing == Probing::repeats) ask_again(application, answer, how);
  out.acknowledged = acknowledge(application, key->h_deliver, how.place, how.deadline);
  if (out.acknowledged) ++how.counts.acknowledged;
  if (how.probing == Probing::repeats && wanted.role == wire::Role::callee) ask_anew(wanted, how);
}

Result<terminal::KeyApplication> SoakTerminal::make(const terminal::KeyWanted& wanted, SoakCounts& counts) {
  const std::lock_guard lock(mutex_);
  ++counts.applications;
  return terminal_->apply(wanted, SystemClock().now_ms(), ground_.rng());
}

Result<Bytes> SoakTerminal::post(std::size_t place, points::Endpoint endpoint, ByteView message, Deadline deadline) {
  const points::EndpointRow& line = points::row(endpoint);
  ASSIGN_OR_RETURN(net::Response response, places_[place % places_.size()]->call({.method = std::string(line.method),
                                                                                  .path = std::string(line.path),
                                                                                  .query = "",
                                                                                  .content_type = std::string(line.request_type),
                                                                                  .body = message,
                                                                                  .request_id = ""},
                                                                                 deadline.sooner_of(answer_max)));
  if (response.status < 200 || response.status > 299) return fail_in(line.path, net::error_of(response));
  return std::move(response.body);
}

/// Until the KMS has said that it knows. `conflict`: it was told before, and its answer was lost.
bool SoakTerminal::acknowledge(const terminal::KeyApplication& application, const Bytes& h_deliver, std::size_t place, Deadline deadline) {
  std::unique_lock lock(mutex_);
  const auto message = application.acknowledgement(h_deliver, true, ground_.rng());
  lock.unlock();
  if (!message) return false;
  for (auto wait = retry_first;; wait = std::min(2 * wait, retry_longest)) {
    const auto told = post(place++, points::Endpoint::km1_ack, *message, deadline);
    if (told) return true;
    const ErrorCode code = told.error().code;
    const bool lost = code == ErrorCode::unavailable || code == ErrorCode::deadline_exceeded || code == ErrorCode::exhausted;
    if (!lost || deadline.remaining() <= wait) return false;
    std::this_thread::sleep_for(wait);
  }
}

/// The same application again, at another place: the same answer, whatever happened to the front end that gave it.
void SoakTerminal::ask_again(const terminal::KeyApplication& application, const Bytes& answer, const Taking& how) {
  const auto again = post(how.place + 1, points::Endpoint::km1_application, application.octets(), how.deadline);
  if (again && *again == answer) {
    ++how.counts.repetitions;
  } else if (again) {
    how.promises.broken("an application that was answered got another answer when it was sent again");
  } else if (again.error().code == ErrorCode::conflict || again.error().code == ErrorCode::not_found) {
    how.promises.broken("a delivery is lost: the application that was answered is refused when it is sent again: " + again.error().message);
  }
}

/// Another application for a key that was delivered: refused.
void SoakTerminal::ask_anew(const terminal::KeyWanted& wanted, const Taking& how) {
  const auto second = make(wanted, how.counts);
  if (!second) return;
  const auto answer = post(how.place, points::Endpoint::km1_application, second->octets(), how.deadline);
  if (answer) {
    how.promises.broken("session " + wanted.sid_wk.hex() + ": its key was delivered to a second application");
  } else if (answer.error().code == ErrorCode::conflict) {
    ++how.counts.second_refused;
  }
}

}  // namespace qanat::bench
