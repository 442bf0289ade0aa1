// The end of step 11, done once for all deliveries that are ready at the same moment: one signature (docs/protocol/joint.md), one commit, one wait for the record.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "node/node.hpp"
#include "services/kms/kma/ledger.hpp"
#include "wire/qfc2.hpp"

namespace qanat::kms {

/// What became of a delivery in the database: nothing was done but for the first.
enum class Handed : std::uint8_t { over, token_ended, made_before };

/// Each delivery is made by a thread of its own. The first that is ready waits for those that are on their way to here, for a moment at most, and does the rest
/// for all that have come; who is alone waits for nobody, and its signature is an ordinary one. On a database whose works run side by side, what comes after the
/// signature is each thread's own.
class JointDelivery {
 public:
  /// What a delivery may be late for the sake of others. An application, which is what those on their way are at, takes a third of it.
  static constexpr std::chrono::milliseconds usual_patience{2};
  /// Where deliveries came together just before, others may be at the door: from reading a request to its Coming it takes that long.
  static constexpr std::chrono::microseconds door{300};

  /// `most` deliveries at a time, 1 … wire::joint_messages_max; with 1 each is by itself.
  JointDelivery(node::Node& node, store::Store& store, std::size_t most, std::chrono::milliseconds patience = usual_patience);
  JointDelivery(const JointDelivery&) = delete;
  JointDelivery& operator=(const JointDelivery&) = delete;

  /// A delivery on its way, of one that nothing is known to keep waiting: those that are ready wait for it. Whom one of them waited for in vain, nobody waits for
  /// again.
  class Coming {
   public:
    explicit Coming(JointDelivery& to);
    Coming(const Coming&) = delete;
    Coming& operator=(const Coming&) = delete;
    ~Coming();

   private:
    friend class JointDelivery;
    JointDelivery& to_;
    std::uint64_t since_ = 0;  // waits_in_vain_ when it began
    bool is_here_ = false;
  };

  /// `work` may run in another thread, and more than once (store.hpp).
  struct Ready {
    wire::Framed<wire::KeyDeliver>& message;  // framed, with `own`'s fps; gets its signature
    std::shared_ptr<const node::MessageSigner> own;
    Bytes h_req;
    std::function<Result<Handed>(store::Transaction&, const Delivery&)> work;
    std::function<void()> committed;  // the delivery is over, and in the database; runs where `work` does
    audit::Event event;               // recorded if the delivery is over
  };
  /// Signs, puts into the database, records, in this order; each delivery stands or falls by its own work. Whatever fails before it is on record is not to be sent.
  /// `unavailable` if the thread that did it for all was stopped in the middle: what the work did may stand, and the same application again finds out.
  Result<Handed> hand_over(Coming& coming, Ready ready);

  /// For the health answer: so many deliveries shared so many signatures.
  void describe(wire::Json& body);

 private:
  struct Item;
  struct Group;
  class Lead;
  /// With the lock held, as for the next two: one fewer is waited for, if it still was.
  void has_come(const Coming& one);
  /// Nobody joins the group that is open.
  void close();
  void wait_for_others(std::unique_lock<std::mutex>& lock, const Group& group);
  void sign(const Group& group);
  void finish(std::span<Item* const> items);
  using Verdicts = std::vector<Result<Handed>>;  // by place
  Result<void> put(std::span<Item* const> items, Verdicts& verdicts);

  node::Node& node_;
  store::Store& store_;
  const std::size_t most_;
  const std::chrono::milliseconds patience_;
  std::mutex mutex_;  // guards everything below, and whether a group is done
  std::condition_variable gathered_;  // a lead waits for it
  std::size_t coming_ = 0;            // since the last wait in vain
  std::uint64_t waits_in_vain_ = 0;
  bool in_company_ = false;      // the last group was of several
  std::shared_ptr<Group> open_;  // that can still be joined
  std::uint64_t deliveries_ = 0;
  std::uint64_t signatures_ = 0;
};

}  // namespace qanat::kms
