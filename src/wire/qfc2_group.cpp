#include "wire/qfc2_group.hpp"

#include "wire/qfc2_codec.hpp"

namespace qanat::wire {
namespace {

constexpr std::uint32_t epoch_max = 0x7fffffff;

bool ascending(const std::vector<Number>& numbers) { return std::ranges::adjacent_find(numbers, std::greater_equal<>()) == numbers.end(); }

bool ascending(const Roster& roster) {
  return std::ranges::adjacent_find(roster, [](const GroupMember& a, const GroupMember& b) { return a.number >= b.number; }) == roster.end();
}

template <class Codec, class Numbers>
void number_list(Codec& c, std::string_view field, Numbers& numbers) {
  c.list(field, numbers, group_members_max, [](Codec& codec, auto& number) { codec.number("num", number); });
  c.require(ascending(numbers), field, "not ascending");
}

template <class Codec, class Owner, class Members>
void roster_fields(Codec& c, Owner& owner, Members& roster) {
  c.number("owner", owner);
  c.list("roster", roster, group_members_max, [](Codec& codec, auto& member) {
    codec.number("num", member.number);
    codec.name("kms_id", member.kms, kms_bounds);
  });
  c.require(roster.size() >= group_members_min, "roster", "fewer than two");
  c.require(ascending(roster), "roster", "not ascending");
  c.require(has(roster, owner), "roster", "without the owner");
}

template <class Codec, class M>
requires std::same_as<std::remove_const_t<M>, GroupRequest>
void fields(Codec& c, M& m) {
  c.id("group", m.group);
  c.choice("order", m.order, {GroupOrder::open, GroupOrder::join, GroupOrder::leave, GroupOrder::show});
  c.u32("epoch", m.epoch);
  const bool follows = m.order == GroupOrder::join || m.order == GroupOrder::leave;
  c.require(follows == (m.epoch != 0) && m.epoch < epoch_max, "epoch", "there is one exactly to join and to leave");
  c.name("uid", m.uid, uid_bounds);
  c.number("num", m.number);
  c.name("kms_id", m.kms_id, kms_bounds);
  c.fixed("nonce", m.nonce, nonce_size);
  c.u64("ts_ms", m.ts_ms);
  c.choice("min_assurance", m.min_assurance, {Assurance::local_rng, Assurance::pqc, Assurance::one_qkd_path, Assurance::disjoint_qkd_paths});
  c.digest("token_ref", m.token_ref);
  fingerprint_fields(c, "fp", m.fps);
  number_list(c, "members", m.members);
  c.require(m.members.empty() == (m.order == GroupOrder::show), "members", "there are some exactly in an order");
}

template <class Codec, class M>
requires std::same_as<std::remove_const_t<M>, GroupState>
void fields(Codec& c, M& m) {
  c.digest("h_req", m.h_req);
  c.id("group", m.group);
  c.u32("epoch", m.epoch);
  c.require(m.epoch != 0 && m.epoch <= epoch_max, "epoch", "none");
  c.id("nonce", m.nonce);
  c.name("uid", m.uid, uid_bounds);
  c.name("kms_id", m.kms_id, kms_bounds);
  c.u64("ts_ms", m.ts_ms);
  roster_fields(c, m.owner, m.roster);
  number_list(c, "left_out", m.left_out);
  fingerprint_fields(c, "fp", m.fps);
}

template <class Codec, class M>
requires std::same_as<std::remove_const_t<M>, GroupKey>
void fields(Codec& c, M& m) {
  c.id("sid_wk", m.sid_wk);
  c.digest("h_accept", m.h_accept);
  c.digest("kc_a", m.kc_a);
  c.id("group", m.group);
  c.u32("epoch", m.epoch);
  c.require(m.epoch != 0 && m.epoch <= epoch_max, "epoch", "none");
  c.id("nonce", m.nonce);
  roster_fields(c, m.owner, m.roster);
  c.choice("assurance", m.assurance, {Assurance::local_rng, Assurance::pqc, Assurance::one_qkd_path, Assurance::disjoint_qkd_paths});
  c.u8("n_paths", m.n_paths);
  c.u8("path_min", m.path_min);
  c.mark();
  c.fixed("sealed", m.sealed, group_sealed_size);
}

}  // namespace

QANAT_WIRE_MESSAGE(GroupRequest);
QANAT_WIRE_MESSAGE(GroupState);
QANAT_WIRE_MESSAGE(GroupKey);

bool has(const Roster& roster, const Number& number) { return std::ranges::find(roster, number, &GroupMember::number) != roster.end(); }

Result<Bytes> octets_before_sealed(const crypto::Suite& suite, std::uint32_t policy_epoch, const GroupKey& message) {
  Encoder codec(suite);
  fields(codec, message);
  return octets_before_mark(policy_epoch, message.type, std::move(codec));
}

Result<Bytes> encode_roster(const crypto::Suite& suite, const Number& owner, const Roster& roster) {
  Encoder codec(suite);
  roster_fields(codec, owner, roster);
  return std::move(codec).finish();
}

}  // namespace qanat::wire
