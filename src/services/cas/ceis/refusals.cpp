#include "services/cas/ceis/refusals.hpp"

#include <algorithm>

namespace qanat::cas {
namespace {

constexpr std::size_t one_by_one_a_second = 20;
constexpr std::chrono::milliseconds look_every_second{1000};
constexpr std::size_t why_octets_max = 256;
constexpr std::size_t reference_octets_max = 64;

/// From the outside: cut, and without what could forge a line.
std::string shown(std::string_view text, std::size_t most) {
  std::string out(text.substr(0, most));
  std::ranges::replace_if(
      out, [](char c) { return static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f; }, '?');
  return out;
}

}  // namespace

void Refusals::start() {
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
}

void Refusals::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  write_counted();
}

void Refusals::note(std::string_view protocol, std::string_view reference, const std::optional<Uid>& subject, std::string_view why,
                    const std::string& request_id) {
  const std::string object = shown(reference, reference_octets_max);
  if (subject) behaved(*subject, "ceis." + std::string(protocol), "refused", object);
  {
    const std::lock_guard lock(mutex_);
    const UnixMs second = node_.clock().now_ms() / 1000;
    if (second != second_) {
      second_ = second;
      written_ = 0;
    }
    if (written_ >= one_by_one_a_second) {
      ++counted_[std::string(protocol)];
      return;
    }
    ++written_;
  }
  record(protocol, object, shown(why, why_octets_max), request_id);
}

void Refusals::behaved(const Uid& subject, std::string action, std::string_view outcome, std::string object) {
  // Whoever knows the name of a registration can make any number of these.
  const node::Telling telling = outcome == audit::name(audit::Outcome::success) ? node::Telling::each : node::Telling::together;
  node_.report({.about = subject.text(), .action = std::move(action), .outcome = std::string(outcome), .object = std::move(object)}, telling);
}

void Refusals::record(std::string_view protocol, std::string_view object, std::string_view why, std::string_view request_id) {
  const std::string action = "ceis." + std::string(protocol);
  const auto done =
      node_.record({.action = action, .outcome = audit::Outcome::refused, .subject = object, .object = object, .reason = why, .request_id = request_id});
  // The refusal stands whether it is on record or not.
  if (!done) node::log(node::LogLevel::error, "{}: a refusal could not be recorded: {}", action, done.error().message);
}

void Refusals::write_counted() {
  std::map<std::string, std::size_t> counted;
  {
    const std::lock_guard lock(mutex_);
    counted = std::exchange(counted_, {});
  }
  for (const auto& [protocol, count] : counted) record(protocol, "", std::to_string(count) + " more were refused within a second", "");
}

void Refusals::run() {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, look_every_second, [this] { return stopping_; })) {
    lock.unlock();
    write_counted();
    lock.lock();
  }
}

}  // namespace qanat::cas
