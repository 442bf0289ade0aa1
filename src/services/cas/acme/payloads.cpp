#include "services/cas/acme/payloads.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <set>

#include "wire/base64.hpp"

namespace qanat::cas {
namespace {

constexpr std::size_t csr_octets_max = 32U * 1024;
constexpr std::size_t certificate_octets_max = 32U * 1024;
constexpr std::size_t dns_octets_max = 253;
constexpr std::size_t label_octets_max = 63;
constexpr std::size_t profile_octets_max = 64;
constexpr std::size_t certificate_id_octets_max = 128;
constexpr std::size_t serial_octets_max = 21;

/// A payload must be an object; failures of reading one are `malformed`.
OrProblem<wire::Json> object_in(ByteView payload) {
  if (payload.empty()) return refuse(ProblemType::malformed, "the payload is empty, which this resource does not take");
  ASSIGN_OR_RETURN(wire::Json json, wire::Json::parse(payload));
  if (!json.is_object()) return refuse(ProblemType::malformed, "the payload is no JSON object");
  return json;
}

OrProblem<Bytes> octets_in(const wire::Json& json, std::string_view member, std::size_t most, ProblemType otherwise) {
  ASSIGN_OR_RETURN(const std::string text, json.text(member));
  auto octets = wire::from_base64url(text);
  if (!octets) return refuse(otherwise, std::string(member) + ": " + octets.error().message);
  if (octets->empty() || octets->size() > most) return refuse(otherwise, std::string(member) + ": must have 1 to " + std::to_string(most) + " octets");
  return *std::move(octets);
}

OrProblem<wire::PublicJwk> key_in(const wire::Json& json) {
  auto key = wire::read_public_jwk(json);
  if (key) return *std::move(key);
  return refuse(key.error().code == ErrorCode::denied ? ProblemType::bad_public_key : ProblemType::malformed, key.error().message);
}

OrProblem<crypto::JoseAlgorithm> algorithm_in(const wire::FlattenedJws& jws) {
  const auto algorithm = crypto::find_jose_algorithm(jws.algorithm);
  if (!algorithm) return refuse(ProblemType::bad_signature_algorithm, "alg '" + shown(jws.algorithm, 32) + "' is not taken");
  return *algorithm;
}

OrProblem<void> check_algorithm(const wire::FlattenedJws& jws, const wire::PublicJwk& key) {
  if (jws.algorithm == crypto::name(key.key.algorithm())) return {};
  return refuse(ProblemType::bad_signature_algorithm,
                "alg '" + shown(jws.algorithm, 32) + "' is not that of the key, " + std::string(crypto::name(key.key.algorithm())));
}

OrProblem<void> check_contact(std::string_view contact) {
  constexpr std::string_view scheme = "mailto:";
  if (!contact.starts_with(scheme)) return refuse(ProblemType::unsupported_contact, "contact: only mailto: is taken");
  const std::string_view address = contact.substr(scheme.size());
  const std::size_t at = address.find('@');
  const bool sound = contact.size() <= contact_octets_max && at != std::string_view::npos && at > 0 && at + 1 < address.size() &&
                     address.find('@', at + 1) == std::string_view::npos &&
                     std::ranges::none_of(address, [](char c) { return c <= ' ' || c > '~' || c == ',' || c == '?'; });
  // RFC 8555 §7.3: one address, no header fields.
  if (!sound) return refuse(ProblemType::invalid_contact, "contact: not one mail address without header fields");
  return {};
}

OrProblem<std::vector<std::string>> contacts_in(const std::vector<wire::Json>& list) {
  if (list.size() > contacts_max) return refuse(ProblemType::invalid_contact, "contact: more than " + std::to_string(contacts_max));
  std::vector<std::string> out;
  for (const wire::Json& each : list) {
    ASSIGN_OR_RETURN(std::string contact, each.as_text());
    TRY(check_contact(contact));
    out.push_back(std::move(contact));
  }
  return out;
}

bool is_label(std::string_view label) {
  const auto letter_or_digit = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !label.empty() && label.size() <= label_octets_max && letter_or_digit(label.front()) && letter_or_digit(label.back()) &&
         std::ranges::all_of(label, [&](char c) { return letter_or_digit(c) || c == '-'; });
}

OrProblem<std::vector<std::string>> names_in(const std::vector<wire::Json>& identifiers) {
  if (identifiers.empty()) return refuse(ProblemType::malformed, "identifiers: there are none");
  if (identifiers.size() > order_names_max) return refuse(ProblemType::malformed, "identifiers: more than " + std::to_string(order_names_max));
  std::set<std::string> names;
  Problem wrong(ProblemType::malformed, "identifiers that cannot be ordered: see the subproblems");
  for (const wire::Json& identifier : identifiers) {
    ASSIGN_OR_RETURN(const std::string type, identifier.text("type"));
    ASSIGN_OR_RETURN(const std::string value, identifier.text("value"));
    const auto canonical = canonical_dns(value);
    const wire::Json identified = wire::Json::object({{"type", shown(type, label_octets_max)}, {"value", shown(value, dns_octets_max)}});
    if (type != "dns") {
      wrong.type = ProblemType::unsupported_identifier;
      wrong.subproblems.push_back({.type = ProblemType::unsupported_identifier, .detail = "only identifiers of type dns are served", .identifier = identified});
    } else if (!canonical) {
      wrong.subproblems.push_back({.type = ProblemType::malformed, .detail = "not a DNS name", .identifier = identified});
    } else {
      names.insert(*canonical);
    }
  }
  if (!wrong.subproblems.empty()) return refuse(std::move(wrong));
  return std::vector<std::string>(names.begin(), names.end());
}

OrProblem<std::string> optional_line(const wire::Json& json, std::string_view member, std::size_t most) {
  ASSIGN_OR_RETURN(const auto text, json.optional_text(member));
  if (text && text->size() > most) return refuse(ProblemType::malformed, std::string(member) + ": over " + std::to_string(most) + " octets");
  return text.value_or("");
}

}  // namespace

OrProblem<SignedRequest> parse_signed_request(ByteView body) {
  SignedRequest out;
  ASSIGN_OR_RETURN(out.jws, wire::parse_flattened_jws(body));
  const wire::Json& header = out.jws.header;
  ASSIGN_OR_RETURN(out.algorithm, algorithm_in(out.jws));
  ASSIGN_OR_RETURN(out.url, header.text("url"));
  if (!header.has("nonce")) return refuse(ProblemType::bad_nonce, "the request has no nonce");
  ASSIGN_OR_RETURN(out.nonce, header.text("nonce"));
  if (!wire::from_base64url(out.nonce)) return refuse(ProblemType::malformed, "nonce: not base64url");  // RFC 8555 §6.5.2
  if (header.has("kid") == header.has("jwk")) return refuse(ProblemType::malformed, "the protected header must have one of kid and jwk");
  ASSIGN_OR_RETURN(out.kid, header.optional_text("kid"));
  if (!out.kid) {
    ASSIGN_OR_RETURN(const wire::Json jwk, header.at("jwk"));
    ASSIGN_OR_RETURN(out.jwk, key_in(jwk));
    TRY(check_algorithm(out.jws, *out.jwk));
  }
  return out;
}

OrProblem<AccountRequest> parse_account_request(ByteView payload) {
  ASSIGN_OR_RETURN(const wire::Json json, object_in(payload));
  AccountRequest out;
  ASSIGN_OR_RETURN(const auto contacts, json.optional_array("contact"));
  if (contacts) {
    ASSIGN_OR_RETURN(out.contacts, contacts_in(*contacts));
  }
  ASSIGN_OR_RETURN(const auto agreed, json.optional_boolean("termsOfServiceAgreed"));
  ASSIGN_OR_RETURN(const auto only_existing, json.optional_boolean("onlyReturnExisting"));
  ASSIGN_OR_RETURN(out.binding, json.optional_object("externalAccountBinding"));
  ASSIGN_OR_RETURN(out.status, json.optional_text("status"));
  out.terms_agreed = agreed.value_or(false);
  out.only_existing = only_existing.value_or(false);
  return out;
}

OrProblem<Binding> parse_binding(const wire::Json& binding, std::string_view url, const wire::PublicJwk& key) {
  auto jws = wire::read_flattened_jws(binding);
  if (!jws) return refuse(ProblemType::malformed, "externalAccountBinding: " + jws.error().message);
  Binding out{.key_id = {}, .jws = *std::move(jws)};
  const wire::Json& header = out.jws.header;
  if (out.jws.algorithm != "HS256") return refuse(ProblemType::malformed, "externalAccountBinding: alg is not HS256");
  if (header.has("nonce")) return refuse(ProblemType::malformed, "externalAccountBinding: has a nonce");
  ASSIGN_OR_RETURN(out.key_id, header.text("kid"));
  ASSIGN_OR_RETURN(const std::string its_url, header.text("url"));
  if (its_url != url) return refuse(ProblemType::malformed, "externalAccountBinding: url is not that of the request around it");
  ASSIGN_OR_RETURN(const wire::Json jwk, wire::Json::parse(out.jws.payload));
  ASSIGN_OR_RETURN(const wire::PublicJwk bound, key_in(jwk));
  if (bound.thumbprint != key.thumbprint) return refuse(ProblemType::malformed, "externalAccountBinding: its payload is not the account's key");
  return out;
}

OrProblem<OrderRequest> parse_order_request(ByteView payload) {
  ASSIGN_OR_RETURN(const wire::Json json, object_in(payload));
  if (json.has("notBefore") || json.has("notAfter")) return refuse(ProblemType::malformed, "notBefore and notAfter: policy alone decides them");
  ASSIGN_OR_RETURN(const std::vector<wire::Json> identifiers, json.array("identifiers"));
  OrderRequest out;
  ASSIGN_OR_RETURN(out.names, names_in(identifiers));
  ASSIGN_OR_RETURN(out.profile, optional_line(json, "profile", profile_octets_max));
  ASSIGN_OR_RETURN(out.replaces, optional_line(json, "replaces", certificate_id_octets_max));
  return out;
}

OrProblem<Bytes> parse_finalize_request(ByteView payload) {
  ASSIGN_OR_RETURN(const wire::Json json, object_in(payload));
  return octets_in(json, "csr", csr_octets_max, ProblemType::bad_csr);
}

OrProblem<RevocationRequest> parse_revocation_request(ByteView payload) {
  ASSIGN_OR_RETURN(const wire::Json json, object_in(payload));
  RevocationRequest out;
  ASSIGN_OR_RETURN(out.certificate, octets_in(json, "certificate", certificate_octets_max, ProblemType::malformed));
  ASSIGN_OR_RETURN(const auto reason, json.optional_integer("reason"));
  // RFC 5280 §5.3.1, those that a holder can give: a CA's compromise, holds and their end are the CA's own to say.
  constexpr std::array taken{0, 1, 3, 4, 5, 9};
  if (reason && std::ranges::find(taken, *reason) == taken.end()) {
    return refuse(ProblemType::bad_revocation_reason, "reason: must be 0 (unspecified), 1 (keyCompromise), 3, 4, 5 or 9");
  }
  out.reason = static_cast<int>(reason.value_or(0));
  return out;
}

OrProblem<KeyChange> parse_key_change(ByteView payload, std::string_view url) {
  ASSIGN_OR_RETURN(const wire::FlattenedJws inner, wire::parse_flattened_jws(payload));
  TRY(algorithm_in(inner));
  if (inner.header.has("nonce")) return refuse(ProblemType::malformed, "the inner JWS has a nonce");
  if (inner.header.has("kid")) return refuse(ProblemType::malformed, "the inner JWS has a kid where its jwk belongs");
  ASSIGN_OR_RETURN(const std::string its_url, inner.header.text("url"));
  if (its_url != url) return refuse(ProblemType::malformed, "the inner JWS is for another url than the outer one");
  ASSIGN_OR_RETURN(const wire::Json jwk, inner.header.at("jwk"));
  ASSIGN_OR_RETURN(wire::PublicJwk key, key_in(jwk));
  TRY(check_algorithm(inner, key));
  if (!key.key.verify(as_bytes(inner.signed_part), inner.signature)) return refuse(ProblemType::malformed, "the inner JWS is not signed by the new key");
  ASSIGN_OR_RETURN(const wire::Json json, object_in(inner.payload));
  ASSIGN_OR_RETURN(std::string account, json.text("account"));
  ASSIGN_OR_RETURN(const wire::Json old_jwk, json.at("oldKey"));
  ASSIGN_OR_RETURN(wire::PublicJwk old_key, key_in(old_jwk));
  return KeyChange{.key = std::move(key), .account = std::move(account), .old_key = std::move(old_key)};
}

OrProblem<void> parse_deactivation(ByteView payload) {
  ASSIGN_OR_RETURN(const wire::Json json, object_in(payload));
  ASSIGN_OR_RETURN(const std::string status, json.text("status"));
  if (status != "deactivated") return refuse(ProblemType::malformed, "status: can be changed to 'deactivated' alone");
  return {};
}

std::optional<std::string> canonical_dns(std::string_view name) {
  if (name.empty() || name.size() > dns_octets_max) return std::nullopt;
  std::string out(name);
  std::ranges::transform(out, out.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  std::string_view rest = out;
  if (rest.starts_with("*.")) rest.remove_prefix(2);
  while (true) {
    const std::size_t dot = rest.find('.');
    if (!is_label(rest.substr(0, dot))) return std::nullopt;
    if (dot == std::string_view::npos) break;
    rest.remove_prefix(dot + 1);
  }
  // The last label of a host name is no number (RFC 1123 §2.1): that would be an IPv4 address.
  if (std::ranges::all_of(rest, [](char c) { return c >= '0' && c <= '9'; })) return std::nullopt;
  return out;
}

std::string date_time(UnixMs at) {
  const auto seconds = static_cast<std::time_t>(at / 1000);
  std::tm parts{};
  if (gmtime_r(&seconds, &parts) == nullptr) return "1970-01-01T00:00:00Z";
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

wire::Json dns_identifier(std::string_view name) { return wire::Json::object({{"type", "dns"}, {"value", name}}); }

std::optional<CertificateId> parse_certificate_id(std::string_view text) {
  if (text.size() > certificate_id_octets_max) return std::nullopt;
  const std::size_t dot = text.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  auto issuer = wire::from_base64url(text.substr(0, dot));
  auto serial = wire::from_base64url(text.substr(dot + 1));
  if (!issuer || issuer->empty() || !serial || serial->empty() || serial->size() > serial_octets_max) return std::nullopt;
  constexpr std::uint8_t sign = 0x80;
  if ((serial->front() & sign) != 0) return std::nullopt;  // negative
  if (serial->front() == 0) {
    if (serial->size() == 1 || ((*serial)[1] & sign) == 0) return std::nullopt;  // not the shortest form
    serial->erase(serial->begin());
  }
  return CertificateId{.issuer_key_id = *std::move(issuer), .serial = *std::move(serial)};
}

std::string certificate_id_text(ByteView issuer_key_id, ByteView serial) {
  Bytes content;
  constexpr std::uint8_t sign = 0x80;
  if (!serial.empty() && (serial.front() & sign) != 0) content.push_back(0);
  append(content, serial);
  return wire::to_base64url(issuer_key_id) + '.' + wire::to_base64url(content);
}

}  // namespace qanat::cas
