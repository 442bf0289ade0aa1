// KP's encryption pairs (SM2 or P-384 with ML-KEM) on their way through the three libraries: made ahead into standby, in use from a terminal's Enrol message until
// its receipt, then history.
#pragma once

#include <functional>

#include "crypto/hybrid_kem.hpp"
#include "node/node.hpp"
#include "services/kms/kp/pool_keys.hpp"
#include "services/kms/kp/terminals.hpp"

namespace qanat::kms {

/// What history keeps of a terminal's private encryption keys.
enum class HistoryPolicy : std::uint8_t {
  none,             // nothing
  encryption_keys,  // them, sealed: so that two operators together can have one back (recovery.hpp)
};

/// What is in force at this moment: the configuration's, unless CSO's policy forbids it.
using HistoryPolicyNow = std::function<HistoryPolicy()>;

struct HistoryKey {
  Bytes enc_kid;
  Uid uid;
  Number number;
  UnixMs since_ms = 0;
  UnixMs ended_ms = 0;  // 0: the terminal has it still
  std::string why;
  bool has_private = false;
  Bytes commitment = {};          // to the private part; empty: none was made
  UnixMs destroyed_ms = 0;        // of the private part in history; 0: it is there, or never was
  std::string destroyed_why = {};
};

class EncryptionPairs {
 public:
  EncryptionPairs(node::Node& node, store::Store& store, PoolKeys& keys, HistoryPolicyNow policy)
      : node_(node), store_(store), keys_(keys), policy_(std::move(policy)) {}

  struct Prepared {
    crypto::Decapsulator pair;
    bool fresh = false;
  };
  /// The pair for this Enrol message, durable before anybody is asked to certify it: the same message gets the same pair. A new one comes out of standby, and is
  /// made on the spot where standby is empty.
  Result<Prepared> prepare(const Uid& uid, ByteView h_enrol);
  /// Both private halves, sealed as terminal.sealed_encryption.
  Result<Bytes> seal_for(const Uid& uid, const crypto::DecapsulationSecret& secret);

  /// The terminal has its keys: they are erased here, and history has that it has them (and them, under the policy). On record when it returns. `shown`: the
  /// terminal that the receipt was checked against; h_deliver: what the receipt is for. Nothing is changed where it is confirmed already; `conflict` if it has
  /// enrolled anew meanwhile, or its answer was made anew.
  Result<void> confirm(const Terminal& shown, ByteView h_deliver, const std::string& request_id);
  /// The pair is no longer the terminal's.
  static Result<void> end(store::Transaction& transaction, const Uid& uid, std::string_view why, UnixMs now);
  Result<std::vector<HistoryKey>> history(const Uid& uid);

  /// Makes pairs until standby has `high`, if it has fewer than `low`. How many were made.
  Result<std::size_t> fill(std::size_t low, std::size_t high);
  Result<std::size_t> standby();
  /// After a crash or a recovery: a pair may have been given to a terminal that the database does not know of.
  static Result<std::int64_t> discard_standby(store::Transaction& transaction);

 private:
  Result<std::optional<crypto::Decapsulator>> from_standby(store::Transaction& transaction, const Uid& uid, ByteView h_enrol);
  Result<PreparedPair> seal_prepared(const Uid& uid, ByteView h_enrol, const crypto::DecapsulationSecret& secret);
  Result<crypto::Decapsulator> open_prepared(const Uid& uid, ByteView h_enrol, const PreparedPair& sealed);
  /// The commitment to the private part; empty where the terminal made its keys.
  Result<Bytes> into_history(store::Transaction& transaction, const Enrolment& enrolment, HistoryPolicy policy, UnixMs now);

  node::Node& node_;
  store::Store& store_;
  PoolKeys& keys_;
  const HistoryPolicyNow policy_;
};

}  // namespace qanat::kms
