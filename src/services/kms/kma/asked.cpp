#include "services/kms/kma/asked.hpp"

namespace qanat::kms {

Asked asked_of(const wire::Framed<wire::KeyRequest>& request, Traffic traffic) {
  const wire::KeyRequest& message = request.message;
  return {.sid_wk = message.sid_wk,
          .sid_call = message.sid_call,
          .role = message.role,
          .num_call = message.num_call,
          .num_called = message.num_called,
          .min_assurance = message.min_assurance,
          .token_ref = message.token_ref,
          .fps = message.fps,
          .hash = request.hash,
          .traffic = traffic,
          .ephemeral = (message.flags & wire::flag_eph) != 0};
}

Result<Encapsulation> form_for(const Asked& asked, const PolicySettings& policy) {
  if (const auto form = encapsulation_for(asked.ephemeral, policy.ephemeral_keys_of(asked.traffic))) return *form;
  return fail(ErrorCode::denied, std::string(text(Because::no_ephemeral_keys)) + " (" + std::string(name(asked.traffic)) + ")");
}

Result<Traffic> traffic_of(const Terminal& terminal) {
  ASSIGN_OR_RETURN(const crypto::Certificate certificate, crypto::Certificate::parse(terminal.ml_dsa));
  return traffic_of(terminal.uid, certificate);
}

Result<Traffic> traffic_of(const Uid& uid, const crypto::Certificate& certificate) {
  const auto& element = certificate.names().element;
  const auto traffic = element ? traffic_of(element->kind) : std::nullopt;
  if (!traffic) return fail(ErrorCode::internal, "the certificate of " + uid.text() + " is no terminal's");
  return *traffic;
}

}  // namespace qanat::kms
