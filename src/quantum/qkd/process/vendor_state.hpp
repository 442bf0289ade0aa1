// What an end whose keys come from a maker's key management entity keeps across a restart, and how a block goes from there to the QKM. Sealed in the records,
// in the place of the state that an end with optics has there.
#pragma once

#include <functional>
#include <mutex>
#include <optional>

#include "quantum/qkd/process/end.hpp"
#include "quantum/qkd/process/vendor_message.hpp"

namespace qanat::qkd {

/// Keys of 32 octets each, one after the other, in the order of their ids.
struct VendorKeys {
  std::vector<KeyId> ids;
  Secret octets;
};

/// Alice: offered and not decided. Bob: stored, and Alice's decision not known here.
struct VendorBlock {
  std::uint64_t block_id = 0;
  UnixMs began_ms = 0;
  VendorKeys keys;
};

struct VendorState {
  std::uint64_t last_done = 0;       // Alice: last id offered; Bob: last id that was stored or refused. Neither end takes an id up to this one for a new block
  std::uint64_t last_committed = 0;  // last block that is a key
  std::optional<VendorBlock> pending;

  [[nodiscard]] Secret encode() const;
  /// invalid_argument also for the state of an end with optics.
  static Result<VendorState> decode(ByteView octets);
};

/// The state and its records. Every change is durable when the call returns; after a failure the state is read from the records again.
class VendorLedger {
 public:
  struct Parts {
    LinkId link;
    Records& records;
    const Clock& clock;
    std::function<void()> block_stored;
  };
  explicit VendorLedger(Parts parts) : parts_(std::move(parts)) {}

  /// Block ids count on from the time of installation, as those of the other drivers. The pointer holds until the next call.
  Result<const VendorState*> state();
  /// pending = block, last_done = its id.
  Result<void> keep(VendorBlock block);
  /// Destroys what is pending, if anything, and marks `block_id` as done with. The block counts as failed.
  Result<void> give_up(std::uint64_t block_id, std::string_view why);
  /// The pending block becomes a key: an undelivered block of the records.
  Result<void> release();

  [[nodiscard]] EndFacts facts() const;
  void note_failure(std::string_view what);
  void set_connected(bool connected);
  [[nodiscard]] const LinkId& link() const noexcept { return parts_.link; }
  [[nodiscard]] UnixMs now_ms() const { return parts_.clock.now_ms(); }

 private:
  Result<void> store(const std::vector<KeyBlock>& blocks);

  const Parts parts_;
  std::optional<VendorState> state_;
  mutable std::mutex mutex_;
  EndFacts facts_;
};

}  // namespace qanat::qkd
