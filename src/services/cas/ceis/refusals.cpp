#include "services/cas/ceis/refusals.hpp"

#include <algorithm>

namespace qanat::cas {
namespace {

constexpr std::size_t one_by_one_a_second = 20;
constexpr std::size_t behaviour_waiting_max = 1024;
constexpr std::size_t behaviour_batch = 64;  // x12_record's limit
constexpr std::chrono::milliseconds behaviour_send_max{3000};
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
  {
    const std::lock_guard lock(mutex_);
    if (behaviour_.size() >= behaviour_waiting_max) behaviour_.pop_front();
    behaviour_.push_back(
        {.subject = subject, .action = std::move(action), .outcome = std::string(outcome), .object = std::move(object), .at = node_.clock().now_ms()});
  }
  changed_.notify_all();
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

std::size_t Refusals::waiting() {
  const std::lock_guard lock(mutex_);
  return behaviour_.size();
}

void Refusals::run() {
  std::unique_lock lock(mutex_);
  bool told = false;
  while (!stopping_) {
    changed_.wait_for(lock, look_every_second, [this] { return stopping_ || (!behaviour_.empty()); });
    std::vector<Behaviour> batch(behaviour_.begin(), behaviour_.begin() + static_cast<std::ptrdiff_t>(std::min(behaviour_.size(), behaviour_batch)));
    behaviour_.erase(behaviour_.begin(), behaviour_.begin() + static_cast<std::ptrdiff_t>(batch.size()));
    lock.unlock();
    write_counted();
    const Result<void> sent = batch.empty() ? Result<void>() : send(batch);
    if (!sent && !std::exchange(told, true)) node::log(node::LogLevel::note, "behaviour records: {}", sent.error().message);
    if (sent) told = false;
    lock.lock();
    if (sent) continue;
    for (auto entry = batch.rbegin(); entry != batch.rend() && behaviour_.size() < behaviour_waiting_max; ++entry) behaviour_.push_front(std::move(*entry));
    changed_.wait_for(lock, look_every_second, [this] { return stopping_; });
  }
}

Result<void> Refusals::send(const std::vector<Behaviour>& batch) {
  wire::Json records = wire::Json::array();
  for (const Behaviour& one : batch) {
    records.push(
        wire::Json::object({{"time_ms", one.at}, {"uid", one.subject.text()}, {"action", one.action}, {"outcome", one.outcome}, {"object", one.object}}));
  }
  ASSIGN_OR_RETURN(const std::string iam, node_.peer_of(Kind::iam));
  TRY(node_.call_json(points::Endpoint::x12_record, iam, wire::Json::object({{"records", records}}), Deadline::after(behaviour_send_max),
                      node_.new_request_id()));
  return {};
}

}  // namespace qanat::cas
