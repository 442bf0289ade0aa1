// gateway.db: which keys each tunnel has had, and where each stands. Ids and states alone: no key is ever written to a disk.
#pragma once

#include <memory>
#include <span>

#include "store/store.hpp"
#include "terminal/gateway/rotation.hpp"

namespace qanat::terminal::gateway {

class KeyRecords {
 public:
  static constexpr std::int64_t gone_kept = 10000;
  /// `kept`: how many rows of keys that are gone each tunnel keeps.
  static Result<std::unique_ptr<KeyRecords>> open(const std::filesystem::path& file, std::int64_t kept = gone_kept);

  /// All but those that are gone, oldest first.
  Result<std::vector<GatewayKeyRow>> live(const std::string& tunnel);
  /// The state of this id; nothing if it was never here (or so long ago that the row is no longer kept).
  Result<std::optional<GatewayKeyState>> state_of(const std::string& tunnel, const KeyId& id);
  /// A key that was never here, as `taken`. conflict if it was.
  Result<void> take(const std::string& tunnel, const KeyId& id, UnixMs now);
  struct Move {
    KeyId id;
    GatewayKeyState to{};
  };
  /// All of them or none, in this order; conflict where the table has no such transition.
  Result<void> move(const std::string& tunnel, std::span<const Move> moves, UnixMs now);

  /// Initiator: a number for the next message, larger than all before, also after a loss of this database (it is a time).
  Result<std::int64_t> next_turn(const std::string& tunnel, UnixMs now);
  /// Responder: conflict if a message with this number or a larger one was followed already.
  Result<void> follow_turn(const std::string& tunnel, std::int64_t turn);

 private:
  KeyRecords(std::unique_ptr<store::Store> store, std::int64_t kept) : store_(std::move(store)), kept_(kept) {}
  std::unique_ptr<store::Store> store_;
  std::int64_t kept_;
};

}  // namespace qanat::terminal::gateway
