#include "services/cas/ceis/registration_front.hpp"

#include <algorithm>

#include "crypto/kdf.hpp"
#include "node/subscriber.hpp"
#include "services/cas/ceis/lint.hpp"
#include "wire/base64.hpp"

namespace qanat::cas {
namespace {

constexpr std::size_t reference_octets = 8;
constexpr std::int64_t page = 100;
constexpr std::size_t registered_dns_max = 32;
constexpr std::size_t object_octets_max = 64;  // of what is named, on record
constexpr std::size_t why_max = 256;
constexpr std::int64_t open_max_s = 366LL * 86'400;

wire::Json texts(const std::vector<std::string>& list) {
  wire::Json out = wire::Json::array();
  for (const std::string& one : list) out.push(one);
  return out;
}

wire::Json to_json(const Registration& one) {
  return wire::Json::object({{"reference", one.reference},
                             {"subject", one.subject.text()},
                             {"profile", one.profile->name},
                             {"common_name", one.common_name},
                             {"dns", texts(one.dns)},
                             {"approval", one.approval == Approval::four_eyes ? "four_eyes" : "automatic"},
                             {"reusable", one.reusable},
                             {"ra_vouches", one.ra_vouches},
                             {"lifetime_s", one.lifetime.count()},
                             {"not_after_ms", one.not_after_ms},
                             {"made_by", one.made_by},
                             {"made_ms", one.made_ms},
                             {"short_lived", one.short_lived},
                             {"closed", one.closed}});
}

wire::Json to_json(const HeldOrder& one) {
  return wire::Json::object({{"ticket", one.ticket},
                             {"reference", one.reference},
                             {"protocol", name(one.protocol)},
                             {"state", name(one.state)},
                             {"common_name", one.names.common_name},
                             {"dns", texts(one.names.dns)},
                             {"key_sha256", to_hex(crypto::digest(crypto::Hash::sha256, one.public_key))},
                             {"renewal", !one.renews.empty()},
                             {"made_ms", one.made_ms},
                             {"approved_by", texts(one.approved_by)},
                             {"why", one.why}});
}

wire::Json to_json(const SubjectCertificateRow& one) {
  const char* const state = one.revoked ? "revoked" : one.issued ? "issued" : one.abandoned ? "abandoned" : "intended";
  return wire::Json::object({{"serial", to_hex(one.intention.serial)},
                             {"branch", name(one.intention.branch)},
                             {"state", state},
                             {"not_before_ms", one.intention.not_before},
                             {"not_after_ms", one.intention.not_after}});
}

net::Response outcome_response(const Outcome& outcome) {
  if (const auto* const waiting = std::get_if<Waiting>(&outcome)) {
    return node::json_response(wire::Json::object({{"ticket", waiting->ticket}, {"retry_after_s", waiting->retry_after.count()}}));
  }
  const Given& given = std::get<Given>(outcome);
  wire::Json chain = wire::Json::array();
  for (const Bytes& one : given.chain) chain.push(wire::to_base64(one));
  return node::json_response(wire::Json::object({{"certificate", wire::to_base64(given.certificate)}, {"chain", std::move(chain)}}));
}

std::string names_of_profiles() {
  std::string out;
  for (const Profile& one : all_profiles()) {
    if (one.naming == Naming::registered) out += (out.empty() ? "" : ", ") + std::string(one.name);
  }
  return out;
}

std::string caller_uri(const net::Request& request) { return request.peer.identity ? request.peer.identity->uri() : request.peer.address; }

Result<std::vector<std::string>> read_dns_names(const wire::Json& json) {
  std::vector<std::string> out;
  ASSIGN_OR_RETURN(const auto list, json.optional_array("dns"));
  if (!list) return out;
  if (list->size() > registered_dns_max) return fail(ErrorCode::invalid_argument, "dns: more than " + std::to_string(registered_dns_max) + " names");
  for (const wire::Json& element : *list) {
    ASSIGN_OR_RETURN(std::string one, element.as_text());
    one = lower_case(one);
    if (!is_dns_name(one) && !is_wildcard(one)) return fail(ErrorCode::invalid_argument, element.path() + ": '" + one + "' is no DNS name");
    if (std::ranges::find(out, one) == out.end()) out.push_back(std::move(one));
  }
  return out;
}

Result<std::string> read_common_name_or(const wire::Json& json, const std::string& otherwise) {
  ASSIGN_OR_RETURN(const auto given, json.optional_text("common_name"));
  std::string out = given.value_or(otherwise);
  if (out.empty() || !is_common_name(out)) return fail(ErrorCode::invalid_argument, "common_name: must be 1 to 64 octets without control characters");
  return out;
}

}  // namespace

Result<net::Response> RegistrationFront::answer(const net::Request& request, node::Deed& deed) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
  ASSIGN_OR_RETURN(const std::string op, json.text("op"));
  deed.object = op.substr(0, 16);
  if (op == "create") return create(json, request, deed);
  if (op == "list") return list(json);
  if (op == "show") return show(json, deed);
  if (op == "close") return close(json, request, deed);
  if (op == "orders") return orders(json);
  if (op == "approve") return approve(json, request, deed);
  if (op == "reject") return reject(json, deed);
  if (op == "issue") return issue(json, request, deed);
  if (op == "collect") return collect(json, deed);
  if (op == "revoke") return revoke(json, request, deed);
  return fail(ErrorCode::invalid_argument, "op must be create, list, show, close, orders, approve, reject, issue, collect or revoke");
}

Result<Registration> RegistrationFront::read(const wire::Json& json, const net::Request& request) {
  TRY(json.only({"op", "subject", "profile", "common_name", "dns", "four_eyes", "reusable", "ra_vouches", "lifetime_s", "short_lived", "open_s"}));
  Registration out;
  out.reference = "r-" + to_hex(node_.rng().bytes(reference_octets));
  ASSIGN_OR_RETURN(const std::string subject, json.text("subject"));
  ASSIGN_OR_RETURN(out.subject, node::parse_uid(subject));
  ASSIGN_OR_RETURN(const std::string profile_name, json.text("profile"));
  out.profile = find_profile(profile_name);
  if (out.profile == nullptr || out.profile->naming != Naming::registered) {
    return fail(ErrorCode::invalid_argument, "profile: '" + profile_name.substr(0, 64) + "' cannot be registered; these can: " + names_of_profiles());
  }
  ASSIGN_OR_RETURN(out.common_name, read_common_name_or(json, subject));
  ASSIGN_OR_RETURN(out.dns, read_dns_names(json));
  if (out.profile->dns_wanted && out.dns.empty()) return fail(ErrorCode::invalid_argument, "dns: profile " + profile_name + " wants a name at least");
  ASSIGN_OR_RETURN(const auto four_eyes, json.optional_boolean("four_eyes"));
  ASSIGN_OR_RETURN(const auto reusable, json.optional_boolean("reusable"));
  ASSIGN_OR_RETURN(const auto ra_vouches, json.optional_boolean("ra_vouches"));
  ASSIGN_OR_RETURN(const auto short_lived, json.optional_boolean("short_lived"));
  out.short_lived = short_lived.value_or(false);
  const std::chrono::seconds longest = out.short_lived ? std::min(short_lived_max, out.profile->lifetime_max) : out.profile->lifetime_max;
  ASSIGN_OR_RETURN(const auto lifetime, json.optional_integer("lifetime_s", out.short_lived ? 3600 : 60, longest.count()));
  if (out.short_lived && !lifetime) return fail(ErrorCode::invalid_argument, "short_lived: lifetime_s must be there too");
  ASSIGN_OR_RETURN(const auto open, json.optional_integer("open_s", 1, open_max_s));
  const UnixMs now = node_.clock().now_ms();
  out.approval = four_eyes.value_or(false) ? Approval::four_eyes : Approval::automatic;
  out.reusable = reusable.value_or(false);
  out.ra_vouches = ra_vouches.value_or(false);
  out.lifetime = lifetime ? std::chrono::seconds(*lifetime) : out.profile->lifetime;
  out.not_after_ms = open ? now + static_cast<UnixMs>(*open) * 1000 : 0;
  out.made_by = caller_uri(request);
  out.made_ms = now;
  return out;
}

Result<net::Response> RegistrationFront::create(const wire::Json& json, const net::Request& request, node::Deed& deed) {
  ASSIGN_OR_RETURN(const Registration made, read(json, request));
  deed.object = "create " + made.subject.text() + " " + made.reference;
  TRY(desk_.vouch(made.subject, request.deadline, request.request_id));
  // Shown once: the operator carries it to the software by hand, often as an argument, which must not look like an option.
  Secret secret;
  std::string text;
  do {
    secret = node_.rng().secret(registration_secret_size);
    text = wire::to_base64url(secret.reveal());
  } while (text.starts_with('-'));
  TRY(desk_.registrations().create(made, secret));
  return node::json_response(to_json(made).set("secret", text));
}

Result<net::Response> RegistrationFront::list(const wire::Json& json) {
  TRY(json.only({"op", "after"}));
  ASSIGN_OR_RETURN(const auto after, json.optional_text("after"));
  ASSIGN_OR_RETURN(const std::vector<Registration> found, desk_.registrations().list(after.value_or(""), page));
  wire::Json all = wire::Json::array();
  for (const Registration& one : found) all.push(to_json(one));
  wire::Json out = wire::Json::object({{"registrations", std::move(all)}});
  if (std::ssize(found) == page) out.set("next", found.back().reference);
  return node::json_response(out);
}

Result<net::Response> RegistrationFront::show(const wire::Json& json, node::Deed& deed) {
  TRY(json.only({"op", "reference"}));
  ASSIGN_OR_RETURN(const std::string reference, json.text("reference"));
  deed.object = "show " + reference.substr(0, object_octets_max);
  ASSIGN_OR_RETURN(const Registration found, desk_.registrations().find(reference));
  ASSIGN_OR_RETURN(const std::vector<SubjectCertificateRow> rows, desk_.certificates().of_registration(reference, page));
  wire::Json certificates = wire::Json::array();
  for (const SubjectCertificateRow& row : rows) certificates.push(to_json(row));
  return node::json_response(to_json(found).set("certificates", std::move(certificates)));
}

Result<net::Response> RegistrationFront::close(const wire::Json& json, const net::Request& request, node::Deed& deed) {
  TRY(json.only({"op", "reference"}));
  ASSIGN_OR_RETURN(const std::string reference, json.text("reference"));
  deed.object = "close " + reference.substr(0, object_octets_max);
  TRY(desk_.registrations().close(reference, caller_uri(request), node_.clock().now_ms()));
  ASSIGN_OR_RETURN(const Registration found, desk_.registrations().find(reference));
  return node::json_response(to_json(found));
}

Result<net::Response> RegistrationFront::orders(const wire::Json& json) {
  TRY(json.only({"op", "state"}));
  ASSIGN_OR_RETURN(const auto wanted, json.optional_text("state"));
  std::optional<OrderState> state;
  for (const OrderState one : {OrderState::waiting, OrderState::approved, OrderState::rejected}) {
    if (wanted && *wanted == name(one)) state = one;
  }
  if (wanted && !state) return fail(ErrorCode::invalid_argument, "state must be waiting, approved or rejected");
  TRY(desk_.expire_orders());
  ASSIGN_OR_RETURN(const std::vector<HeldOrder> found, desk_.orders().list(state, page));
  wire::Json all = wire::Json::array();
  for (const HeldOrder& one : found) all.push(to_json(one));
  return node::json_response(wire::Json::object({{"orders", std::move(all)}}));
}

Result<net::Response> RegistrationFront::approve(const wire::Json& json, const net::Request& request, node::Deed& deed) {
  TRY(json.only({"op", "ticket"}));
  ASSIGN_OR_RETURN(const std::string ticket, json.text("ticket"));
  deed.object = "approve " + ticket.substr(0, object_octets_max);
  if (!request.peer.identity) return fail(ErrorCode::denied, "an approval is by an operator with a certificate");
  TRY(desk_.expire_orders());
  ASSIGN_OR_RETURN(const HeldOrder order, desk_.orders().approve(ticket, request.peer.identity->uri(), node_.clock().now_ms()));
  wire::Json out = to_json(order);
  if (order.state != OrderState::approved) return node::json_response(out);
  const auto serial = desk_.issue_approved(order, request.deadline, request.request_id);
  // The approval stands: whoever collects the certificate lets it be tried again.
  if (!serial) return fail_in("order " + order.ticket + " is approved, but not issued", serial.error());
  deed.object += " " + to_hex(*serial);
  out.set("serial", to_hex(*serial));
  return node::json_response(out);
}

Result<net::Response> RegistrationFront::reject(const wire::Json& json, node::Deed& deed) {
  TRY(json.only({"op", "ticket", "why"}));
  ASSIGN_OR_RETURN(const std::string ticket, json.text("ticket"));
  ASSIGN_OR_RETURN(const std::string why, json.text("why"));
  deed.object = "reject " + ticket.substr(0, object_octets_max);
  if (why.empty() || why.size() > why_max) return fail(ErrorCode::invalid_argument, "why: must have 1 to " + std::to_string(why_max) + " octets");
  TRY(desk_.expire_orders());
  ASSIGN_OR_RETURN(const HeldOrder order, desk_.orders().reject(ticket, why, node_.clock().now_ms()));
  return node::json_response(to_json(order));
}

/// For software that knows none of the protocols: the operator brings its PKCS#10, and takes the certificate back.
Result<net::Response> RegistrationFront::issue(const wire::Json& json, const net::Request& request, node::Deed& deed) {
  TRY(json.only({"op", "reference", "request"}));
  ASSIGN_OR_RETURN(const std::string reference, json.text("reference"));
  deed.object = "issue " + reference.substr(0, object_octets_max);
  ASSIGN_OR_RETURN(const Bytes der, json.base64("request"));
  ASSIGN_OR_RETURN(const crypto::SubjectRequest asked, crypto::SubjectRequest::parse(der));
  ASSIGN_OR_RETURN(const Outcome outcome, desk_.order({.protocol = Protocol::by_hand,
                                                       .reference = reference,
                                                       .key = asked.key(),
                                                       .names = asked.names(),
                                                       .possession = Possession::proved,
                                                       .request_hash = crypto::digest(crypto::Hash::sha256, der),
                                                       .renews = {}},
                                                      request.deadline, request.request_id));
  return outcome_response(outcome);
}

Result<net::Response> RegistrationFront::collect(const wire::Json& json, node::Deed& deed) {
  TRY(json.only({"op", "ticket"}));
  ASSIGN_OR_RETURN(const std::string ticket, json.text("ticket"));
  deed.object = "collect " + ticket.substr(0, object_octets_max);
  ASSIGN_OR_RETURN(const Outcome outcome, desk_.collect(ticket));
  return outcome_response(outcome);
}

Result<net::Response> RegistrationFront::revoke(const wire::Json& json, const net::Request& request, node::Deed& deed) {
  TRY(json.only({"op", "certificate", "reason"}));
  ASSIGN_OR_RETURN(const Bytes certificate, json.base64("certificate"));
  ASSIGN_OR_RETURN(const std::string reason, json.text("reason"));
  const std::span<const RevocationReason> reasons = all_revocation_reasons();
  const auto found = std::ranges::find(reasons, std::string_view(reason), &RevocationReason::name);
  if (found == reasons.end()) {
    std::string known;
    for (const RevocationReason& one : reasons) known += (known.empty() ? "" : ", ") + std::string(one.name);
    return fail(ErrorCode::invalid_argument, "reason must be one of " + known);
  }
  deed.object = "revoke " + to_hex(crypto::digest(crypto::Hash::sha256, certificate));
  TRY(desk_.revoke(certificate, found->code, caller_uri(request), request.request_id));
  return node::json_response(wire::Json::object({{"revoked", to_hex(crypto::digest(crypto::Hash::sha256, certificate))}}));
}

}  // namespace qanat::cas
