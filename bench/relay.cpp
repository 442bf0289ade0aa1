#include "relay.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <map>

#include "audit/audit.hpp"
#include "cpu_clock.hpp"
#include "crypto/random.hpp"
#include "quantum/qkm/relay_node.hpp"
#include "quantum/qkm/schema.hpp"
#include "statistics.hpp"

namespace qanat::bench {
namespace {

constexpr std::size_t batch_keys = 256;
constexpr std::size_t batches = 12;
constexpr std::size_t singles = 40;
constexpr std::size_t link_block_keys = 1024;
constexpr std::chrono::seconds relay_max{30};

class Chain;

/// One QKM's core with its own database and audit record, both synced to disk; no sockets and no TLS.
struct Node {
  Node(Chain& chain_, ElementName name_) : chain(chain_), name(std::move(name_)) {}
  Result<void> open(const std::filesystem::path& folder, crypto::Rng& rng, qkm::RelayPlace place);

  Chain& chain;
  const ElementName name;
  SystemClock clock;
  qkm::Arrivals arrivals;
  std::unique_ptr<crypto::CryptoDevice> device;
  std::unique_ptr<audit::Log> log;
  std::unique_ptr<store::Store> store;
  std::unique_ptr<qkm::GroupCommit> commits;
  std::unique_ptr<qkm::KeyStock> stock;
  std::unique_ptr<qkm::LinkKeys> link_keys;
  std::unique_ptr<qkm::RelayedKeys> relayed_keys;
  std::unique_ptr<qkm::RelayNode> relay;
};

/// n0 — n1 — … — n(k-1)
class Chain {
 public:
  Result<void> open(std::size_t size, const std::filesystem::path& folder) {
    ASSIGN_OR_RETURN(rng_, crypto::open_rng());
    for (std::size_t i = 0; i < size; ++i) path_.emplace_back(fmt::format("n{:02}", i));
    for (std::size_t i = 0; i < size; ++i) {
      qkm::RelayPlace place{.self = path_[i], .domain = i == 0 ? "a" : i + 1 == size ? "b" : fmt::format("r{}", i), .links = {}, .end_nodes = {}};
      if (i > 0) place.links.emplace(path_[i - 1], link(i - 1));
      if (i + 1 < size) place.links.emplace(path_[i + 1], link(i));
      place.end_nodes = {{"a", path_.front()}, {"b", path_.back()}};
      nodes_[path_[i]] = std::make_unique<Node>(*this, path_[i]);
      TRY(nodes_[path_[i]]->open(folder / path_[i].text(), *rng_, place));
    }
    return {};
  }
  /// A block of fresh keys at both ends of every link.
  Result<void> fill() {
    ++block_;
    for (std::size_t i = 0; i + 1 < path_.size(); ++i) {
      const Secret keys = rng_->secret(link_block_keys * qkm::link_key_size);
      for (const std::size_t end : {i, i + 1}) {
        Node& node = *nodes_.at(path_[end]);
        const qkm::LinkBlock block{.link = link(i), .peer = path_[end == i ? i + 1 : i], .block_id = block_, .keys = keys.duplicate()};
        TRY(node.store->transact([&](store::Transaction& transaction) { return node.link_keys->ingest(transaction, block, node.clock.now_ms()); }));
      }
    }
    return {};
  }
  Result<void> relay(std::size_t keys) {
    TRY(nodes_.at(path_.front())->relay->relay({.domain = "b", .path = path_, .keys = keys}, Deadline::after(relay_max), "bench"));
    return {};
  }
  Result<Bytes> carry(const ElementName& from, const ElementName& to, ByteView message, Deadline deadline, const std::string& id) {
    octets_ += message.size();
    return nodes_.at(to)->relay->receive(from, message, deadline, id);
  }
  [[nodiscard]] std::size_t octets() const { return octets_; }

 private:
  static qkm::LinkId link(std::size_t i) { return qkm::LinkId(fmt::format("l{:02}", i)); }
  std::unique_ptr<crypto::Rng> rng_;
  std::vector<ElementName> path_;
  std::map<ElementName, std::unique_ptr<Node>> nodes_;
  std::uint64_t block_ = 0;
  std::size_t octets_ = 0;
};

Result<void> Node::open(const std::filesystem::path& folder, crypto::Rng& rng, qkm::RelayPlace place) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  ASSIGN_OR_RETURN(device, crypto::open_software_device(folder / "master.key", rng));
  ASSIGN_OR_RETURN(log, audit::Log::open(folder / "audit.log", name.text(), clock));
  ASSIGN_OR_RETURN(store, store::Store::open(folder / "qkm.db", qkm::migrations));
  commits = std::make_unique<qkm::GroupCommit>(*store);
  stock = std::make_unique<qkm::KeyStock>(*device);
  link_keys = std::make_unique<qkm::LinkKeys>(*stock, name, 1000000);
  relayed_keys = std::make_unique<qkm::RelayedKeys>(*stock);
  const auto record = [this](std::span<const qkm::KeyEvent> events) -> Result<void> {
    for (const qkm::KeyEvent& event : events) {
      TRY(log->append({.action = event.action,
                       .outcome = audit::Outcome::success,
                       .subject = event.subject,
                       .object = event.keys,
                       .reason = "",
                       .request_id = event.request_id}));
    }
    return {};
  };
  relay = std::make_unique<qkm::RelayNode>(std::move(place), qkm::RelayNode::Parts{*commits, *link_keys, *relayed_keys, *device, clock, arrivals},
                                           qkm::RelayPorts{.send = [this](const ElementName& to, ByteView message, Deadline deadline,
                                                                          const std::string& id) { return chain.carry(name, to, message, deadline, id); },
                                                           .record = record});
  return {};
}

struct Figures {
  double keys_per_s = 0;
  double cpu_us_per_key_and_hop = 0;
  double single_ms = 0;
  double octets_per_key_and_hop = 0;
};

Result<Figures> measure_chain(std::size_t nodes, const std::filesystem::path& folder) {
  Chain chain;
  TRY(chain.open(nodes, folder));
  TRY(chain.fill());
  TRY(chain.relay(1));  // warm
  const auto hops = static_cast<double>(nodes - 1);
  std::vector<double> wall;
  std::vector<double> cpu;
  std::size_t octets = 0;
  for (std::size_t i = 0; i < batches; ++i) {
    TRY(chain.fill());
    const auto began = std::chrono::steady_clock::now();
    const double cpu_began = thread_cpu_s();
    const std::size_t octets_began = chain.octets();
    TRY(chain.relay(batch_keys));
    cpu.push_back(thread_cpu_s() - cpu_began);
    wall.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
    octets = chain.octets() - octets_began;
  }
  std::vector<double> single;
  for (std::size_t i = 0; i < singles; ++i) {
    const auto began = std::chrono::steady_clock::now();
    TRY(chain.relay(1));
    single.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began).count());
  }
  return Figures{.keys_per_s = static_cast<double>(batch_keys) / median(wall),
                 .cpu_us_per_key_and_hop = median(cpu) * 1e6 / static_cast<double>(batch_keys) / hops,
                 .single_ms = median(single),
                 .octets_per_key_and_hop = static_cast<double>(octets) / static_cast<double>(batch_keys) / hops};
}

}  // namespace

Result<void> measure_relay(Report& report, const std::filesystem::path& within) {
  const std::filesystem::path folder = (within.empty() ? std::filesystem::temp_directory_path() : within) / fmt::format("qanat-bench-relay-{}", ::getpid());
  std::error_code ignored;
  std::optional<Figures> first;
  for (const std::size_t nodes : {std::size_t{2}, std::size_t{5}, std::size_t{10}}) {
    const auto figures = measure_chain(nodes, folder / std::to_string(nodes));
    if (!figures) {
      std::filesystem::remove_all(folder, ignored);
      return fail(figures.error());
    }
    if (!first) first = *figures;
    const auto hops = static_cast<double>(nodes - 1);
    const std::string note = fmt::format("batches of {}, one after the other; each node's database and audit record are synced; one process, no sockets or TLS between the nodes; "
                                         "{:.1f} octets of message and {:.1f} microseconds of processor per key and hop",
                                         batch_keys, figures->octets_per_key_and_hop, figures->cpu_us_per_key_and_hop);
    report.add({.name = fmt::format("relay over {} nodes: keys", nodes),
                .value = figures->keys_per_s,
                .unit = "1/s",
                .limit = first->keys_per_s / hops,
                .ratio = figures->keys_per_s / (first->keys_per_s / hops),
                .value_spread = {},
                .ratio_spread = {},
                .note = note + "; limit: what linear growth from two nodes gives"});
    report.add({.name = fmt::format("relay over {} nodes: latency of one key, per hop", nodes),
                .value = figures->single_ms / hops,
                .unit = "ms",
                .limit = {},
                .ratio = {},
                .value_spread = {},
                .ratio_spread = {},
                .note = fmt::format("median of {}", singles)});
  }
  std::filesystem::remove_all(folder, ignored);
  return {};
}

}  // namespace qanat::bench
