#include "services/iam/web/web_front.hpp"

namespace qanat::iam {
namespace {

constexpr std::size_t web_workers = 2;
constexpr std::size_t web_waiting_max = 128;
constexpr std::chrono::milliseconds web_grace{1000};
constexpr std::string_view form_type = "application/x-www-form-urlencoded";

net::ForeignResponse rendered(const WebAnswer& answer) {
  return {.status = answer.status, .content_type = "application/json", .body = Secret::copy_of(as_bytes(answer.body.dump()))};
}

WebCaller caller_of(const net::ForeignRequest& request) {
  return {.thumbprint = request.peer->thumbprint, .quantum_safe = request.peer->quantum_safe, .address = request.peer->address, .request_id = request.request_id};
}

}  // namespace

WebSettings WebSettings::read(node::Config& iam) {
  WebSettings out;
  node::Config table = iam.table("web");
  const std::int64_t port = table.integer("port", 0, 65535, 0);
  const std::string certificate = table.text("certificate", "");
  const std::string key = table.text("key", "");
  const std::string roots = table.text("roots", "");
  const std::string address = table.text("address", "127.0.0.1");
  if (certificate.empty() && key.empty() && roots.empty()) return out;
  if (certificate.empty() || key.empty() || roots.empty()) {
    table.reject("certificate", "certificate, key and roots go together");
    return out;
  }
  net::ForeignSettings settings;
  settings.address = address;
  settings.port = static_cast<std::uint16_t>(port);
  settings.tls = {.chains = {{.certificate = certificate, .key = key}}, .roots = roots, .crls = table.text("crls", "")};
  out.listener = std::move(settings);
  return out;
}

WebFront::WebFront(OAuth oauth) : oauth_(oauth), workers_(web_workers, web_waiting_max) {}

Result<std::unique_ptr<WebFront>> WebFront::start(const net::ForeignSettings& settings, OAuth oauth, node::Node& node) {
  std::unique_ptr<WebFront> front(new WebFront(oauth));
  std::vector<net::ForeignService> services;
  services.push_back(front->service());
  ASSIGN_OR_RETURN(front->listener_, net::ForeignListener::start(settings, std::move(services), [&node](const net::Refusal& refusal) {
    (void)node.record({.action = refusal.point.empty() ? "oauth.connection" : refusal.point,
                       .outcome = audit::outcome_of(refusal.code),
                       .subject = refusal.peer,
                       .object = "",
                       .reason = refusal.reason,
                       .request_id = ""});
  }));
  return Result<std::unique_ptr<WebFront>>(std::move(front));
}

void WebFront::stop() {
  if (listener_) listener_->stop(web_grace);
  workers_.stop(net::Waiting::drop);
}

net::ForeignService WebFront::service() {
  using Work = WebAnswer (OAuth::*)(const WebCaller&, std::string_view);
  const auto post = [this](const char* path, Work work) {
    return net::ForeignRoute{.point = "oauth", .method = "POST", .pattern = path, .body_max = form_octets_max, .answer = [this, work](net::ForeignRequest request, net::ForeignReply reply) {
                               if (!std::string_view(request.content_type).starts_with(form_type)) {
                                 return reply(rendered(oauth_error({ErrorCode::invalid_argument, "the body must be application/x-www-form-urlencoded"})));
                               }
                               auto job = [this, work, request = std::move(request), reply = std::move(reply)]() mutable { reply(rendered((oauth_.*work)(caller_of(request), as_text(request.body)))); };
                               // Not taken over: the service's own refusal goes out at the request's deadline.
                               (void)workers_.submit(std::move(job));
                             }};
  };
  return {.prefix = "/oauth2/",
          .routes = {post("/oauth2/token", &OAuth::token), post("/oauth2/introspect", &OAuth::introspect),
                     net::ForeignRoute{.point = "oauth", .method = "GET", .pattern = "/oauth2/jwks", .body_max = 0, .answer = [this](const net::ForeignRequest&, net::ForeignReply reply) { reply(rendered(oauth_.jwks())); }}},
          .refuse = [](unsigned status, std::string_view why) {
            return rendered({.status = status, .body = wire::Json::object({{"error", "invalid_request"}, {"error_description", why}})});
          }};
}

}  // namespace qanat::iam
