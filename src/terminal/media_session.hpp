// The sound of one call, without clock or socket: samples in, SRTP packets out for their times; SRTP packets in, samples out.
//
// Media flows only when armed: a MediaSession exists only through arm(), which takes the two keys of a confirmed Ax exchange. There is no
// other constructor and no packet in clear.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.hpp"
#include "crypto/random.hpp"
#include "terminal/g711.hpp"
#include "terminal/rtp.hpp"
#include "terminal/srtp.hpp"
#include "terminal/wav.hpp"

namespace qanat::terminal {

/// Turns samples into protected packets of 20 ms; the last one is filled up with silence.
class MediaSender {
 public:
  /// The RTP numbering begins at random values (RFC 3550 §5.1).
  MediaSender(std::vector<std::int16_t> samples, SrtpSender srtp, std::uint16_t first_sequence, std::uint32_t first_timestamp)
      : samples_(std::move(samples)), srtp_(std::move(srtp)), sequence_(first_sequence), timestamp_(first_timestamp) {}

  [[nodiscard]] std::size_t packets_total() const noexcept { return (samples_.size() + samples_per_packet - 1) / samples_per_packet; }
  [[nodiscard]] std::size_t packets_sent() const noexcept { return sent_; }
  /// When the next packet belongs on the wire, after the start; nothing once all are sent.
  [[nodiscard]] std::optional<std::chrono::milliseconds> due() const;
  /// The packet for due(); exhausted once all are sent.
  Result<Bytes> next();
  /// As SrtpSender::rekey: the numbering goes on.
  Result<void> rekey(crypto::Aead aead, const MediaKeys& keys, const Mki& mki) { return srtp_.rekey(aead, keys, mki); }

 private:
  std::vector<std::int16_t> samples_;
  SrtpSender srtp_;
  std::uint16_t sequence_;
  std::uint32_t timestamp_;
  std::size_t sent_ = 0;
};

/// Opens, orders and decodes what the other side says. A lost packet is heard as 20 ms of silence.
class MediaReceiver {
 public:
  explicit MediaReceiver(SrtpReceiver srtp) : srtp_(std::move(srtp)) {}

  /// A datagram from the media port, whatever it holds.
  void receive(ByteView datagram);
  /// As SrtpReceiver.
  Result<void> add_key(crypto::Aead aead, const MediaKeys& keys, const Mki& mki) { return srtp_.add_key(aead, keys, mki); }
  void drop_key(const Mki& mki) { srtp_.drop_key(mki); }
  /// All that was heard; what still waits is taken in order. The receiver takes no more afterwards.
  std::vector<std::int16_t> finish();

  [[nodiscard]] std::uint64_t packets_heard() const noexcept { return reorder_.counts().received; }
  [[nodiscard]] const SrtpCounts& srtp_counts() const noexcept { return srtp_.counts(); }
  [[nodiscard]] const ReorderBuffer::Counts& reorder_counts() const noexcept { return reorder_.counts(); }
  /// Authentic packets that were not 160 samples of PCMA.
  [[nodiscard]] std::uint64_t foreign_payloads() const noexcept { return foreign_payloads_; }

 private:
  void play(const ReorderBuffer::Slot& slot);

  SrtpReceiver srtp_;
  ReorderBuffer reorder_;
  std::vector<std::int16_t> heard_;
  std::uint64_t foreign_payloads_ = 0;
  bool finished_ = false;
};

/// Both directions of one call.
struct MediaSession {
  MediaSender sender;
  MediaReceiver receiver;

  /// `send` and `receive` as Ax confirmed them, one per direction. invalid_argument if a key has the wrong length, if both directions have the same
  /// key (our own packets would come back as the peer's), or if there are more than wav_samples_max samples.
  static Result<MediaSession> arm(crypto::Aead aead, const MediaKeys& send, const MediaKeys& receive, const SidWk& sid_wk, std::vector<std::int16_t> samples,
                                  crypto::Rng& rng);
};

}  // namespace qanat::terminal
