#include "services/iam/idm/identity_front.hpp"

#include "node/subscriber.hpp"

namespace qanat::iam {
namespace {

using points::Endpoint;

constexpr std::int64_t identities_per_page_max = 200;

Result<Uid> uid_in(const wire::Json& json) {
  ASSIGN_OR_RETURN(const std::string text, json.text("uid"));
  return node::parse_uid(text);
}

Result<std::int64_t> version_in(const wire::Json& json) { return json.integer("version", 1, INT64_MAX); }

Result<IdentityFilter> read_filter(const wire::Json& json) {
  IdentityFilter out;
  ASSIGN_OR_RETURN(const auto of, json.optional_text("class"));
  if (of) {
    ASSIGN_OR_RETURN(out.of, parse_identity_class(*of));
  }
  ASSIGN_OR_RETURN(out.domain, json.optional_text("domain"));
  ASSIGN_OR_RETURN(const auto status, json.optional_text("status"));
  if (status) {
    ASSIGN_OR_RETURN(out.standing, parse_standing(*status));
  }
  return out;
}

}  // namespace

std::vector<points::Handler> IdentityFront::handlers() {
  return {recorded_handler(desk_, *this, Endpoint::id1_record, "id-1.record", &IdentityFront::at_point),
          recorded_handler(desk_, *this, Endpoint::id2_record, "id-2.record", &IdentityFront::at_point),
          recorded_handler(desk_, *this, Endpoint::id3_record, "id-3.record", &IdentityFront::at_point),
          recorded_handler(desk_, *this, Endpoint::x5_identity, "x-5.identity", &IdentityFront::administer)};
}

Result<IdentityRecord> IdentityFront::look_up(const wire::Json& json) {
  IdentityRegister& identities = desk_.identities();
  if (json.has("uid")) {
    ASSIGN_OR_RETURN(const Uid uid, uid_in(json));
    return identities.find(uid);
  }
  if (json.has("number")) {
    ASSIGN_OR_RETURN(const std::string text, json.text("number"));
    ASSIGN_OR_RETURN(const Number number, node::parse_number(text));
    return identities.find(number);
  }
  if (json.has("thumbprint")) {
    ASSIGN_OR_RETURN(const Bytes thumbprint, json.hex("thumbprint"));
    return identities.find_by_certificate(thumbprint);
  }
  // A certificate says itself whose it is, if it is one of this network's.
  ASSIGN_OR_RETURN(const Bytes der, json.base64("certificate"));
  ASSIGN_OR_RETURN(const crypto::Certificate certificate, crypto::Certificate::parse(der));
  if (const auto noted = identities.find_by_certificate(certificate.fingerprint(crypto::Hash::sha256))) return *noted;
  TRY(desk_.node().trust().verify(certificate, desk_.now()));
  if (!certificate.names().element) return fail(ErrorCode::not_found, "the certificate names no identity of this network");
  return identities.find(*certificate.names().element);
}

Result<net::Response> IdentityFront::at_point(const net::Request& request, node::Deed& deed) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
  ASSIGN_OR_RETURN(const std::string op, json.text("op"));
  ASSIGN_OR_RETURN(const IdentityRecord caller, desk_.caller(request));
  deed.object = caller.uid.text() + " " + op;
  if (op == "self") {
    TRY(json.only({"op"}));
    TRY(desk_.require(caller, "identity.self"));
    TRY(desk_.identities().note_certificate(caller.uid, holder_of(request)));
    return node::json_response(to_json(caller));
  }
  if (op == "change") {
    TRY(json.only({"op", "version", "set"}));
    TRY(desk_.require(caller, "identity.self"));
    ASSIGN_OR_RETURN(const std::int64_t version, version_in(json));
    ASSIGN_OR_RETURN(const wire::Json set, json.object("set"));
    TRY(set.only({"name", "mail"}));  // the rest is not one's own to change
    TRY(desk_.intend(request, "identity.self", deed.object));
    ASSIGN_OR_RETURN(const IdentityRecord record, desk_.identities().change(caller.uid, version, set, desk_.now()));
    return node::json_response(to_json(record));
  }
  if (op == "saes") return saes(request, caller, json);
  if (op != "find") return fail(ErrorCode::invalid_argument, "op must be self, change, find or saes");
  TRY(json.only({"op", "uid", "number", "thumbprint", "certificate"}));
  TRY(desk_.require(caller, "identity.outline"));
  ASSIGN_OR_RETURN(const IdentityRecord found, look_up(json));
  deed.object += " " + found.uid.text();
  const bool own = found.uid == caller.uid;
  const bool served =
      request.peer.identity->kind == Kind::kms && found.home_kms.text() == request.peer.identity->name && found.domain == request.peer.identity->domain;
  return node::json_response(own || served ? to_json(found) : outline(found));
}

/// To a KMS: who may get keys, from whichever KMS. `known`: the digest of the list that it has.
Result<net::Response> IdentityFront::saes(const net::Request& request, const IdentityRecord& caller, const wire::Json& json) {
  TRY(json.only({"op", "known", "after"}));
  TRY(desk_.require(caller, "identity.outline"));
  if (request.peer.identity->kind != Kind::kms) return fail(ErrorCode::denied, "the SAEs are for a KMS to know");
  ASSIGN_OR_RETURN(const auto known, json.optional_text("known"));
  ASSIGN_OR_RETURN(const auto after, json.optional_text("after"));
  ASSIGN_OR_RETURN(const SaePage page, desk_.identities().saes(after.value_or(""), identities_per_page_max));
  wire::Json out = wire::Json::object({{"digest", to_hex(page.digest)}});
  if (known && *known == to_hex(page.digest)) return node::json_response(out.set("same", true));
  wire::Json list = wire::Json::array();
  for (const IdentityRecord& one : page.saes) {
    wire::Json entry = wire::Json::object({{"uid", one.uid.text()}, {"domain", one.domain}, {"home_kms", one.home_kms.text()}});
    put_sae_rules(entry, one.sae);
    list.push(std::move(entry));
  }
  out.set("same", false).set("saes", std::move(list));
  if (std::ssize(page.saes) == identities_per_page_max) out.set("next", page.saes.back().uid.text());
  return node::json_response(out);
}

Result<net::Response> IdentityFront::administer(const net::Request& request, node::Deed& deed) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
  ASSIGN_OR_RETURN(const std::string op, json.text("op"));
  ASSIGN_OR_RETURN(const IdentityRecord caller, desk_.caller(request));
  deed.object = op;
  if (op == "list" || op == "export" || op == "import" || op == "delete") return several(request, caller, json, op, deed);
  ASSIGN_OR_RETURN(const IdentityRecord record, operate(request, caller, json, op, deed));
  return node::json_response(to_json(record));
}

Result<IdentityRecord> IdentityFront::operate(const net::Request& request, const IdentityRecord& caller, const wire::Json& json, const std::string& op,
                                              node::Deed& deed) {
  IdentityRegister& identities = desk_.identities();
  if (op == "find") {
    TRY(json.only({"op", "uid", "number", "thumbprint", "certificate"}));
    TRY(desk_.require(caller, "identity.read"));
    ASSIGN_OR_RETURN(const IdentityRecord found, look_up(json));
    deed.object += " " + found.uid.text();
    return found;
  }
  if (op == "create") {
    TRY(json.only({"op", "identity"}));
    ASSIGN_OR_RETURN(const wire::Json body, json.object("identity"));
    ASSIGN_OR_RETURN(const IdentityRecord wanted, read_identity(body));
    deed.object += " " + wanted.uid.text();
    TRY(desk_.require(caller, "identity.create"));
    TRY(desk_.intend(request, "identity.create", wanted.uid.text()));
    return identities.create(wanted, desk_.now());
  }
  ASSIGN_OR_RETURN(const Uid uid, uid_in(json));
  deed.object += " " + uid.text();
  if (op == "change") {
    TRY(json.only({"op", "uid", "version", "set"}));
    ASSIGN_OR_RETURN(const std::int64_t version, version_in(json));
    ASSIGN_OR_RETURN(const wire::Json set, json.object("set"));
    TRY(desk_.require(caller, "identity.change"));
    TRY(desk_.intend(request, "identity.change", uid.text()));
    return identities.change(uid, version, set, desk_.now());
  }
  if (op != "suspend" && op != "resume")
    return fail(ErrorCode::invalid_argument, "op must be create, find, change, suspend, resume, delete, list, export or import");
  TRY(json.only({"op", "uid", "version"}));
  ASSIGN_OR_RETURN(const auto version, json.optional_integer("version", 1, INT64_MAX));
  TRY(desk_.require(caller, "identity.suspend"));
  TRY(desk_.intend(request, "identity." + op, uid.text()));
  return identities.set_standing(uid, version, op == "suspend" ? Standing::suspended : Standing::active, desk_.now());
}

Result<net::Response> IdentityFront::several(const net::Request& request, const IdentityRecord& caller, const wire::Json& json, const std::string& op,
                                             node::Deed& deed) {
  IdentityRegister& identities = desk_.identities();
  if (op == "delete") {
    TRY(json.only({"op", "uid", "version"}));
    ASSIGN_OR_RETURN(const Uid uid, uid_in(json));
    ASSIGN_OR_RETURN(const std::int64_t version, version_in(json));
    deed.object += " " + uid.text();
    TRY(desk_.require(caller, "identity.delete"));
    TRY(desk_.intend(request, "identity.delete", uid.text()));
    TRY(identities.remove(uid, version, desk_.now()));
    return node::json_response(wire::Json::object({{"deleted", uid.text()}}));
  }
  if (op == "import") {
    TRY(json.only({"op", "lines"}));
    ASSIGN_OR_RETURN(const std::string lines, json.text("lines"));
    TRY(desk_.require(caller, "identity.import"));
    ASSIGN_OR_RETURN(const std::vector<IdentityRecord> records, read_lines(lines));
    deed.object += " " + std::to_string(records.size()) + " records";
    TRY(desk_.intend(request, "identity.import", deed.object));
    ASSIGN_OR_RETURN(const std::int64_t count, identities.import(records, desk_.now()));
    return node::json_response(wire::Json::object({{"records", records.size()}, {"changed", count}}));
  }
  TRY(json.only({"op", "class", "domain", "status", "after", "limit"}));
  TRY(desk_.require(caller, op == "list" ? "identity.read" : "identity.export"));
  ASSIGN_OR_RETURN(const IdentityFilter filter, read_filter(json));
  ASSIGN_OR_RETURN(const auto after, json.optional_text("after"));
  ASSIGN_OR_RETURN(const auto limit, json.optional_integer("limit", 1, identities_per_page_max));
  ASSIGN_OR_RETURN(const auto found, identities.list(filter, after.value_or(""), limit.value_or(identities_per_page_max)));
  wire::Json out = wire::Json::object();
  if (op == "list") {
    wire::Json list = wire::Json::array();
    for (const IdentityRecord& one : found) list.push(to_json(one));
    out.set("identities", std::move(list));
  } else {
    std::string lines;
    for (const IdentityRecord& one : found) lines += to_line(one);
    out.set("lines", lines);
  }
  const bool more = std::ssize(found) == limit.value_or(identities_per_page_max);
  if (more) out.set("next", found.back().uid.text());
  return node::json_response(out);
}

}  // namespace qanat::iam
