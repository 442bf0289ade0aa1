// The CSA's desk: parse, authorise, act, record, answer. Who asks and when come in as values; both listeners (points, software of others) stand before it.
#pragma once

#include <functional>
#include <memory>

#include "node/senders.hpp"
#include "services/kms/csa/answer.hpp"
#include "services/kms/csa/arguments.hpp"
#include "services/kms/csa/key_rows.hpp"
#include "services/kms/csa/key_sealer.hpp"
#include "services/kms/csa/seal_budget.hpp"

namespace qanat::kms::csa {

enum class Role : std::uint8_t { application, administrator };

struct Caller {
  std::string name;  // as grants and the record have it
  Role role = Role::application;
  std::string request_id = {};
  std::string remark = {};  // for the record: how it came, where that is not the usual way
  Deadline deadline = Deadline::after(std::chrono::seconds(5));  // of its request: for what others are asked
};

struct DeskLimits {
  SealLimits seals = {};
  std::int64_t requests_per_minute = 60'000;  // of one caller; each item of a batch is one
  std::int64_t keys_per_application = 100;    // that it may own; 0: operators alone create keys
  std::int64_t deletion_wait_min_s = 7 * 86400;
  std::int64_t challenge_life_ms = 60'000;
  std::int64_t challenges_per_verifier = 1024;
  std::size_t enabled_at_once = enabled_keys_max;  // after a restoration
};

class Desk {
 public:
  /// `seals`: what its keys are sealed under, a pool key (kp/pool_keys.hpp).
  Desk(node::Node& node, store::Store& store, crypto::CryptoDevice& seals, DeskLimits limits);

  /// The text of the answer. `body` (a JSON object) is changed: its secrets are taken out. What was refused, and what the operation's row wants there, is on record
  /// before this returns; if that fails, so does this.
  Result<Secret> answer(Operation operation, const Caller& caller, std::span<std::uint8_t> body, UnixMs now);
  /// Destroys keys whose time has come, ends what those do that are past theirs, and forgets challenges that nobody answered.
  Result<void> sweep(UnixMs now);
  /// Keys by state, for the health answer.
  Result<wire::Json> census();

 private:
  /// One request on its way: what its record will say.
  struct Call {
    const Caller& caller;
    const OperationRow& asked;
    UnixMs now = 0;
    std::string object = {};
    bool rated = false;  // counted in the grant's rate: once, however often a work runs
  };
  using Work = Result<Answer> (Desk::*)(Call&, const Arguments&);
  static Work work_of(Operation operation);
  Result<Answer> perform(const OperationRow& asked, const Caller& caller, const Result<Arguments>& arguments, UnixMs now);
  Result<void> record(const Call& call, const Result<Answer>& answer);
  Result<void> expire(UnixMs now);
  Result<Secret> answer_batch(const Caller& caller, Result<RequestText> text, UnixMs now);
  /// A batch, or one item of it, that cannot be read: it counts in the caller's rate and is on record, like any request. Always a refusal.
  Result<Answer> refuse_batch(const Caller& caller, const Error& why, UnixMs now);

  /// A key, one version of it, and its octets where they were asked for.
  struct Used {
    Key key;
    KeyVersion version;
    Secret material = {};
  };
  enum class Wanted : std::uint8_t { octets, public_half };
  Result<void> authorise(store::Transaction& transaction, Call& call, const Key& key);
  /// Key and version as the caller may have them: permission first, then state, usage and version. `version` 0: the current one.
  Result<Used> use(Call& call, const CsaKeyId& id, std::int64_t version, Wanted wanted = Wanted::octets);
  /// The current version, with one of its seals spent; rotates a version that has none left.
  Result<Used> use_to_seal(Call& call, const CsaKeyId& id);
  Result<void> refill(const Call& call, const Key& key);
  Result<Used> current(const CsaKeyId& id);
  struct Rotation {
    std::string by = {};
    std::string id = {};  // of the request; empty: it has none
  };
  /// The new version, durable. conflict if there is another meanwhile, or there is one by a request of this name.
  Result<KeyVersion> add_version(const Key& key, UnixMs now, const Rotation& as);
  /// The answer to the request of this name, if it was made before: conflict if that was for another key.
  Result<std::optional<Answer>> rotated_before(Call& call, const CsaKeyId& id, const std::string& rotation_id);
  struct NewKey {
    CsaKeyId id;
    std::uint32_t version = 1;
    Origin origin = Origin::made;
    std::string creation_id = {};
    Bytes creation_digest = {};
  };
  /// The answer to the request of this name, if it was made before: conflict if it said something else.
  Result<std::optional<Answer>> created_before(Call& call, const std::string& creation_id, ByteView digest);
  Result<Answer> store_new_key(Call& call, const NewKey& as, const Algorithm& algorithm, const Arguments& arguments, const Secret& material);
  /// A further version of a key that was taken over before: true if it was, by the same caller and of the same kind.
  static Result<bool> joins(store::Transaction& transaction, const Key& key);
  Result<Policy> policy_for_new(const Call& call, const Arguments& arguments, Usage usage) const;
  Result<wire::Json> description(store::Transaction& transaction, const Call& call, const Key& key);
  Result<Key> load_to_administer(store::Transaction& transaction, Call& call, const CsaKeyId& id);
  Result<Secret> open_sealed(Call& call, const CsaKeyId& id, SealedKind kind, ByteView sealed, std::string_view context, std::uint32_t& version);
  Result<Answer> seal_for(Call& call, const Arguments& arguments, SealedKind kind, std::string_view member, const Secret& plaintext);

  Result<Answer> encrypt(Call& call, const Arguments& arguments);
  Result<Answer> decrypt(Call& call, const Arguments& arguments);
  Result<Answer> generate_data_key(Call& call, const Arguments& arguments);
  Result<Answer> decrypt_data_key(Call& call, const Arguments& arguments);
  Result<Answer> sign(Call& call, const Arguments& arguments);
  Result<Answer> verify(Call& call, const Arguments& arguments);
  Result<Answer> mac(Call& call, const Arguments& arguments);
  Result<Answer> verify_mac(Call& call, const Arguments& arguments);
  Result<Answer> challenge(Call& call, const Arguments& arguments);
  Result<Answer> prove(Call& call, const Arguments& arguments);
  Result<Answer> authenticate(Call& call, const Arguments& arguments);
  Result<Answer> encapsulate(Call& call, const Arguments& arguments);
  Result<Answer> decapsulate(Call& call, const Arguments& arguments);
  Result<Answer> public_key(Call& call, const Arguments& arguments);
  Result<Answer> random(Call& call, const Arguments& arguments);
  Result<Answer> create_key(Call& call, const Arguments& arguments);
  Result<Answer> import_key(Call& call, const Arguments& arguments);
  Result<Answer> export_key(Call& call, const Arguments& arguments);
  Result<Answer> list_keys(Call& call, const Arguments& arguments);
  Result<Answer> describe_key(Call& call, const Arguments& arguments);
  Result<Answer> rotate_key(Call& call, const Arguments& arguments);
  Result<Answer> set_policy(Call& call, const Arguments& arguments);
  Result<Answer> change_state(Call& call, const Arguments& arguments);
  /// change_state of all keys that a restoration suspended while they were enabled.
  Result<Answer> enable_restored(Call& call, const Arguments& arguments);
  Result<Answer> openapi(Call& call, const Arguments& arguments);

  node::Node& node_;
  store::Store& store_;
  DeskLimits limits_;
  node::SenderDirectory senders_;
  KeySealer sealer_;
  SealBudget seals_;
  Rates rates_;
};

}  // namespace qanat::kms::csa
