#include "services/kms/kma/reporter.hpp"

#include "node/log.hpp"

namespace qanat::kms {
namespace {

constexpr std::size_t entries_waiting_max = 4096;
constexpr std::size_t batch_max = 64;  // ua1_record's limit
constexpr std::chrono::milliseconds send_max{3000};
constexpr std::chrono::milliseconds retry_after{1000};

}  // namespace

void Reporter::start() {
  thread_ = std::thread([this] { run(); });
}

void Reporter::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Reporter::report(Behaviour behaviour) {
  const UnixMs now = node_.clock().now_ms();
  {
    const std::lock_guard lock(mutex_);
    if (queue_.size() >= entries_waiting_max) {
      queue_.pop_front();
      ++dropped_;
    }
    queue_.push_back({std::move(behaviour), now});
  }
  changed_.notify_one();
}

std::size_t Reporter::dropped() {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

void Reporter::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    std::vector<Entry> batch;
    while (!queue_.empty() && batch.size() < batch_max) {
      batch.push_back(std::move(queue_.front()));
      queue_.pop_front();
    }
    lock.unlock();
    const auto sent = send(batch);
    lock.lock();
    if (sent) continue;
    node::log(node::LogLevel::warning, "behaviour records: {}", sent.error().message);
    if (stopping_) return;
    for (auto entry = batch.rbegin(); entry != batch.rend() && queue_.size() < entries_waiting_max; ++entry) queue_.push_front(std::move(*entry));
    changed_.wait_for(lock, retry_after, [this] { return stopping_; });
  }
}

Result<void> Reporter::send(const std::vector<Entry>& batch) {
  wire::Json records = wire::Json::array();
  for (const Entry& entry : batch) {
    records.push(wire::Json::object({{"time_ms", entry.time_ms},
                                     {"uid", entry.behaviour.uid.text()},
                                     {"action", entry.behaviour.action},
                                     {"outcome", entry.behaviour.outcome},
                                     {"object", entry.behaviour.object}}));
  }
  ASSIGN_OR_RETURN(const std::string iam, node_.peer_of(Kind::iam));
  TRY(node_.call_json(points::Endpoint::ua1_record, iam, wire::Json::object({{"records", records}}), Deadline::after(send_max), node_.new_request_id()));
  return {};
}

}  // namespace qanat::kms
