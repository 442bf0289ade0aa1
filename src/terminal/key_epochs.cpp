#include "terminal/key_epochs.hpp"

#include <algorithm>

namespace qanat::terminal {

KeyEpochs::KeyEpochs(crypto::Aead aead, MediaSession& media, MediaControl& control, KeyEpoch first) : aead_(aead), media_(media), control_(control) {
  epochs_.push_back(std::move(first));
}

bool KeyEpochs::was_used(const SidWk& sid_wk) const {
  return std::ranges::any_of(epochs_, [&](const KeyEpoch& epoch) { return mki_of(epoch.sid_wk) == mki_of(sid_wk); });
}

Result<void> KeyEpochs::hold(KeyEpoch next, MediaKeys send, const MediaKeys& receive) {
  if (held_) return fail(ErrorCode::conflict, "re-key: another key is held already");
  if (awaits_peer()) return fail(ErrorCode::conflict, "re-key: the other end has not left the former key yet");
  if (was_used(next.sid_wk)) return fail(ErrorCode::conflict, "re-key: session " + next.sid_wk.hex() + " has the MKI of a key of this call");
  if (equal_secret(send.key, receive.key)) return fail(ErrorCode::invalid_argument, "re-key: both directions have the same key");
  if (send.key.size() != receive.key.size() || send.salt.size() != receive.salt.size())
    return fail(ErrorCode::invalid_argument, "re-key: the two keys differ in length");
  erase_former();  // the caller has been gone from it for as long as it takes to agree on another one
  const Mki mki = mki_of(next.sid_wk);
  TRY(media_.receiver.add_key(aead_, receive, mki));
  if (auto added = control_.add_key(aead_, receive, mki); !added) {
    media_.receiver.drop_key(mki);
    return added;
  }
  held_.emplace(Held{.epoch = std::move(next), .send = std::move(send)});
  return {};
}

void KeyEpochs::release() {
  if (!held_) return;
  const Mki mki = mki_of(held_->epoch.sid_wk);
  media_.receiver.drop_key(mki);
  control_.drop_key(mki);
  held_.reset();
}

Result<void> KeyEpochs::switch_over() {
  if (!held_) return fail(ErrorCode::conflict, "re-key: no key is held");
  Held next = *std::exchange(held_, std::nullopt);
  const Mki mki = mki_of(next.epoch.sid_wk);
  TRY(media_.sender.rekey(aead_, next.send, mki));
  TRY(control_.rekey_sender(aead_, next.send, mki));
  epochs_.back().packets_sent = sent_in_force();
  sent_before_ = media_.sender.packets_sent();
  former_ = Former{.mki = mki_of(in_force()), .erase_at = std::nullopt};
  epochs_.push_back(std::move(next.epoch));
  return {};
}

Result<KeyEpochs::Heard> KeyEpochs::heard(const Mki& mki, Stream stream, Time now) {
  if (held_ && mki == mki_of(held_->epoch.sid_wk)) TRY(switch_over());
  const auto epoch = std::find_if(epochs_.rbegin(), epochs_.rend(), [&](const KeyEpoch& one) { return mki_of(one.sid_wk) == mki; });
  CHECK(epoch != epochs_.rend());  // it was opened by a key of ours
  if (stream == Stream::rtp) ++epoch->packets_received;
  if (epoch != epochs_.rbegin() || !awaits_peer()) return Heard::in_order;
  former_->erase_at = now + rekey_overlap;
  return Heard::peer_switched;
}

void KeyEpochs::tick(Time now) {
  if (former_ && former_->erase_at && now >= *former_->erase_at) erase_former();
}

void KeyEpochs::erase_former() {
  if (!former_) return;
  media_.receiver.drop_key(former_->mki);
  control_.drop_key(former_->mki);
  former_.reset();
}

std::uint64_t KeyEpochs::sent_in_force() const { return media_.sender.packets_sent() - sent_before_; }

std::vector<KeyEpoch> KeyEpochs::report() const {
  std::vector<KeyEpoch> out = epochs_;
  out.back().packets_sent = sent_in_force();
  return out;
}

}  // namespace qanat::terminal
