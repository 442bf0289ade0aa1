#include "services/kms/kma/access.hpp"

#include <algorithm>

#include "node/subscriber.hpp"
#include "services/kms/kma/ledger.hpp"
#include "wire/base64.hpp"
#include "wire/token.hpp"

namespace qanat::kms {
namespace {

using points::Endpoint;

constexpr std::string_view every_terminal = "class:terminal";
constexpr std::string_view class_prefix = "class:";
constexpr std::size_t reasons_told_max = 4;

/// IAM's time up to which what it said of this terminal is void; 0 if it never ended anything.
Result<UnixMs> ended_at(store::Transaction& transaction, const Uid& uid) {
  UnixMs out = 0;
  TRY(transaction.query("SELECT at_ms FROM revoked_subject WHERE subject IN (?, ?)", {std::string_view(uid.text()), every_terminal},
                        [&](const store::Row& row) { out = std::max(out, static_cast<UnixMs>(row.integer(0))); }));
  return out;
}

/// What decided, and the grants that fell short: "no grant of 'A' permits key.apply (grant 4 (role subscriber): is for the domain a, not b)".
Result<std::string> reasons_in(const wire::Json& decision) {
  ASSIGN_OR_RETURN(const std::vector<wire::Json> list, decision.array("reasons"));
  std::string out;
  for (std::size_t i = 0; i < list.size() && i < reasons_told_max; ++i) {
    ASSIGN_OR_RETURN(const std::string text, list[i].text("text"));
    out += i == 0 ? text : (i == 1 ? " (" : "; ") + text;
  }
  return list.size() > 1 ? out + ")" : out;
}

}  // namespace

Access::Access(node::Node& node, store::Store& store, node::SenderDirectory& senders)
    : Access(node, store, senders, [&node](Endpoint endpoint, const wire::Json& body, Deadline deadline, const std::string& request_id) -> Result<wire::Json> {
        ASSIGN_OR_RETURN(const std::string iam, node.peer_of(Kind::iam));
        return node.call_json(endpoint, iam, body, deadline, request_id);
      }) {}

Access::Access(node::Node& node, store::Store& store, node::SenderDirectory& senders, AskIam ask)
    : node_(node), store_(store), senders_(senders), ask_(std::move(ask)) {}

Result<std::optional<Access::Granted>> Access::still_holds(store::Transaction& transaction, const Uid& uid, ByteView token_ref, wire::Assurance wanted) {
  ASSIGN_OR_RETURN(std::optional<Granted> out, held_now(transaction, uid, wanted, node_.clock().now_ms()));
  if (out && !equal(out->digest, token_ref)) out.reset();
  return Result<std::optional<Granted>>(std::move(out));
}

Result<std::optional<Access::Granted>> Access::held_now(store::Transaction& transaction, const Uid& uid, wire::Assurance wanted, UnixMs now) {
  std::optional<Granted> out;
  TRY(transaction.query("SELECT digest, level_max FROM token WHERE uid = ? AND expires_ms > ?", {std::string_view(uid.text()), store::column(now)},
                        [&](const store::Row& row) {
                          const auto level_max = static_cast<wire::Assurance>(row.integer(1));
                          if (level_max >= wanted) out = Granted{.token = {}, .level_max = level_max, .digest = row.blob(0)};
                        }));
  return Result<std::optional<Granted>>(std::move(out));
}

Result<bool> Access::is_held(store::Transaction& transaction, const Uid& uid, ByteView digest, UnixMs now) {
  bool held = false;
  TRY(transaction.query("SELECT 1 FROM token WHERE uid = ? AND digest = ? AND expires_ms > ?", {std::string_view(uid.text()), digest, store::column(now)},
                        [&](const store::Row&) { held = true; }));
  return held;
}

Result<Access::Granted> Access::token_for(const Terminal& terminal, const wire::Fingerprints& fps, ByteView token_ref, wire::Assurance wanted,
                                          Deadline deadline, const std::string& request_id) {
  ASSIGN_OR_RETURN(std::optional<Granted> holds,
                   store_.look([&](store::Transaction& transaction) { return still_holds(transaction, terminal.uid, token_ref, wanted); }));
  if (holds) return *std::move(holds);

  ASSIGN_OR_RETURN(const std::string iam, node_.peer_of(Kind::iam));
  ASSIGN_OR_RETURN(
      const wire::Json answer,
      ask_(Endpoint::pm1_token, wire::Json::object({{"uid", terminal.uid.text()}, {"fp_classical", to_hex(fps.classical)}, {"fp_ml_dsa", to_hex(fps.pq)}}),
           deadline, request_id));
  ASSIGN_OR_RETURN(const Bytes octets, answer.base64("token"));
  ASSIGN_OR_RETURN(const Bytes classical, answer.base64("classical"));
  ASSIGN_OR_RETURN(const Bytes ml_dsa, answer.base64("ml_dsa"));
  ASSIGN_OR_RETURN(const auto issuer, senders_.check(classical, ml_dsa, node_.settings().peers.at(iam).expected, deadline));
  ASSIGN_OR_RETURN(const auto token, wire::parse<wire::Token>(octets));
  TRY(wire::verify(token, issuer->verifier, issuer->fps));
  TRY(wire::check_token(token.message, fps, terminal.uid, ElementName(node_.identity().name), node_.clock().now_ms()));
  Bytes digest = crypto::digest(node_.suite().hash, octets);
  TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
    // IAM's word may have overtaken its token.
    ASSIGN_OR_RETURN(const UnixMs ended, ended_at(transaction, terminal.uid));
    if (token.message.issued_ms <= ended) return fail(ErrorCode::denied, "token: was revoked while it was on its way");
    TRY(transaction.run("DELETE FROM token WHERE uid = ?", {std::string_view(terminal.uid.text())}));
    TRY(transaction.run("INSERT INTO token (uid, digest, expires_ms, level_max) VALUES (?, ?, ?, ?)",
                        {std::string_view(terminal.uid.text()), ByteView(digest), static_cast<std::int64_t>(token.message.expires_ms),
                         static_cast<std::int64_t>(token.message.level_max)}));
    TRY(transaction.run("DELETE FROM peer_grant WHERE uid = ?", {std::string_view(terminal.uid.text())}));
    return {};
  }));
  return Granted{.token = octets, .level_max = token.message.level_max, .digest = std::move(digest)};
}

Result<std::optional<wire::Assurance>> Access::known_level(store::Transaction& transaction, const Uid& uid, const std::string& domain,
                                                           wire::Assurance wanted) {
  const auto now = store::column(node_.clock().now_ms());
  std::optional<wire::Assurance> out;
  TRY(transaction.query(
      "SELECT peer_grant.level_max FROM peer_grant JOIN token ON token.uid = peer_grant.uid WHERE peer_grant.uid = ? AND domain = ? AND until_ms > ? AND "
      "expires_ms > ?",
      {std::string_view(uid.text()), std::string_view(domain), now, now}, [&](const store::Row& row) { out = static_cast<wire::Assurance>(row.integer(0)); }));
  if (out && *out < wanted) out.reset();  // perhaps more has been given since
  return out;
}

Result<wire::Assurance> Access::level_towards(const Terminal& terminal, const std::string& domain, wire::Assurance wanted, Deadline deadline,
                                              const std::string& request_id) {
  ASSIGN_OR_RETURN(const std::optional<wire::Assurance> known,
                   store_.look([&](store::Transaction& transaction) { return known_level(transaction, terminal.uid, domain, wanted); }));
  if (known) return *known;
  ASSIGN_OR_RETURN(
      const wire::Json decision,
      ask_(Endpoint::pm1_decide,
           wire::Json::object(
               {{"subject", terminal.uid.text()}, {"action", "key.apply"}, {"point", "Km-1"}, {"peer_domain", domain}, {"level", static_cast<int>(wanted)}}),
           deadline, request_id));
  ASSIGN_OR_RETURN(const bool allowed, decision.boolean("allowed"));
  ASSIGN_OR_RETURN(const std::string why, reasons_in(decision));
  if (!allowed) return fail(ErrorCode::denied, "no keys with the domain " + domain + ": " + why);
  constexpr auto strongest = static_cast<std::int64_t>(wire::Assurance::disjoint_qkd_paths);
  ASSIGN_OR_RETURN(const std::int64_t level, decision.integer("level_max", static_cast<std::int64_t>(wanted), strongest));
  ASSIGN_OR_RETURN(const std::int64_t until, decision.integer("until_ms", 0, INT64_MAX));
  ASSIGN_OR_RETURN(const std::int64_t decided, decision.integer("decided_ms", 0, INT64_MAX));
  TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
    ASSIGN_OR_RETURN(const UnixMs ended, ended_at(transaction, terminal.uid));
    if (static_cast<UnixMs>(decided) <= ended) return fail(ErrorCode::unavailable, "the grants of " + terminal.uid.text() + " have changed; apply again");
    TRY(transaction.run("DELETE FROM peer_grant WHERE uid = ? AND domain = ?", {std::string_view(terminal.uid.text()), std::string_view(domain)}));
    TRY(transaction.run("INSERT INTO peer_grant (uid, domain, level_max, until_ms) VALUES (?, ?, ?, ?)",
                        {std::string_view(terminal.uid.text()), std::string_view(domain), level, until == 0 ? INT64_MAX : until}));
    return {};
  }));
  return static_cast<wire::Assurance>(level);
}

Result<net::Response> Access::revoked(const net::Request& request) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
  TRY(json.only({"subject", "epoch", "at_ms"}));
  ASSIGN_OR_RETURN(const std::string subject, json.text("subject"));
  TRY(node::parse_uid(std::string_view(subject).substr(subject.starts_with(class_prefix) ? class_prefix.size() : 0)));
  ASSIGN_OR_RETURN(const std::int64_t epoch, json.integer("epoch", 0, INT64_MAX));
  ASSIGN_OR_RETURN(const std::int64_t at_ms, json.integer("at_ms", 0, INT64_MAX));
  TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
    std::int64_t last_epoch = epoch;
    std::int64_t last_ms = at_ms;
    TRY(transaction.query("SELECT epoch, at_ms FROM revoked_subject WHERE subject = ?", {std::string_view(subject)}, [&](const store::Row& row) {
      last_epoch = std::max(last_epoch, row.integer(0));
      last_ms = std::max(last_ms, row.integer(1));
    }));
    TRY(transaction.run("DELETE FROM revoked_subject WHERE subject = ?", {std::string_view(subject)}));
    TRY(transaction.run("INSERT INTO revoked_subject (subject, epoch, at_ms) VALUES (?, ?, ?)", {std::string_view(subject), last_epoch, last_ms}));
    for (const std::string_view table : {"token", "peer_grant"}) {
      if (subject == every_terminal) {
        TRY(transaction.run("DELETE FROM " + std::string(table), {}));
      } else {
        TRY(transaction.run("DELETE FROM " + std::string(table) + " WHERE uid = ?", {std::string_view(subject)}));
      }
    }
    return {};
  }));
  // And a delivery that was meant for who may have nothing any more is not given again. By itself: it looks at what applications write, and they look at the
  // tokens, so that on PostgreSQL one work for both would give way to them for as long as the subscriber keeps applying. IAM is answered after both.
  TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
    // What the first work wrote is looked at, so that a delivery comes before both or after both.
    TRY(transaction.query("SELECT at_ms FROM revoked_subject WHERE subject = ?", {std::string_view(subject)}, [](const store::Row&) {}));
    return withhold_answers(transaction, subject == every_terminal ? std::nullopt : std::optional<std::string_view>(subject));
  }));
  TRY(store_.settle());  // IAM says it once
  TRY(node_.record({.action = "pm-1.revoked",
                    .outcome = audit::Outcome::success,
                    .subject = subject,
                    .object = "epoch " + std::to_string(epoch),
                    .reason = "",
                    .request_id = request.request_id}));
  return net::Response{.status = 200, .content_type = "", .body = {}};
}

}  // namespace qanat::kms
