#include "services/iam/upm/privilege_front.hpp"

#include <algorithm>

#include "node/subscriber.hpp"
#include "wire/base64.hpp"

namespace qanat::iam {
namespace {

using points::Endpoint;

Result<Uid> subject_in(const wire::Json& json) {
  ASSIGN_OR_RETURN(const std::string text, json.text("subject"));
  return node::parse_uid(text);
}

Result<Grant> read_grant(const wire::Json& json, const IdentityRecord& giver) {
  Grant out;
  ASSIGN_OR_RETURN(out.subject, json.text("subject"));
  if (!class_in(out.subject)) TRY(node::parse_uid(out.subject));
  ASSIGN_OR_RETURN(out.role, json.text("role"));
  ASSIGN_OR_RETURN(const auto domain, json.optional_text("domain"));
  out.domain = domain.value_or("*");
  if (out.domain != "*") TRY(check_domain(out.domain));
  ASSIGN_OR_RETURN(const auto level, json.optional_integer("level_max", 1, 4));
  if (level) out.level_max = static_cast<wire::Assurance>(*level);
  ASSIGN_OR_RETURN(const auto until, json.optional_integer("not_after_ms", 0, INT64_MAX));
  out.not_after_ms = static_cast<UnixMs>(until.value_or(0));
  out.given_by = giver.uid.text();
  return out;
}

/// "key.apply at Km-1 with b at level 3", for the record.
std::string described(const Question& question) {
  std::string out = question.action;
  if (!question.point.empty()) out += " at " + question.point;
  if (!question.peer_domain.empty()) out += " with " + question.peer_domain;
  if (question.level != wire::Assurance::local_rng) out += " at level " + std::to_string(static_cast<int>(question.level));
  return out;
}

}  // namespace

std::vector<points::Handler> PrivilegeFront::handlers() {
  std::vector<points::Handler> out{recorded_handler(desk_, *this, Endpoint::pm1_decide, "pm-1.decide", &PrivilegeFront::decide),
                                   recorded_handler(desk_, *this, Endpoint::pm2_decide, "pm-2.decide", &PrivilegeFront::decide),
                                   recorded_handler(desk_, *this, Endpoint::pm3_decide, "pm-3.decide", &PrivilegeFront::decide),
                                   recorded_handler(desk_, *this, Endpoint::pm1_introspect, "pm-1.introspect", &PrivilegeFront::introspect),
                                   recorded_handler(desk_, *this, Endpoint::pm2_token, "pm-2.token", &PrivilegeFront::token),
                                   recorded_handler(desk_, *this, Endpoint::pm3_token, "pm-3.token", &PrivilegeFront::token),
                                   recorded_handler(desk_, *this, Endpoint::x5_privilege, "x-5.privilege", &PrivilegeFront::administer)};
  out.push_back({Endpoint::pm1_keys, [this](const net::Request& request) { return keys(request); }});
  return out;
}

Result<std::string> PrivilegeFront::grantable(const IdentityRecord& subject, const std::string& wanted) {
  std::string_view rest = wanted;
  while (!rest.empty()) {
    const std::size_t space = rest.find(' ');
    const std::string name(rest.substr(0, space));
    TRY(find_action(name));
    TRY(desk_.require(subject, name));
    rest = space == std::string_view::npos ? std::string_view() : rest.substr(space + 1);
  }
  return wanted;
}

Result<net::Response> PrivilegeFront::token(const net::Request& request, node::Deed& deed) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
  TRY(json.only({"audience", "scope"}));
  ASSIGN_OR_RETURN(const IdentityRecord caller, desk_.caller(request));
  deed.object = caller.uid.text();
  ASSIGN_OR_RETURN(const std::string audience, json.text("audience"));
  TRY(node::parse_element_name(audience));
  ASSIGN_OR_RETURN(const auto wanted, json.optional_text("scope"));
  TRY(desk_.require(caller, "token.issue"));
  ASSIGN_OR_RETURN(const std::string scope, grantable(caller, wanted.value_or("")));
  TRY(desk_.identities().note_certificate(caller.uid, holder_of(request)));
  ASSIGN_OR_RETURN(const auto issued, tokens_.cwt({.subject = caller.uid.text(),
                                                   .client = caller.uid.text(),
                                                   .audience = audience,
                                                   .scope = scope,
                                                   .holder = holder_of(request),
                                                   .epoch = caller.epoch},
                                                  desk_.now()));
  deed.object += " " + to_hex(issued.claims.token_id);
  return node::json_response(wire::Json::object({{"token", issued.token}, {"expires", issued.claims.expires_s}, {"scope", scope}}));
}

Result<net::Response> PrivilegeFront::decide(const net::Request& request, node::Deed& deed) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
  TRY(json.only({"subject", "action", "point", "peer_domain", "level", "target"}));
  ASSIGN_OR_RETURN(const IdentityRecord caller, desk_.caller(request));
  ASSIGN_OR_RETURN(const Question question, read_question(json));
  Uid subject = caller.uid;
  if (json.has("subject")) {
    ASSIGN_OR_RETURN(subject, subject_in(json));
  }
  deed.object = subject.text() + " " + described(question);
  if (subject != caller.uid) {
    // A KMS decides for those whom it serves; everybody else asks about himself alone.
    if (request.peer.identity->kind != Kind::kms) return fail(ErrorCode::denied, "'" + caller.uid.text() + "' asks what another subject may do");
    ASSIGN_OR_RETURN(const IdentityRecord other, desk_.identities().find(subject));
    if (other.home_kms.text() != request.peer.identity->name || other.domain != request.peer.identity->domain)
      return fail(ErrorCode::denied, "'" + subject.text() + "' is not served by " + request.peer.identity->uri());
  }
  const UnixMs now = desk_.now();  // before what it rests on is read: whoever is told later that this is void compares the times
  ASSIGN_OR_RETURN(const Decision decision, desk_.privileges().decide(subject, question, now));
  deed.object += decision.allowed ? " allowed" : " denied: " + decision.why();
  return node::json_response(to_json(decision).set("decided_ms", now));
}

Result<wire::AccessClaims> PrivilegeFront::active(std::string_view token) {
  ASSIGN_OR_RETURN(wire::AccessClaims claims, tokens_.open_token(token, desk_.now()));
  ASSIGN_OR_RETURN(const bool is_void, codes_.is_void(claims.token_id));
  if (is_void) return fail(ErrorCode::denied, "token: is void: the code that it was given for came a second time");
  ASSIGN_OR_RETURN(const Uid uid, node::parse_uid(claims.subject));
  const auto subject = desk_.identities().find(uid);
  if (!subject && subject.error().code != ErrorCode::not_found) return fail(subject.error());
  if (!subject) return fail(ErrorCode::denied, "token: its subject is gone");
  if (subject->standing != Standing::active) return fail(ErrorCode::denied, "token: its subject is suspended");
  if (claims.epoch < static_cast<std::uint64_t>(subject->epoch)) return fail(ErrorCode::denied, "token: was revoked: its epoch is over");
  return claims;
}

Result<net::Response> PrivilegeFront::introspect(const net::Request& request, node::Deed& deed) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
  TRY(json.only({"token", "token_type_hint"}));
  ASSIGN_OR_RETURN(const std::string token, json.text("token"));
  ASSIGN_OR_RETURN(const IdentityRecord caller, desk_.caller(request));
  ASSIGN_OR_RETURN(const wire::Json answer, introspected(caller, token, deed.object));
  return node::json_response(answer);
}

Result<wire::Json> PrivilegeFront::introspected(const IdentityRecord& caller, std::string_view token, std::string& object) {
  TRY(desk_.require(caller, "token.check"));
  const auto claims = active(token);
  if (!claims && claims.error().code != ErrorCode::denied && claims.error().code != ErrorCode::invalid_argument) return fail(claims.error());
  // RFC 7662 §2.2: whoever asks about a token that is for somebody else learns no more than that it is of no use to him.
  const bool theirs = claims && claims->audience == caller.uid.text();
  object = theirs ? claims->subject + " " + to_hex(claims->token_id) : "inactive";
  return theirs ? introspection(*claims) : inactive();
}

Result<net::Response> PrivilegeFront::keys(const net::Request& /*request*/) {
  return node::json_response(tokens_.keys().jwks().set("issuer", tokens_.issuer()));
}

Result<net::Response> PrivilegeFront::administer(const net::Request& request, node::Deed& deed) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
  ASSIGN_OR_RETURN(const std::string op, json.text("op"));
  ASSIGN_OR_RETURN(const IdentityRecord caller, desk_.caller(request));
  deed.object = op;
  const bool reads = op == "roles" || op == "grants" || op == "why" || op == "actions" || op == "clients";
  Result<wire::Json> out = reads ? read(caller, json, op, deed) : change(request, caller, json, op, deed);
  TRY(out);
  return node::json_response(*out);
}

Result<wire::Json> PrivilegeFront::read(const IdentityRecord& caller, const wire::Json& json, const std::string& op, node::Deed& deed) {
  wire::Json list = wire::Json::array();
  if (op == "actions") {
    for (const Action& one : all_actions()) {
      list.push(wire::Json::object({{"action", one.name}, {"changes", one.effect == Effect::changes}, {"duty", name(one.duty)}, {"says", one.says}}));
    }
    return wire::Json::object({{"actions", list}});
  }
  if (op == "why") {
    TRY(json.only({"op", "subject", "action", "point", "peer_domain", "level", "target"}));
    ASSIGN_OR_RETURN(const Uid subject, subject_in(json));
    ASSIGN_OR_RETURN(const Question question, read_question(json));
    deed.object += " " + subject.text() + " " + question.action;
    if (subject != caller.uid) TRY(desk_.require(caller, "grant.read"));
    ASSIGN_OR_RETURN(const Decision decision, desk_.privileges().decide(subject, question, desk_.now()));
    return to_json(decision);
  }
  TRY(desk_.require(caller, "grant.read"));
  if (op == "roles") {
    TRY(json.only({"op"}));
    ASSIGN_OR_RETURN(const auto roles, desk_.privileges().roles());
    for (const Role& one : roles) list.push(to_json(one));
    return wire::Json::object({{"roles", list}});
  }
  if (op == "clients") {
    TRY(json.only({"op"}));
    ASSIGN_OR_RETURN(const auto clients, clients_.all());
    for (const WebClient& one : clients) list.push(to_json(one));
    return wire::Json::object({{"clients", list}});
  }
  TRY(json.only({"op", "subject"}));
  ASSIGN_OR_RETURN(const auto subject, json.optional_text("subject"));
  ASSIGN_OR_RETURN(const auto grants, desk_.privileges().grants(subject.value_or("")));
  for (const Grant& one : grants) list.push(to_json(one));
  return wire::Json::object({{"grants", list}});
}

Result<wire::Json> PrivilegeFront::change(const net::Request& request, const IdentityRecord& caller, const wire::Json& json, const std::string& op,
                                          node::Deed& deed) {
  Privileges& privileges = desk_.privileges();
  if (op == "define") {
    TRY(json.only({"op", "role"}));
    ASSIGN_OR_RETURN(const wire::Json body, json.object("role"));
    ASSIGN_OR_RETURN(const Role role, read_role(body));
    deed.object += " " + role.name;
    TRY(desk_.require(caller, Question{.action = "role.define", .target = role.name}));
    TRY(desk_.intend(request, "role.define", role.name));
    TRY(privileges.define(role));
    return to_json(role);
  }
  if (op == "undefine") {
    TRY(json.only({"op", "role"}));
    ASSIGN_OR_RETURN(const std::string role, json.text("role"));
    deed.object += " " + role;
    TRY(desk_.require(caller, "role.define"));
    TRY(desk_.intend(request, "role.undefine", role));
    TRY(privileges.undefine(role));
    return wire::Json::object({{"removed", role}});
  }
  if (op == "give") {
    TRY(json.only({"op", "subject", "role", "domain", "level_max", "not_after_ms"}));
    ASSIGN_OR_RETURN(Grant grant, read_grant(json, caller));
    deed.object += " " + grant.subject + " " + grant.role;
    TRY(desk_.require(caller, Question{.action = "grant.give", .target = grant.subject}));
    TRY(desk_.intend(request, "grant.give", grant.subject + " " + grant.role));
    ASSIGN_OR_RETURN(const Grant given, privileges.give(std::move(grant), desk_.now()));
    return to_json(given);
  }
  if (op == "take") {
    TRY(json.only({"op", "grant"}));
    ASSIGN_OR_RETURN(const std::int64_t id, json.integer("grant", 1, INT64_MAX));
    deed.object += " " + std::to_string(id);
    TRY(desk_.require(caller, "grant.take"));
    TRY(desk_.intend(request, "grant.take", std::to_string(id)));
    ASSIGN_OR_RETURN(const Grant taken, privileges.take(id));
    return to_json(taken);
  }
  if (op == "client" || op == "unclient") return change_client(request, caller, json, op, deed);
  if (op != "revoke")
    return fail(ErrorCode::invalid_argument, "op must be roles, grants, actions, clients, why, define, undefine, give, take, client, unclient or revoke");
  TRY(json.only({"op", "subject"}));
  ASSIGN_OR_RETURN(const Uid subject, subject_in(json));
  deed.object += " " + subject.text();
  TRY(desk_.require(caller, "token.revoke"));
  TRY(desk_.intend(request, "token.revoke", subject.text()));
  ASSIGN_OR_RETURN(const std::int64_t epoch, desk_.identities().end_epoch(subject));
  return wire::Json::object({{"subject", subject.text()}, {"epoch", epoch}});
}

Result<wire::Json> PrivilegeFront::change_client(const net::Request& request, const IdentityRecord& caller, const wire::Json& json, const std::string& op,
                                                 node::Deed& deed) {
  TRY(json.only({"op", "client", "redirect_uris"}));
  ASSIGN_OR_RETURN(const std::string uid, json.text("client"));
  TRY(node::parse_uid(uid));
  deed.object += " " + uid;
  TRY(desk_.require(caller, "client.define"));
  TRY(desk_.intend(request, "client.define", deed.object));
  if (op == "unclient") {
    TRY(clients_.remove(uid));
    return wire::Json::object({{"removed", uid}});
  }
  ASSIGN_OR_RETURN(std::vector<std::string> uris, json.texts("redirect_uris"));
  ASSIGN_OR_RETURN(const WebClient client, clients_.put({.uid = uid, .redirect_uris = std::move(uris), .entered_by = caller.uid.text()}, desk_.now()));
  return to_json(client);
}

}  // namespace qanat::iam
