// The two ends of a QKD link as message machines: no I/O, no threads. The caller moves frames, stores state and takes key blocks.
//
// A block becomes a key at both ends or at neither, even if the connection or a process is lost at any point:
//   Bob stores the finished block (prepared), then acknowledges. Alice releases it on that acknowledgement, and her stored
//   `last_committed` is the decision. Bob releases on her confirmation. If that is lost, the next handshake tells: Bob releases his
//   prepared block if it is Alice's last committed one, and otherwise destroys it. Alice keeps nothing of a block that she did not
//   release. Handshakes are authenticated and bound to Bob's fresh nonce, so that an old answer decides nothing.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/clock.hpp"
#include "crypto/random.hpp"
#include "quantum/qkd/photonics/device.hpp"
#include "quantum/qkd/session/settings.hpp"
#include "quantum/qkd/session/state.hpp"

namespace qanat::qkd {

struct BlockFailure {
  std::uint64_t block_id = 0;  // 0: it was not even begun
  Error error;
};

/// What the caller does after a call, in the order of the members.
struct Step {
  std::optional<Secret> persist;         // 1. store durably (sealed), in one transaction with `deliver`
  std::vector<KeyBlock> deliver;         // 2. finished: hand to the key manager
  std::vector<Bytes> send;               // 3. only after 1 succeeded: a tag's key must be on record as used before the tag leaves
  std::optional<BlockFailure> failed;    // a block that yields nothing, and why; the session goes on
  std::optional<std::uint64_t> dropped;  // Bob, after a reconnection: a prepared block that Alice had not released
  std::optional<Error> ended;            // 4. close the connection; begin again with a new session over the stored state
};

/// What a session is given. All references outlive it.
template <class Device>
struct SessionParts {
  const SessionSettings& settings;
  Device& device;
  crypto::Rng& random;
  const Clock& clock;
};

class AliceSession {
 public:
  /// `settings` must be valid.
  AliceSession(SessionParts<AliceDevice> parts, DurableState state);
  AliceSession(AliceSession&&) noexcept;
  AliceSession& operator=(AliceSession&&) noexcept;
  ~AliceSession();

  /// Greeted, and no block under way: begin_block() may be called.
  [[nodiscard]] bool idle() const noexcept;
  /// Starts the next block. Yields `failed` when not idle or when the authentication pool is at its reserve.
  [[nodiscard]] Step begin_block();
  /// One frame from Bob.
  [[nodiscard]] Step receive(ByteView frame);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class BobSession {
 public:
  BobSession(SessionParts<BobDevice> parts, DurableState state);
  BobSession(BobSession&&) noexcept;
  BobSession& operator=(BobSession&&) noexcept;
  ~BobSession();

  [[nodiscard]] bool idle() const noexcept;
  /// Greets Alice: call once, on a fresh connection.
  [[nodiscard]] Step start();
  /// One frame from Alice.
  [[nodiscard]] Step receive(ByteView frame);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace qanat::qkd
