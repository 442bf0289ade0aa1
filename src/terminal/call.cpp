// The loop of a call, and its SIP side. What happens to key, Ax and media is in call_secure.cpp.
#include "terminal/call.hpp"

#include <algorithm>

namespace qanat::terminal {
namespace {

constexpr std::size_t inbox_max = 4096;  // more than a second of media; what is beyond is lost, as on a network
constexpr std::chrono::milliseconds closing_max{1500};
constexpr std::chrono::milliseconds unseen_max{300};  // to learn whether anybody has received the INVITE at all
constexpr std::chrono::milliseconds drain_max{250};
constexpr int no_working_key = 480;  // Temporarily Unavailable, RFC 3261 §21.4.18

}  // namespace

Call::Call(const CallParty& party, const CallSettings& settings, std::vector<std::int16_t> said)
    : party_(party), settings_(settings), said_(std::move(said)), plan_(settings.rekey), capture_("qanat " + party.number.text()) {}

Call::~Call() {
  key_thread_.request_stop();
  // The listeners must be gone before the inbox is; the key thread is joined by its own destructor, before it.
  sip_port_.reset();
  media_port_.reset();
}

Result<std::unique_ptr<Call>> Call::open(const CallParty& party, const CallSettings& settings, std::vector<std::int16_t> said) {
  std::unique_ptr<Call> call(new Call(party, settings, std::move(said)));
  const auto sink = [&call = *call](Port port) {
    return [&call, port](net::Datagram datagram, std::uint64_t time_ns) { call.deliver(Arrived{.port = port, .datagram = std::move(datagram), .time_ns = time_ns}); };
  };
  ASSIGN_OR_RETURN(call->sip_port_, UdpPort::open(settings.sip, sink(Port::sip)));
  ASSIGN_OR_RETURN(call->media_port_, UdpPort::open({.host = settings.sip.host, .port = 0}, sink(Port::media)));
  call->sip_agent_.emplace(party.number, call->sip_port_->local(), party.ax.rng);
  return Result<std::unique_ptr<Call>>(std::move(call));
}

void Call::deliver(Item item) {
  {
    const std::lock_guard lock(inbox_mutex_);
    if (inbox_.size() >= inbox_max && std::holds_alternative<Arrived>(item)) return;
    inbox_.push_back(std::move(item));
  }
  inbox_filled_.notify_one();
}

std::optional<Call::Item> Call::next_item(Time until) {
  std::unique_lock lock(inbox_mutex_);
  if (!inbox_filled_.wait_until(lock, until, [this] { return !inbox_.empty(); })) return std::nullopt;
  Item item = std::move(inbox_.front());
  inbox_.pop_front();
  return item;
}

Result<CallReport> Call::place(const Number& callee, const net::Endpoint& at) {
  crypto::Rng& rng = party_.ax.rng;
  role_ = wire::Role::caller;
  caller_ = party_.number;
  called_ = callee;
  nonce_ = rng.id<CallNonce>();
  report_.sid_wk = rng.id<SidWk>();
  report_.sid_call = make_sid_call(caller_, called_, nonce_);
  invited_ = std::chrono::steady_clock::now();
  phase_ = Phase::setup;
  auto invite = sip_agent_->invite(callee, at, description(nonce_), invited_);
  if (!invite) return fail(invite.error());
  take_sip(std::move(invite));
  report("invite", "INVITE sent to " + callee.text());
  // Step 4 goes beside the INVITE: neither waits for the other.
  fetch_key(report_.sid_wk);
  return run();
}

Result<CallReport> Call::answer() {
  role_ = wire::Role::callee;
  called_ = party_.number;
  wait_until_ = std::chrono::steady_clock::now() + settings_.wait_max;
  return run();
}

Result<CallReport> Call::run() {
  while (phase_ != Phase::over) {
    auto item = next_item(next_wake());
    if (item) {
      if (auto* fetched = std::get_if<Fetched>(&*item)) {
        on_fetched(std::move(*fetched));
      } else if (auto* stepped = std::get_if<Stepped>(&*item)) {
        on_stepped(std::move(*stepped));
      } else {
        take(std::get<Arrived>(*item));
      }
    }
    on_time(std::chrono::steady_clock::now());
  }
  key_thread_.request_stop();
  if (ax_thread_.joinable()) ax_thread_.join();  // it uses what the party's owner may take away now
  if (failure_) return fail(*failure_);
  return make_report();
}

Call::Time Call::next_wake() const {
  Time out = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  const auto by = [&out](std::optional<Time> time) {
    if (time) out = std::min(out, *time);
  };
  by(sip_agent_->next_timer());
  if (carrier_) by(carrier_->next_timer());
  switch (phase_) {
    case Phase::waiting: by(wait_until_); break;
    case Phase::setup:
      by(invited_ + settings_.setup_max);
      if (role_ == wire::Role::callee && !answered_) by(invited_ + settings_.hold_max);
      break;
    case Phase::securing: by(invited_ + settings_.setup_max); break;
    case Phase::talking:
      if (next_) by(next_->carrier.next_timer());
      if (const auto due = media_->sender.due()) {
        by(talk_started_ + std::chrono::duration_cast<Time::duration>(*due / settings_.pace));
      } else {
        by(next_farewell_);
      }
      break;
    case Phase::draining: by(drain_until_); break;
    case Phase::closing: by(closing_until_); break;
    case Phase::over: break;
  }
  return out;
}

void Call::on_time(Time now) {
  take_sip(sip_agent_->tick(now));
  if (carrier_) {
    send_all(carrier_->tick(now));
    if (carrier_->gave_up() && phase_ == Phase::securing) close(Error{ErrorCode::deadline_exceeded, "Ax: the other end does not answer"});
  }
  switch (phase_) {
    case Phase::waiting:
      if (now >= wait_until_) close(Error{ErrorCode::deadline_exceeded, "nobody called"});
      break;
    case Phase::setup:
    case Phase::securing:
      if (now >= invited_ + settings_.setup_max) {
        close(Error{ErrorCode::deadline_exceeded, phase_ == Phase::securing ? "Ax was not confirmed in time" : "the call was not set up in time"});
      } else if (role_ == wire::Role::callee && !answered_ && now >= invited_ + settings_.hold_max) {
        answer_sip();  // the key is late: the call stands, in silence, until it comes
      }
      break;
    case Phase::talking:
      mind_key(now);
      if (phase_ == Phase::talking) talk(now);
      break;
    case Phase::draining:
      if (heard_all() || now >= drain_until_) close(std::nullopt);
      break;
    case Phase::closing:
    case Phase::over: break;
  }
  if (phase_ == Phase::closing && (now >= closing_until_ || (sip_agent_->idle() && !lingers_))) phase_ = Phase::over;
}

void Call::take(const Arrived& arrived) {
  const net::Endpoint& local = arrived.port == Port::sip ? sip_port_->local() : media_port_->local();
  (void)capture_.add_udp(arrived.time_ns, arrived.datagram.from, local, arrived.datagram.octets);
  if (arrived.port == Port::sip) {
    if (lingers_) linger(arrived.datagram.octets);
    take_sip(sip_agent_->receive(arrived.datagram.from, arrived.datagram.octets, std::chrono::steady_clock::now()));
  } else {
    on_media(arrived.datagram);
  }
}

// After giving up a call that somebody has received, the caller stays for the late 200: it gets ACK and BYE instead of silence.
void Call::linger(ByteView sip_datagram) {
  const bool provisional = as_text(sip_datagram).starts_with("SIP/2.0 1");
  if (provisional) closing_until_ = std::chrono::steady_clock::now() + closing_max;
  lingers_ = provisional;
}

void Call::take_sip(Result<SipOutput> output) {
  if (!output) {
    close(output.error());
    return;
  }
  for (const SipDatagram& datagram : output->send) send(Port::sip, datagram.to, datagram.octets);
  for (const SipEvent& event : output->events) on_sip(event);
}

void Call::on_sip(const SipEvent& event) {
  if (const auto* incoming = std::get_if<IncomingCall>(&event)) {
    on_incoming(*incoming);
  } else if (std::holds_alternative<CallRings>(event)) {
    rings_ = true;
    report("ringing", "the callee's phone rings");
  } else if (const auto* answered = std::get_if<CallAnswered>(&event)) {
    on_answered(answered->answer);
  } else if (const auto* refused = std::get_if<InviteRefused>(&event)) {
    report("invite_refused", std::to_string(refused->status) + ": " + refused->why);
  } else if (const auto* ended = std::get_if<CallEnded>(&event)) {
    on_ended(*ended);
  }
}

void Call::on_incoming(const IncomingCall& call) {
  if (phase_ != Phase::waiting) {
    take_sip(sip_agent_->reject(486, "Busy Here", std::chrono::steady_clock::now()));
    return;
  }
  phase_ = Phase::setup;
  invited_ = std::chrono::steady_clock::now();
  caller_ = call.caller;
  nonce_ = call.offer.nonce;
  remote_ = call.offer;
  report_.sid_wk = call.offer.sid_wk;
  report_.sid_call = call.offer.sid_call;
  report("invite", "INVITE received from " + caller_.text());
  carrier_.emplace(AxEnd::responder, report_.sid_wk);
  fetch_key(report_.sid_wk);
}

void Call::on_answered(const SessionDescription& answer) {
  answered_ = true;
  remote_ = answer;
  report_.invite_to_answer_ms = ms_since_invite();
  report("step", "INVITE answered; SDP carries SID_CALL and SID_WK", 3, report_.invite_to_answer_ms);
  carrier_.emplace(AxEnd::initiator, report_.sid_wk);
  begin_ax();
}

void Call::answer_sip() {
  take_sip(sip_agent_->answer(description(nonce_), std::chrono::steady_clock::now()));
  if (phase_ == Phase::closing) return;
  answered_ = true;
  report_.invite_to_answer_ms = ms_since_invite();
  report("step", "call answered; SDP carries SID_CALL and SID_WK", 3, report_.invite_to_answer_ms);
}

void Call::on_ended(const CallEnded& ended) {
  report_.ended = ended.reason;
  if (phase_ == Phase::closing) return;
  if (phase_ == Phase::talking) {
    phase_ = Phase::draining;
    drain_until_ = std::chrono::steady_clock::now() + drain_max;
    return;
  }
  const std::string detail = ended.text.empty() ? "" : ": " + ended.text;
  switch (ended.reason) {
    case CallEnd::refused: close(Error{ErrorCode::unavailable, "the call was refused with " + std::to_string(ended.status) + detail}); break;
    case CallEnd::timed_out: close(Error{ErrorCode::deadline_exceeded, "SIP" + detail}); break;
    case CallEnd::mismatch: close(Error{ErrorCode::denied, "the answer does not fit the call" + detail}); break;
    case CallEnd::remote_hang_up: close(Error{ErrorCode::unavailable, "the other end hung up before Ax was confirmed; nothing was said"}); break;
    case CallEnd::local_hang_up: close(Error{ErrorCode::unavailable, "hung up" + detail}); break;
  }
}

void Call::close(std::optional<Error> why) {
  if (phase_ == Phase::closing || phase_ == Phase::over) return;
  if (why) {
    failure_ = std::move(why);
    report("failed", failure_->message);
  }
  phase_ = Phase::closing;
  const Time now = std::chrono::steady_clock::now();
  closing_until_ = now + closing_max;
  if (carrier_) carrier_->settle();
  next_.reset();
  key_thread_.request_stop();
  if (sip_agent_->idle()) return;  // the call is over at both ends
  const bool is_caller = role_ == wire::Role::caller;
  // A callee that has not answered says why; every other state has one way to hang up.
  auto output = is_caller || answered_ ? sip_agent_->hang_up(now) : sip_agent_->reject(no_working_key, "No Working Key", now);
  if (output) take_sip(std::move(output));
  if (!is_caller || answered_) return;
  lingers_ = true;
  if (!rings_) closing_until_ = now + unseen_max;
}

void Call::send(Port port, const net::Endpoint& to, ByteView octets) {
  UdpPort& from = port == Port::sip ? *sip_port_ : *media_port_;
  // Captured first: on loopback the other end's answer can be here before send() returns. A datagram that the system does not take is lost,
  // as it could be on the way.
  (void)capture_.add_udp(capture_time_ns(), from.local(), to, octets);
  (void)from.send(to, octets);
}

SessionDescription Call::description(const CallNonce& nonce) const {
  return {.media = media_port_->local(), .sid_call = report_.sid_call, .sid_wk = report_.sid_wk, .kms = party_.kms, .nonce = nonce};
}

double Call::ms_since_invite() const { return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - invited_).count(); }

void Call::report(std::string event, std::string what, std::optional<int> step, std::optional<double> ms) {
  if (party_.observe) party_.observe({.event = std::move(event), .step = step, .what = std::move(what), .ms = ms});
}

CallReport Call::make_report() {
  report_.epochs = epochs_->report();
  // Whoever has one of its keys has heard a part of the call.
  const KeyEpoch& weakest = *std::ranges::min_element(report_.epochs, {}, [](const KeyEpoch& epoch) { return std::pair(epoch.assurance, epoch.n_paths); });
  report_.assurance = weakest.assurance;
  report_.n_paths = weakest.n_paths;
  report_.path_min = weakest.path_min;
  report_.packets_sent = media_->sender.packets_sent();
  report_.heard = media_->receiver.finish();
  report_.packets_received = media_->receiver.packets_heard();
  report_.srtp = media_->receiver.srtp_counts();
  report_.foreign_payloads = media_->receiver.foreign_payloads();
  const std::uint64_t announced = control_->announced_packets().value_or(0);
  report_.packets_lost = std::max(media_->receiver.reorder_counts().lost, announced - std::min(announced, report_.packets_received));
  return std::move(report_);
}

}  // namespace qanat::terminal
