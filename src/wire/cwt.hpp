// CBOR Web Tokens (RFC 8392) as COSE_Sign1 (RFC 9052 §4.2), read strictly: deterministic CBOR alone, the algorithm in the protected header and the key's own.
#pragma once

#include <optional>

#include "wire/access_claims.hpp"
#include "wire/token_key.hpp"

namespace qanat::wire {

inline constexpr std::uint64_t tag_cose_sign1 = 18;
inline constexpr std::uint64_t tag_cwt = 61;
/// CoAP content format of application/cwt, as `typ` (RFC 9596 §2).
inline constexpr std::int64_t content_format_cwt = 61;

struct CoseSign1 {
  Bytes protected_header;   // as it stood: the signature covers these octets
  std::int64_t algorithm = 0;
  std::optional<std::int64_t> type;  // `typ`, where it is a number
  Bytes key_id;
  Bytes payload;
  Bytes signature;
};
/// Tagged 18, or 61 and 18. invalid_argument for: not deterministic, no `alg` under protection, `crit`, `alg` or `typ` outside it, a detached payload.
Result<CoseSign1> parse_cose_sign1(ByteView octets);
/// Sig_structure "Signature1" (RFC 9052 §4.4), with no external data.
Bytes cose_sign1_tbs(ByteView protected_header, ByteView payload);
/// Tagged 18.
Bytes encode_cose_sign1(const CoseSign1& message);

/// The protected header of our tokens: alg, kid, typ.
Bytes cwt_protected_header(const TokenKey& key);
/// The claims as a CBOR map; `epoch` is the private claim -65537, `cnf` the thumbprint as `kid` (RFC 8747 §3.4).
Bytes encode_cwt_claims(const AccessClaims& claims);
/// Registered claims of other kinds are passed over, as RFC 8392 §3 demands.
Result<AccessClaims> parse_cwt_claims(ByteView payload);

/// Signature under one of the issuer's keys, pinned algorithm, `typ`. Nothing of the claims is compared yet: check_access().
Result<AccessClaims> open_cwt(ByteView octets, const TokenKeys& issuer);

}  // namespace qanat::wire
