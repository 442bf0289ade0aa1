// The working keys of a KMS and their lives. Every change is a transition of store/lifecycle.hpp inside the caller's transaction.
#pragma once

#include <atomic>
#include <optional>
#include <span>
#include <vector>

#include "base/clock.hpp"
#include "crypto/device.hpp"
#include "services/kms/kma/key_policy.hpp"
#include "store/lifecycle.hpp"
#include "store/store.hpp"
#include "wire/qfc2.hpp"

namespace qanat::kms {

/// One leg: the working key as it is owed to one terminal.
struct WorkingKey {
  SidWk sid_wk;
  wire::Role leg{};
  SidCall sid_call;
  Uid uid;  // to whom it is owed
  Secret wk;
  wire::Assurance assurance{};
  std::uint8_t n_paths = 0;
  std::uint8_t path_min = 0;
  Bytes th9;
  Uid peer_uid;
  Number peer_number;
  ElementName peer_kms;
  wire::Fingerprints peer_fps;
  UnixMs expires_ms = 0;
  KeyTerms terms;
  std::optional<std::int64_t> directory_epoch = {};  // CMSP did not answer: its directory took the grant's place
};
inline KeyPolicy policy_of(const WorkingKey& key) { return {.holder = key.uid, .not_after_ms = key.expires_ms, .terms = key.terms}; }

struct StoredKey {
  WorkingKey key;
  store::KeyState state{};
  Bytes h_deliver;
  std::int64_t deliveries = 0;
  Bytes commitment;
};

/// The answer to an application, as it goes to the terminal.
struct Delivery {
  ByteView h_req;      // of the application
  ByteView h_deliver;  // what the terminal will confirm
  ByteView octets;     // to be given again; empty: never
};

/// A leg that is not destroyed.
struct LivingLeg {
  SidWk sid_wk;
  wire::Role leg{};
  Uid uid;
  store::KeyState state{};
  UnixMs expires_ms = 0;
};

/// How a key's life ends. `by`: a subscriber, an operator's URI, or "kms" itself.
struct Ending {
  std::string by;
  std::string why;
  UnixMs at_ms = 0;
};
/// What stays of it, for the audit record.
struct Destroyed {
  SidWk sid_wk;
  wire::Role leg{};
  Uid uid;
  Bytes commitment;

  /// "past its time (commitment 0a1b…)".
  [[nodiscard]] std::string reason(std::string_view why) const;
};

class Ledger {
 public:
  /// `front_end`: the name of this process among those of the KMS, empty where there is one alone.
  explicit Ledger(crypto::CryptoDevice& device, std::string front_end = "") : device_(device), front_end_(std::move(front_end)) {}

  /// Legs of one call that are here, destroyed ones too: they are looked through for each other key of the call.
  static constexpr std::int64_t legs_of_call_max = 20'000;
  /// A new leg in state `generated`; conflict if the session has this leg already, in any state, or is in the archive: a SID_WK is used once; denied if the call
  /// has had keys between others: a later key of a call is for those who hold it; exhausted if there are legs_of_call_max of its.
  Result<void> add(store::Transaction& transaction, const WorkingKey& key);
  /// The same for both legs of a session on which nobody else has to agree: `key` is delivered with the change that makes it, `others` is `reserved` at once. No
  /// leg of the session is there before; `denied`, too, if the key's policy does not allow this use.
  Result<void> add_session(store::Transaction& transaction, const WorkingKey& key, const Delivery& delivery, const KeyUse& use, const WorkingKey& others);
  /// Nothing if there is no such leg. A destroyed leg comes back with an empty `wk`.
  Result<std::optional<StoredKey>> find(store::Transaction& transaction, const SidWk& sid_wk, wire::Role leg);
  /// The leg of which this subscriber got this delivery, in whatever state it is now, without its octets.
  Result<std::optional<StoredKey>> find_delivery(store::Transaction& transaction, const SidWk& sid_wk, const Uid& uid, ByteView h_deliver);
  /// `conflict` if the leg is not in a state that leads to `to`. To destroyed leads destroy() alone.
  Result<void> advance(store::Transaction& transaction, const SidWk& sid_wk, wire::Role leg, store::KeyState to);
  /// The same where the state is known to the caller; `conflict` if it is another by now.
  Result<void> advance(store::Transaction& transaction, const SidWk& sid_wk, wire::Role leg, store::KeyState from, store::KeyState to);
  /// delivered, for the first time, of a leg that find() gave; `denied` if the key's policy does not allow this use, `conflict` if it is in another state by
  /// now.
  Result<void> delivered(store::Transaction& transaction, const StoredKey& stored, const Delivery& delivery, const KeyUse& use);
  /// The answer that this application got, if it is still to be given: the same octets, counted as one more delivery of the same key. Nothing if another
  /// application was answered, or none; `denied` if the key's policy allows no more.
  Result<std::optional<Bytes>> delivered_again(store::Transaction& transaction, const SidWk& sid_wk, wire::Role leg, ByteView h_req, const KeyUse& use);
  /// Erases the key's octets and its delivery; the row stays, with who ended it, when and why.
  Result<Destroyed> destroy(store::Transaction& transaction, const SidWk& sid_wk, wire::Role leg, const Ending& ending);
  /// A leg that find() gave is confirmed, and with that destroyed: one change of its row. `conflict` if it is in another state by now.
  Result<Destroyed> confirmed(store::Transaction& transaction, const StoredKey& stored, const Ending& ending);
  /// The leg was ended so: by the same, for the same reason.
  Result<bool> has_ended(store::Transaction& transaction, const WorkingKey& key, const Ending& ending);
  /// The last key of the same call, leg and subscriber that was delivered before this one was made, in whatever state it is now; nothing for the first one. What
  /// nobody got (an attempt that failed, the carrier of a group's key) does not count.
  Result<std::optional<SidWk>> former(store::Transaction& transaction, const WorkingKey& key);
  /// A later key of the same call is confirmed: its former ones, which were kept until now, are destroyed.
  Result<std::vector<Destroyed>> supersede(store::Transaction& transaction, const WorkingKey& by, const Ending& ending);
  /// The legs of a session that live; or those owed to a subscriber, so many at a time, from the one that comes after `after`.
  static constexpr std::size_t living_at_once = 1000;
  Result<std::vector<LivingLeg>> living(store::Transaction& transaction, const SidWk& sid_wk);
  Result<std::vector<LivingLeg>> living(store::Transaction& transaction, const Uid& uid, const std::optional<LivingLeg>& after);
  /// Destroys legs past their time, whoever made them; at start also those of this front end that never left `generated`, whose agreement died with the process. After a crash also those that are
  /// reserved: the database may be of a moment ago, and the key delivered since. One that is delivered can only be given again to the application that got it.
  enum class Sweep : std::uint8_t { expired, at_start, after_crash };
  static std::string_view why(Sweep which) { return which == Sweep::expired ? "past its time" : "left over from before the restart"; }
  struct Due {
    UnixMs expires_ms = 0;
    SidWk sid_wk;
    wire::Role leg{};
  };
  /// Which legs those are: at most so many after this one, in the order of the end of their time.
  Result<std::vector<Due>> due(store::Transaction& transaction, Sweep which, UnixMs now, const Due& after, std::int64_t most);
  Result<std::vector<Destroyed>> sweep(store::Transaction& transaction, Sweep which, UnixMs now, std::span<const Due> legs);
  /// Destroys what is owed to a terminal that is no longer served.
  Result<std::vector<Destroyed>> destroy_of(store::Transaction& transaction, const Uid& uid, const Ending& ending);
  /// How many legs are in each state, in the order of store::all_key_states. Of the living so many are looked at, and as many of the destroyed: what is
  /// beyond that is not counted, so that it takes no longer than this.
  static constexpr std::int64_t census_max = 20'000;
  Result<std::vector<std::int64_t>> census(store::Transaction& transaction, std::int64_t most = census_max);

  /// The latest expires_ms of the keys that are in the archive (key_history.hpp); 0: there are none. What was applied for up to then is not known here any more.
  [[nodiscard]] UnixMs archived_until() const noexcept { return archived_until_ms_; }
  void archived_until(UnixMs latest) noexcept { archived_until_ms_ = latest; }

 private:
  Result<void> put(store::Transaction& transaction, const WorkingKey& key, store::KeyState state, const std::optional<Delivery>& delivery);
  crypto::CryptoDevice& device_;
  const std::string front_end_;
  std::atomic<UnixMs> archived_until_ms_ = 0;
};

/// What was delivered to this subscriber, or to anybody (nothing), and is not acknowledged, is not given again.
Result<void> withhold_answers(store::Transaction& transaction, const std::optional<std::string_view>& uid);

}  // namespace qanat::kms
