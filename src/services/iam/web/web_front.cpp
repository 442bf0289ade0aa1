#include "services/iam/web/web_front.hpp"

#include "net/foreign_workers.hpp"
#include "node/log.hpp"
#include "node/recorded.hpp"

namespace qanat::iam {
namespace {

constexpr std::size_t web_workers = 2;
constexpr std::size_t web_waiting_max = 128;
constexpr std::chrono::milliseconds web_grace{1000};
constexpr std::chrono::milliseconds lists_looked_at_every{1000};
constexpr std::string_view form_type = "application/x-www-form-urlencoded";

net::ForeignResponse rendered(const WebAnswer& answer) {
  return {.status = answer.status,
          .content_type = answer.content_type,
          .body = answer.body.is_null() ? Secret() : Secret::copy_of(as_bytes(answer.body.dump())),
          .fields = answer.fields};
}

WebCaller caller_of(const net::ForeignRequest& request) {
  return {
      .thumbprint = request.peer->thumbprint, .quantum_safe = request.peer->quantum_safe, .address = request.peer->address, .request_id = request.request_id};
}

/// RFC 6750 §2.1; empty for what is none.
std::string bearer_token(const Secret& authorization) {
  constexpr std::string_view scheme = "bearer ";
  const std::string_view text = as_text(authorization.reveal());
  return lower_case(text.substr(0, scheme.size())) == scheme ? std::string(text.substr(scheme.size())) : std::string();
}

ScimRequest scim_request_of(const net::ForeignRequest& request) {
  return {.caller = caller_of(request),
          .token = bearer_token(request.authorization),
          .id = request.parameters.empty() ? std::string() : request.parameters.front(),
          .query = request.query,
          .if_match = request.if_match,
          .if_none_match = request.if_none_match,
          .body = as_text(request.body)};
}

/// For ForeignRoute::answer: work that blocks. Where as many requests wait for a worker as may, it is `busy`, at once.
auto on_worker(net::Workers& workers, std::function<WebAnswer(const net::ForeignRequest&)> work, WebAnswer busy) {
  return net::by_worker(
      workers, [work = std::move(work)](const net::ForeignRequest& request) { return rendered(work(request)); },
      [busy = std::move(busy)](const net::ForeignRequest&) { return rendered(busy); });
}
constexpr std::string_view all_wait = "as many requests wait as may";
WebAnswer oauth_busy() { return oauth_error({ErrorCode::exhausted, std::string(all_wait)}); }

/// An issuer has no query and no fragment (RFC 8414 §2); this one has no path and no user either.
bool is_origin(std::string_view url) {
  constexpr std::string_view scheme = "https://";
  return url.starts_with(scheme) && url.size() > scheme.size() && url.find_first_of("/?#@ ", scheme.size()) == std::string_view::npos;
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
  out.url = table.text("url", "");
  if (!out.url.empty() && !is_origin(out.url)) table.reject("url", "must be https://host or https://host:port");
  out.scim_domain = table.text("scim_domain", "");
  if (const auto domain = out.scim_domain.empty() ? Result<void>() : check_domain(out.scim_domain); !domain)
    table.reject("scim_domain", domain.error().message);
  return out;
}

WebFront::WebFront(OAuth oauth, Scim scim, const net::ForeignTls& tls)
    : oauth_(std::move(oauth)), scim_(std::move(scim)), workers_(web_workers, web_waiting_max), crls_(tls) {}

Result<std::unique_ptr<WebFront>> WebFront::start(const net::ForeignSettings& settings, OAuth oauth, Scim scim, node::Node& node) {
  std::unique_ptr<WebFront> front(new WebFront(std::move(oauth), std::move(scim), settings.tls));
  std::vector<net::ForeignService> services;
  services.push_back(oauth_service(front->oauth_, front->workers_));
  services.push_back(scim_service(front->scim_, front->workers_));
  ASSIGN_OR_RETURN(front->listener_, net::ForeignListener::start(settings, std::move(services), node::refusals_of(node, "oauth.connection")));
  if (!settings.tls.crls.empty()) front->watcher_ = std::thread([raw = front.get()] { raw->watch_lists(); });
  return Result<std::unique_ptr<WebFront>>(std::move(front));
}

void WebFront::watch_lists() {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, lists_looked_at_every, [this] { return stopping_; })) {
    lock.unlock();
    if (const auto looked = crls_.look(*listener_); !looked) node::log(node::LogLevel::error, "revocation lists: {}", looked.error().message);
    lock.lock();
  }
}

void WebFront::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (watcher_.joinable()) watcher_.join();
  if (listener_) listener_->stop(web_grace);
  workers_.stop(net::Waiting::drop);
}

net::ForeignService oauth_service(OAuth& oauth, net::Workers& workers) {
  using Work = WebAnswer (OAuth::*)(const WebCaller&, std::string_view);
  const auto post = [&oauth, &workers](const char* path, Work work) {
    const auto answer = [&oauth, work](const net::ForeignRequest& request) {
      if (!net::is_media_type(request.content_type, form_type)) {
        return oauth_error({ErrorCode::invalid_argument, "the body must be application/x-www-form-urlencoded"});
      }
      return (oauth.*work)(caller_of(request), as_text(request.body));
    };
    return net::ForeignRoute{
        .point = "oauth", .method = "POST", .pattern = path, .body_max = form_octets_max, .answer = on_worker(workers, answer, oauth_busy())};
  };
  const auto document = [&oauth](const char* path, WebAnswer (OAuth::*work)() const) {
    return net::ForeignRoute{.point = "oauth", .method = "GET", .pattern = path, .body_max = 0,
                             .answer = [&oauth, work](const net::ForeignRequest&, net::ForeignReply reply) { reply(rendered((oauth.*work)())); }};
  };
  std::vector<net::ForeignRoute> routes;
  routes.push_back(post("/oauth2/token", &OAuth::token));
  routes.push_back(post("/oauth2/introspect", &OAuth::introspect));
  routes.push_back(document("/oauth2/jwks", &OAuth::jwks));
  if (oauth.gives_codes()) {
    const auto authorize = [&oauth](const net::ForeignRequest& request) { return oauth.authorize(caller_of(request), request.query); };
    routes.push_back(document("/.well-known/oauth-authorization-server", &OAuth::metadata));
    routes.push_back(net::ForeignRoute{
        .point = "oauth", .method = "GET", .pattern = "/oauth2/authorize", .body_max = 0, .answer = on_worker(workers, authorize, oauth_busy())});
  }
  return {.prefix = "/oauth2/",
          .routes = std::move(routes),
          .refuse = [](unsigned status, std::string_view why) {
            const std::string_view error = status < 500 ? "invalid_request" : "temporarily_unavailable";
            return rendered({.status = status, .body = wire::Json::object({{"error", error}, {"error_description", why}})});
          }};
}

net::ForeignService scim_service(Scim& scim, net::Workers& workers) {
  using Work = WebAnswer (Scim::*)(const ScimRequest&);
  const auto route = [&scim, &workers](const char* method, const char* path, Work work, std::size_t body_max) {
    const auto answer = [&scim, work, body_max](const net::ForeignRequest& request) {
      const bool is_scim = net::is_media_type(request.content_type, "application/scim+json") || net::is_media_type(request.content_type, "application/json");
      if (body_max > 0 && !is_scim) return scim_refusal(415, "the body must be application/scim+json");
      return (scim.*work)(scim_request_of(request));
    };
    return net::ForeignRoute{.point = "scim",
                             .method = method,
                             .pattern = std::string(scim_prefix) + path,
                             .body_max = body_max,
                             .answer = on_worker(workers, answer, scim_refusal(503, all_wait))};
  };
  const auto get = [&](const char* path, Work work) { return route("GET", path, work, 0); };
  return {.prefix = std::string(scim_prefix),
          .routes = {get("ServiceProviderConfig", &Scim::provider_config), get("ResourceTypes", &Scim::resource_types),
                     get("ResourceTypes/{}", &Scim::resource_types), get("Schemas", &Scim::schemas), get("Schemas/{}", &Scim::schemas),
                     get("Users", &Scim::list), get("Users/{}", &Scim::show), route("POST", "Users", &Scim::create, scim_octets_max),
                     route("PUT", "Users/{}", &Scim::replace, scim_octets_max), route("PATCH", "Users/{}", &Scim::patch, scim_octets_max),
                     route("DELETE", "Users/{}", &Scim::remove, 0)},
          .refuse = [](unsigned status, std::string_view why) { return rendered(scim_refusal(status, why)); }};
}

}  // namespace qanat::iam
