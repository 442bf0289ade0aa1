// How a signed message travels between elements: the message and the two certificates of its signer, so that the receiver can check a
// sender that it meets for the first time. Layout: three fields, each with a 4-octet big-endian length; nothing may follow.
#pragma once

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace qanat::wire {

struct Envelope {
  Bytes message;    // header ‖ body ‖ signature block
  Bytes classical;  // DER
  Bytes ml_dsa;     // DER
  bool operator==(const Envelope&) const = default;
};

inline constexpr std::size_t envelope_field_max = 24 * 1024;

Bytes encode(const Envelope& envelope);
/// `message_max`: of the message alone.
Result<Envelope> parse_envelope(ByteView octets, std::size_t message_max = envelope_field_max);

}  // namespace qanat::wire
