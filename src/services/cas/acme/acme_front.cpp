#include "services/cas/acme/acme_front.hpp"

namespace qanat::cas {
namespace {

constexpr std::size_t acme_threads = 4;  // they wait for IAM and for the disk more than they work
constexpr std::size_t acme_waiting_max = 256;

net::ForeignResponse response_of(AcmeAnswer answer) {
  net::ForeignResponse out{.status = answer.status, .content_type = std::move(answer.content_type), .body = {}};
  if (!answer.body.empty()) out.open_body = std::make_shared<const Bytes>(to_bytes(answer.body));  // nothing of it is secret
  out.fields = std::move(answer.fields);
  out.fields.emplace_back("Cache-Control", "no-store");
  return out;
}

}  // namespace

AcmeFront::AcmeFront(Acme& acme) : acme_(acme), workers_(acme_threads, acme_waiting_max) {}

net::ForeignService AcmeFront::service() {
  net::ForeignService out{.prefix = std::string(acme_prefix) + '/', .routes = {}, .refuse = [this](unsigned status, std::string_view why) {
                            return response_of(acme_.refusal(status, why));
                          }};
  for (const Acme::Resource& resource : Acme::resources()) {
    out.routes.push_back({.point = "ACME",
                          .method = std::string(resource.method),
                          .pattern = std::string(resource.pattern),
                          .body_max = resource.signed_by == Acme::Resource::Signed::nobody ? 0 : acme_body_max,
                          .answer = [this, &resource](net::ForeignRequest request, net::ForeignReply reply) { answer(resource, std::move(request), std::move(reply)); }});
  }
  return out;
}

void AcmeFront::answer(const Acme::Resource& resource, net::ForeignRequest request, net::ForeignReply reply) {
  AcmeRequest asked{.parameters = std::move(request.parameters),
                    .query = std::move(request.query),
                    .content_type = std::move(request.content_type),
                    .body = std::move(request.body),
                    .address = request.peer->address,
                    .deadline = request.deadline,
                    .request_id = std::move(request.request_id)};
  // Shared with this function until the queue has taken the work.
  const auto shared_reply = std::make_shared<net::ForeignReply>(std::move(reply));
  const bool taken = workers_.submit([this, &resource, asked = std::move(asked), shared_reply] { (*shared_reply)(response_of(acme_.answer(resource, asked))); });
  if (!taken) (*shared_reply)(response_of(acme_.refusal(503, "too many requests are waiting")));
}

}  // namespace qanat::cas
