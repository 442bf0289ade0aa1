// A call's working key, Ax and media.
#include "terminal/call.hpp"

namespace qanat::terminal {
namespace {

constexpr std::chrono::milliseconds farewell_every{100};
constexpr std::chrono::milliseconds farewell_grace{250};  // for packets that the farewell has overtaken
constexpr std::chrono::milliseconds silence_max{3000};  // after which an end that has said everything hangs up
constexpr std::chrono::milliseconds acknowledge_max{3000};

/// The same key in the type that SRTP takes.
MediaKeys srtp_keys(wire::MediaKey key) { return {.key = std::move(key.key), .salt = std::move(key.salt)}; }

}  // namespace

void Call::fetch_key(const SidWk& sid_wk) {
  KeyWanted wanted{.role = role_, .sid_wk = sid_wk, .sid_call = report_.sid_call, .caller = caller_, .called = called_};
  fetching_ = true;
  key_thread_ = std::jthread([this, wanted = std::move(wanted)](const std::stop_token& stop) {
    auto key = party_.keys.fetch(wanted, Deadline::after(settings_.key_max), stop);
    const bool arrived = key.has_value();
    const Bytes h_deliver = arrived ? key->h_deliver : Bytes{};
    deliver(Fetched{.sid_wk = wanted.sid_wk, .key = std::move(key)});
    // The call goes on meanwhile.
    if (arrived) party_.keys.acknowledge(h_deliver, Deadline::after(acknowledge_max));
    fetching_ = false;
  });
}

void Call::on_key(Result<WorkingKey> key) {
  if (phase_ != Phase::setup) return;
  if (!key) {
    close(Error{key.error().code, "no working key: " + key.error().message});
    return;
  }
  report_.invite_to_wk_ms = ms_since_invite();
  report_.wk_fingerprint = wire::wk_fingerprint(party_.ax.suite, key->wk);
  report_.injected = key->injected;
  report_.charged = key->charged;
  report_.symmetric = key->symmetric;
  report_.directory = key->directory;
  report_.peer_uid = key->peer_uid;
  report_.peer_number = key->peer_number;
  report_.peer_kms = key->peer_kms;
  key_ = std::move(*key);
  if (role_ == wire::Role::callee && !answered_) answer_sip();
  begin_ax();
}

KeyEpoch Call::epoch_of(const SidWk& sid_wk, const WorkingKey& key) const {
  return {.sid_wk = sid_wk,
          .wk_fingerprint = wire::wk_fingerprint(party_.ax.suite, key.wk),
          .assurance = key.assurance,
          .n_paths = key.n_paths,
          .path_min = key.path_min,
          .injected = key.injected};
}

AxSession Call::ax_session(const SidWk& sid_wk, const WorkingKey& key) const {
  return {.sid_wk = sid_wk,
          .sid_call = report_.sid_call,
          .caller = caller_,
          .called = called_,
          .peer_uid = key.peer_uid,
          .peer_fps = key.peer_fps,
          .peer_kms = key.peer_kms};
}

void Call::begin_ax() {
  if (phase_ != Phase::setup || !key_ || !answered_) return;
  const Number& peer = role_ == wire::Role::caller ? called_ : caller_;
  if (key_->peer_number != peer || key_->peer_kms != remote_->kms) {
    close(Error{ErrorCode::denied, "the working key was agreed with " + key_->peer_number.text() + " at " + key_->peer_kms.text() + ", SIP says " +
                                       peer.text() + " at " + remote_->kms.text()});
    return;
  }
  phase_ = Phase::securing;
  first_epoch_ = epoch_of(report_.sid_wk, *key_);
  Secret wk = std::move(key_->wk);
  if (role_ == wire::Role::callee) {
    responder_.emplace(party_.ax, ax_session(report_.sid_wk, *key_), std::move(wk));
    if (ax_message_waits_) on_ax_message();
    return;
  }
  auto started = AxInitiator::start(party_.ax, ax_session(report_.sid_wk, *key_), wk);
  if (!started) {
    close(started.error());
    return;
  }
  initiator_.emplace(std::move(*started));
  auto fragments = carrier_->send(initiator_->opening(), std::chrono::steady_clock::now());
  if (!fragments) {
    close(fragments.error());
    return;
  }
  send_all(*fragments);
}

void Call::send_all(const std::vector<Bytes>& datagrams) {
  for (const Bytes& datagram : datagrams) send(Port::media, remote_->media, datagram);
}

void Call::send_control(Result<Bytes> packet) {
  if (packet) send(Port::media, remote_->media, *packet);
}

void Call::on_media(const net::Datagram& datagram) {
  // Only from where SIP says that the other end's media comes from; what is not from there is not ours to judge.
  if (!remote_ || datagram.from != remote_->media || phase_ == Phase::closing) return;
  if (is_ax_datagram(datagram.octets)) {
    on_ax(datagram.octets);
    return;
  }
  if (!media_ || !is_media(datagram.octets)) return;
  if (is_rtcp(datagram.octets)) {
    const MediaControl::Heard said = control_->receive(datagram.octets);
    if (said == MediaControl::Heard::nothing) return;
    if (said == MediaControl::Heard::farewell && !peer_done_) peer_done_ = std::chrono::steady_clock::now();
    heard(datagram, KeyEpochs::Stream::rtcp);
    if (said == MediaControl::Heard::rekey) on_rekey_word(*control_->rekeying());
  } else {
    const std::uint64_t before = media_->receiver.srtp_counts().accepted;
    media_->receiver.receive(datagram.octets);
    if (media_->receiver.srtp_counts().accepted == before) return;
    heard(datagram, KeyEpochs::Stream::rtp);
    if (!first_heard_) {
      first_heard_ = true;
      report_.setup_ms = ms_since_invite();
    }
  }
  last_heard_ = std::chrono::steady_clock::now();
  // Only an end that has finished Ax can make an authentic packet: the caller now knows that the callee has.
  if (phase_ == Phase::securing) begin_talking();
}

void Call::on_ax(ByteView datagram) {
  if (!carrier_) return;
  if (next_) on_next_ax(datagram);
  on_refused_ax(datagram);
  switch (carrier_->receive(datagram)) {
    case AxCarrier::Arrival::ignored:
    case AxCarrier::Arrival::fragment: break;
    case AxCarrier::Arrival::message:
      ax_message_waits_ = true;
      if (phase_ == Phase::securing) on_ax_message();
      break;
    case AxCarrier::Arrival::repeated:
      // The caller has not seen that we have finished.
      if (role_ == wire::Role::callee && phase_ == Phase::talking) send_control(control_->confirmation());
      break;
  }
}

void Call::on_ax_message() {
  ax_message_waits_ = false;
  const Bytes message = carrier_->take_message();
  const auto done = role_ == wire::Role::caller ? ax_as_caller(message) : ax_as_callee(message);
  if (!done) close(Error{done.error().code, "Ax: " + done.error().message});
}

Result<void> Call::ax_as_caller(ByteView message) {
  ASSIGN_OR_RETURN(AxInitiator::Finished finished, initiator_->finish(message));
  TRY(arm(std::move(finished.keys)));
  // Nothing is said yet: AX3 is repeated until the callee shows that it has the keys too.
  ASSIGN_OR_RETURN(const auto fragments, carrier_->send(finished.message, std::chrono::steady_clock::now()));
  send_all(fragments);
  return {};
}

Result<void> Call::ax_as_callee(ByteView message) {
  if (!ax_answered_) {
    ASSIGN_OR_RETURN(const Bytes answer, responder_->answer(message));
    ax_answered_ = true;
    ASSIGN_OR_RETURN(const auto fragments, carrier_->send(answer, std::chrono::steady_clock::now()));
    send_all(fragments);
    return {};
  }
  ASSIGN_OR_RETURN(AxKeys keys, responder_->finish(message));
  TRY(arm(std::move(keys)));
  begin_talking();
  return {};
}

Call::Directions Call::directions(wire::MediaKeys media) const {
  MediaKeys initiator = srtp_keys(std::move(media.initiator));
  MediaKeys responder = srtp_keys(std::move(media.responder));
  if (role_ == wire::Role::caller) return {.send = std::move(initiator), .receive = std::move(responder)};
  return {.send = std::move(responder), .receive = std::move(initiator)};
}

Result<void> Call::arm(AxKeys keys) {
  const crypto::Aead aead = party_.ax.suite.aead;
  const auto& [ours, theirs] = directions(std::move(keys.media));
  report_.sas = keys.sas;
  ASSIGN_OR_RETURN(control_, MediaControl::arm(aead, ours, theirs, report_.sid_wk, party_.ax.rng));
  ASSIGN_OR_RETURN(media_, MediaSession::arm(aead, ours, theirs, report_.sid_wk, std::move(said_), party_.ax.rng));
  first_epoch_.sas = keys.sas;
  epochs_.emplace(aead, *media_, *control_, std::move(first_epoch_));
  peer_fps_ = std::move(keys.peer_fps);
  return {};
}

void Call::begin_talking() {
  phase_ = Phase::talking;
  carrier_->settle();
  talk_started_ = last_heard_ = next_farewell_ = std::chrono::steady_clock::now();
  plan_.in_force(talk_started_);
  report_.invite_to_ax_ms = ms_since_invite();
  report("step", "Ax confirmed at both ends; media keys in force, SAS " + to_hex(report_.sas), 12,
         report_.invite_to_ax_ms - std::max(report_.invite_to_wk_ms, report_.invite_to_answer_ms));
  if (role_ == wire::Role::callee) send_control(control_->confirmation());
  if (party_.begun) party_.begun(report_.sid_wk);
}

void Call::talk(Time now) {
  while (const auto due = media_->sender.due()) {
    if (now < talk_started_ + std::chrono::duration_cast<Time::duration>(*due / settings_.pace)) return;
    auto packet = media_->sender.next();
    if (!packet) {
      close(packet.error());
      return;
    }
    send(Port::media, remote_->media, *packet);
  }
  if (now >= next_farewell_) {
    send_control(control_->farewell(static_cast<std::uint32_t>(media_->sender.packets_sent())));
    next_farewell_ = now + farewell_every;
  }
  // The caller hangs up when both have said everything; either does when the other has fallen silent.
  const bool peer_done = peer_done_ && (heard_all() || now >= *peer_done_ + farewell_grace);
  const bool silent = now >= last_heard_ + silence_max;
  if ((role_ == wire::Role::caller && peer_done) || silent) close(std::nullopt);
}

bool Call::heard_all() const { return control_->announced_packets() && media_->receiver.packets_heard() >= *control_->announced_packets(); }

}  // namespace qanat::terminal
