// A SIP user agent (RFC 3261) for one call at a time over UDP: INVITE, 100, 180, 200, ACK, BYE and refusals, with the retransmissions of §17.
// A pure state machine: datagrams, the time and the user's wishes come in; datagrams and events go out. It has no CANCEL, no registration and
// no changes to a running call: a caller that gives up early answers the late 200 with ACK and BYE.
//
// Each call carries the qanat attribute (sdp.hpp). The callee forms SID_CALL anew from the numbers that it sees and its own, and refuses the
// call if it differs; the caller ends the call if the answer names another SID_CALL or SID_WK.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/id.hpp"
#include "base/result.hpp"
#include "crypto/random.hpp"
#include "net/udp.hpp"
#include "terminal/sdp.hpp"
#include "terminal/sip_message.hpp"

namespace qanat::terminal {

using SipTime = std::chrono::steady_clock::time_point;
using SipSpan = std::chrono::milliseconds;

inline constexpr SipSpan sip_t1{500};                // round-trip estimate, §17.1.1.1
inline constexpr SipSpan sip_t2{4000};               // longest interval but for INVITE
inline constexpr SipSpan sip_give_up = 64 * sip_t1;  // timers B, F, H
inline constexpr SipSpan sip_ringing_max{180'000};   // an INVITE that rings unanswered (timer C's length)

/// A call came in and rings; it waits for answer() or reject().
struct IncomingCall {
  Number caller;
  SessionDescription offer;
};
/// The callee's phone rings.
struct CallRings {};
/// The callee answered; its SID_CALL and SID_WK are those of the offer.
struct CallAnswered {
  SessionDescription answer;
};
/// The caller's ACK has come: both know that the call stands.
struct CallConfirmed {};
/// An INVITE was refused without asking the user.
struct InviteRefused {
  int status = 0;
  std::string why;
};

enum class CallEnd : std::uint8_t { local_hang_up, remote_hang_up, refused, timed_out, mismatch };
std::string_view name(CallEnd reason) noexcept;
struct CallEnded {
  CallEnd reason{};
  int status = 0;    // the final response's code, when `refused`
  std::string text;  // and its reason phrase, or what did not match
};

using SipEvent = std::variant<IncomingCall, CallRings, CallAnswered, CallConfirmed, InviteRefused, CallEnded>;

struct SipDatagram {
  net::Endpoint to;
  Bytes octets;
};

struct SipOutput {
  std::vector<SipDatagram> send;
  std::vector<SipEvent> events;
};

class SipAgent {
 public:
  /// `local` is the address that peers reach us at. `rng` outlives the agent; it makes tags, branches and Call-IDs.
  SipAgent(Number number, net::Endpoint local, crypto::Rng& rng) : number_(std::move(number)), local_(std::move(local)), rng_(rng) {}

  /// Starts a call. conflict while another is on; invalid_argument if `offer` cannot be written or is not for these two numbers.
  Result<SipOutput> invite(const Number& callee, const net::Endpoint& at, const SessionDescription& offer, SipTime now);
  /// Takes the call that came in; invalid_argument if `answer` is not for the offered SID_CALL and SID_WK, conflict if none waits.
  Result<SipOutput> answer(const SessionDescription& answer, SipTime now);
  /// Refuses the call that came in with a status 400..699; conflict if none waits.
  Result<SipOutput> reject(int status, std::string_view reason, SipTime now);
  /// Ends the call in whatever state it is; conflict if there is none.
  Result<SipOutput> hang_up(SipTime now);

  SipOutput receive(const net::Endpoint& from, ByteView datagram, SipTime now);
  /// Call when next_timer() is reached.
  SipOutput tick(SipTime now);
  [[nodiscard]] std::optional<SipTime> next_timer() const;
  /// No call, or one that is over but for stray retransmissions.
  [[nodiscard]] bool idle() const noexcept { return state_ == State::idle; }
  /// Datagrams that were not SIP or belonged to nothing.
  [[nodiscard]] std::uint64_t ignored() const noexcept { return ignored_; }

 private:
  enum class State : std::uint8_t {
    idle,
    calling,      // INVITE sent
    ringing_out,  // a provisional response came
    ringing_in,   // an INVITE waits for the user
    answered,     // 200 sent, ACK awaited
    rejected,     // final refusal sent, ACK awaited
    established,
    ending,  // BYE sent
  };
  struct Retransmission {
    SipDatagram datagram;
    SipTime next;
    SipTime give_up;
    SipSpan interval{};
    SipSpan interval_max{};
  };
  /// What is remembered of the call; kept after its end to answer stray retransmissions, until the next one begins.
  struct Dialog {
    std::string call_id;
    std::string local_tag;
    std::string remote_tag;
    std::string local_uri;
    std::string remote_uri;
    std::uint32_t invite_sequence = 0;
    std::uint32_t sequence = 0;         // of our last request
    std::uint32_t remote_sequence = 0;  // of their last
    std::string invite_branch;
    std::string bye_branch;
    SipMessage invite;   // the request, ours or theirs
    net::Endpoint peer;  // where our messages go
    SipUri target;       // the peer's Contact
    SessionDescription offer;
    std::optional<SipDatagram> ack;            // caller: what each repeated final response gets again
    std::optional<SipDatagram> last_response;  // callee: what each repeated INVITE gets again
    bool is_caller = false;
    bool rings_reported = false;
    bool abandoned = false;  // caller: hung up before the final response; a late 200 gets ACK and BYE
    bool end_reported = false;
    std::optional<CallEnded> ending;  // what to report when our BYE is through; also: send BYE as soon as the ACK is here
  };

  // sip_caller.cpp
  void on_response(const SipMessage& message, const SipEssentials& essentials, SipTime now, SipOutput& out);
  void on_invite_response(const SipMessage& message, const SipEssentials& essentials, SipTime now, SipOutput& out);
  void on_answer(const SipMessage& message, const SipEssentials& essentials, SipTime now, SipOutput& out);
  /// What in the answer does not belong to the offer, in words; nothing if all does.
  [[nodiscard]] std::optional<std::string> mismatch(const SipMessage& message, SessionDescription& answer) const;
  [[nodiscard]] SipMessage request(std::string_view method, std::uint32_t sequence, const std::string& branch) const;
  void acknowledge(const SipMessage& ack, SipOutput& out);
  void send_bye(CallEnded why, SipTime now, SipOutput& out);

  // sip_callee.cpp
  void on_request(const net::Endpoint& from, const SipMessage& message, const SipEssentials& essentials, SipTime now, SipOutput& out);
  void on_new_invite(const net::Endpoint& from, const SipMessage& message, const SipEssentials& essentials, SipOutput& out);
  void on_ack(const SipEssentials& essentials, SipTime now, SipOutput& out);
  void on_bye(const net::Endpoint& from, const SipMessage& message, const SipEssentials& essentials, SipOutput& out);
  struct Refusal {
    int status = 0;
    std::string reason;
    std::string why;
  };
  /// Nothing if the INVITE is good; `dialog` and `caller` are then filled in.
  std::optional<Refusal> judge(const SipMessage& message, const SipEssentials& essentials, Dialog& dialog, Number& caller) const;
  SipMessage response(const SipMessage& to, int status, std::string_view reason, const std::string& local_tag) const;
  void refuse(const net::Endpoint& from, const SipMessage& message, const SipEssentials& essentials, const Refusal& refusal, SipOutput& out) const;
  /// The response to the dialog's INVITE, sent and remembered for its repetitions.
  void respond(SipMessage message, SipOutput& out);

  // sip.cpp
  void repeat(SipDatagram datagram, SipSpan interval_max, SipTime now, SipOutput& out);
  void end(CallEnded why, SipOutput& out);
  [[nodiscard]] bool is_of_dialog(const SipEssentials& essentials) const;
  [[nodiscard]] std::string random_token() const;
  [[nodiscard]] std::string new_branch() const;
  [[nodiscard]] std::string session_id() const;
  [[nodiscard]] std::string contact() const;

  Number number_;
  net::Endpoint local_;
  std::reference_wrapper<crypto::Rng> rng_;
  State state_ = State::idle;
  Dialog dialog_;
  std::optional<Retransmission> retransmission_;
  std::uint64_t ignored_ = 0;
};

}  // namespace qanat::terminal
