// This QKM's part in relays hop by hop: begins them, passes them on, ends them. No sockets: what goes to a neighbour leaves through RelayPorts.
//
// Link keys are reserved durably before a message leaves and destroyed whatever comes back; a receiver destroys its copies before it looks
// at the message. Whoever is left without an answer therefore never uses a key again that the other end may have seen.
#pragma once

#include <functional>
#include <map>
#include <span>

#include "quantum/qkm/stock.hpp"
#include "quantum/qkm/group_commit.hpp"
#include "quantum/qkm/link_keys.hpp"
#include "quantum/qkm/relay_message.hpp"
#include "quantum/qkm/relayed_keys.hpp"

namespace qanat::qkm {

/// For the audit record: what was done with some keys.
struct KeyEvent {
  std::string_view action;  // "link_key.used", "relayed_key.delivered" …
  std::string keys;         // ids, or runs of ids (KeyRun::text), with spaces between
  std::string subject;      // with or for whom
  std::string request_id;
};
std::string text_of(std::span<const KeyRun> runs);

using Path = std::vector<ElementName>;  // with both ends

/// What a relay needs from outside. All may block until the deadline; all may be called from several threads.
struct RelayPorts {
  /// Brings a message to a neighbour and its answer back.
  std::function<Result<Bytes>(const ElementName& neighbour, ByteView message, Deadline deadline, const std::string& request_id)> send;
  /// Durable when it returns; on failure the keys are not used.
  std::function<Result<void>(std::span<const KeyEvent> events)> record;
};

struct RelayPlace {
  ElementName self;
  std::string domain;
  std::map<ElementName, LinkId> links;           // by neighbour
  std::map<std::string, ElementName> end_nodes;  // the QKM of each domain that keys are shared with
  std::chrono::milliseconds lifetime{60000};     // a far key that nobody fetches is destroyed after this; a near key after half of it
  // The ends of a link release a block a round trip apart, and each then brings it to its QKM: a message may overtake the block of its keys.
  std::chrono::milliseconds block_wait{500};
};

/// What a relay is to bring, and over which nodes.
struct RelayOrder {
  std::string domain;
  Path path;  // from this QKM to that of the domain
  std::size_t keys = 1;
  points::ProofDemand demand{};  // of each hop's keys, and of all together
  std::uint8_t ways = ways_all;  // by which they may come
};

class RelayNode {
 public:
  struct Parts {
    GroupCommit& commits;
    LinkKeys& link_keys;
    RelayedKeys& relayed_keys;
    crypto::CryptoDevice& device;
    const Clock& clock;
    Arrivals& arrivals;
  };
  RelayNode(RelayPlace place, Parts parts, RelayPorts ports) : place_(std::move(place)), parts_(parts), ports_(std::move(ports)) {}

  /// Fresh secrets to the QKM of the order's domain, known to be held there when this returns: so many more near keys.
  Result<BatchId> relay(const RelayOrder& order, Deadline deadline, const std::string& request_id);
  /// A message from a neighbour, whose name the connection proved. The answer is given when the keys are stored at the destination.
  Result<Bytes> receive(const ElementName& sender, ByteView message, Deadline deadline, const std::string& request_id);

  [[nodiscard]] const RelayPlace& place() const noexcept { return place_; }

 private:
  struct Crossed {
    std::vector<KeyRun> runs;
    points::KeyProof proof;  // of this node's hop and those before it
    RelayAnswer answer;
  };
  Result<void> check(const ElementName& sender, const RelayHeader& header) const;
  void await_blocks(const RelayHeader& header, Deadline deadline);
  Result<KeyStock::Receipt> take_in(const RelayHeader& header, const std::string& request_id);
  Result<Crossed> cross(RelayHeader header, const Secret& secrets, Deadline deadline, const std::string& request_id);
  Result<Crossed> cross_once(RelayHeader& header, const Secret& secrets, Deadline deadline, const std::string& request_id);
  Result<Bytes> pass_on(RelayHeader header, const Secret& secrets, Deadline deadline, const std::string& request_id);
  Result<Bytes> keep(const RelayHeader& header, const Secret& secrets);

  const RelayPlace place_;
  const Parts parts_;
  const RelayPorts ports_;
};

/// invalid_argument unless the path leads from `self` to the QKM of the domain over nodes that are named once.
Result<void> check_order(const RelayPlace& place, const RelayOrder& order);
/// For display: over which nodes, with which link keys at this end.
std::string describe_way(std::span<const ElementName> path, std::span<const KeyRun> runs);

}  // namespace qanat::qkm
