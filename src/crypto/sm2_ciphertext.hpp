// SM2 ciphertexts on the wire are raw, 04‖x‖y‖C3‖C2 (GM/T 0003.4); Botan speaks the DER of GM/T 0009-2012, 7.2:
//   SEQUENCE { INTEGER x, INTEGER y, OCTET STRING C3, OCTET STRING C2 }
// One ciphertext has one encoding in either form, so that encodings cannot be used to make a second ciphertext of the same content.
#pragma once

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace qanat::crypto {

inline constexpr std::size_t sm2_coordinate = 32;
inline constexpr std::size_t sm2_c3 = 32;
inline constexpr std::size_t sm2_raw_overhead = 1 + 2 * sm2_coordinate + sm2_c3;
inline constexpr std::size_t sm2_plaintext_max = 64;  // what Botan encrypts

/// invalid_argument unless `raw` is 04‖32‖32‖32‖1..64 octets. Whether the point is on the curve is not looked at.
Result<Bytes> sm2_der_from_raw(ByteView raw);
/// invalid_argument for anything but the canonical DER of such a ciphertext.
Result<Bytes> sm2_raw_from_der(ByteView der);

}  // namespace qanat::crypto
