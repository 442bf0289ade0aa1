#include "services/cas/cmp/service.hpp"

#include "node/log.hpp"

namespace qanat::cas {
namespace {

constexpr std::chrono::milliseconds kept_up_every{1000};
constexpr std::string_view content_cmp = "application/pkixcmp";  // RFC 9811 §3.3
constexpr std::string_view cmp_path = "/.well-known/cmp";

/// Whatever CMP refuses is an answer of CMP's; HTTP's are for what is none (RFC 9811 §3.2).
net::ForeignResponse answer_cmp(CmpServer& server, net::ForeignRequest& request) {
  if (!net::is_media_type(request.content_type, content_cmp)) return net::text_response(415, "a CMP message is application/pkixcmp");
  const std::string profile = request.parameters.empty() ? std::string() : request.parameters.front();
  const CmpCall call{.profile = profile, .deadline = request.deadline, .request_id = request.request_id};
  auto answer = server.answer(request.body, call);
  if (!answer && answer.error().code == ErrorCode::invalid_argument) return net::text_response(400, "not a PKIMessage: " + answer.error().message);
  if (!answer) {
    node::log(node::LogLevel::error, "CMP: request {}: {}", call.request_id, answer.error().message);
    return net::text_response(503, "no answer can be made at present");
  }
  return net::open_response(content_cmp, std::move(*answer));
}

}  // namespace

EnrolmentService cmp_paths(CmpServer& server) {
  EnrolmentService out{.prefix = std::string(cmp_path), .routes = {}, .refuse = net::text_response, .carrier = Carrier::any};
  for (const std::string_view behind : {"", "/p/{}"}) {
    out.routes.push_back({.point = "CMP",
                          .method = "POST",
                          .pattern = std::string(cmp_path) + std::string(behind),
                          .body_max = crypto::cmp_octets_max,
                          .answer = [&server](net::ForeignRequest& request) { return answer_cmp(server, request); }});
  }
  return out;
}

CmpService::CmpService(node::Node& node, Desk& desk, Records& records, const Authorities& authorities, FindList list, CmpSettings settings)
    : clock_(node.clock()),
      records_(records.store()),
      signers_(records, authorities, node.suite(), node.rng(), node.identity()),
      server_({.desk = desk,
               .records = records_,
               .clock = node.clock(),
               .rng = node.rng(),
               .signer = [this](CmpSignerKind kind) { return signers_.signer(kind); },
               .list = std::move(list)},
              settings) {}

Result<void> CmpService::start() {
  if (thread_.joinable()) return {};
  TRY(signers_.renew(clock_.now_ms()));
  thread_ = std::thread([this] { run(); });
  return {};
}

void CmpService::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

/// Signers that cannot be renewed do not keep certificates from being revoked.
Result<bool> CmpService::keep_up() {
  const Result<void> renewed = signers_.renew(clock_.now_ms());
  ASSIGN_OR_RETURN(const bool more, server_.sweep());
  TRY(renewed);
  return more;
}

void CmpService::run() {
  std::string told;
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    const Result<bool> more = keep_up();
    if (!more && more.error().message != told) {
      told = more.error().message;  // once, not every second
      node::log(node::LogLevel::error, "CMP: {}", told);
    }
    if (more) told.clear();
    lock.lock();
    if (!(more && *more)) changed_.wait_for(lock, kept_up_every, [this] { return stopping_; });
  }
}

}  // namespace qanat::cas
