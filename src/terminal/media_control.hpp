// What an end says about its media besides the media: SRTCP on the media port (RFC 5761). Only an end that has finished Ax can make such a
// packet, which is why the callee's first one is the confirmation that the caller waits for before it sends any sound.
//
//   confirmation  receiver report (RFC 3550 §6.4.2): the callee has the keys
//   farewell      sender report ‖ BYE (§6.4.1, §6.6): all was sent, and how many packets that were, so that losses at the end count too
//   re-key        APP (§6.7), name "QRKY", with a SID_WK: what the two ends say to each other about the next key (rekey.hpp)
#pragma once

#include "base/result.hpp"
#include "crypto/random.hpp"
#include "terminal/srtp.hpp"

namespace qanat::terminal {

/// RTCP and not RTP, of datagrams that begin like either (RFC 5761 §4): packet type 192..223.
bool is_rtcp(ByteView datagram) noexcept;
/// RTP or RTCP, protected or not (RFC 7983): first octet 128..191.
bool is_media(ByteView datagram) noexcept;

/// The APP packet's subtype, and whose SID_WK it carries.
enum class RekeyWord : std::uint8_t {
  begins = 1,   // caller: this is the next key's session
  refused = 2,  // either: not under this session; the call keeps its key, and the caller tries again under another session
  wanted = 3,   // callee: the key of this session, which is in force, has been in use for long enough
};

class MediaControl {
 public:
  /// The keys of the two directions, as for MediaSession::arm.
  static Result<MediaControl> arm(crypto::Aead aead, const MediaKeys& send, const MediaKeys& receive, const SidWk& sid_wk, crypto::Rng& rng);

  Result<Bytes> confirmation();
  Result<Bytes> farewell(std::uint32_t packets_sent);
  Result<Bytes> rekey(RekeyWord word, const SidWk& sid_wk);

  enum class Heard : std::uint8_t { nothing, confirmation, farewell, rekey };
  /// Whatever a datagram holds: `nothing` unless it is authentic and one of the three.
  Heard receive(ByteView datagram);
  /// What receive() last called `rekey`.
  struct Rekeying {
    RekeyWord word{};
    SidWk sid_wk;
  };
  [[nodiscard]] const std::optional<Rekeying>& rekeying() const noexcept { return rekeying_; }

  /// As SrtpSender and SrtpReceiver.
  Result<void> rekey_sender(crypto::Aead aead, const MediaKeys& keys, const Mki& mki) { return sender_.rekey(aead, keys, mki); }
  Result<void> add_key(crypto::Aead aead, const MediaKeys& keys, const Mki& mki) { return receiver_.add_key(aead, keys, mki); }
  void drop_key(const Mki& mki) { receiver_.drop_key(mki); }
  /// What the other end's farewell said it has sent.
  [[nodiscard]] std::optional<std::uint32_t> announced_packets() const noexcept { return announced_; }

 private:
  MediaControl(SrtpSender sender, SrtpReceiver receiver) : sender_(std::move(sender)), receiver_(std::move(receiver)) {}

  SrtpSender sender_;
  SrtpReceiver receiver_;
  std::optional<std::uint32_t> announced_;
  std::optional<Rekeying> rekeying_;
};

}  // namespace qanat::terminal
