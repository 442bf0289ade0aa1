#include "services/kms/csa/front.hpp"

#include <algorithm>

#include "node/recorded.hpp"

namespace qanat::kms::csa {
namespace {

constexpr std::size_t foreign_workers = 4;
constexpr std::size_t foreign_waiting_max = 128;
constexpr std::chrono::milliseconds foreign_grace{1000};
constexpr std::string_view json_type = points::type_json;

Caller caller_of(const net::Request& request) {
  const Identity& who = *request.peer.identity;  // no row of the CSA lets in a caller without certificate
  return {.name = who.uri(), .role = who.kind == Kind::op ? Role::administrator : Role::application, .request_id = request.request_id, .remark = "", .deadline = request.deadline};
}

Result<net::Response> respond(Desk& desk, Operation operation, const net::Request& request, UnixMs now) {
  Bytes body = request.body;  // its secrets are taken out of this copy; the request's own is wiped by the server
  auto text = desk.answer(operation, caller_of(request), body, now);
  wipe(body);  // one that could not be read has them still
  if (!text) return fail(text.error());
  return net::Response{.status = 200, .content_type = std::string(json_type), .body = {}, .secret = std::make_shared<const Secret>(*std::move(text))};
}

Caller caller_of(const net::ForeignRequest& request) {
  const net::ForeignPeer& peer = *request.peer;
  Caller out{.name = std::string(foreign_caller) + (peer.names.empty() ? peer.address : peer.names.front()), .request_id = request.request_id, .deadline = request.deadline};
  if (!peer.quantum_safe) out.remark = "over " + peer.protocol + " with " + peer.group + ", which is not quantum safe";
  return out;
}

net::ForeignResponse marked(net::ForeignResponse response, const net::ForeignPeer& peer) {
  response.fields.emplace_back("Qanat-Quantum-Safe", peer.quantum_safe ? "yes" : "no");
  return response;
}

net::ForeignResponse refused(unsigned status, std::string_view code, std::string_view why) {
  const wire::Json body = wire::Json::object({{"code", code}, {"message", why}});
  return {.status = status, .content_type = std::string(json_type), .body = Secret::copy_of(as_bytes(body.dump()))};
}

net::ForeignResponse refused(const Error& error) {
  // What our own faults say may name files and statements, which is nobody's business outside.
  const bool ours = error.code == ErrorCode::internal;
  return refused(net::http_status(error.code), name(error.code), ours ? std::string_view("internal error") : std::string_view(error.message));
}

ErrorCode code_of(unsigned status) {
  switch (status) {
    case 401:
      return ErrorCode::unauthenticated;
    case 403:
      return ErrorCode::denied;
    case 404:
    case 405:
      return ErrorCode::not_found;
    case 503:
      return ErrorCode::exhausted;
    case 504:
      return ErrorCode::deadline_exceeded;
    default:
      return status < 500 ? ErrorCode::invalid_argument : ErrorCode::internal;
  }
}

void read_listener(node::Config& table, CsaSettings& out) {
  const std::int64_t port = table.integer("port", 0, 65535, 0);
  const std::string address = table.text("address", "127.0.0.1");
  const std::string certificate = table.text("certificate", "");
  const std::string key = table.text("key", "");
  const std::string roots = table.text("roots", "");
  const std::string crls = table.text("crls", "");
  if (certificate.empty() && key.empty() && roots.empty()) return;
  if (certificate.empty() || key.empty() || roots.empty()) return table.reject("certificate", "certificate, key and roots go together");
  net::ForeignSettings settings;
  settings.address = address;
  settings.port = static_cast<std::uint16_t>(port);
  settings.tls = {.chains = {{.certificate = certificate, .key = key}}, .roots = roots, .crls = crls};
  out.listener = std::move(settings);
}

}  // namespace

CsaSettings CsaSettings::read(node::Config& kms) {
  CsaSettings out;
  node::Config table = kms.table("csa");
  DeskLimits& limits = out.limits;
  limits.requests_per_minute = table.integer("requests_per_minute", 1, per_minute_max, limits.requests_per_minute);
  limits.keys_per_application = table.integer("keys_per_application", 0, 1'000'000, limits.keys_per_application);
  limits.deletion_wait_min_s = table.integer("deletion_wait_min_s", 1, 366LL * 86400, limits.deletion_wait_min_s);
  limits.challenge_life_ms = table.integer("challenge_life_ms", 1000, 3'600'000, limits.challenge_life_ms);
  limits.seals.max = table.integer("seals_per_version", 1, limits.seals.max, limits.seals.max);
  limits.seals.block = std::min(limits.seals.block, limits.seals.max);
  read_listener(table, out);
  return out;
}

std::vector<points::Handler> handlers_of(Desk& desk, const Clock& clock) {
  std::vector<points::Handler> out;
  for (const OperationRow& line : all_operations()) {
    out.push_back({line.endpoint, [&desk, &clock, operation = line.operation](const net::Request& request) { return respond(desk, operation, request, clock.now_ms()); }});
  }
  return out;
}

ForeignFront::ForeignFront(Desk& desk, const Clock& clock, const net::ForeignTls& tls)
    : desk_(desk), clock_(clock), workers_(foreign_workers, foreign_waiting_max), crls_(tls) {}

Result<std::unique_ptr<ForeignFront>> ForeignFront::start(const net::ForeignSettings& settings, Desk& desk, node::Node& node) {
  std::unique_ptr<ForeignFront> front(new ForeignFront(desk, node.clock(), settings.tls));
  std::vector<net::ForeignService> services;
  services.push_back(front->service());
  ASSIGN_OR_RETURN(front->listener_, net::ForeignListener::start(settings, std::move(services), node::refusals_of(node, "csa.connection")));
  return Result<std::unique_ptr<ForeignFront>>(std::move(front));
}

void ForeignFront::stop() {
  if (listener_) listener_->stop(foreign_grace);
  workers_.stop(net::Waiting::drop);
}

net::ForeignResponse ForeignFront::answer(Operation operation, net::ForeignRequest& request) {
  const points::EndpointRow& endpoint = points::row(row(operation).endpoint);
  if (!endpoint.request_type.empty() && !net::is_media_type(request.content_type, endpoint.request_type)) {
    return refused(415, name(ErrorCode::invalid_argument), "the body must be " + std::string(endpoint.request_type));
  }
  auto text = desk_.answer(operation, caller_of(request), request.body, clock_.now_ms());
  wipe(request.body);
  if (!text) return refused(text.error());
  return {.status = 200, .content_type = std::string(json_type), .body = std::move(*text)};
}

net::ForeignService ForeignFront::service() {
  std::vector<net::ForeignRoute> routes;
  for (const Operation operation : foreign_operations()) {
    const points::EndpointRow& endpoint = points::row(row(operation).endpoint);
    routes.push_back({.point = std::string(endpoint.point),
                      .method = std::string(endpoint.method),
                      .pattern = std::string(endpoint.path),
                      .body_max = endpoint.body_max,
                      .answer = net::by_worker(
                          workers_, [this, operation](net::ForeignRequest& request) { return marked(answer(operation, request), *request.peer); },
                          [](const net::ForeignRequest& request) {
                            return marked(refused(503, name(ErrorCode::exhausted), "as many requests wait as may"), *request.peer);
                          })});
  }
  return {.prefix = "/csa/v1/", .routes = std::move(routes), .refuse = [](unsigned status, std::string_view why) { return refused(status, name(code_of(status)), why); }};
}

}  // namespace qanat::kms::csa
