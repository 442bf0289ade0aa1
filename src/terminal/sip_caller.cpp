// The client side of SipAgent: requests that it sends and the responses to them (RFC 3261 §13.2, §17.1).
#include "terminal/ipv4.hpp"
#include "terminal/sip.hpp"

namespace qanat::terminal {

Result<SipOutput> SipAgent::invite(const Number& callee, const net::Endpoint& at, const SessionDescription& offer, SipTime now) {
  if (state_ != State::idle) return fail(ErrorCode::conflict, "sip: another call is on");
  TRY(parse_number(callee.text()));
  if (offer.sid_call != make_sid_call(number_, callee, offer.nonce)) {
    return fail(ErrorCode::invalid_argument, "sip: the offer's SID_CALL is not formed from these two numbers and its nonce");
  }
  ASSIGN_OR_RETURN(std::string body, encode_sdp(offer));

  dialog_ = Dialog{};
  dialog_.is_caller = true;
  dialog_.call_id = random_token();
  dialog_.local_tag = random_token();
  dialog_.local_uri = SipUri{.user = number_.text(), .at = local_}.text();
  dialog_.target = SipUri{.user = callee.text(), .at = at};
  dialog_.remote_uri = dialog_.target.text();
  dialog_.peer = at;
  dialog_.invite_sequence = dialog_.sequence = 1;
  dialog_.invite_branch = new_branch();
  dialog_.offer = offer;
  SipMessage message = request("INVITE", dialog_.invite_sequence, dialog_.invite_branch);
  message.add("Contact", contact());
  message.add("Content-Type", "application/sdp");
  message.body = std::move(body);
  dialog_.invite = message;

  SipOutput out;
  repeat({.to = at, .octets = encode_sip(message)}, sip_give_up, now, out);  // timer A doubles without an upper limit
  state_ = State::calling;
  return out;
}

SipMessage SipAgent::request(std::string_view method, std::uint32_t sequence, const std::string& branch) const {
  SipMessage message;
  message.method = method;
  message.uri = dialog_.target.text();
  message.add("Via", "SIP/2.0/UDP " + to_text(local_) + ";branch=" + branch + ";rport");
  message.add("Max-Forwards", "70");
  message.add("From", "<" + dialog_.local_uri + ">;tag=" + dialog_.local_tag);
  message.add("To", "<" + dialog_.remote_uri + ">" + (dialog_.remote_tag.empty() ? "" : ";tag=" + dialog_.remote_tag));
  message.add("Call-ID", dialog_.call_id);
  message.add("CSeq", std::to_string(sequence) + " " + std::string(method));
  message.add("Session-ID", session_id());
  return message;
}

void SipAgent::acknowledge(const SipMessage& ack, SipOutput& out) {
  dialog_.ack = SipDatagram{.to = dialog_.peer, .octets = encode_sip(ack)};
  out.send.push_back(*dialog_.ack);
}

void SipAgent::send_bye(CallEnded why, SipTime now, SipOutput& out) {
  dialog_.ending = std::move(why);
  dialog_.bye_branch = new_branch();
  const SipMessage bye = request("BYE", ++dialog_.sequence, dialog_.bye_branch);
  repeat({.to = dialog_.peer, .octets = encode_sip(bye)}, sip_t2, now, out);
  state_ = State::ending;
}

void SipAgent::on_response(const SipMessage& message, const SipEssentials& essentials, SipTime now, SipOutput& out) {
  const bool ours = essentials.call_id == dialog_.call_id && essentials.from.tag == dialog_.local_tag;
  if (ours && dialog_.is_caller && essentials.sequence_method == "INVITE" && essentials.branch == dialog_.invite_branch) {
    on_invite_response(message, essentials, now, out);
  } else if (ours && essentials.sequence_method == "BYE" && essentials.branch == dialog_.bye_branch && state_ == State::ending) {
    // Any final response ends it, also 481: the other side knows of no call.
    if (message.status >= 200 && dialog_.ending) end(*dialog_.ending, out);
  } else {
    ++ignored_;
  }
}

void SipAgent::on_invite_response(const SipMessage& message, const SipEssentials& essentials, SipTime now, SipOutput& out) {
  const bool waiting = state_ == State::calling || state_ == State::ringing_out;
  if (message.status < 200) {
    if (!waiting) return;
    if (state_ == State::calling && retransmission_) retransmission_->next = retransmission_->give_up = now + sip_ringing_max;
    state_ = State::ringing_out;
    if (message.status >= 180 && !dialog_.rings_reported) {
      dialog_.rings_reported = true;
      out.events.emplace_back(CallRings{});
    }
    return;
  }
  if (message.status < 300) {
    on_answer(message, essentials, now, out);
    return;
  }
  if (!waiting && !(state_ == State::idle && (dialog_.ack || dialog_.abandoned))) {
    ++ignored_;
    return;
  }
  if (dialog_.ack) {
    out.send.push_back(*dialog_.ack);
    return;
  }
  // §17.1.1.3: this ACK belongs to the INVITE's transaction: its branch and Request-URI, the response's To.
  dialog_.remote_tag = essentials.to.tag;
  acknowledge(request("ACK", dialog_.invite_sequence, dialog_.invite_branch), out);
  end({.reason = CallEnd::refused, .status = message.status, .text = message.reason}, out);
}

void SipAgent::on_answer(const SipMessage& message, const SipEssentials& essentials, SipTime now, SipOutput& out) {
  if (dialog_.ack) {
    // §13.2.2.4: each repeated 200 gets the ACK again.
    if (essentials.to.tag == dialog_.remote_tag) out.send.push_back(*dialog_.ack);
    return;
  }
  if (state_ == State::idle && !dialog_.abandoned) {
    ++ignored_;
    return;
  }
  const std::string* contact_header = message.find("Contact");
  const auto address = contact_header == nullptr ? Result<SipAddress>(fail(ErrorCode::invalid_argument, "none")) : parse_sip_address(*contact_header);
  const auto target = address ? parse_sip_uri(address->uri) : Result<SipUri>(fail(ErrorCode::invalid_argument, "none"));
  if (essentials.to.tag.empty() || !target) {
    end({.reason = CallEnd::mismatch, .status = message.status, .text = "the answer has no To tag or no usable Contact"}, out);
    return;
  }
  dialog_.remote_tag = essentials.to.tag;
  dialog_.target = *target;
  dialog_.peer = target->at;
  acknowledge(request("ACK", dialog_.invite_sequence, new_branch()), out);
  if (dialog_.abandoned) {
    send_bye({.reason = CallEnd::local_hang_up, .status = 0, .text = {}}, now, out);
    return;
  }
  SessionDescription answer;
  if (auto wrong = mismatch(message, answer)) {
    send_bye({.reason = CallEnd::mismatch, .status = message.status, .text = std::move(*wrong)}, now, out);
    return;
  }
  retransmission_.reset();
  state_ = State::established;
  out.events.emplace_back(CallAnswered{std::move(answer)});
}

std::optional<std::string> SipAgent::mismatch(const SipMessage& message, SessionDescription& answer) const {
  auto parsed = parse_sdp(message.body);
  if (!parsed) return parsed.error().message;
  if (parsed->sid_call != dialog_.offer.sid_call || parsed->nonce != dialog_.offer.nonce) return "the answer is for another SID_CALL";
  if (parsed->sid_wk != dialog_.offer.sid_wk) return "the answer is for another SID_WK";
  const std::string* session = message.find("Session-ID");
  if (session == nullptr || session->substr(0, session->find(';')) != session_id_of(dialog_.offer.sid_call)) return "the answer's Session-ID is not the call's";
  answer = std::move(*parsed);
  return std::nullopt;
}

}  // namespace qanat::terminal
