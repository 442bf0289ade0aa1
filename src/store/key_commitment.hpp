// Destruction with proof: what stays of a key that is gone. The commitment is made when the key is generated and tells nothing of it; whoever still holds the
// octets can show later that they are those of this record, and nobody can pass off others for them.
//
// Own design. commitment = HMAC-SHA-256(PRK, kind ‖ 0 ‖ id) with PRK = HKDF-Extract("QANAT key commitment v1", octets). Assumptions: HMAC-SHA-256 is
// a random oracle of its message for a fixed salt (no other extraction uses this salt), so the commitment hides and tells nothing of what else is derived
// from the key; SHA-256 is collision resistant, so it binds. Keys are uniformly random and 16 octets or more, or as hard to guess (a pair's scalar and seed): a
// password would not be hidden.
#pragma once

#include "base/bytes.hpp"
#include "base/secret.hpp"
#include "store/lifecycle.hpp"

namespace qanat::store {

inline constexpr std::size_t key_commitment_size = 32;

/// `id` names the key among those of its kind (SID_WK ‖ leg, a key id …).
Bytes key_commitment(KeyKind kind, ByteView id, const Secret& octets);

}  // namespace qanat::store
