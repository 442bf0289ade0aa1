#include "services/cas/acme/acme_service.hpp"

#include <algorithm>

namespace qanat::cas {
namespace {

constexpr std::size_t acme_url_octets_max = 500;

net::ForeignResponse response_of(AcmeAnswer answer) {
  net::ForeignResponse out{.status = answer.status, .content_type = std::move(answer.content_type), .body = {}};
  if (!answer.body.empty()) out.open_body = std::make_shared<const Bytes>(to_bytes(answer.body));  // nothing of it is secret
  out.fields = std::move(answer.fields);
  out.fields.emplace_back("Cache-Control", "no-store");
  return out;
}

std::string https_url(node::Config& table, std::string_view key) {
  std::string out = table.text(key, "");
  const bool sound = (out.starts_with("https://") || out.starts_with("http://")) && out.size() <= acme_url_octets_max &&
                     std::ranges::none_of(out, [](char c) { return c <= ' ' || c > '~' || c == '<' || c == '>' || c == '"'; });
  if (!out.empty() && !sound) table.reject(key, "must be a URL of printable ASCII, at most " + std::to_string(acme_url_octets_max) + " octets");
  return out;
}

}  // namespace

AcmeSettings read_acme_settings(node::Config table) {
  AcmeSettings out;
  out.terms = https_url(table, "terms");
  out.website = https_url(table, "website");
  const auto bound = [&](std::string_view key, std::int64_t most, std::size_t absent) {
    return static_cast<std::size_t>(table.integer(key, 1, most, static_cast<std::int64_t>(absent)));
  };
  out.bounds.accounts_per_registration = bound("accounts_per_registration", 10'000, out.bounds.accounts_per_registration);
  out.bounds.orders_per_hour = bound("orders_per_hour", 100'000, out.bounds.orders_per_hour);
  out.bounds.orders_per_registration = bound("orders_per_registration", 1'000'000, out.bounds.orders_per_registration);
  return out;
}

EnrolmentService acme_service(Acme& acme) {
  EnrolmentService out{.prefix = std::string(acme_prefix) + '/',
                       .routes = {},
                       .refuse = [&acme](unsigned status, std::string_view why) { return response_of(acme.refusal(status, why)); },
                       .carrier = Carrier::tls};
  for (const Acme::Resource& resource : Acme::resources()) {
    out.routes.push_back({.point = "ACME " + std::string(resource.name),
                          .method = std::string(resource.method),
                          .pattern = std::string(resource.pattern),
                          .body_max = resource.signed_by == Acme::Resource::Signed::nobody ? 0 : acme_body_max,
                          .answer = [&acme, &resource](net::ForeignRequest& request) {
                            return response_of(acme.answer(resource, {.parameters = std::move(request.parameters),
                                                                      .query = std::move(request.query),
                                                                      .content_type = std::move(request.content_type),
                                                                      .body = std::move(request.body),
                                                                      .deadline = request.deadline,
                                                                      .request_id = std::move(request.request_id)}));
                          }});
  }
  return out;
}

}  // namespace qanat::cas
