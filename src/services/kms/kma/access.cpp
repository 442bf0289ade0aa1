#include "services/kms/kma/access.hpp"

#include "wire/base64.hpp"
#include "wire/token.hpp"

namespace qanat::kms {

Result<std::optional<Access::Granted>> Access::still_holds(const Uid& uid, ByteView token_ref) {
  Bytes known;
  UnixMs expires = 0;
  Granted granted;
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT digest, expires_ms, level_max FROM token WHERE uid = ?", {std::string_view(uid.text())}, [&](const store::Row& row) {
      known = row.blob(0);
      expires = static_cast<UnixMs>(row.integer(1));
      granted.level_max = static_cast<wire::Assurance>(row.integer(2));
    });
  }));
  if (known.empty() || !equal(known, token_ref) || node_.clock().now_ms() >= expires) return std::optional<Granted>{};
  return std::optional(std::move(granted));
}

Result<Access::Granted> Access::token_for(const Terminal& terminal, const wire::Fingerprints& fps, ByteView token_ref, Deadline deadline, const std::string& request_id) {
  ASSIGN_OR_RETURN(std::optional<Granted> holds, still_holds(terminal.uid, token_ref));
  if (holds) return *std::move(holds);

  ASSIGN_OR_RETURN(const std::string iam, node_.peer_of(Kind::iam));
  ASSIGN_OR_RETURN(const wire::Json answer,
                   node_.call_json(points::Endpoint::pm1_token, iam,
                                   wire::Json::object({{"uid", terminal.uid.text()}, {"fp_classical", to_hex(fps.classical)}, {"fp_ml_dsa", to_hex(fps.pq)}}),
                                   deadline, request_id));
  ASSIGN_OR_RETURN(const Bytes octets, answer.base64("token"));
  ASSIGN_OR_RETURN(const Bytes classical, answer.base64("classical"));
  ASSIGN_OR_RETURN(const Bytes ml_dsa, answer.base64("ml_dsa"));
  ASSIGN_OR_RETURN(const auto issuer, senders_.check(classical, ml_dsa, node_.settings().peers.at(iam).expected, deadline));
  ASSIGN_OR_RETURN(const auto token, wire::parse<wire::Token>(octets));
  TRY(wire::verify(token, issuer->verifier, issuer->fps));
  TRY(wire::check_token(token.message, fps, terminal.uid, ElementName(node_.identity().name), node_.clock().now_ms()));
  const Bytes digest = crypto::digest(node_.suite().hash, octets);
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.run("INSERT OR REPLACE INTO token (uid, digest, expires_ms, level_max) VALUES (?, ?, ?, ?)",
                           {std::string_view(terminal.uid.text()), ByteView(digest), static_cast<std::int64_t>(token.message.expires_ms),
                            static_cast<std::int64_t>(token.message.level_max)});
  }));
  return Granted{.token = octets, .level_max = token.message.level_max};
}

}  // namespace qanat::kms
