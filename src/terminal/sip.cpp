#include "terminal/sip.hpp"

#include <algorithm>
#include <array>

#include "terminal/ipv4.hpp"

namespace qanat::terminal {
namespace {

constexpr std::size_t token_octets = 12;

}  // namespace

std::string_view name(CallEnd reason) noexcept {
  switch (reason) {
    case CallEnd::local_hang_up:
      return "local_hang_up";
    case CallEnd::remote_hang_up:
      return "remote_hang_up";
    case CallEnd::refused:
      return "refused";
    case CallEnd::timed_out:
      return "timed_out";
    case CallEnd::mismatch:
      return "mismatch";
  }
  CHECK(false);
}

std::string SipAgent::random_token() const { return to_hex(rng_.get().bytes(token_octets)); }

std::string SipAgent::new_branch() const { return "z9hG4bK" + random_token(); }  // §8.1.1.7

std::string SipAgent::contact() const { return "<" + SipUri{.user = number_.text(), .at = local_}.text() + ">"; }

// RFC 7989 §5: this side's identifier, then the other's, nil in the first request. Both are the call's here: each side forms it from SID_CALL.
std::string SipAgent::session_id() const {
  const std::string id = session_id_of(dialog_.offer.sid_call);
  const bool first_request = dialog_.is_caller && dialog_.remote_tag.empty();
  return id + ";remote=" + (first_request ? std::string(id.size(), '0') : id);
}

bool SipAgent::is_of_dialog(const SipEssentials& essentials) const {
  return !dialog_.remote_tag.empty() && essentials.call_id == dialog_.call_id && essentials.from.tag == dialog_.remote_tag &&
         essentials.to.tag == dialog_.local_tag;
}

void SipAgent::repeat(SipDatagram datagram, SipSpan interval_max, SipTime now, SipOutput& out) {
  out.send.push_back(datagram);
  retransmission_ =
      Retransmission{.datagram = std::move(datagram), .next = now + sip_t1, .give_up = now + sip_give_up, .interval = sip_t1, .interval_max = interval_max};
}

void SipAgent::end(CallEnded why, SipOutput& out) {
  state_ = State::idle;
  retransmission_.reset();
  if (dialog_.end_reported) return;
  dialog_.end_reported = true;
  out.events.emplace_back(std::move(why));
}

Result<SipOutput> SipAgent::hang_up(SipTime now) {
  SipOutput out;
  switch (state_) {
    case State::calling:
    case State::ringing_out:
      dialog_.abandoned = true;
      end({.reason = CallEnd::local_hang_up, .status = 0, .text = "before an answer"}, out);
      return out;
    case State::ringing_in:
      return reject(603, "Decline", now);
    case State::answered:
      // §15: the callee sends no BYE before the ACK.
      dialog_.ending = CallEnded{.reason = CallEnd::local_hang_up, .status = 0, .text = {}};
      return out;
    case State::established:
      send_bye({.reason = CallEnd::local_hang_up, .status = 0, .text = {}}, now, out);
      return out;
    case State::idle:
    case State::rejected:
    case State::ending:
      break;
  }
  return fail(ErrorCode::conflict, "sip: no call to hang up");
}

SipOutput SipAgent::receive(const net::Endpoint& from, ByteView datagram, SipTime now) {
  SipOutput out;
  const auto message = parse_sip(datagram);
  if (!message) {
    ++ignored_;
    return out;
  }
  const auto essentials = sip_essentials(*message);
  if (!essentials) {
    // §8.2 would have a 400; without these headers there is nothing to send it back with.
    ++ignored_;
    return out;
  }
  if (message->is_request()) {
    on_request(from, *message, *essentials, now, out);
  } else {
    on_response(*message, *essentials, now, out);
  }
  return out;
}

std::optional<SipTime> SipAgent::next_timer() const {
  if (!retransmission_) return std::nullopt;
  return std::min(retransmission_->next, retransmission_->give_up);
}

SipOutput SipAgent::tick(SipTime now) {
  SipOutput out;
  if (!retransmission_) return out;
  if (now < retransmission_->give_up) {
    if (now < retransmission_->next) return out;
    out.send.push_back(retransmission_->datagram);
    retransmission_->interval = std::min(2 * retransmission_->interval, retransmission_->interval_max);
    retransmission_->next = now + retransmission_->interval;
    return out;
  }
  const CallEnded timed_out{.reason = CallEnd::timed_out, .status = 0, .text = "the other side does not answer"};
  switch (state_) {
    case State::answered:
      send_bye(dialog_.ending.value_or(timed_out), now, out);
      break;  // §13.3.1.4: no ACK came
    case State::ending:
      end(dialog_.ending.value_or(timed_out), out);
      break;
    case State::calling:
    case State::ringing_out:
      end(timed_out, out);
      break;
    case State::rejected:
      state_ = State::idle;
      retransmission_.reset();
      break;
    case State::idle:
    case State::ringing_in:
    case State::established:
      retransmission_.reset();
      break;
  }
  return out;
}

}  // namespace qanat::terminal
