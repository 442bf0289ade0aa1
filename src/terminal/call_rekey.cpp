// The keys of a call after the first. The caller begins: it says the next session's SID_WK under the key in force, both ends apply for its working key
// and run Ax under it beside the sound, and both go over to the new media keys as key_epochs.hpp says. Whatever fails leaves the call on its key.
#include "terminal/call.hpp"

#include <algorithm>

namespace qanat::terminal {
namespace {

constexpr std::chrono::milliseconds refuse_again_after{100};  // the fragments of one message get one answer

// The caller repeats AX1 for ax_give_up, the callee AX2; before that there is time for a key from the KMS at either end.
static_assert(RekeyRules{}.attempt_max > 2 * ax_give_up);

}  // namespace

void Call::heard(const net::Datagram& datagram, KeyEpochs::Stream stream) {
  const Time now = std::chrono::steady_clock::now();
  const auto what = epochs_->heard(Mki(ByteView(datagram.octets).last(mki_octets)), stream, now);
  if (!what) {
    close(what.error());
  } else if (*what == KeyEpochs::Heard::peer_switched) {
    switched(now);
  }
}

void Call::mind_key(Time now) {
  epochs_->tick(now);
  const std::uint64_t packets = epochs_->sent_in_force();
  if (auto why = plan_.spent(now, packets, next_waits_for())) {
    close(Error{ErrorCode::unavailable, *std::move(why)});
    return;
  }
  if (next_) {
    tick_next(now);
    return;
  }
  const bool all_said = peer_done_ && !media_->sender.due();
  if (all_said || epochs_->overlaps() || fetching_ || stepping_ || !plan_.due(now, packets)) return;
  if (role_ == wire::Role::callee) {
    plan_.asked(now);
    say_rekey(RekeyWord::wanted, epochs_->in_force());
    return;
  }
  begin_next(now);
}

std::string_view Call::next_waits_for() const {
  if (epochs_->holds_next() || epochs_->awaits_peer()) return "the other end has not gone over to the next one";
  if (!next_) return {};
  return next_->exchange ? "Ax for the next one is not through" : "the next one has not come from the KMS yet";
}

void Call::begin_next(Time now) {
  SidWk fresh = party_.ax.rng.id<SidWk>();
  while (epochs_->was_used(fresh)) fresh = party_.ax.rng.id<SidWk>();
  start_next(fresh);
  next_->say_interval = ax_repeat_first;
  next_->say_again = now;
  tick_next(now);
}

void Call::start_next(const SidWk& sid_wk) {
  const AxEnd end = role_ == wire::Role::caller ? AxEnd::initiator : AxEnd::responder;
  next_.emplace(NextKey{.sid_wk = sid_wk, .carrier = AxCarrier(end, sid_wk), .epoch = {}, .begun = std::chrono::steady_clock::now()});
  report("rekey", "a key to follow is applied for, session " + sid_wk.hex());
  fetch_key(sid_wk);
}

void Call::tick_next(Time now) {
  send_all(next_->carrier.tick(now));
  if (role_ == wire::Role::callee) {
    // The caller repeats, and tells when it gives up; but that may be lost, and then nothing more comes.
    if (now >= next_->begun + settings_.rekey.attempt_max) next_failed("the other end does not go on with it");
    return;
  }
  if (!next_->answered && now >= next_->say_again) {
    say_rekey(RekeyWord::begins, next_->sid_wk);
    next_->say_again = now + next_->say_interval;
    next_->say_interval = std::min(2 * next_->say_interval, ax_repeat_longest);
  }
  if (!next_->carrier.gave_up()) return;
  if (!epochs_->holds_next()) {
    next_failed("Ax: the other end does not answer");
  } else if (now >= next_->say_again) {
    // The callee may have gone over already and not be heard: only its packets, or the limit, end this.
    send_all(next_->last_words);
    next_->say_again = now + ax_repeat_longest;
  }
}

void Call::say_rekey(RekeyWord word, const SidWk& sid_wk) { send_control(control_->rekey(word, sid_wk)); }

void Call::on_rekey_word(const MediaControl::Rekeying& said) {
  if (phase_ != Phase::talking) return;
  const bool caller = role_ == wire::Role::caller;
  switch (said.word) {
    case RekeyWord::begins:
      if (!caller) on_next_announced(said.sid_wk);
      break;
    case RekeyWord::refused:
      // Also when the key is held here: who refuses it has not gone over to it, and will not.
      if (next_ && next_->sid_wk == said.sid_wk) drop_next("the other end could not get the key");
      break;
    case RekeyWord::wanted: {
      const Time now = std::chrono::steady_clock::now();
      const bool busy = next_ || epochs_->overlaps() || fetching_ || stepping_;
      if (!caller || busy || said.sid_wk != epochs_->in_force() || !plan_.follows_wish(now)) break;
      plan_.wish_followed();
      begin_next(now);
      break;
    }
  }
}

void Call::on_next_announced(const SidWk& sid_wk) {
  if (epochs_->was_used(sid_wk) || (next_ && next_->sid_wk == sid_wk)) return;
  if (refused_ == sid_wk) {
    say_rekey(RekeyWord::refused, sid_wk);
    return;
  }
  // What cannot be begun now is begun when the caller says it again.
  const Time now = std::chrono::steady_clock::now();
  if (epochs_->awaits_peer() || !plan_.follows_begin(now)) return;
  if (next_ && fetching_) key_thread_.request_stop();  // the caller has given up what is fetched there
  if (fetching_ || stepping_) return;
  plan_.followed(now);
  start_next(sid_wk);
}

void Call::on_fetched(Fetched fetched) {
  if (fetched.sid_wk == report_.sid_wk) {
    on_key(std::move(fetched.key));
    return;
  }
  if (phase_ != Phase::talking || !next_ || next_->sid_wk != fetched.sid_wk) return;
  if (!fetched.key) {
    next_failed("no working key: " + fetched.key.error().message);
    return;
  }
  if (const auto started = start_exchange(*std::move(fetched.key)); !started) next_failed(started.error().message);
}

Result<void> Call::start_exchange(WorkingKey key) {
  if (key.peer_uid != report_.peer_uid || key.peer_number != report_.peer_number || key.peer_kms != report_.peer_kms) {
    return fail(ErrorCode::denied, "the working key was agreed with " + key.peer_uid.text() + " (" + key.peer_number.text() + ") at " + key.peer_kms.text() +
                                       ", the call is with " + report_.peer_uid.text());
  }
  if (key.peer_fps != wire::no_fingerprints(party_.ax.suite) && key.peer_fps != peer_fps_)
    return fail(ErrorCode::denied, "the KMS names other certificates of " + key.peer_uid.text() + " than those that the call began with");
  report_.symmetric = report_.symmetric || key.symmetric;
  report_.directory = report_.directory || key.directory;
  next_->epoch = epoch_of(next_->sid_wk, key);
  // The same certificates' keys sign again: who compared the SAS at the beginning has compared it for all keys of the call.
  AxSession session = ax_session(next_->sid_wk, key);
  session.peer_fps = peer_fps_;
  const AxEnd end = role_ == wire::Role::caller ? AxEnd::initiator : AxEnd::responder;
  next_->exchange = std::make_shared<AxExchange>(party_.ax, std::move(session), std::move(key.wk), end);
  if (end == AxEnd::initiator) {
    run_step(std::nullopt);
    return {};
  }
  TRY(next_->exchange->begin());
  if (std::exchange(next_->message_waits, false)) run_step(next_->carrier.take_message());
  return {};
}

void Call::on_next_ax(ByteView datagram) {
  if (phase_ != Phase::talking || next_->carrier.receive(datagram) != AxCarrier::Arrival::message) return;
  next_->answered = true;
  // One step at a time: nobody has vouched for the message, and it may come before the answer to the one before it is out.
  if (next_->exchange && !stepping_) {
    run_step(next_->carrier.take_message());
  } else {
    next_->message_waits = true;
  }
}

// Who goes on with a session that came to nothing here has not heard so.
void Call::on_refused_ax(ByteView datagram) {
  const Time now = std::chrono::steady_clock::now();
  if (phase_ != Phase::talking || !refused_ || now < refuse_again_ || !parse_fragment(datagram, *refused_)) return;
  say_rekey(RekeyWord::refused, *refused_);
  refuse_again_ = now + refuse_again_after;
}

void Call::run_step(std::optional<Bytes> message) {
  stepping_ = true;
  ax_thread_ = std::jthread([this, exchange = next_->exchange, sid_wk = next_->sid_wk, message = std::move(message)] {
    auto step = message ? exchange->take(*message) : exchange->begin();
    stepping_ = false;
    deliver(Stepped{.sid_wk = sid_wk, .step = std::move(step)});
  });
}

void Call::on_stepped(Stepped stepped) {
  if (phase_ != Phase::talking || !next_ || next_->sid_wk != stepped.sid_wk) return;
  const Result<void> taken = stepped.step ? take_step(*std::move(stepped.step)) : fail(stepped.step.error());
  if (!taken) {
    next_failed("Ax: " + taken.error().message);
    return;
  }
  if (!stepping_ && std::exchange(next_->message_waits, false)) run_step(next_->carrier.take_message());
  if (role_ == wire::Role::caller || !epochs_->holds_next()) return;
  // AX3 has held, and the caller takes packets under this key since before it sent it.
  if (const auto over = epochs_->switch_over(); !over) {
    close(over.error());
    return;
  }
  settle_next();
  send_control(control_->confirmation());
}

Result<void> Call::take_step(AxStep step) {
  if (step.keys) {
    next_->epoch.sas = step.keys->sas;
    Directions keys = directions(std::move(step.keys->media));
    TRY(epochs_->hold(next_->epoch, std::move(keys.send), keys.receive));
  }
  if (step.message.empty()) return {};
  ASSIGN_OR_RETURN(const auto fragments, next_->carrier.send(step.message, std::chrono::steady_clock::now()));
  if (step.keys) next_->last_words = fragments;
  send_all(fragments);
  return {};
}

void Call::settle_next() {
  if (!next_) return;
  carrier_ = std::move(next_->carrier);
  carrier_->settle();
  next_.reset();
}

void Call::switched(Time now) {
  settle_next();
  plan_.in_force(now);
  if (party_.begun) party_.begun(epochs_->in_force());
  report("rekeyed", "both ends are on the key of session " + epochs_->in_force().hex());
}

void Call::next_failed(const std::string& why) {
  say_rekey(RekeyWord::refused, next_->sid_wk);
  drop_next(why);
}

void Call::drop_next(const std::string& why) {
  epochs_->release();
  refused_ = next_->sid_wk;
  refuse_again_ = std::chrono::steady_clock::now() + refuse_again_after;
  key_thread_.request_stop();
  next_.reset();
  plan_.failed(std::chrono::steady_clock::now(), why);
  report("rekey_failed", why + "; the call goes on under the key that it has");
}

}  // namespace qanat::terminal
