#include "services/iam/desk.hpp"

namespace qanat::iam {

Result<IdentityRecord> Desk::caller(const net::Request& request) {
  auto found = identities_.find(*request.peer.identity);
  if (!found && found.error().code == ErrorCode::not_found)
    return fail(ErrorCode::denied, request.peer.identity->uri() + " is not in the register of identities");
  return found;
}

Result<void> Desk::require(const IdentityRecord& subject, const Question& question) {
  ASSIGN_OR_RETURN(const Decision decision, privileges_.decide(subject.uid, question, now()));
  if (!decision.allowed) return fail(ErrorCode::denied, decision.why());
  return {};
}

Result<void> Desk::intend(std::string_view who, std::string_view request_id, std::string_view action, std::string_view object) {
  const std::string intended = std::string(action) + ".intended";
  return node_.record({.action = intended,
                       .outcome = audit::Outcome::success,
                       .subject = who,
                       .object = object,
                       .reason = "",
                       .request_id = request_id});
}

Bytes holder_of(const net::Request& request) { return request.peer.certificate->fingerprint(crypto::Hash::sha256); }

}  // namespace qanat::iam
