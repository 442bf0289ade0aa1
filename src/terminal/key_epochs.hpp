// The keys of a call's media one after another, without a packet lost or heard twice. Pure: no socket, no clock.
//
//   hold()         the next key is here: packets under it are taken, besides those under the key in force; nothing is sent under it yet
//   switch_over()  it is known that the other end holds it too: everything from here on is sent under it; the former sending key is erased
//   heard()        the other end's first packet under it: the former receiving key stays for rekey_overlap, for packets that are still on their way
//   tick()         … and is erased: what comes under it after that is dropped (wrong_mki)
//
// The callee knows that the caller holds the key when AX3 has held, and switches over then. The caller knows it from the first authentic packet of the
// callee under the new key, so heard() switches over by itself. SSRC, sequence numbers, ROC and replay window go on (RFC 3711 §3.3.1): across the switch
// there is one numbered stream, in which each packet is under one key.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "terminal/media_control.hpp"
#include "terminal/media_session.hpp"
#include "wire/qfc2_header.hpp"

namespace qanat::terminal {

/// What is later than this is not played in any case (ReorderBuffer::depth_default packets are 160 ms).
inline constexpr std::chrono::milliseconds rekey_overlap{500};

/// One key of a call, for the report.
struct KeyEpoch {
  SidWk sid_wk;
  std::string wk_fingerprint;
  wire::Assurance assurance{};
  std::uint8_t n_paths = 0;
  std::uint8_t path_min = 0;
  bool injected = false;
  std::array<std::uint8_t, 4> sas{};
  std::uint64_t packets_sent = 0;  // media under this key
  std::uint64_t packets_received = 0;
};

class KeyEpochs {
 public:
  using Time = std::chrono::steady_clock::time_point;
  /// `media` and `control` are armed with the keys of `first`, and outlive the object.
  KeyEpochs(crypto::Aead aead, MediaSession& media, MediaControl& control, KeyEpoch first);

  /// conflict if a key is held already, if the former is not left by the other end yet, or if the MKI was in use before in this call; invalid_argument if
  /// both directions have the same key or a key has the wrong length. Nothing is held then.
  Result<void> hold(KeyEpoch next, MediaKeys send, const MediaKeys& receive);
  /// The key that is held is not to be used after all.
  void release();
  /// conflict if none is held.
  Result<void> switch_over();
  enum class Heard : std::uint8_t { in_order, peer_switched };
  enum class Stream : std::uint8_t { rtp, rtcp };
  /// An authentic packet came under this MKI. peer_switched: it is the first one under the newest key.
  Result<Heard> heard(const Mki& mki, Stream stream, Time now);
  void tick(Time now);

  [[nodiscard]] bool holds_next() const noexcept { return held_.has_value(); }
  /// The other end may still send under the former key.
  [[nodiscard]] bool overlaps() const noexcept { return former_.has_value(); }
  /// … and has not sent anything under the newest one.
  [[nodiscard]] bool awaits_peer() const noexcept { return former_ && !former_->erase_at; }
  [[nodiscard]] bool was_used(const SidWk& sid_wk) const;
  [[nodiscard]] const SidWk& in_force() const { return epochs_.back().sid_wk; }
  /// Media packets that went out under the key in force.
  [[nodiscard]] std::uint64_t sent_in_force() const;
  /// All of them, the one in force last.
  [[nodiscard]] std::vector<KeyEpoch> report() const;

 private:
  struct Held {
    KeyEpoch epoch;
    MediaKeys send;
  };
  struct Former {
    Mki mki;
    std::optional<Time> erase_at;  // nothing: the other end still uses it
  };
  void erase_former();

  crypto::Aead aead_;
  MediaSession& media_;
  MediaControl& control_;
  std::vector<KeyEpoch> epochs_;
  std::uint64_t sent_before_ = 0;  // media packets under former keys
  std::optional<Held> held_;
  std::optional<Former> former_;
};

}  // namespace qanat::terminal
