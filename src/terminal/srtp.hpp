// SRTP and SRTCP with an AEAD: RFC 3711 framing in the layout of RFC 7714 (the AEAD's tag inside the ciphertext, then the MKI).
// No I/O, no clock; one object per direction, used by one thread.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <expected>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/aead.hpp"
#include "terminal/srtp_keys.hpp"

namespace qanat::terminal {

/// Packet index limits of one key (RFC 7714 §8.2 and RFC 3711 §3.3.1): the 48-bit index of SRTP, the 31-bit one of SRTCP.
inline constexpr std::uint64_t srtp_index_max = (std::uint64_t{1} << 48) - 1;
inline constexpr std::uint64_t srtcp_index_max = (std::uint64_t{1} << 31) - 1;
inline constexpr std::size_t replay_window_packets = 128;  // RFC 3711 §3.3.2 asks for at least 64

/// The cipher of one kind of packet under one *session* key: how a packet becomes nonce, associated data and ciphertext.
class SrtpTransform {
 public:
  /// `key` key_size(aead) octets, `salt` 12.
  SrtpTransform(crypto::Aead aead, const Secret& key, Secret salt);
  static SrtpTransform for_rtp(crypto::Aead aead, const MediaKeys& master);
  static SrtpTransform for_rtcp(crypto::Aead aead, const MediaKeys& master);

  /// SRTP, RFC 7714 §8: header ‖ ciphertext ‖ tag. `index` is ROC ‖ SEQ; nonce fresh because no index is used twice under one key.
  Bytes seal_rtp(std::uint32_t ssrc, std::uint64_t index, ByteView packet, std::size_t header_octets);
  std::optional<Bytes> open_rtp(std::uint32_t ssrc, std::uint64_t index, ByteView sealed, std::size_t header_octets);
  /// SRTCP, RFC 7714 §9: first 8 octets ‖ ciphertext ‖ tag ‖ (E ‖ index). Always encrypted by us.
  Bytes seal_rtcp(std::uint32_t ssrc, std::uint32_t index, ByteView packet);
  /// Opens both the encrypted form and, when E is clear, the one that is only authenticated (§9.3).
  std::optional<Bytes> open_rtcp(std::uint32_t ssrc, ByteView sealed);

 private:
  std::array<std::uint8_t, crypto::aead_iv> nonce(std::uint32_t ssrc, std::uint64_t index) const;

  crypto::AeadCipher cipher_;
  Secret salt_;
};

/// Which indexes were taken already (RFC 3711 §3.3.2).
class ReplayWindow {
 public:
  enum class Verdict : std::uint8_t { fresh, replayed, too_old };
  [[nodiscard]] Verdict judge(std::uint64_t index) const;
  /// Only after the packet was authenticated.
  void take(std::uint64_t index);
  [[nodiscard]] std::optional<std::uint64_t> highest() const noexcept { return highest_; }

 private:
  std::bitset<replay_window_packets> seen_;  // bit i: highest - i
  std::optional<std::uint64_t> highest_;
};

/// Protects what one source sends. One cryptographic context (RFC 3711 §3.2): the source and its numbering go on from one key to the next.
class SrtpSender {
 public:
  /// invalid_argument if the keys do not have the suite's lengths. `first_roc` is 0 for a new key; both ends must agree on it.
  static Result<SrtpSender> create(crypto::Aead aead, const MediaKeys& keys, const Mki& mki, std::uint32_t ssrc, std::uint32_t first_roc = 0);

  /// conflict: another SSRC than ours, or a sequence number that is not ahead of the last (a nonce must not repeat).
  /// exhausted: the key's last index is behind us; the object refuses everything from then on.
  Result<Bytes> protect(ByteView rtp_packet);
  /// The same for RTCP; the SRTCP index counts up from 0.
  Result<Bytes> protect_rtcp(ByteView rtcp_packet);
  /// Everything from here on is under this key, and the former one is erased. ROC and sequence number (RFC 3711 §3.3.1) and the SRTCP index (§3.4) go on.
  /// invalid_argument as create(); conflict if the key that is in use has this MKI.
  Result<void> rekey(crypto::Aead aead, const MediaKeys& keys, const Mki& mki);

  [[nodiscard]] std::uint32_t ssrc() const noexcept { return ssrc_; }

 private:
  SrtpSender(crypto::Aead aead, const MediaKeys& keys, const Mki& mki, std::uint32_t ssrc, std::uint32_t first_roc);

  SrtpTransform rtp_;
  SrtpTransform rtcp_;
  Mki mki_;
  std::uint32_t ssrc_;
  std::uint32_t roc_;
  std::optional<std::uint64_t> last_index_;
  std::uint64_t next_rtcp_index_ = 0;
};

/// Why a packet was dropped.
enum class SrtpDrop : std::uint8_t { malformed, wrong_mki, wrong_ssrc, replayed, too_old, bad_tag };
inline constexpr std::size_t srtp_drop_reasons = 6;
std::string_view name(SrtpDrop reason) noexcept;

struct SrtpCounts {
  std::uint64_t accepted = 0;
  std::array<std::uint64_t, srtp_drop_reasons> dropped{};

  [[nodiscard]] std::uint64_t of(SrtpDrop reason) const { return dropped[static_cast<std::size_t>(reason)]; }
  [[nodiscard]] std::uint64_t dropped_total() const;
};

/// Opens what one source sends. The first authentic packet settles its SSRC. A dropped packet changes nothing but its count. It can hold the keys of two
/// epochs, told apart by their MKI (RFC 3711 §8.1): packets under both are one numbered stream with one replay window, whichever comes first.
class SrtpReceiver {
 public:
  static Result<SrtpReceiver> create(crypto::Aead aead, const MediaKeys& keys, const Mki& mki, std::uint32_t first_roc = 0);

  std::expected<Bytes, SrtpDrop> unprotect(ByteView srtp_packet);
  std::expected<Bytes, SrtpDrop> unprotect_rtcp(ByteView srtcp_packet);
  /// Takes packets under this key as well. invalid_argument as create(); conflict if there is a key of this MKI, or two keys are held already.
  Result<void> add_key(crypto::Aead aead, const MediaKeys& keys, const Mki& mki);
  /// Erases this key: what comes under it from now on is dropped as wrong_mki. Nothing happens if it is not held, or is the only one.
  void drop_key(const Mki& mki);

  [[nodiscard]] const SrtpCounts& counts() const noexcept { return counts_; }
  [[nodiscard]] const SrtpCounts& rtcp_counts() const noexcept { return rtcp_counts_; }

 private:
  SrtpReceiver(crypto::Aead aead, const MediaKeys& keys, const Mki& mki, std::uint32_t first_roc);
  std::expected<Bytes, SrtpDrop> open(ByteView packet);
  std::expected<Bytes, SrtpDrop> open_rtcp(ByteView packet);
  [[nodiscard]] std::optional<std::uint64_t> index_of(std::uint16_t sequence) const;
  struct Key {
    SrtpTransform rtp;
    SrtpTransform rtcp;
    Mki mki;
  };
  /// The key that the packet's MKI names; null if none that is held.
  Key* key_of(ByteView packet);

  std::vector<Key> keys_;  // one, or two while a re-key is under way
  std::uint32_t first_roc_;
  std::optional<std::uint32_t> ssrc_;
  ReplayWindow window_;
  ReplayWindow rtcp_window_;
  SrtpCounts counts_;
  SrtpCounts rtcp_counts_;
};

}  // namespace qanat::terminal
