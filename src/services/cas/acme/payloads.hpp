// ACME requests as they come: the JWS around them and what each holds (RFC 8555 §6.2, §7.3–7.6). Pure; whatever comes is bounded and checked here. Members
// that are not known are read over, as §7.3 wants it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "services/cas/acme/problem.hpp"
#include "wire/flattened_jws.hpp"
#include "wire/jwk.hpp"

namespace qanat::cas {

inline constexpr std::size_t acme_body_max = 64U * 1024;  // octets; the largest, finalize with ML-DSA-87 keys on both sides, has 30 KiB
inline constexpr std::size_t order_names_max = 100;
inline constexpr std::size_t contacts_max = 8;
inline constexpr std::size_t contact_octets_max = 320;

/// A request before its signature is verified.
struct SignedRequest {
  wire::FlattenedJws jws;
  crypto::JoseAlgorithm algorithm{};
  std::string nonce;
  std::string url;
  std::optional<std::string> kid;  // one of the two
  std::optional<wire::PublicJwk> jwk;
};
OrProblem<SignedRequest> parse_signed_request(ByteView body);

/// "": POST-as-GET.
[[nodiscard]] inline bool is_get(ByteView payload) noexcept { return payload.empty(); }

struct AccountRequest {
  std::optional<std::vector<std::string>> contacts;
  bool terms_agreed = false;
  bool only_existing = false;
  std::optional<wire::Json> binding;  // externalAccountBinding
  std::optional<std::string> status;
};
/// newAccount and changes of an account.
OrProblem<AccountRequest> parse_account_request(ByteView payload);

/// externalAccountBinding (§7.3.4) before its MAC is verified.
struct Binding {
  std::string key_id;
  wire::FlattenedJws jws;
};
/// malformed unless it is an HS256 JWS without nonce, for `url`, over `key`.
OrProblem<Binding> parse_binding(const wire::Json& binding, std::string_view url, const wire::PublicJwk& key);

struct OrderRequest {
  std::vector<std::string> names;  // lower case, sorted, each once
  std::string profile;             // empty: none
  std::string replaces;            // empty: none
};
OrProblem<OrderRequest> parse_order_request(ByteView payload);

/// DER of the CSR.
OrProblem<Bytes> parse_finalize_request(ByteView payload);

struct RevocationRequest {
  Bytes certificate;
  int reason = 0;  // CRLReason
};
OrProblem<RevocationRequest> parse_revocation_request(ByteView payload);

/// The inner JWS of keyChange, its signature verified (§7.3.5).
struct KeyChange {
  wire::PublicJwk key;  // the new one
  std::string account;  // URL
  wire::PublicJwk old_key;
};
OrProblem<KeyChange> parse_key_change(ByteView payload, std::string_view url);

/// {"status": "deactivated"} and nothing else that this server understands.
OrProblem<void> parse_deactivation(ByteView payload);

/// A DNS name in the form in which names are compared (lower case, LDH labels, perhaps '*' as the first); nothing for anything else.
std::optional<std::string> canonical_dns(std::string_view name);

/// RFC 3339, UTC, whole seconds.
std::string date_time(UnixMs at);

/// {"type": "dns", "value": …}.
wire::Json dns_identifier(std::string_view name);

/// RFC 9773 §4.1: base64url of the authority key identifier, '.', base64url of the serial's DER content octets.
struct CertificateId {
  Bytes issuer_key_id;
  Bytes serial;  // magnitude
};
std::optional<CertificateId> parse_certificate_id(std::string_view text);
std::string certificate_id_text(ByteView issuer_key_id, ByteView serial);

}  // namespace qanat::cas
