// Keys of SRTP and its key derivation (RFC 3711 §4.3), for AEAD_AES_256_GCM (RFC 7714) and for the private suite SM4-GCM of the same layout.
#pragma once

#include <cstdint>

#include "base/bytes.hpp"
#include "base/id.hpp"
#include "base/secret.hpp"
#include "crypto/suite.hpp"

namespace qanat::terminal {

inline constexpr std::size_t srtp_salt_octets = 12;  // RFC 7714 §12.1, master and session salt
inline constexpr std::size_t srtp_tag_octets = crypto::aead_tag;
inline constexpr std::size_t mki_octets = 4;

/// Master key (32 octets for AES-256-GCM, 16 for SM4-GCM) and master salt (12) of one direction of one call. They come from a confirmed Ax
/// exchange and from nowhere else.
struct MediaKeys {
  Secret key;
  Secret salt;
};

/// RFC 3711 §4.3.1 and §4.3.2. AEAD ciphers have no authentication keys (labels 1 and 4).
enum class SrtpLabel : std::uint8_t { rtp_key = 0, rtp_salt = 2, rtcp_key = 3, rtcp_salt = 5 };

/// `size` octets of session key or salt, key derivation rate 0: AES-256 or SM4 in counter mode under the master key, from the block
/// (label * 2^48 XOR salt * 2^16) * 2^16. The 96-bit salt stands left in the 112-bit field: RFC 7714 erratum 4938.
Secret derive_srtp(crypto::Aead aead, const MediaKeys& master, SrtpLabel label, std::size_t size);

/// Master key identifier (RFC 3711 §3.1): the first four octets of SID_WK, so fresh with every re-key.
struct MkiTag;
using Mki = Id<MkiTag, mki_octets>;
Mki mki_of(const SidWk& sid_wk);

}  // namespace qanat::terminal
