#include "wire/group_schedule.hpp"

#include <vector>

#include "base/check.hpp"
#include "crypto/aead.hpp"
#include "crypto/kdf.hpp"
#include "wire/labels.hpp"

namespace qanat::wire {
namespace {

constexpr std::size_t group_secret_size = 32;
constexpr std::size_t group_salt_size = 12;

/// group ‖ u32 epoch ‖ nonce.
Bytes octets_of(const GroupEpoch& which) {
  Writer out;
  out.raw(which.group.view());
  out.u32(which.epoch);
  out.raw(which.nonce.view());
  return std::move(out).finish().value();  // no field here can be out of bounds
}

Bytes prefixed(const Number& number) {
  Writer out;
  out.opaque("num", number.text(), number_bounds);
  auto octets = std::move(out).finish();
  CHECK(octets.has_value());  // numbers are bounded where they come in
  return *std::move(octets);
}

SealingKey carry_key(const crypto::Suite& suite, const Secret& carrier_wk, const SidWk& carrier, ByteView h_accept) {
  const Secret iv = crypto::hkdf_expand(suite.hash, carrier_wk, {labels::group_carry_iv, carrier.view(), h_accept}, crypto::aead_iv);
  return {.key = crypto::hkdf_expand(suite.hash, carrier_wk, {labels::group_carry_key, carrier.view(), h_accept}, suite.aead_key), .iv = to_bytes(iv.reveal())};
}

}  // namespace

SidWk group_sid_wk(const crypto::Suite& suite, const GroupEpoch& which, const Number& member) {
  return SidWk(ByteView(crypto::digest(suite.hash, {labels::group_sid_wk, octets_of(which), prefixed(member)})).first(SidWk::size));
}

// Longer than the nonce of a call, so that no INVITE can name a member's key as that of a call: any member knows the epoch, and the key is delivered once.
SidCall group_sid_call(const crypto::Suite& suite, const GroupEpoch& which, const Number& owner, const Number& member) {
  return make_sid_call(owner, member, crypto::digest(suite.hash, {labels::group_epoch, octets_of(which)}));
}

SidWk group_epoch_name(const crypto::Suite& suite, const GroupEpoch& which) {
  return SidWk(ByteView(crypto::digest(suite.hash, {labels::group_epoch, octets_of(which)})).first(SidWk::size));
}

Secret group_mix(const crypto::Suite& suite, const Secret& carrier_wk, const SidWk& carrier) {
  return crypto::hkdf_expand(suite.hash, carrier_wk, {labels::group_mix, carrier.view()}, group_secret_size);
}

Secret group_wk(const crypto::Suite& suite, const GroupEpoch& which, const Secret& drawn, std::span<const Secret> mixes) {
  CHECK(drawn.size() == group_secret_size);
  Secret material = drawn.duplicate();
  for (const Secret& mix : mixes) material = Secret::concat({&material, &mix});
  const Bytes context = octets_of(which);
  const Secret prk = crypto::hkdf_extract(suite.hash, crypto::digest(suite.hash, {labels::group_draw, context}), material);
  return crypto::hkdf_expand(suite.hash, prk, {labels::group_wk, context}, wk_size);
}

Result<GroupKey> seal_group_key(const crypto::Suite& suite, std::uint32_t policy_epoch, GroupKey message, const Secret& carrier_wk, const Secret& wk) {
  CHECK(wk.size() + crypto::aead_tag == group_sealed_size);
  message.sealed.assign(group_sealed_size, 0);
  ASSIGN_OR_RETURN(const Bytes associated, octets_before_sealed(suite, policy_epoch, message));
  const SealingKey key = carry_key(suite, carrier_wk, message.sid_wk, message.h_accept);
  message.sealed = crypto::seal(suite.aead, key.key, key.iv, associated, wk.reveal());  // a carrier's key seals this message alone
  return message;
}

Result<Secret> open_group_key(const Framed<GroupKey>& message, const Secret& carrier_wk) {
  const crypto::Suite& suite = *message.suite;
  ASSIGN_OR_RETURN(const Bytes associated, octets_before_sealed(suite, message.header.policy_epoch, message.message));
  const SealingKey key = carry_key(suite, carrier_wk, message.message.sid_wk, message.message.h_accept);
  return crypto::open(suite.aead, key.key, key.iv, associated, message.message.sealed);
}

Result<MediaKey> group_media_key(const crypto::Suite& suite, const Secret& wk, const GroupEpoch& which, const Number& owner, const Roster& roster,
                                 const Number& sender) {
  if (!has(roster, sender)) return fail(ErrorCode::denied, sender.text() + " is not in the group");
  ASSIGN_OR_RETURN(const Bytes octets, encode_roster(suite, owner, roster));
  const Secret early = ax_early_secret(suite, wk);
  const Bytes context = concat({octets_of(which), crypto::digest(suite.hash, {labels::group_roster, octets}), prefixed(sender)});
  return Result<MediaKey>(MediaKey{.key = crypto::hkdf_expand(suite.hash, early, {labels::group_media_key, context}, suite.aead_key),
                                   .salt = crypto::hkdf_expand(suite.hash, early, {labels::group_media_salt, context}, group_salt_size)});
}

}  // namespace qanat::wire
