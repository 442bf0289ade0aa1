#include "services/cas/ceis/cmp_front.hpp"

#include <array>

#include "node/log.hpp"

namespace qanat::cas {
namespace {

constexpr std::size_t cmp_threads = 2;
constexpr std::size_t messages_waiting_max = 128;
constexpr std::chrono::milliseconds swept_every{1000};

constexpr std::string_view content_cmp = "application/pkixcmp";  // RFC 9811 §3.3
constexpr std::string_view cmp_path = "/.well-known/cmp";

net::ForeignResponse refused_http(unsigned status, std::string_view why) {
  return {.status = status, .content_type = "text/plain", .body = Secret::copy_of(as_bytes(std::string(why) + "\n"))};
}

bool is_cmp(std::string_view content_type) {
  const std::string_view media = content_type.substr(0, content_type.find(';'));
  return media.substr(0, media.find(' ')) == content_cmp;
}

}  // namespace

CmpFront::CmpFront(CmpServer& server) : server_(server), workers_(cmp_threads, messages_waiting_max) {}

void CmpFront::start() {
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
}

void CmpFront::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  workers_.stop(net::Waiting::drop);
}

net::ForeignService CmpFront::service() {
  net::ForeignService out{.prefix = std::string(cmp_path), .routes = {}, .refuse = refused_http};
  const auto add = [&](const std::string& pattern, bool with_profile) {
    out.routes.push_back({.point = "CMP",
                          .method = "POST",
                          .pattern = pattern,
                          .body_max = crypto::cmp_octets_max,
                          .answer = [this, with_profile](net::ForeignRequest request, net::ForeignReply reply) {
                            std::string profile = with_profile ? request.parameters.front() : std::string();
                            answer(std::move(request), std::move(profile), std::move(reply));
                          }});
  };
  add(std::string(cmp_path), false);
  add(std::string(cmp_path) + "/p/{}", true);
  return out;
}

void CmpFront::answer(net::ForeignRequest request, std::string profile, net::ForeignReply reply) {
  if (!is_cmp(request.content_type)) return reply(refused_http(415, "a CMP message is application/pkixcmp"));
  if (profile.empty() && !request.parameters.empty()) return reply(refused_http(404, "the path names no profile"));
  const auto shared_reply = std::make_shared<net::ForeignReply>(std::move(reply));  // also held here until the queue has taken the work
  const bool taken = workers_.submit([this, request = std::move(request), profile = std::move(profile), shared_reply] {
    const CmpCall call{.profile = profile, .deadline = request.deadline, .request_id = request.request_id};
    auto answered = server_.answer(request.body, call);
    if (answered) {
      net::ForeignResponse response{.status = 200, .content_type = std::string(content_cmp), .body = {}};
      response.open_body = std::make_shared<const Bytes>(std::move(*answered));  // nothing in it is secret
      return (*shared_reply)(std::move(response));
    }
    const bool malformed = answered.error().code == ErrorCode::invalid_argument;
    if (!malformed) node::log(node::LogLevel::error, "CMP: request {}: {}", call.request_id, answered.error().message);
    (*shared_reply)(refused_http(malformed ? 400 : 503, malformed ? "not a PKIMessage: " + answered.error().message : "no answer can be made at present"));
  });
  if (!taken) (*shared_reply)(refused_http(503, "too many messages wait"));
}

void CmpFront::run() {
  std::string told;
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    const Result<bool> more = server_.sweep();
    if (!more && more.error().message != told) {
      told = more.error().message;  // once, not every second
      node::log(node::LogLevel::error, "CMP: what is not confirmed cannot be revoked: {}", told);
    }
    if (more) told.clear();
    lock.lock();
    if (!(more && *more)) changed_.wait_for(lock, swept_every, [this] { return stopping_; });
  }
}

}  // namespace qanat::cas
