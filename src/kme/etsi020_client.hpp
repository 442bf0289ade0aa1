// ETSI GS QKD 020 (drafts 0.4.1 to 0.6.2) from the side that brings keys to another maker's key manager: what is written, and what its refusals mean.
// Functions of octets; the caller brings them over a mutually authenticated connection.
#pragma once

#include "kme/provider.hpp"

namespace qanat::kme::etsi020 {

/// Keys that one order made: ids.size() of them, one after the other in `octets`.
struct Offer {
  std::vector<KeyId> ids;
  SaeId initiator;
  std::vector<SaeId> targets;
  std::string ack_callback_url;
};
/// The body of POST ext_keys. CHECKs that the octets make whole keys.
Secret render_ext_keys(const Offer& offer, const Secret& octets);
/// The body of POST ext_keys/void, for these keys alone.
std::string render_void(std::span<const KeyId> ids, const SaeId& initiator, std::span<const SaeId> targets);

/// What an answer other than 2xx means: 401 denied, other 4xx invalid_argument (it will not be otherwise next time), everything else unavailable; with the
/// details of the error body, if they are there, in printable ASCII and cut to 200 characters.
Error refusal_of(unsigned status, ByteView body);

}  // namespace qanat::kme::etsi020
