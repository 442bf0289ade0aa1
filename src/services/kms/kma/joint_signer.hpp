// Step 11's signature, made once for all deliveries that are ready at the same moment (docs/protocol/joint.md).
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "crypto/random.hpp"
#include "node/credentials.hpp"
#include "wire/qfc2.hpp"

namespace qanat::kms {

/// Each delivery is made by a thread of its own. The first that is ready waits for those that are on their way to here, for a moment at most, and signs for all
/// that have come; who is alone waits for nobody, and its signature is an ordinary one.
class JointSigner {
 public:
  /// What a delivery may be late for the sake of others. An encapsulation, which is what those on their way are at, takes a fifth of it.
  static constexpr std::chrono::milliseconds usual_patience{2};

  /// `most` deliveries under one signature, 1 … wire::joint_messages_max; with 1 each has its own.
  JointSigner(const crypto::Suite& suite, std::size_t most, std::chrono::milliseconds patience = usual_patience);
  ~JointSigner();
  JointSigner(const JointSigner&) = delete;
  JointSigner& operator=(const JointSigner&) = delete;

  /// A delivery on its way, of one that nothing keeps waiting any more: those that are ready wait for it.
  class Coming {
   public:
    explicit Coming(JointSigner& signer);
    Coming(const Coming&) = delete;
    Coming& operator=(const Coming&) = delete;
    ~Coming();

   private:
    friend class JointSigner;
    JointSigner& signer_;
    bool is_here_ = false;
  };

  /// Signs a framed delivery whose fps are `own`'s. `internal` if the thread that was to sign for all could not.
  Result<void> sign(Coming& coming, wire::Framed<wire::KeyDeliver>& delivery, const std::shared_ptr<const node::MessageSigner>& own, crypto::Rng& rng);

 private:
  struct Group;
  class Lead;
  /// With the lock held: one fewer is waited for.
  void has_come();

  const crypto::Suite& suite_;
  const std::size_t most_;
  const std::chrono::milliseconds patience_;
  std::mutex mutex_;  // guards everything below, and what a group says of itself
  std::condition_variable changed_;
  std::size_t coming_ = 0;
  std::shared_ptr<Group> open_;  // that can still be joined
};

}  // namespace qanat::kms
