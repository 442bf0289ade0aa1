#include "kme/caller.hpp"

namespace qanat::kme {

std::optional<Caller> caller_of(const SaeRegistry& registry, const net::ForeignRequest& request) {
  const auto sae = registry.identify(request.peer->names);
  if (!sae) return std::nullopt;
  Caller out = stranger(request);
  out.sae = *sae;
  return out;
}

Caller stranger(const net::ForeignRequest& request) {
  return {.sae = SaeId(request.peer->names.empty() ? request.peer->address : request.peer->names.front()),
          .address = request.peer->address,
          .group = request.peer->group,
          .quantum_safe = request.peer->quantum_safe,
          .request_id = request.request_id};
}

net::ForeignResponse json_answer(unsigned status, std::string_view text) {
  return {.status = status, .content_type = "application/json", .body = Secret::copy_of(as_bytes(text))};
}

}  // namespace qanat::kme
