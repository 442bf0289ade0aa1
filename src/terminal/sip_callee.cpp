// The server side of SipAgent: requests that come in (RFC 3261 §8.2, §13.3, §17.2).
#include <algorithm>

#include "crypto/kdf.hpp"
#include "terminal/ipv4.hpp"
#include "terminal/sip.hpp"

namespace qanat::terminal {
namespace {

constexpr std::string_view allowed_methods = "INVITE, ACK, BYE";
constexpr std::size_t refusal_tag_octets = 8;
constexpr std::string_view sdp_type = "application/sdp";

/// For a quoted string: no quote, backslash or control character.
std::string quotable(std::string text) {
  std::ranges::replace_if(
      text, [](char c) { return c < 0x20 || c == 0x7F || c == '"' || c == '\\'; }, '\'');
  return text;
}

bool is_sdp(const SipMessage& message) {
  const std::string* type = message.find("Content-Type");
  return type != nullptr && same_sip_name(std::string_view(*type).substr(0, std::min(type->find_first_of("; \t"), type->size())), sdp_type);
}

}  // namespace

SipMessage SipAgent::response(const SipMessage& to, int status, std::string_view reason, const std::string& local_tag) const {
  SipMessage message;
  message.status = status;
  message.reason = reason;
  // §8.2.6.2: every Via in its order, and these as they came but for the tag in To.
  for (const SipHeader& header : to.headers) {
    if (same_sip_name(header.name, "Via")) message.headers.push_back(header);
  }
  for (const std::string_view copied : {"From", "To", "Call-ID", "CSeq"}) {
    const std::string* value = to.find(copied);
    CHECK(value != nullptr);
    message.add(copied, *value);
    if (copied != "To" || local_tag.empty()) continue;
    if (const auto address = parse_sip_address(*value); address && address->tag.empty()) message.headers.back().value += ";tag=" + local_tag;
  }
  return message;
}

void SipAgent::respond(SipMessage message, SipOutput& out) {
  message.add("Session-ID", session_id());
  message.add("Contact", contact());
  dialog_.last_response = SipDatagram{.to = dialog_.peer, .octets = encode_sip(message)};
  out.send.push_back(*dialog_.last_response);
}

// Stateless (§8.2.7): nothing is remembered, and the tag is the same each time because it is formed from the request.
void SipAgent::refuse(const net::Endpoint& from, const SipMessage& message, const SipEssentials& essentials, const Refusal& refusal, SipOutput& out) const {
  const Bytes seed = crypto::digest(crypto::Hash::sm3, {as_bytes(essentials.call_id), as_bytes(essentials.branch), number_.view()});
  SipMessage answer = response(message, refusal.status, refusal.reason, to_hex(ByteView(seed).first(refusal_tag_octets)));
  if (refusal.status == 405) answer.add("Allow", std::string(allowed_methods));
  if (!refusal.why.empty()) answer.add("Warning", "399 " + to_text(local_) + " \"" + quotable(refusal.why) + "\"");
  out.send.push_back({.to = from, .octets = encode_sip(answer)});
  if (message.method == "INVITE") out.events.emplace_back(InviteRefused{.status = refusal.status, .why = refusal.why});
}

void SipAgent::on_request(const net::Endpoint& from, const SipMessage& message, const SipEssentials& essentials, SipTime now, SipOutput& out) {
  if (message.method == "INVITE") {
    const bool same_invite = !dialog_.is_caller && essentials.call_id == dialog_.call_id && essentials.from.tag == dialog_.remote_tag &&
                             essentials.branch == dialog_.invite_branch && essentials.sequence == dialog_.invite_sequence;
    if (same_invite) {
      if (dialog_.last_response) out.send.push_back(*dialog_.last_response);
    } else if (is_of_dialog(essentials) && state_ != State::idle) {
      refuse(from, message, essentials, {.status = 488, .reason = "Not Acceptable Here", .why = "a running call is not changed"}, out);
    } else {
      on_new_invite(from, message, essentials, out);
    }
  } else if (message.method == "ACK") {
    on_ack(essentials, now, out);
  } else if (message.method == "BYE") {
    on_bye(from, message, essentials, out);
  } else {
    refuse(from, message, essentials, {.status = 405, .reason = "Method Not Allowed", .why = {}}, out);
  }
}

std::optional<SipAgent::Refusal> SipAgent::judge(const SipMessage& message, const SipEssentials& essentials, Dialog& dialog, Number& caller) const {
  const auto bad_request = [](std::string why) { return Refusal{.status = 400, .reason = "Bad Request", .why = std::move(why)}; };
  const auto called = sip_user(essentials.to.uri);
  if (!called || *called != number_.text()) return Refusal{.status = 404, .reason = "Not Found", .why = "this terminal has another number"};
  const auto calling = sip_user(essentials.from.uri);
  if (!calling) return bad_request(calling.error().message);
  auto number = parse_number(*calling);
  if (!number) return bad_request(number.error().message);
  const std::string* contact_header = message.find("Contact");
  if (contact_header == nullptr) return bad_request("no Contact");
  const auto address = parse_sip_address(*contact_header);
  if (!address) return bad_request(address.error().message);
  auto target = parse_sip_uri(address->uri);
  if (!target) return bad_request(target.error().message);
  if (!is_sdp(message)) return Refusal{.status = 415, .reason = "Unsupported Media Type", .why = "the offer is not application/sdp"};
  auto offer = parse_sdp(message.body);
  if (!offer) return Refusal{.status = 488, .reason = "Not Acceptable Here", .why = offer.error().message};
  if (offer->sid_call != make_sid_call(*number, number_, offer->nonce)) {
    return Refusal{.status = 403, .reason = "Forbidden", .why = "SID_CALL is not formed from the numbers of this call"};
  }
  const std::string* session = message.find("Session-ID");
  if (session == nullptr || session->substr(0, session->find(';')) != session_id_of(offer->sid_call)) return bad_request("Session-ID is not that of SID_CALL");

  caller = std::move(*number);
  dialog.call_id = essentials.call_id;
  dialog.remote_tag = essentials.from.tag;
  dialog.remote_uri = essentials.from.uri;
  dialog.local_uri = essentials.to.uri;
  dialog.invite_sequence = dialog.remote_sequence = essentials.sequence;
  dialog.invite_branch = essentials.branch;
  dialog.invite = message;
  dialog.target = std::move(*target);
  dialog.offer = std::move(*offer);
  return std::nullopt;
}

void SipAgent::on_new_invite(const net::Endpoint& from, const SipMessage& message, const SipEssentials& essentials, SipOutput& out) {
  if (!essentials.to.tag.empty()) {
    refuse(from, message, essentials, {.status = 481, .reason = "Call/Transaction Does Not Exist", .why = {}}, out);
    return;
  }
  Dialog dialog;
  Number caller;
  auto refusal = judge(message, essentials, dialog, caller);
  if (!refusal && state_ != State::idle) refusal = Refusal{.status = 486, .reason = "Busy Here", .why = "another call is on"};
  if (refusal) {
    refuse(from, message, essentials, *refusal, out);
    return;
  }
  dialog_ = std::move(dialog);
  dialog_.local_tag = random_token();
  dialog_.peer = from;  // responses go back where the request came from (RFC 3581)
  state_ = State::ringing_in;
  out.send.push_back({.to = from, .octets = encode_sip(response(message, 100, "Trying", {}))});
  respond(response(message, 180, "Ringing", dialog_.local_tag), out);
  out.events.emplace_back(IncomingCall{.caller = std::move(caller), .offer = dialog_.offer});
}

Result<SipOutput> SipAgent::answer(const SessionDescription& answer, SipTime now) {
  if (state_ != State::ringing_in) return fail(ErrorCode::conflict, "sip: no call waits for an answer");
  if (answer.sid_call != dialog_.offer.sid_call || answer.sid_wk != dialog_.offer.sid_wk || answer.nonce != dialog_.offer.nonce) {
    return fail(ErrorCode::invalid_argument, "sip: the answer is for another SID_CALL or SID_WK than the offer");
  }
  SipMessage message = response(dialog_.invite, 200, "OK", dialog_.local_tag);
  ASSIGN_OR_RETURN(message.body, encode_sdp(answer));
  message.add("Content-Type", std::string(sdp_type));
  SipOutput out;
  respond(std::move(message), out);
  SipDatagram sent = out.send.back();
  out.send.pop_back();
  repeat(std::move(sent), sip_t2, now, out);  // §13.3.1.4
  state_ = State::answered;
  return out;
}

Result<SipOutput> SipAgent::reject(int status, std::string_view reason, SipTime now) {
  if (state_ != State::ringing_in) return fail(ErrorCode::conflict, "sip: no call waits to be rejected");
  if (status < 400 || status > 699) return fail(ErrorCode::invalid_argument, "sip: " + std::to_string(status) + " is not a refusal (400..699)");
  SipOutput out;
  respond(response(dialog_.invite, status, quotable(std::string(reason)), dialog_.local_tag), out);
  const SipDatagram sent = out.send.back();
  end({.reason = CallEnd::refused, .status = status, .text = std::string(reason)}, out);
  out.send.clear();
  repeat(sent, sip_t2, now, out);  // timers G and H
  state_ = State::rejected;
  return out;
}

void SipAgent::on_ack(const SipEssentials& essentials, SipTime now, SipOutput& out) {
  if (!is_of_dialog(essentials) || dialog_.is_caller || essentials.sequence != dialog_.invite_sequence) {
    ++ignored_;
    return;
  }
  if (state_ == State::rejected) {
    state_ = State::idle;
    retransmission_.reset();
  } else if (state_ == State::answered) {
    retransmission_.reset();
    state_ = State::established;
    // From here on our requests go to the caller's Contact (§12.1.1).
    dialog_.peer = dialog_.target.at;
    out.events.emplace_back(CallConfirmed{});
    if (dialog_.ending) send_bye(*dialog_.ending, now, out);
  }
}

void SipAgent::on_bye(const net::Endpoint& from, const SipMessage& message, const SipEssentials& essentials, SipOutput& out) {
  const bool known = is_of_dialog(essentials) && state_ != State::ringing_in && state_ != State::rejected;
  if (!known) {
    refuse(from, message, essentials, {.status = 481, .reason = "Call/Transaction Does Not Exist", .why = {}}, out);
    return;
  }
  // A BYE that comes again after the end, or crosses ours, gets its 200 as well.
  out.send.push_back({.to = from, .octets = encode_sip(response(message, 200, "OK", dialog_.local_tag))});
  if (state_ == State::established || state_ == State::answered) {
    dialog_.remote_sequence = essentials.sequence;
    end({.reason = CallEnd::remote_hang_up, .status = 0, .text = {}}, out);
  }
}

}  // namespace qanat::terminal
