// Keys that this QKM brings to key managers of other makers (ETSI GS QKD 020), as far as they must outlive a crash: what was offered to whom, what was
// acknowledged, what must be voided. No octets are here: those wait in memory for the acknowledgement, and a process that dies takes them with it.
//
// A key's way at one key manager: offered, then relayed (all its targets acknowledged), then sold: every key manager of its order has acknowledged, and the
// master gets it now. Everything else ends in its voiding, also what every key manager acknowledged and the master was not given; what is to be voided is
// never sold. Every function is one step of the caller's transaction.
#pragma once

#include <array>
#include <map>
#include <span>

#include "base/key_run.hpp"
#include "kme/etsi020.hpp"
#include "store/store.hpp"

namespace qanat::qkm {

enum class HandoverState : std::uint8_t { offered, relayed, sold, void_due, voided, failed };
std::string_view name(HandoverState state) noexcept;

struct HandoverStep {
  HandoverState from;
  HandoverState to;
};
inline constexpr std::array handover_steps{
    HandoverStep{HandoverState::offered, HandoverState::relayed}, HandoverStep{HandoverState::relayed, HandoverState::sold},
    HandoverStep{HandoverState::offered, HandoverState::failed},  // refused at once, or not kept by any target: nothing is there to be voided
    HandoverStep{HandoverState::offered, HandoverState::void_due}, HandoverStep{HandoverState::relayed, HandoverState::void_due},
    HandoverStep{HandoverState::void_due, HandoverState::voided}, HandoverStep{HandoverState::void_due, HandoverState::failed},
};
constexpr bool may_become(HandoverState from, HandoverState to) {
  for (const HandoverStep& step : handover_steps) {
    if (step.from == from && step.to == to) return true;
  }
  return false;
}
static_assert(!may_become(HandoverState::sold, HandoverState::void_due) && !may_become(HandoverState::void_due, HandoverState::sold));
static_assert(!may_become(HandoverState::offered, HandoverState::sold));

/// The keys of one order at one key manager: ids 0 to count - 1 of a batch of their own.
struct Handover {
  BatchId batch;
  std::string kme;
  std::uint32_t count = 0;
  kme::SaeId initiator;
  std::vector<kme::SaeId> targets;

  [[nodiscard]] std::vector<KeyId> ids() const;
};

class Handovers {
 public:
  static Result<void> offer(store::Transaction& transaction, const Handover& handover, UnixMs now);
  /// What a key manager says of its keys. Said again, or said of keys that are past it, it changes nothing.
  struct Outcome {
    std::vector<BatchId> complete;                          // every key manager has acknowledged just now: to be sold, or given up
    std::vector<std::pair<BatchId, std::string>> failed;    // and why
    std::vector<KeyId> changed;
  };
  static Result<Outcome> acknowledge(store::Transaction& transaction, const std::string& kme, std::span<const kme::etsi020::Ack> acks, UnixMs now);
  /// Right before the master is answered: no restart voids these keys any more. False, and nothing changes, unless every key manager of the order has
  /// acknowledged them and nothing has taken that back.
  static Result<bool> sell(store::Transaction& transaction, const BatchId& batch, UnixMs now);
  /// The order will not be met: what other key managers may have of it must be voided. At `kme`, if it is named, nothing is.
  static Result<void> give_up(store::Transaction& transaction, const BatchId& batch, std::string_view kme, UnixMs now);

  /// What must be voided now; each is put off before it is tried, by more each time.
  struct Duty {
    Handover handover;
    bool last = false;  // it is past its time: this attempt is the last
  };
  static Result<std::vector<Duty>> due(store::Transaction& transaction, std::size_t most, UnixMs give_up_after_ms, UnixMs now);
  static Result<void> voided(store::Transaction& transaction, const Handover& handover, HandoverState to, UnixMs now);

  /// After a restart: those who waited for these keys are gone. How many handovers it was.
  static Result<std::int64_t> recover(store::Transaction& transaction, UnixMs now);
  static Result<void> forget(store::Transaction& transaction, UnixMs before);
};

}  // namespace qanat::qkm
