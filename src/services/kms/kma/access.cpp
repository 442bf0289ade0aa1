#include "services/kms/kma/access.hpp"

#include "node/subscriber.hpp"
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
  TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
    // IAM's word may have overtaken its token.
    UnixMs ended = 0;
    TRY(transaction.query("SELECT at_ms FROM revoked_subject WHERE subject = ?", {std::string_view(terminal.uid.text())},
                          [&](const store::Row& row) { ended = static_cast<UnixMs>(row.integer(0)); }));
    if (token.message.issued_ms <= ended) return fail(ErrorCode::denied, "token: was revoked while it was on its way");
    TRY(transaction.run("INSERT OR REPLACE INTO token (uid, digest, expires_ms, level_max) VALUES (?, ?, ?, ?)",
                        {std::string_view(terminal.uid.text()), ByteView(digest), static_cast<std::int64_t>(token.message.expires_ms),
                         static_cast<std::int64_t>(token.message.level_max)}));
    return {};
  }));
  return Granted{.token = octets, .level_max = token.message.level_max};
}

Result<net::Response> Access::revoked(const net::Request& request) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
  TRY(json.only({"subject", "epoch", "at_ms"}));
  ASSIGN_OR_RETURN(const std::string text, json.text("subject"));
  ASSIGN_OR_RETURN(const Uid subject, node::parse_uid(text));
  ASSIGN_OR_RETURN(const std::int64_t epoch, json.integer("epoch", 0, INT64_MAX));
  ASSIGN_OR_RETURN(const std::int64_t at_ms, json.integer("at_ms", 0, INT64_MAX));
  TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(transaction.run("INSERT INTO revoked_subject (subject, epoch, at_ms) VALUES (?, ?, ?) ON CONFLICT (subject) DO UPDATE SET "
                        "epoch = max(epoch, excluded.epoch), at_ms = max(at_ms, excluded.at_ms)",
                        {std::string_view(subject.text()), epoch, at_ms}));
    TRY(transaction.run("DELETE FROM token WHERE uid = ?", {std::string_view(subject.text())}));
    return {};
  }));
  TRY(node_.record({.action = "pm-1.revoked", .outcome = audit::Outcome::success, .subject = subject.text(), .object = "epoch " + std::to_string(epoch), .reason = "",
                    .request_id = request.request_id}));
  return net::Response{.status = 200, .content_type = "", .body = {}};
}

}  // namespace qanat::kms
