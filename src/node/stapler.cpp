#include "node/stapler.hpp"

#include "node/log.hpp"

namespace qanat::node {
namespace {

constexpr std::chrono::milliseconds pause_after_failure{1000};

}  // namespace

void Stapler::start() {
  thread_ = std::jthread([this](const std::stop_token& stopped) { run(stopped); });
}

void Stapler::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

std::shared_ptr<const Bytes> Stapler::staple() {
  const UnixMs now = clock_.now_ms();
  const std::lock_guard lock(mutex_);
  // A clock that was set back makes an answer of the future: it does not count, and is replaced.
  const auto age = now >= made_ms_ ? std::chrono::milliseconds(now - made_ms_) : fresh_;
  const bool due = !response_ || age * 2 >= fresh_;
  if (due && !wanted_) {
    wanted_ = true;
    wake_.notify_one();
  }
  return response_ && age < fresh_ ? response_ : nullptr;
}

void Stapler::forget() {
  const std::lock_guard lock(mutex_);
  response_.reset();
  ++generation_;
}

void Stapler::run(const std::stop_token& stopped) {
  std::unique_lock lock(mutex_);
  while (wake_.wait(lock, stopped, [this] { return wanted_; })) {
    const std::uint64_t generation = generation_;
    lock.unlock();
    Result<StatusChecker::Fetched> fetched = ask_();
    lock.lock();
    wanted_ = false;
    if (generation != generation_) continue;
    // Of a revoked certificate nothing is shown: whoever asks CAS hears it there.
    const bool good = fetched && fetched->answer.status == crypto::CertStatus::good;
    response_ = good ? std::make_shared<const Bytes>(std::move(fetched->response)) : nullptr;
    made_ms_ = good ? fetched->answer.this_update : 0;
    if (good) continue;
    log(LogLevel::debug, "status: nothing to staple: {}", fetched ? "the certificate is not good" : fetched.error().message);
    wake_.wait_for(lock, stopped, pause_after_failure, [] { return false; });
  }
}

}  // namespace qanat::node
