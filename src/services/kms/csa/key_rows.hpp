// Keys of the CSA as they stand in the database. Rows alone: what may be done with them is decided in desk.hpp.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "services/kms/csa/lifecycle.hpp"
#include "services/kms/csa/policy.hpp"
#include "store/store.hpp"

namespace qanat::kms::csa {

/// Where a key was made. Another CSA goes on sealing with one that was taken over from it, and making its versions: here it opens, verifies and proves.
enum class Origin : std::uint8_t { made, imported };
constexpr std::string_view name(Origin origin) noexcept { return origin == Origin::made ? "made" : "imported"; }

struct Key {
  CsaKeyId id;
  std::string label;
  const Algorithm* algorithm = nullptr;
  Usage usage{};
  std::string owner;
  Origin origin = Origin::made;
  State state{};
  std::uint32_t version = 1;
  std::uint32_t minimum = 1;
  UnixMs created_ms = 0;
  std::optional<UnixMs> delete_ms;
  UnixMs not_after_ms = 0;  // from then on it protects nothing new (SP 800-57 part 1, 5.3: the originator-usage period is over); 0: no end
  std::optional<State> suspended_from = {};  // of one that is suspended: its state before; nothing: not known
  Policy policy;
  std::string creation_id = {};  // of the request that made it; empty: it had none, or was read by load_key()
  Bytes creation_digest = {};    // of what that request said

  [[nodiscard]] bool is_past(UnixMs now) const noexcept { return state == State::expired || (not_after_ms != 0 && now >= not_after_ms); }
};

struct KeyVersion {
  std::uint32_t version = 0;
  std::optional<Bytes> sealed;  // nothing: destroyed
  Bytes public_key;
  UnixMs created_ms = 0;
  Bytes commitment = {};  // to the octets, from when they were made; stays. Empty: of before there were any
  std::string rotated_by = {};   // who asked for it, by the request of this name; both empty: it had none, or was read
  std::string rotation_id = {};
};

inline constexpr std::uint32_t versions_max = 1000;

/// conflict if the key is there, or its owner has made one by a request of this creation_id.
Result<void> insert_key(store::Transaction& transaction, const Key& key);
/// conflict if the version is there, or its maker has made one by a request of this rotation_id.
Result<void> insert_version(store::Transaction& transaction, const CsaKeyId& id, const KeyVersion& version);
/// The key that the owner made by the request of this name, and that request's digest.
struct Created {
  CsaKeyId id;
  Bytes digest;
};
Result<std::optional<Created>> find_created(store::Transaction& transaction, std::string_view owner, std::string_view creation_id);
/// The version that the caller made by the request of this name.
struct Rotated {
  CsaKeyId key;
  KeyVersion version;
};
Result<std::optional<Rotated>> find_rotated(store::Transaction& transaction, std::string_view caller, std::string_view rotation_id);
/// not_found if there is none.
Result<Key> load_key(store::Transaction& transaction, const CsaKeyId& id);
/// not_found if there is none, or its octets are destroyed.
Result<KeyVersion> load_version(store::Transaction& transaction, const CsaKeyId& id, std::uint32_t version);
Result<std::vector<KeyVersion>> load_versions(store::Transaction& transaction, const CsaKeyId& id);

/// conflict if another version has become the current one.
Result<void> set_current(store::Transaction& transaction, const CsaKeyId& id, std::uint32_t from, std::uint32_t to);
/// The current version is at least this one.
Result<void> raise_current(store::Transaction& transaction, const CsaKeyId& id, std::uint32_t to);
Result<void> set_minimum(store::Transaction& transaction, const CsaKeyId& id, std::uint32_t minimum);
/// conflict if the state is not `from` any more.
Result<void> set_state(store::Transaction& transaction, const CsaKeyId& id, State from, State to, std::optional<UnixMs> delete_ms);
/// What a grant has used stays used where its caller has a grant again.
Result<void> replace_policy(store::Transaction& transaction, const CsaKeyId& id, const Policy& policy);
/// Erases the octets of versions below `version` (by destroy_below(), which says so); those that had some.
struct Erased {
  std::uint32_t version = 0;
  Bytes commitment;
};
Result<std::vector<Erased>> erase_below(store::Transaction& transaction, const CsaKeyId& id, std::uint32_t version);

/// exhausted if the grant has been used as often as it may be; counts one more otherwise.
Result<void> spend_total(store::Transaction& transaction, const CsaKeyId& id, const Grant& grant);
/// How many of at most `block` further seals are the caller's now, of `max` in the life of the version: 0 if none is left.
Result<std::int64_t> reserve_seals(store::Transaction& transaction, const CsaKeyId& id, std::uint32_t version, std::int64_t block, std::int64_t max);

Result<std::int64_t> count_owned(store::Transaction& transaction, std::string_view owner);
/// In the order of ids after `after`; of all, or of whom `caller` owns or has a grant of.
Result<std::vector<CsaKeyId>> list_ids(store::Transaction& transaction, std::optional<std::string_view> caller, const std::optional<CsaKeyId>& after, std::size_t limit);
/// Those that are enabled and past their time.
Result<std::vector<CsaKeyId>> list_past(store::Transaction& transaction, UnixMs now);
/// Those that are suspended, were enabled before and are not past their time, in the order of ids; and how many are suspended, whatever they were.
Result<std::vector<CsaKeyId>> list_enabled_before(store::Transaction& transaction, UnixMs now, std::size_t limit);
Result<std::int64_t> count_suspended(store::Transaction& transaction);
/// Those whose time to be destroyed has come.
Result<std::vector<CsaKeyId>> list_due(store::Transaction& transaction, UnixMs now);

struct Challenge {
  Bytes challenge;
  CsaKeyId key;
  std::string verifier;
  std::string context;
  UnixMs expires_ms = 0;
};
/// exhausted if the verifier has `max` unanswered ones.
Result<void> insert_challenge(store::Transaction& transaction, const Challenge& challenge, std::int64_t max);
/// The challenge, which then is gone; nothing if there is none.
Result<std::optional<Challenge>> take_challenge(store::Transaction& transaction, ByteView challenge);
Result<void> forget_challenges(store::Transaction& transaction, UnixMs now);

}  // namespace qanat::kms::csa
