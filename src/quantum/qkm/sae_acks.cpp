#include "quantum/qkm/sae_acks.hpp"

#include "node/log.hpp"

namespace qanat::qkm {
namespace {

constexpr std::chrono::milliseconds post_max{3000};
constexpr std::chrono::milliseconds first_pause{250};  // doubled each time
constexpr int attempts_max = 4;
constexpr std::size_t acks_waiting_max = 1024;

}  // namespace

AckSender::AckSender(std::map<std::string, std::string> prefixes, std::function<net::ForeignClient*(const std::string& kme)> client_of)
    : prefixes_(std::move(prefixes)), client_of_(std::move(client_of)) {
  for (const auto& [kme, prefix] : prefixes_) workers_.emplace(kme, std::make_unique<net::Workers>(1, acks_waiting_max));
}

AckSender::~AckSender() { stop(); }

void AckSender::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (const auto& [kme, workers] : workers_) workers->stop(net::Waiting::drop);
}

void AckSender::send(const std::string& kme, const std::string& url, std::string body) {
  const auto allowed = prefixes_.find(kme);
  const auto target = net::ForeignUrl::parse(url);
  if (allowed == prefixes_.end() || !target || !url.starts_with(allowed->second)) {
    node::log(node::LogLevel::warning, "acknowledgement to {}: its callback address is not one that the configuration allows", kme);
    return;
  }
  if (!workers_.at(kme)->submit([this, kme, target = *target, body = std::move(body)] { post(kme, target, body); })) {
    node::log(node::LogLevel::warning, "acknowledgement to {}: too many wait", kme);
  }
}

void AckSender::post(const std::string& kme, const net::ForeignUrl& target, const std::string& body) {
  std::chrono::milliseconds pause = first_pause;
  for (int attempt = 1; attempt <= attempts_max; ++attempt, pause *= 2) {
    const auto answer = client_of_(kme)->call("POST", target, "application/json", as_bytes(body), Deadline::after(post_max));
    if (answer && answer->status < 500) {
      if (answer->status / 100 != 2) node::log(node::LogLevel::warning, "acknowledgement to {}: answered {}", kme, answer->status);
      return;
    }
    node::log(node::LogLevel::warning, "acknowledgement to {}: {}", kme, answer ? "answered " + std::to_string(answer->status) : answer.error().message);
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, pause, [this] { return stopping_; })) return;
  }
}

}  // namespace qanat::qkm
