// Km-3: hands relayed keys to the KMS of this domain, each once. The near end takes (from the pool that was relayed beforehand, or by a
// relay on demand), the far end fetches by id what the near end took.
#pragma once

#include "quantum/qkm/relay_node.hpp"

namespace qanat::qkm {

class KeySupply {
 public:
  struct Parts {
    store::Store& store;
    RelayedKeys& relayed_keys;
    RelayNode& relay;
    const Clock& clock;
    Arrivals& arrivals;
    decltype(RelayPorts::record) record;
  };
  explicit KeySupply(Parts parts) : parts_(std::move(parts)) {}

  struct Session {
    std::string peer_domain;
    SidWk sid_wk;
    std::string kms;  // who asks, for the record
    std::string request_id;
  };
  /// 1 to `count` keys shared with the peer domain; fewer than `count` if the deadline or the link keys allow no more.
  Result<std::vector<RelayedKey>> take(const Session& session, std::size_t count, Deadline deadline);
  /// All of `ids`, which the peer domain's KMS named; waits for those that are still on their way. not_found if one does not come.
  Result<std::vector<RelayedKey>> fetch(const Session& session, std::span<const KeyId> ids, Deadline deadline);
  Result<void> done(std::span<const KeyId> ids, RelayedKeys::Use use);

  /// How many keys the pool for `domain` lacks to have `target`.
  Result<std::size_t> missing(const std::string& domain, std::size_t target);

 private:
  Result<std::vector<RelayedKey>> deliver(const Session& session, std::span<const KeyId> reserved);
  const Parts parts_;
};

}  // namespace qanat::qkm
