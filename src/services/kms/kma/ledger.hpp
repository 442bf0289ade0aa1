// The working keys of a KMS and their lives. Every change is a transition of store/lifecycle.hpp inside the caller's transaction.
#pragma once

#include <optional>
#include <vector>

#include "base/clock.hpp"
#include "crypto/device.hpp"
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
};

struct StoredKey {
  WorkingKey key;
  store::KeyState state{};
  Bytes h_deliver;
};

class Ledger {
 public:
  /// `front_end`: the name of this process among those of the KMS, empty where there is one alone.
  explicit Ledger(crypto::CryptoDevice& device, std::string front_end = "") : device_(device), front_end_(std::move(front_end)) {}

  /// A new leg in state `generated`; conflict if the session has this leg already, in any state: a SID_WK is used once.
  Result<void> add(store::Transaction& transaction, const WorkingKey& key);
  /// Nothing if there is no such leg. A destroyed leg comes back with an empty `wk`.
  Result<std::optional<StoredKey>> find(store::Transaction& transaction, const SidWk& sid_wk, wire::Role leg);
  /// `conflict` if the leg is not in a state that leads to `to`. Becoming `destroyed` erases the key's octets.
  Result<void> advance(store::Transaction& transaction, const SidWk& sid_wk, wire::Role leg, store::KeyState to);
  /// delivered, with the hash of the KeyDeliver that the terminal will confirm.
  Result<void> delivered(store::Transaction& transaction, const SidWk& sid_wk, wire::Role leg, ByteView h_deliver);
  /// Destroys legs past their time, whoever made them; at start also those of this front end that never left `generated`, whose agreement died with the process.
  /// Returns their sessions.
  enum class Sweep : std::uint8_t { expired, at_start };
  Result<std::vector<SidWk>> sweep(store::Transaction& transaction, Sweep which, UnixMs now);
  /// How many legs are in each state, in the order of store::all_key_states.
  Result<std::vector<std::int64_t>> census(store::Transaction& transaction);

 private:
  crypto::CryptoDevice& device_;
  const std::string front_end_;
};

}  // namespace qanat::kms
