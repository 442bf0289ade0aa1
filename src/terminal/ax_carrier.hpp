// How the three Ax messages travel on the media port before any SRTP: cut into fragments that cannot be taken for RTP, repeated until they
// are answered, put together again whatever order they come in. Pure: datagrams and the time come in, datagrams go out.
//
// A fragment, all integers one octet: "QAX" ‖ version 1 ‖ first 8 octets of SID_WK ‖ message (1, 2, 3) ‖ index ‖ count ‖ part of the
// envelope. Every part but the last is fragment_part_max octets long, so that a message has one division into fragments. The first octet,
// 0x51, is outside 128..191, which RFC 7983 gives to RTP and RTCP.
//
// Nothing here is authentic: what was put together is judged by ax.hpp.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.hpp"
#include "base/id.hpp"
#include "base/result.hpp"

namespace qanat::terminal {

inline constexpr std::size_t fragment_octets_max = 1200;  // fits every path that carries IPv6 (1,280) with its headers
inline constexpr std::size_t fragment_header_octets = 15;
inline constexpr std::size_t fragment_part_max = fragment_octets_max - fragment_header_octets;
inline constexpr std::size_t fragments_max = 40;  // 47 KiB: the largest message, AX2 of INTL-hybrid with its certificates, is under 30
inline constexpr std::size_t ax_message_octets_max = fragments_max * fragment_part_max;

using AxTime = std::chrono::steady_clock::time_point;
inline constexpr std::chrono::milliseconds ax_repeat_first{100};
inline constexpr std::chrono::milliseconds ax_repeat_longest{1600};
inline constexpr std::chrono::milliseconds ax_give_up{10'000};  // after the first sending of a message

enum class AxEnd : std::uint8_t { initiator, responder };

struct Fragment {
  std::uint8_t message = 0;
  std::uint8_t index = 0;
  std::uint8_t count = 0;
  ByteView part;
};
/// Whether a datagram on the media port is one of ours, by its first four octets.
bool is_ax_datagram(ByteView datagram) noexcept;
/// invalid_argument if it is not a fragment of this session in its one form.
Result<Fragment> parse_fragment(ByteView datagram, const SidWk& sid_wk);
/// invalid_argument if the message is empty or longer than ax_message_octets_max.
Result<std::vector<Bytes>> make_fragments(std::uint8_t message, ByteView octets, const SidWk& sid_wk);

class AxCarrier {
 public:
  AxCarrier(AxEnd end, const SidWk& sid_wk);

  enum class Arrival : std::uint8_t {
    ignored,   // not a fragment of this session, not the other end's, or not its turn
    fragment,  // taken (or seen before); the message is not complete yet
    message,   // complete: take it with take_message()
    repeated,  // the other end repeats a message that was complete before: it has not seen the answer
  };
  Arrival receive(ByteView datagram);
  /// The message that receive() announced; it answers what this end sent last, which is not repeated any more.
  Bytes take_message();

  /// This end's next message: its fragments, to be sent now, and again by tick().
  Result<std::vector<Bytes>> send(ByteView message, AxTime now);
  /// Fragments to send again, if it is time.
  std::vector<Bytes> tick(AxTime now);
  [[nodiscard]] std::optional<AxTime> next_timer() const;
  /// The other end has shown otherwise that it has the last message.
  void settle() noexcept { fragments_.clear(); }
  /// The last message was repeated for ax_give_up without an answer.
  [[nodiscard]] bool gave_up() const noexcept { return gave_up_; }

 private:
  SidWk sid_wk_;
  std::uint8_t next_out_;
  std::uint8_t next_in_;

  // What is being put together.
  std::vector<std::optional<Bytes>> parts_;
  std::size_t parts_missing_ = 0;

  // What is repeated.
  std::vector<Bytes> fragments_;
  AxTime next_{};
  AxTime until_{};
  std::chrono::milliseconds interval_{};
  bool gave_up_ = false;
};

}  // namespace qanat::terminal
