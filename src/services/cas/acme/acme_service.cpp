#include "services/cas/acme/acme_service.hpp"

namespace qanat::cas {
namespace {

net::ForeignResponse response_of(AcmeAnswer answer) {
  net::ForeignResponse out{.status = answer.status, .content_type = std::move(answer.content_type), .body = {}};
  if (!answer.body.empty()) out.open_body = std::make_shared<const Bytes>(to_bytes(answer.body));  // nothing of it is secret
  out.fields = std::move(answer.fields);
  out.fields.emplace_back("Cache-Control", "no-store");
  return out;
}

}  // namespace

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
