// What every key delivery standard asks of a key management entity, in one vocabulary. The adapters of this folder (ETSI GS QKD 014, 004, 020, SKIP) turn
// their messages into these orders; an element (a QKM, a KMS) implements Provider over its own stock.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/id.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "points/key_proof.hpp"

namespace qanat::kme {

struct SaeIdTag;
using SaeId = Name<SaeIdTag>;  // secure application entity: any text of 1 to sae_id_size_max octets
inline constexpr std::size_t sae_id_size_max = 256;

/// Who asks, and over what.
struct Caller {
  SaeId sae;
  std::string address;
  std::string group;         // of the TLS key exchange
  bool quantum_safe = false;  // whether that group withstands a quantum computer; stands in the answer's extension and in the audit
  std::string request_id;
};

/// Sizes in bits. A key of the stock has 256: a shorter one is the beginning of one stock key, a longer one several stock keys, one after the other, the
/// last of them cut; what is cut off is used up too.
struct Limits {
  std::uint32_t key_size = 256;
  std::uint32_t min_key_size = 64;
  std::uint32_t max_key_size = 4096;
  std::uint32_t max_key_per_request = 128;
  std::uint32_t max_sae_id_count = 16;  // additional slaves of one request
};

/// What a key must be, beyond its size.
struct Demands {
  std::uint32_t paths = 1;  // node-disjoint paths that its shares came over
  bool quantum = false;     // of quantum key distribution from end to end
  points::ProofDemand proof{};                // what must be proved of it, all that it is made of together
  std::uint32_t relays_max = relays_any;      // trusted nodes between the ends, on each path
  bool hop_by_hop = true;                     // may have been relayed so
  bool centralised = true;                    // and so

  static constexpr std::uint32_t relays_any = UINT32_MAX;
  [[nodiscard]] bool any() const { return *this != Demands(); }
  /// The demands that only what meets both meets.
  [[nodiscard]] Demands and_also(const Demands& other) const {
    return {.paths = std::max(paths, other.paths),
            .quantum = quantum || other.quantum,
            .proof = proof.and_also(other.proof),
            .relays_max = std::min(relays_max, other.relays_max),
            .hop_by_hop = hop_by_hop && other.hop_by_hop,
            .centralised = centralised && other.centralised};
  }
  bool operator==(const Demands&) const = default;
};
/// Why an order is refused (invalid_argument) whose demands no keys meet while others would be there; ETSI GS QKD 014 clause 5, word for word.
inline constexpr const char* demands_unmet = "not all extension_mandatory request options could be met";

struct Order {
  Caller master;
  std::vector<SaeId> slaves;  // the one asked for first; no name twice
  std::uint32_t number = 1;
  std::uint32_t size = 256;  // bits, a multiple of 8
  Demands demands;
  Demands wishes{};           // met if that can be done at once, passed over otherwise
  std::string_view standard;  // "etsi014", for the audit
  Deadline deadline;
};

struct Key {
  KeyId id;
  Secret octets;  // of the size that was ordered
};

/// What came of an order or a fetch.
struct Delivery {
  std::vector<Key> keys;
};

enum class MasterName : std::uint8_t { exact, pattern };

struct Fetch {
  Caller slave;
  SaeId master;  // empty: whoever it was
  MasterName master_is = MasterName::exact;
  std::vector<KeyId> ids;
  std::string_view standard;
  Deadline deadline;
};

struct StockStatus {
  std::string source_kme;
  std::string target_kme;
  std::int64_t stored_key_count = 0;
  std::int64_t max_key_count = 0;
  Limits limits;
};

/// Keys that another maker's key manager hands over for an SAE of ours (ETSI GS QKD 020).
struct ExternalKeys {
  SaeId initiator;
  std::vector<SaeId> targets;
  std::vector<Key> keys;
  Caller from;  // the other key manager
  Deadline deadline;
};

template <class T>
using Done = std::move_only_function<void(Result<T>)>;  // called once, from any thread

/// Asynchronous: every function returns at once and calls `done` when the outcome is durable.
class Provider {
 public:
  virtual ~Provider() = default;

  [[nodiscard]] virtual Limits limits() const = 0;
  /// not_found: no such SAE; denied: the two may share no keys.
  virtual void status(const Caller& master, const SaeId& slave, Done<StockStatus> done) = 0;
  /// Keys for the master; when `done` has them, every slave can already fetch them at its own key management entity, and no one will ever get them again
  /// from this end. invalid_argument: an unknown slave, a size, demands that are not met (demands_unmet); exhausted: too few keys in stock, or the SAE's
  /// quota; unavailable: the far end is silent.
  virtual void take(Order order, Done<Delivery> done) = 0;
  /// Keys by id, all or none: each slave gets each key once. not_found: one of them is not here; denied: the caller was not named for one of them.
  virtual void fetch(Fetch fetch, Done<Delivery> done) = 0;
  /// Stores keys that came from another key manager until their targets fetch them. The same keys again: nothing more happens, whatever became of them.
  /// conflict: an id is there already for another, or was voided.
  virtual void accept(ExternalKeys keys, Done<void> done) = 0;
  /// Destroys keys that the SAE initiated and that are not fetched yet, all of them if `ids` is empty; the ids of those that were there.
  virtual void discard(const SaeId& initiator, std::vector<KeyId> ids, Done<std::vector<KeyId>> done) = 0;
  /// Random octets of the element's own generator.
  virtual Result<Secret> random(std::size_t octets) = 0;
  /// A refusal that an adapter decided, for the audit; `then` runs when it is on record.
  virtual void record_refusal(const Caller& caller, std::string_view action, std::string why, std::move_only_function<void()> then) = 0;
};

}  // namespace qanat::kme
