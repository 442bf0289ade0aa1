// Profile v2 ("QFC2"): the header that every message begins with, and the vocabulary that several messages share (docs/protocol/qfc2.md).
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.hpp"
#include "base/id.hpp"
#include "base/result.hpp"
#include "crypto/suite.hpp"
#include "wire/writer.hpp"

namespace qanat::wire {

inline constexpr std::string_view qfc2_magic = "QFC2";
inline constexpr std::uint8_t qfc2_version = 2;
inline constexpr std::size_t header_size = 16;
inline constexpr std::size_t body_size_max = 1U << 17U;
/// The largest message of any type: header, body, signature block of the larger suite, confirmation.
inline constexpr std::size_t message_size_max = header_size + body_size_max + 8192;

inline constexpr std::size_t nonce_size = 32;
inline constexpr std::size_t wk_size = 32;
inline constexpr Bounds uid_bounds{1, 64};
inline constexpr Bounds number_bounds{3, 32};
inline constexpr Bounds kms_bounds{1, 64};
inline constexpr Bounds ext_bounds{0, 65535};

enum class MessageType : std::uint8_t {
  enrol = 0x01,
  enrol_deliver = 0x02,
  enrol_receipt = 0x03,
  key_request = 0x04,
  charge_request = 0x05,
  token = 0x06,
  session_open = 0x07,
  session_notify = 0x08,
  kms_offer = 0x09,
  key_deliver = 0x0B,
  ax1 = 0x0C,
  charge_deliver = 0x15,
  session_grant = 0x17,
  kms_accept = 0x19,
  deliver_ack = 0x1B,
  ax2 = 0x1C,
  charge_receipt = 0x25,
  directory_open = 0x27,
  kms_confirm = 0x29,
  ax3 = 0x2C,
  directory = 0x37,
  directory_page = 0x47,
  group_request = 0x34,
  group_key = 0x39,
  group_state = 0x3B,
  supply_offer = 0x69,
  supply_accept = 0x79,
  reject = 0xEE,
};
/// "KeyRequest", …: also the label under which the message is signed.
std::string_view name(MessageType type) noexcept;

/// What follows the body.
enum class Closing : std::uint8_t {
  none,
  signature,                   // the signature block
  signature_and_confirmation,  // the signature block, then a key confirmation of digest size
  joint_signature,             // the signature block; if it is over several messages, then this one's path (joint.hpp)
  tag,                         // a message authentication code of digest size
};

struct Header {
  MessageType type{};
  crypto::SuiteId suite{};
  std::uint32_t body_len = 0;
  std::uint32_t policy_epoch = 0;
  bool operator==(const Header&) const = default;
};
Bytes encode_header(const Header& header);
/// Of the first 16 octets. invalid_argument for: too short, magic, version, type, suite, or a body over body_size_max.
Result<Header> parse_header(ByteView octets);

/// Digests (in the suite's hash) of the two DER certificates of one signer.
struct Fingerprints {
  Bytes classical;
  Bytes pq;
  bool operator==(const Fingerprints&) const = default;
};
/// All zero: the certificates are not known (yet) where the message was made.
Fingerprints no_fingerprints(const crypto::Suite& suite);
Fingerprints fingerprints(const crypto::Suite& suite, ByteView classical_der, ByteView pq_der);

/// How a working key came to be (1 local RNG … 4 node-disjoint QKD paths).
enum class Assurance : std::uint8_t { local_rng = 1, pqc = 2, one_qkd_path = 3, disjoint_qkd_paths = 4 };
enum class Role : std::uint8_t { caller = 1, callee = 2 };

/// Bits of the messages' `flags` octets; any other bit is refused.
inline constexpr std::uint8_t flag_eph = 0x01;     // F_EPH: an ephemeral key exchange is mixed into the last mile
inline constexpr std::uint8_t flag_inj = 0x02;     // F_INJ: a charged key is mixed in
inline constexpr std::uint8_t flag_escrow = 0x04;  // the signed policy demands media keys from WK alone
inline constexpr std::uint8_t flag_sym = 0x08;     // symmetric mode: the terminal is admitted by a key of its authentication set
inline constexpr std::uint8_t flag_directory = 0x10;  // KeyDeliver alone: CMSP did not answer, its directory took the grant's place

/// An extension; in a message they are sorted by type, each type once, unknown types refused.
enum class ExtensionType : std::uint16_t { injected_key = 1, symmetric_authentication = 2 };  // each: u32 index ‖ MAC of digest size (injection.hpp)
struct Extension {
  ExtensionType type{};
  Bytes value;
  bool operator==(const Extension&) const = default;
};

}  // namespace qanat::wire
