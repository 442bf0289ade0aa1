// Revocation lists (RFC 5280 §5): complete ones, ones of one distribution point (shards), and deltas.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "crypto/x509.hpp"

namespace qanat::crypto {

struct RevokedSerial {
  Bytes serial;  // big-endian magnitude
  UnixMs revoked_at = 0;
  int reason = 0;  // CRLReason; 0 (unspecified) is left away, as RFC 5280 §5.3.1 wants
};

struct RevocationList {
  std::uint64_t number = 0;                   // cRLNumber: grows with each list of its scope
  std::optional<std::uint64_t> base_number;   // of a delta: the complete list that it adds to
  UnixMs this_update = 0;
  UnixMs next_update = 0;
  std::string distribution_point;             // issuingDistributionPoint; empty: the list covers all certificates of its issuer
  std::string delta_url;                      // freshestCRL of a complete list; empty: there is no delta
  std::vector<RevokedSerial> revoked;
};

/// DER, signed by the issuing CA.
Result<Bytes> make_revocation_list(const RevocationList& list, const Certificate& issuer, const PrivateKey& issuer_key);

/// Reads DER of at most 64 MiB and checks issuer and signature (`denied`); times are for the caller to look at. invalid_argument for what is no list, has
/// no number, or holds a critical extension that is not known here.
Result<RevocationList> read_revocation_list(ByteView der, const Certificate& issuer);

}  // namespace qanat::crypto
