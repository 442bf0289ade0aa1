// WireGuard's configuration protocol as its userspace implementations speak it (wireguard.com/xplatform): lines of key=value, an empty line at the end.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace qanat::terminal::gateway {

inline constexpr std::size_t uapi_answer_max = 256UL * 1024;  // octets
inline constexpr std::size_t wireguard_key_octets = 32;

/// Of one peer of an interface, and the interface's own key.
struct UapiPeer {
  Secret private_key;              // of the interface
  Secret preshared_key;            // 32 zero octets if there is none
  std::uint64_t handshake_ns = 0;  // Unix time of the last one; 0: none yet
  std::uint64_t rx_octets = 0;
  std::uint64_t tx_octets = 0;  // of handshakes, too: they grow while one is asked for in vain
  std::uint32_t keepalive_s = 0;
};

/// True when `answer` ends as a whole answer does.
bool uapi_complete(ByteView answer) noexcept;
/// The answer to get=1, of which the peer with this public key (hexadecimal) is wanted. invalid_argument for what is no such answer, not_found if there is no
/// such peer, internal for the software's own errno. Keys of `answer` are overwritten.
Result<UapiPeer> read_uapi_get(std::span<std::uint8_t> answer, std::string_view public_key);
/// The answer to set=1.
Result<void> read_uapi_set(ByteView answer);

/// Lines one after the other, of which some are secret, in locked memory.
class UapiRequest {
 public:
  explicit UapiRequest(std::string_view operation) { line(operation, "1"); }
  UapiRequest& line(std::string_view key, std::string_view value);
  /// As hexadecimal.
  UapiRequest& line(std::string_view key, const Secret& value);
  /// With the empty line at the end.
  Secret finish() &&;

 private:
  std::vector<Secret> parts_;
};

/// Base64 of 32 octets, as WireGuard's tools print keys, to hexadecimal. invalid_argument otherwise.
Result<std::string> wireguard_public_key(std::string_view base64);

}  // namespace qanat::terminal::gateway
