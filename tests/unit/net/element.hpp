// A running server with a recording refusal sink, and clients of it.
#pragma once

#include <condition_variable>
#include <mutex>
#include <vector>

#include "net/client.hpp"
#include "net/server.hpp"
#include "pki.hpp"

namespace qanat::net::test {

using std::chrono::milliseconds;

inline constexpr milliseconds patience{10000};  // a test that waits longer has failed

/// An event that one thread announces and another waits for.
class Event {
 public:
  void announce() {
    const std::lock_guard lock(mutex_);
    happened_ = true;
    changed_.notify_all();
  }
  [[nodiscard]] bool wait() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [this] { return happened_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool happened_ = false;
};

class Refusals {
 public:
  RefusalSink sink() {
    return [this](const Refusal& refusal) {
      const std::lock_guard lock(mutex_);
      seen_.push_back(refusal);
      changed_.notify_all();
    };
  }
  /// The first refusal whose reason contains the text; an empty one after the patience.
  Refusal wait_for(std::string_view reason) {
    std::unique_lock lock(mutex_);
    Refusal found;
    const bool came = changed_.wait_for(lock, patience, [&] {
      for (const Refusal& refusal : seen_) {
        if (!refusal.reason.contains(reason)) continue;
        found = refusal;
        return true;
      }
      return false;
    });
    EXPECT_TRUE(came) << "no refusal says '" << reason << "'; seen: " << all();
    return found;
  }
  [[nodiscard]] std::size_t count() {
    const std::lock_guard lock(mutex_);
    return seen_.size();
  }

 private:
  std::string all() const {
    std::string out;
    for (const Refusal& refusal : seen_) out += "[" + refusal.peer + ": " + refusal.reason + "] ";
    return out;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Refusal> seen_;
};

inline Response text_response(std::string_view text) { return {.status = 200, .content_type = "text/plain", .body = to_bytes(text)}; }

/// POST /echo gives the body back; GET /who names the caller. Both for KMSs only.
inline std::vector<Route> plain_routes() {
  return {{.point = "T-echo",
           .method = "POST",
           .path = "/echo",
           .callers = {Kind::kms},
           .anonymous = false,
           .body_max = 64,
           .request_type = "text/plain",
           .answer = [](const Request& request) -> Result<Response> { return text_response(as_text(request.body)); }},
          {.point = "T-who",
           .method = "GET",
           .path = "/who",
           .callers = {Kind::kms},
           .anonymous = false,
           .body_max = 0,
           .request_type = "",
           .answer = [](const Request& request) -> Result<Response> {
             return text_response((request.peer.identity ? request.peer.identity->uri() : "nobody") + "?" + request.query + "#" + request.peer.address);
           }}};
}

inline Route get_route(std::string path, std::function<Result<Response>(const Request&)> answer) {
  return {.point = "T-get",
          .method = "GET",
          .path = std::move(path),
          .callers = {Kind::kms},
          .anonymous = false,
          .body_max = 0,
          .request_type = "",
          .answer = std::move(answer)};
}

struct ElementSettings {
  std::vector<Route> routes = plain_routes();
  ServerLimits limits = {};
  StatusCheck status = {};
  std::shared_ptr<const TlsIdentity> identity = pki().leaf(Kind::qkm, "qkm-a");
  std::uint16_t port = 0;
  Staple staple = {};
  ChainedKeys* chained = nullptr;
};

struct Element {
  explicit Element(ElementSettings settings = {}) {
    auto started = Server::start({.address = "127.0.0.1", .port = settings.port, .limits = settings.limits, .chained = settings.chained}, *settings.identity, pki().trust(),
                                 std::move(settings.routes), std::move(settings.status), refusals.sink(), std::move(settings.staple));
    if (!started) throw std::runtime_error(started.error().message);
    server = std::move(*started);
  }
  [[nodiscard]] Target target() const { return {.host = "127.0.0.1", .port = server->port(), .expected = identity_of(Kind::qkm, "qkm-a")}; }
  [[nodiscard]] std::unique_ptr<Client> client(std::shared_ptr<const TlsIdentity> identity, StatusCheck status = {}, StapleSink stapled = {}) const {
    return Client::create(target(), std::move(identity), pki().trust(), std::move(status), std::move(stapled));
  }
  [[nodiscard]] std::unique_ptr<Client> kms_client() const {
    static const auto identity = pki().leaf(Kind::kms, "kms-a");
    return client(identity);
  }

  Refusals refusals;  // before the server: outlives it
  std::unique_ptr<Server> server;
};

inline Call get(std::string path) {
  return {.method = "GET", .path = std::move(path), .query = "", .content_type = "", .body = {}, .request_id = ""};
}
inline Call post(std::string path, std::string_view body) {
  return {.method = "POST", .path = std::move(path), .query = "", .content_type = "text/plain", .body = as_bytes(body), .request_id = ""};
}
inline Deadline soon() { return Deadline::after(patience); }

}  // namespace qanat::net::test
