// The two ends of a link over which finished keys come (driver "etsi014"): the makers' devices and key management entities do optics and post-processing,
// and each end fetches its half by ETSI GS QKD 014. No sockets and no threads here: driven by the service, or by a test.
//
// A block becomes a key at both ends or at neither, whatever is lost and whoever dies:
//   Alice fetches fresh keys, stores them and offers their ids, as often as she is asked. Bob fetches the same ids, compares a proof that the keys are the
//   same, stores them and acknowledges with his own proof. Alice's one transaction that makes the block an undelivered one is the decision. Bob repeats
//   his acknowledgement until he hears it: released, or voided when Alice does not have that block. Alice gives a block up only when Bob refuses it or his
//   proof fails; Bob refuses only what he has not stored. Ids ascend and are done with once, at both ends.
// Keys that one end fetched before it was lost are lost with it, at the other end too.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>

#include "quantum/qkd/process/vendor_state.hpp"

namespace qanat::qkd {

/// An end's way to its KME. Errors: invalid_argument: it refuses these keys for good, or its answer is malformed; anything else: may be better later.
struct VendorSource {
  std::function<Result<VendorKeys>(Deadline)> fresh;                             // Alice: 1 to vendor_keys_max, with ids of the KME's
  std::function<Result<VendorKeys>(const std::vector<KeyId>&, Deadline)> by_id;  // Bob: exactly these, in this order
};

struct VendorPace {
  std::chrono::milliseconds rest_first{500};  // after a failure of Alice's KME or a block that was given up; doubles …
  std::chrono::milliseconds rest_max{15000};  // … up to this
  int fetches_max = 6;                        // Bob's, of a block that his KME refuses: one KME may know of a key a little later than the other
};

class VendorAlice {
 public:
  VendorAlice(VendorLedger::Parts parts, VendorSource source, VendorPace pace) : ledger_(std::move(parts)), source_(std::move(source)), pace_(pace) {}

  /// One exchange of Bob's. With nothing to offer the answer waits until there is something, or until `hold`; fetching ends by `deadline`.
  Result<Bytes> answer(ByteView request, Deadline hold, Deadline deadline);
  /// This site's order; a block is begun when either site wants one.
  void set_run(bool run);
  /// Connected: Bob was heard a short while ago.
  [[nodiscard]] EndFacts facts() const;

 private:
  Result<Bytes> say(VendorKind kind, std::uint64_t block_id = 0) const;
  Result<Bytes> offer(const VendorBlock& block) const;
  Result<Bytes> ask(const VendorMessage& asked, Deadline hold, Deadline deadline);
  Result<Bytes> begin(std::uint64_t after, Deadline deadline);
  Result<Bytes> acknowledge(const VendorMessage& said);
  Result<Bytes> refuse(const VendorMessage& said);
  bool await_run(bool bob_wants_run, Deadline hold);
  void rest();

  VendorLedger ledger_;
  const VendorSource source_;
  const VendorPace pace_;
  std::mutex work_;  // guards the ledger's state

  mutable std::mutex run_mutex_;  // guards what is below
  std::condition_variable run_changed_;
  bool run_ = false;
  std::chrono::milliseconds next_rest_{0};  // 0: the last block went well
  std::chrono::steady_clock::time_point rest_until_{};
  std::chrono::steady_clock::time_point heard_{};
};

class VendorBob {
 public:
  using Send = std::function<Result<Bytes>(ByteView exchange, Deadline deadline)>;
  VendorBob(VendorLedger::Parts parts, VendorSource source, VendorPace pace, Send send)
      : ledger_(std::move(parts)), source_(std::move(source)), pace_(pace), send_(std::move(send)) {}

  /// One exchange with Alice. After a failure the caller pauses, longer each time.
  Result<void> turn(Deadline deadline);
  /// This site's order, which Alice is told.
  void set_run(bool run) { run_ = run; }
  [[nodiscard]] EndFacts facts() const { return ledger_.facts(); }

 private:
  Result<void> exchange(Deadline deadline);
  Result<VendorMessage> send(VendorMessage message, Deadline deadline);
  Result<void> settle(const VendorBlock& block, Deadline deadline);
  Result<void> take(const VendorMessage& offer, Deadline deadline);
  Result<void> refuse(std::uint64_t block_id, std::string_view why, Deadline deadline);

  VendorLedger ledger_;
  const VendorSource source_;
  const VendorPace pace_;
  const Send send_;
  std::atomic<bool> run_ = false;
  std::uint64_t fetching_ = 0;  // the block whose keys the KME did not give yet
  int fetches_ = 0;
};

}  // namespace qanat::qkd
