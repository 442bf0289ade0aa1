#include "node/shared_credentials.hpp"

#include "node/log.hpp"
#include "node/node.hpp"

namespace qanat::node {
namespace {

constexpr std::chrono::milliseconds look_every{500};  // also without an announcement, which may be lost

}  // namespace

void SharedCredentials::start() {
  thread_ = std::jthread([this](const std::stop_token& stopped) { run(stopped); });
}

void SharedCredentials::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void SharedCredentials::run(const std::stop_token& stopped) {
  const auto watch = node_.watch_credentials();
  if (!watch) return;  // they are open since the element enrolled
  while (!stopped.stop_requested()) {
    if (const auto adopted = node_.adopt_stored(); !adopted) log(LogLevel::warning, "shared certificates: {}", adopted.error().message);
    (void)watch->wait(Deadline::after(look_every));
  }
}

}  // namespace qanat::node
