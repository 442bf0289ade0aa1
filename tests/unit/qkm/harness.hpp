// QKM cores in one process: each with its own database and device, joined by a transport that a test may cut, delay or alter.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <mutex>
#include <set>

#include "crypto/kdf.hpp"
#include "quantum/qkm/routes.hpp"
#include "quantum/qkm/schema.hpp"
#include "quantum/qkm/supply.hpp"
#include "temporary_directory.hpp"

namespace qanat::qkm::test {

class SettableClock final : public Clock {
 public:
  [[nodiscard]] UnixMs now_ms() const override { return now_; }
  void advance(UnixMs span) { now_ += span; }

 private:
  std::atomic<UnixMs> now_ = 1'800'000'000'000;
};

inline crypto::Rng& rng() {
  static const std::unique_ptr<crypto::Rng> generator = std::move(*crypto::open_rng());
  return *generator;
}

/// Another one each time: a session takes once.
inline SidWk new_session() {
  static std::atomic<std::uint32_t> made = 0;
  Bytes out(SidWk::size, 7);
  const std::uint32_t number = ++made;
  for (std::size_t i = 0; i < sizeof number; ++i) out[i] = static_cast<std::uint8_t>(number >> (8 * i));
  return SidWk(out);
}
inline Deadline soon() { return Deadline::after(std::chrono::seconds(10)); }
inline Deadline at_once() { return Deadline::after(std::chrono::milliseconds(0)); }

/// The keys that an audit record names: ids, and runs "<batch>[3..17]".
inline std::vector<KeyId> keys_named(std::string_view text) {
  std::vector<KeyId> out;
  while (!text.empty()) {
    const std::string_view one = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), one.size() + 1));
    const std::size_t bracket = one.find('[');
    if (bracket == std::string_view::npos) {
      out.push_back(*KeyId::parse_hex(one));
      continue;
    }
    const BatchId batch = *BatchId::parse_hex(one.substr(0, bracket));
    const std::string range(one.substr(bracket + 1));
    for (auto i = std::stoul(range); i <= std::stoul(range.substr(range.find("..") + 2)); ++i) out.push_back(key_id(batch, static_cast<std::uint32_t>(i)));
  }
  return out;
}

class Network;

/// One QKM without sockets. restart() is what a crash leaves: the database, and nothing else.
class Core {
 public:
  Core(Network& network, std::string name, std::string domain, std::map<ElementName, LinkId> links, std::map<std::string, ElementName> ends);

  void open();
  void restart() {
    close();
    open();
    recovered =
        store->transact([&](store::Transaction& transaction) { return link_keys->recover(transaction, clock.now_ms()); }).value_or(std::vector<KeyRun>());
    lost = store->transact([&](store::Transaction& transaction) { return relayed_keys->recover(transaction, clock.now_ms()); }).value_or(std::vector<KeyRun>());
  }
  void close() {
    supply.reset();
    given.reset();
    relay.reset();
    routes.reset();
    relayed_keys.reset();
    link_keys.reset();
    keys.reset();
    commits.reset();
    store.reset();
  }
  [[nodiscard]] LinkStock stock(const LinkId& link) {
    return *store->transact([&](store::Transaction& transaction) { return link_keys->stock(transaction, link, clock.now_ms()); });
  }
  [[nodiscard]] std::optional<store::KeyState> link_key_state(const KeyId& id) {
    return *store->transact([&](store::Transaction& transaction) { return link_keys->state_of(transaction, id); });
  }
  [[nodiscard]] std::optional<store::KeyState> relayed_key_state(const KeyId& id) {
    return *store->transact([&](store::Transaction& transaction) { return relayed_keys->state_of(transaction, id); });
  }
  [[nodiscard]] std::int64_t count(std::string_view sql) {
    std::int64_t out = -1;
    (void)store->transact([&](store::Transaction& transaction) { return transaction.query(sql, {}, [&](const store::Row& row) { out = row.integer(0); }); });
    return out;
  }
  /// How often each key is on record as used here.
  [[nodiscard]] std::map<KeyId, int> uses(std::string_view action) {
    const std::lock_guard lock(events_mutex);
    std::map<KeyId, int> out;
    for (const auto& [what, names] : events) {
      if (what != action) continue;
      for (const KeyId& key : keys_named(names)) ++out[key];
    }
    return out;
  }
  [[nodiscard]] KeySupply::Session session(std::string peer_domain, Quality quality = {}) const {
    return {.peer_domain = std::move(peer_domain), .sid_wk = new_session(), .kms = "kms", .request_id = "1", .quality = quality};
  }
  /// Beforehand, into the pool of the first path.
  Result<BatchId> relay_to(const std::string& peer_domain, std::size_t count = 1);

  Network& network;
  const ElementName name;
  std::string domain;
  const std::map<ElementName, LinkId> links;
  const std::map<std::string, ElementName> ends;
  qanat::test::TemporaryDirectory directory;
  SettableClock clock;
  Arrivals arrivals;
  std::unique_ptr<crypto::CryptoDevice> device;
  std::unique_ptr<store::Store> store;
  std::unique_ptr<GroupCommit> commits;
  std::unique_ptr<KeyStock> keys;
  std::unique_ptr<LinkKeys> link_keys;
  std::unique_ptr<RelayedKeys> relayed_keys;
  std::unique_ptr<Routes> routes;
  std::unique_ptr<RelayNode> relay;
  std::unique_ptr<GivenKeys> given;
  std::unique_ptr<KeySupply> supply;
  std::vector<KeyRun> recovered;
  std::vector<KeyRun> lost;
  std::mutex events_mutex;
  std::vector<std::pair<std::string, std::string>> events;  // action, keys
  bool record_fails = false;
  std::chrono::milliseconds block_wait{10};
};

/// qkm-a —(a-r)— qkm-r —(r-b)— qkm-b
class Network {
 public:
  /// Stands between sender and receiver of each message: what it returns is what the sender gets.
  using Deliver = std::function<Result<Bytes>(ByteView message)>;
  using Wire = std::function<Result<Bytes>(const ElementName& from, const ElementName& to, ByteView message, const Deliver& deliver)>;

  struct Empty {};
  explicit Network(Empty) {}
  Network() {
    const std::map<std::string, ElementName> ends{{"a", ElementName("qkm-a")}, {"b", ElementName("qkm-b")}};
    add("qkm-a", "a", {{ElementName("qkm-r"), LinkId("a-r")}}, ends);
    add("qkm-r", "r", {{ElementName("qkm-a"), LinkId("a-r")}, {ElementName("qkm-b"), LinkId("r-b")}}, ends);
    add("qkm-b", "b", {{ElementName("qkm-r"), LinkId("r-b")}}, ends);
  }
  void add(const std::string& name, const std::string& domain, std::map<ElementName, LinkId> links, std::map<std::string, ElementName> ends) {
    cores_[ElementName(name)] = std::make_unique<Core>(*this, name, domain, std::move(links), std::move(ends));
  }
  Core& a() { return *cores_.at(ElementName("qkm-a")); }
  Core& r() { return *cores_.at(ElementName("qkm-r")); }
  Core& b() { return *cores_.at(ElementName("qkm-b")); }
  Core& at(const std::string& name) { return *cores_.at(ElementName(name)); }

  Result<Bytes> carry(const ElementName& from, const ElementName& to, ByteView message, Deadline deadline) {
    const Deliver deliver = [&](ByteView octets) { return cores_.at(to)->relay->receive(from, octets, deadline, "1"); };
    return wire ? wire(from, to, message, deliver) : deliver(message);
  }
  [[nodiscard]] std::vector<Path> paths(const ElementName& from, const ElementName& to) const {
    if (find_paths) return find_paths(from, to);
    if (from != ElementName("qkm-r") && to != ElementName("qkm-r")) return {{from, ElementName("qkm-r"), to}};
    return {{from, to}};
  }
  /// What both ends of a link hold after its block.
  static Secret block_keys(const LinkId& link, std::uint64_t block_id, std::size_t keys) {
    Secret out(keys * link_key_size);
    for (std::size_t i = 0; i < keys; ++i) {
      const std::string name = link.text() + " " + std::to_string(block_id) + " " + std::to_string(i);
      std::ranges::copy(crypto::digest(crypto::Hash::sha256, as_bytes(name)), out.writable().subspan(i * link_key_size).begin());
    }
    return out;
  }
  /// A finished block, at one end or at both.
  static void give(Core& core, const LinkId& link, const ElementName& peer, std::uint64_t block_id, std::size_t keys, points::KeyProof proof = {}) {
    const LinkBlock block{.link = link, .peer = peer, .block_id = block_id, .keys = block_keys(link, block_id, keys), .proof = proof};
    const auto done = core.store->transact([&](store::Transaction& transaction) { return core.link_keys->ingest(transaction, block, core.clock.now_ms()); });
    ASSERT_TRUE(done) << done.error().message;
    core.arrivals.ring();
  }
  void fill(std::uint64_t block_id, std::size_t keys) {
    give(a(), LinkId("a-r"), r().name, block_id, keys);
    give(r(), LinkId("a-r"), a().name, block_id, keys);
    give(r(), LinkId("r-b"), b().name, block_id, keys);
    give(b(), LinkId("r-b"), r().name, block_id, keys);
  }

  Wire wire;
  std::function<std::vector<Path>(const ElementName& from, const ElementName& to)> find_paths;

 private:
  std::map<ElementName, std::unique_ptr<Core>> cores_;
};

inline Core::Core(Network& network_, std::string name_, std::string domain_, std::map<ElementName, LinkId> links_, std::map<std::string, ElementName> ends_)
    : network(network_), name(std::move(name_)), domain(std::move(domain_)), links(std::move(links_)), ends(std::move(ends_)) {
  device = std::move(*crypto::open_software_device(directory / "master.key", rng()));
  open();
}

inline void Core::open() {
  store = std::move(*store::Store::open(directory / "qkm.db", migrations));
  commits = std::make_unique<GroupCommit>(*store);
  keys = std::make_unique<KeyStock>(*device);
  link_keys = std::make_unique<LinkKeys>(*keys, name, 100000);
  relayed_keys = std::make_unique<RelayedKeys>(*keys);
  const auto record = [this](std::span<const KeyEvent> batch) -> Result<void> {
    if (record_fails) return fail(ErrorCode::internal, "audit: disk full");
    const std::lock_guard lock(events_mutex);
    for (const KeyEvent& event : batch) events.emplace_back(event.action, event.keys);
    return {};
  };
  const RelayPlace place{.self = name, .domain = domain, .links = links, .end_nodes = ends, .lifetime = std::chrono::seconds(60), .block_wait = block_wait};
  routes = std::make_unique<Routes>(
      name,
      [&] {
        std::set<ElementName> out;
        for (const auto& [neighbour, link] : links) out.insert(neighbour);
        return out;
      }(),
      std::chrono::milliseconds(0),
      [this](const ElementName& to, std::size_t count, Deadline, const std::string&) -> Result<std::vector<Path>> {
        std::vector<Path> out = network.paths(name, to);
        if (out.size() > count) out.resize(count);
        return out;
      });
  relay = std::make_unique<RelayNode>(place, RelayNode::Parts{*commits, *link_keys, *relayed_keys, *device, clock, arrivals},
                                      RelayPorts{.send = [this](const ElementName& to, ByteView message, Deadline deadline,
                                                                const std::string&) { return network.carry(name, to, message, deadline); },
                                                 .record = record});
  given = std::make_unique<GivenKeys>(*device);
  supply = std::make_unique<KeySupply>(KeySupply::Parts{
      *commits, *relayed_keys, [this](const RelayOrder& order, Deadline deadline, const std::string& id) { return relay->relay(order, deadline, id); }, *routes,
      place, clock, arrivals, record, *given});
}

inline Result<BatchId> Core::relay_to(const std::string& peer_domain, std::size_t count) {
  return relay->relay({.domain = peer_domain, .path = network.paths(name, ends.at(peer_domain)).front(), .keys = count}, soon(), "1");
}

}  // namespace qanat::qkm::test
