// ETSI GS QKD 014 V1.1.1 from the SAE's side: what is asked of a key management entity of another maker, and how its answers are read. Functions of
// octets; the caller brings them over a mutually authenticated connection.
#pragma once

#include "kme/provider.hpp"

namespace qanat::kme::etsi014 {

/// Clause 5: "/api/v1/keys/{SAE}/status" and so on. The SAE is the other one: the slave for status and enc_keys, the master for dec_keys.
enum class Method : std::uint8_t { status, enc_keys, dec_keys };
std::string path_of(Method method, const SaeId& other);

/// What a client needs of clause 6.1's status; sizes in bits.
struct ServerStatus {
  std::int64_t stored_key_count = 0;
  std::int64_t max_key_per_request = 0;
  std::int64_t min_key_size = 0;
  std::int64_t max_key_size = 0;
};
/// invalid_argument when one of the four is missing or negative; what else stands there is passed over.
Result<ServerStatus> read_server_status(ByteView body);

/// Clause 6.2 with number and size (bits) alone.
std::string write_key_request(std::uint32_t number, std::uint32_t size);
/// Clause 6.4.
std::string write_key_ids(std::span<const KeyId> ids);

/// Clause 6.3: 1 to `keys_max` keys of `size` bits each, no id twice; invalid_argument for anything else. The keys' octets are taken out of `body`, in which
/// they are then overwritten. Extensions are passed over, but none may have a member "key": such an answer is refused.
Result<std::vector<Key>> read_key_container(std::span<std::uint8_t> body, std::size_t keys_max, std::uint32_t size);

/// What an answer other than 200 means: 400 invalid_argument, 401 denied, everything else unavailable; with the message of clause 6.5, if it is there, in
/// printable ASCII and cut to 200 characters.
Error refusal_of(unsigned status, ByteView body);

}  // namespace qanat::kme::etsi014
