#include "node/renewal.hpp"

#include <algorithm>

#include "node/log.hpp"
#include "node/node.hpp"

namespace qanat::node {
namespace {

constexpr std::chrono::milliseconds attempt_max{10'000};
constexpr std::chrono::milliseconds pause_first{5'000};
constexpr std::chrono::milliseconds pause_longest = std::chrono::hours(1);
constexpr int pauses_in_a_life = 50;                     // at least, of the longest one
constexpr std::chrono::milliseconds look_at_clock{60'000};  // the wall clock may be set meanwhile

std::chrono::milliseconds life_of(const crypto::Certificate& certificate) {
  return std::chrono::milliseconds(certificate.not_after() - certificate.not_before());
}

}  // namespace

UnixMs renewal_due(const crypto::Certificate& certificate, unsigned percent, std::uint8_t chance) noexcept {
  const UnixMs life = certificate.not_after() - certificate.not_before();
  return certificate.not_before() + life / 100 * percent + life / 100 * renewal_jitter_percent * chance / 256;
}

std::chrono::milliseconds renewal_pause(unsigned failures, std::chrono::milliseconds life) noexcept {
  const std::chrono::milliseconds longest = std::clamp(life / pauses_in_a_life, std::chrono::milliseconds(1), pause_longest);
  std::chrono::milliseconds out = pause_first;
  for (unsigned i = 1; i < failures && out < longest; ++i) out *= 2;
  return std::min(out, longest);
}

void Renewal::start(unsigned percent) {
  thread_ = std::jthread([this, percent](const std::stop_token& stopped) { run(percent, stopped); });
}

void Renewal::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void Renewal::run(unsigned percent, const std::stop_token& stopped) {
  while (true) {
    const std::uint8_t chance = node_.rng().bytes(1)[0];
    const crypto::Certificate certificate = node_.credentials().tls->chain.front();
    if (!wait_until(renewal_due(certificate, percent, chance), stopped)) return;
    // What failed after the new certificate had come into force is not done again for its sake: it is renewed when its own time comes.
    const auto still_due = [&] { return node_.credentials().tls->chain.front().der() == certificate.der(); };
    if (!still_due()) continue;  // another process of this element was faster
    for (unsigned failures = 1; !renew_on_record(node_, Deadline::after(attempt_max)) && still_due(); ++failures) {
      if (!wait_until(node_.clock().now_ms() + static_cast<UnixMs>(renewal_pause(failures, life_of(certificate)).count()), stopped)) return;
    }
  }
}

bool Renewal::wait_until(UnixMs due, const std::stop_token& stopped) {
  std::unique_lock lock(mutex_);
  for (UnixMs now = node_.clock().now_ms(); now < due && !stopped.stop_requested(); now = node_.clock().now_ms()) {
    wake_.wait_for(lock, stopped, std::min(std::chrono::milliseconds(due - now), look_at_clock), [] { return false; });
  }
  return !stopped.stop_requested();
}

Result<void> record_renewal(Node& node, const std::string& former, const Result<void>& renewed) {
  const std::string serial = to_hex(node.credentials().tls->chain.front().serial());
  return node.record({.action = "certificate.renewed",
                      .outcome = renewed ? audit::Outcome::success : audit::outcome_of(renewed.error().code),
                      .subject = node.identity().uri(),
                      .object = serial,
                      .reason = renewed ? std::string_view(former) : std::string_view(renewed.error().message),
                      .request_id = ""});
}

Result<void> renew_on_record(Node& node, Deadline deadline) {
  const std::string former = to_hex(node.credentials().tls->chain.front().serial());
  Result<void> renewed = node.renew(deadline);
  const crypto::Certificate now = node.credentials().tls->chain.front();
  const std::string serial = to_hex(now.serial());
  if (renewed) {
    log(LogLevel::note, "certificates renewed: {} follows {}", serial, former);
  } else if (serial != former) {
    renewed = fail(renewed.error().code, "in force in place of " + former + ", but not complete: " + renewed.error().message);
    log(LogLevel::error, "certificates renewed: {} is {}", serial, renewed.error().message);
  } else {
    const bool over = now.not_after() <= node.clock().now_ms();
    log(over ? LogLevel::error : LogLevel::warning, "certificates not renewed, {} is in force: {}", serial, renewed.error().message);
  }
  if (const auto recorded = record_renewal(node, former, renewed); !recorded) log(LogLevel::error, "audit: {}", recorded.error().message);
  return renewed;
}

}  // namespace qanat::node
