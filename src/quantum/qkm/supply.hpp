// Km-3: hands relayed keys to the KMS of this domain, each once. The near end takes (from the pools that were relayed beforehand, or by a
// relay on demand), the far end fetches by id what the near end took. The same take again gets the same keys (given_keys.hpp).
#pragma once

#include "quantum/qkm/given_keys.hpp"
#include "quantum/qkm/relay_node.hpp"
#include "quantum/qkm/routes.hpp"

namespace qanat::qkm {

inline constexpr std::size_t paths_max = 4;

/// What the keys of one take must be worth.
struct Quality {
  std::size_t paths = 1;                     // so many keys, each over another path; no node between the ends is on two of them
  std::size_t relays_max = relay_nodes_max;  // trusted nodes between the ends
  QualityDemand demand{};                    // what is proved of each key, and how it came
};
std::string describe(const Quality& quality);

class KeySupply {
 public:
  /// Relays now, by whichever way the configuration says.
  using Relay = std::function<Result<BatchId>(const RelayOrder& order, Deadline deadline, const std::string& request_id)>;
  struct Parts {
    GroupCommit& commits;
    RelayedKeys& relayed_keys;
    Relay relay;
    Routes& routes;
    RelayPlace place;
    const Clock& clock;
    Arrivals& arrivals;  // far keys, and near keys in the pools
    decltype(RelayPorts::record) record;
    GivenKeys& given;
  };
  explicit KeySupply(Parts parts) : parts_(std::move(parts)) {}

  struct Session {
    std::string peer_domain;
    SidWk sid_wk;
    std::string kms;  // who asks, for the record
    std::string request_id;
    Quality quality{};
    bool waits = false;  // for keys that cannot be had at once, until the deadline
  };
  /// 1 to `count` keys shared with the peer domain; fewer than `count` if the deadline or the link keys allow no more. With a quality of two or
  /// more paths: exactly one key per path, or a failure. What the same session was given for the same is given again, until it is done with one of the keys or
  /// their time is over; conflict if it asks for something else (but over one path where it asked for several), or another KMS asks for it.
  Result<std::vector<RelayedKey>> take(const Session& session, std::size_t count, Deadline deadline);
  /// All of `ids`, which the peer domain's KMS named; waits for those that are still on their way. not_found if one does not come.
  Result<std::vector<RelayedKey>> fetch(const Session& session, std::span<const KeyId> ids, Deadline deadline);
  Result<void> done(std::span<const KeyId> ids, RelayedKeys::Use use);
  /// For how long from now the far end keeps a key that was taken here, if nobody fetches it. A near key stays in stock for half of the lifetime, the far one, which
  /// came later, for all of it; both QKMs must be configured with the same.
  [[nodiscard]] std::chrono::milliseconds fetch_within(const RelayedKey& key) const;

  /// Relays until each of the `paths` best paths to the domain has `target` keys in its pool, if it has fewer than half. False if that failed.
  Result<void> fill(const std::string& domain, std::size_t paths, std::size_t target, Deadline deadline, const std::string& request_id);
  /// How many keys can be taken for a domain at once.
  Result<std::int64_t> stock(const std::string& domain);

 private:
  struct Given {
    std::vector<RelayedKey> keys;
    bool again = false;  // they are what the same take got before
  };
  Result<Given> from_pools(const Session& session, std::size_t least, std::size_t most);
  /// That this session asks for so many keys.
  static GivenKeys::Take named(const Session& session, std::size_t count);
  Result<std::vector<RelayedKey>> refused(const Session& session, const Error& last, const Error& why);
  Result<void> bring(const Session& session, std::size_t keys, Deadline deadline);
  Result<std::vector<Path>> ways(const std::string& domain, const Quality& quality, Deadline deadline, const std::string& request_id);
  Result<void> relay_over(RelayOrder order, Deadline deadline, const std::string& request_id);
  Result<std::vector<RelayedKey>> recorded(std::string_view action, const Session& session, std::vector<RelayedKey> keys);
  const Parts parts_;
};

/// The key that two ends have when each has the same shares: their XOR, so that whoever lacks one share knows nothing of it. One share is the key
/// itself. invalid_argument unless all are 32 octets and there is one.
Result<Secret> combine(std::span<const RelayedKey> shares);

}  // namespace qanat::qkm
