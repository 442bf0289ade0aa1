#include "services/cas/csp/notices.hpp"

#include <algorithm>

#include "node/revocations.hpp"

namespace qanat::cas {
namespace {

constexpr std::size_t notice_threads = 4;
constexpr std::size_t notices_queued_max = 1024;
constexpr std::size_t notices_waiting_max = 10'000;  // for one element
constexpr std::chrono::milliseconds notice_answer_max{2000};
constexpr std::chrono::milliseconds first_pause{500};
constexpr std::chrono::milliseconds longest_pause{30'000};

}  // namespace

RevocationNotices::RevocationNotices(node::Node& node) : node_(node), callers_(notice_threads, notices_queued_max) {
  const KindSet listening = points::row(points::Endpoint::x10_revoked).callees;
  for (const auto& [name, target] : node.settings().peers) {
    if (listening.has(target.expected.kind)) readers_.emplace(name, Reader{});
  }
}

void RevocationNotices::start() {
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
}

void RevocationNotices::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  callers_.stop(net::Waiting::drop);
}

void RevocationNotices::send(std::span<const std::string> fingerprints) {
  {
    const std::lock_guard lock(mutex_);
    for (auto& [name, reader] : readers_) {
      for (const std::string& fingerprint : fingerprints) reader.waiting.push_back(fingerprint);
      while (reader.waiting.size() > notices_waiting_max) reader.waiting.pop_front();
      reader.not_before = {};
    }
  }
  changed_.notify_all();
}

std::map<std::string, std::size_t> RevocationNotices::waiting() const {
  const std::lock_guard lock(mutex_);
  std::map<std::string, std::size_t> out;
  for (const auto& [name, reader] : readers_) {
    if (!reader.waiting.empty()) out.emplace(name, reader.waiting.size());
  }
  return out;
}

void RevocationNotices::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const SteadyClock::time_point now = SteadyClock::now();
    SteadyClock::time_point next = now + longest_pause;
    for (auto& [name, reader] : readers_) {
      if (reader.waiting.empty() || reader.being_told) continue;
      if (reader.not_before > now) {
        next = std::min(next, reader.not_before);
        continue;
      }
      std::vector<std::string> some(reader.waiting.begin(),
                                    reader.waiting.begin() + static_cast<std::ptrdiff_t>(std::min(reader.waiting.size(), node::revocations_at_once)));
      reader.being_told = callers_.submit([this, peer = name, some = std::move(some)] { tell(peer, some); });
      if (!reader.being_told) next = std::min(next, now + first_pause);
    }
    changed_.wait_until(lock, next);
  }
}

void RevocationNotices::tell(const std::string& peer, const std::vector<std::string>& fingerprints) {
  const std::string body = node::revocation_notice(fingerprints);
  const auto heard = node_.call(points::Endpoint::x10_revoked, peer, as_bytes(body), Deadline::after(notice_answer_max), node_.new_request_id());
  bool news = false;
  {
    const std::lock_guard lock(mutex_);
    Reader& reader = readers_.at(peer);
    reader.being_told = false;
    if (heard) {
      // Later ones may have pushed old ones out of the queue meanwhile.
      while (!reader.waiting.empty() && std::ranges::find(fingerprints, reader.waiting.front()) != fingerprints.end()) reader.waiting.pop_front();
      reader.pause = {};
      reader.not_before = {};
    } else {
      news = reader.pause == std::chrono::milliseconds(0);  // once, not at each attempt
      reader.pause = std::clamp(reader.pause * 2, first_pause, longest_pause);
      reader.not_before = SteadyClock::now() + reader.pause;
    }
  }
  changed_.notify_all();
  if (news) node::log(node::LogLevel::note, "revocation notice: {}", heard.error().message);
}

}  // namespace qanat::cas
