#include "relay_processes.hpp"

#include <fmt/format.h>

#include <chrono>

#include "key_taker.hpp"
#include "quantum/qkm/relay_message.hpp"
#include "quantum/qkm/schema.hpp"
#include "statistics.hpp"

namespace qanat::bench {
namespace {

constexpr std::size_t batch_keys = 64;  // the most of one request on Km-3
constexpr std::size_t link_keys = 8192;
constexpr std::chrono::seconds take_max{10};
constexpr std::chrono::seconds ready_max{60};
constexpr points::KeyProof placed{.bounds = 1, .photons = 1, .eps = 1.0};  // these keys no QKD has made

double since_s(std::chrono::steady_clock::time_point began) { return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count(); }

class Chain {
 public:
  Chain(std::size_t nodes, const RelayProcessesPlan& plan) : nodes_(nodes), plan_(plan) {}

  /// CAS, the controller and the QKMs run; every link has keys, as if QKD had brought them.
  Result<void> lay() {
    GroundOptions options{.program = plan_.program, .within = plan_.within, .network = {}, .qkm_settings = "pool_target = 0\nkeys_max = 1000000\n"};
    options.network.chain = static_cast<std::int64_t>(nodes_);
    options.network.optics = false;
    ASSIGN_OR_RETURN(ground_, Ground::lay(options));
    for (const app::ElementPlan& element : ground_->network().elements()) {
      if (element.identity.kind == Kind::qkm) qkms_.push_back(element.name());
    }
    for (const app::ElementPlan& element : ground_->network().elements()) {
      const Kind kind = element.identity.kind;
      if (element.started && kind != Kind::cas && kind != Kind::qkdnc) ground_->running().stop_element(element.name(), app::RunningNetwork::Ending::orderly);
    }
    TRY(fill());
    for (const std::string& qkm : qkms_) {
      TRY(ground_->running().start_element(qkm));
      ASSIGN_OR_RETURN(const ProcessClock clock, ground_->clock_of(qkm));
      clocks_.push_back(clock);
    }
    ASSIGN_OR_RETURN(KeyTaker taker, KeyTaker::at(*ground_, "qkm-a"));
    taker_.emplace(std::move(taker));
    const Deadline ready = Deadline::after(ready_max);
    while (true) {  // until the controller knows the links
      const auto first = taker_->take(1, Deadline::after(take_max));
      if (first) return {};
      if (ready.passed()) return fail(first.error());
    }
  }

  struct Figures {
    double keys_per_s = 0;
    double cpu_us_per_key_and_hop = 0;
    double single_ms = 0;
  };
  Result<Figures> measure() {
    std::vector<double> rates;
    const double cpu_began = cpu_s();
    for (std::size_t i = 0; i < plan_.batches; ++i) {
      const auto began = std::chrono::steady_clock::now();
      TRY(whole(batch_keys));
      rates.push_back(static_cast<double>(batch_keys) / since_s(began));
    }
    const double cpu = cpu_s() - cpu_began;
    std::vector<double> singles;
    for (std::size_t i = 0; i < plan_.singles; ++i) {
      const auto began = std::chrono::steady_clock::now();
      TRY(whole(1));
      singles.push_back(1000.0 * since_s(began));
    }
    return Figures{.keys_per_s = median(rates),
                   .cpu_us_per_key_and_hop = 1e6 * cpu / static_cast<double>(plan_.batches * batch_keys) / hops(),
                   .single_ms = median(singles)};
  }
  [[nodiscard]] double hops() const { return static_cast<double>(nodes_ - 1); }

  /// Octets of X-1 per key on one hop of this chain, in batches of `keys`.
  [[nodiscard]] Result<double> octets_per_key(std::size_t keys) const {
    qkm::RelayHeader header{};
    header.relay_id = BatchId(Bytes(BatchId::size, 0));
    header.origin_domain = "a";
    header.destination_domain = "b";
    for (const std::string& qkm : qkms_) header.path.emplace_back(qkm);
    header.secrets = static_cast<std::uint16_t>(keys);
    for (std::size_t left = keys + 1; left > 0; left -= std::min<std::size_t>(left, qkm::link_chunk_keys)) {
      header.runs.push_back({BatchId(Bytes(BatchId::size, static_cast<std::uint8_t>(header.runs.size()))), 0,
                             static_cast<std::uint32_t>(std::min<std::size_t>(left, qkm::link_chunk_keys))});
    }
    const qkm::HopKeys zeros{.runs = header.runs, .mac = Secret(qkm::relay_secret_size), .pads = Secret(keys * qkm::relay_secret_size)};
    ASSIGN_OR_RETURN(const Bytes message, qkm::protect(header, Secret(keys * qkm::relay_secret_size), zeros));
    return static_cast<double>(message.size()) / static_cast<double>(keys);
  }

 private:
  Result<void> whole(std::size_t keys) {
    ASSIGN_OR_RETURN(const auto taken, taker_->take(keys, Deadline::after(take_max)));
    if (taken.size() != keys) return fail(ErrorCode::internal, fmt::format("{} keys of {}", taken.size(), keys));
    return {};
  }
  [[nodiscard]] double cpu_s() const {
    double out = 0;
    for (const ProcessClock& clock : clocks_) out += clock.cpu_s();
    return out;
  }
  Result<void> fill() {
    for (const app::LinkPlan& link : ground_->network().links()) {
      const Secret keys = ground_->rng().secret(link_keys * qkm::link_key_size);
      for (const auto& [self, peer] : {std::pair(link.from, link.to), std::pair(link.to, link.from)}) {
        ASSIGN_OR_RETURN(const auto device, crypto::open_software_device(ground_->network().secret_of(self + ".master"), ground_->rng()));
        ASSIGN_OR_RETURN(const auto store, store::Store::open(ground_->network().state_of(self) / "qkm.db", qkm::migrations));
        qkm::KeyStock stock(*device);
        qkm::LinkKeys at_end(stock, ElementName(self), 1000000);
        const qkm::LinkBlock block{.link = qkm::LinkId(link.name), .peer = ElementName(peer), .block_id = 1, .keys = keys.duplicate(), .proof = placed};
        TRY(store->transact([&](store::Transaction& transaction) { return at_end.ingest(transaction, block, SystemClock().now_ms()); }));
      }
    }
    return {};
  }

  const std::size_t nodes_;
  const RelayProcessesPlan plan_;
  std::unique_ptr<Ground> ground_;
  std::vector<std::string> qkms_;  // qkm-a … qkm-b
  std::vector<ProcessClock> clocks_;
  std::optional<KeyTaker> taker_;
};

}  // namespace

Result<void> measure_relay_processes(Report& report, const RelayProcessesPlan& plan) {
  std::optional<double> direct;  // keys per second over one hop
  for (const std::size_t nodes : {std::size_t{2}, std::size_t{3}, std::size_t{5}}) {
    Chain chain(nodes, plan);
    TRY(chain.lay());
    ASSIGN_OR_RETURN(const Chain::Figures figures, chain.measure());
    ASSIGN_OR_RETURN(const double many, chain.octets_per_key(batch_keys));
    ASSIGN_OR_RETURN(const double one, chain.octets_per_key(1));
    if (!direct) direct = figures.keys_per_s;
    const double linear = *direct / chain.hops();
    report.add(
        {.name = fmt::format("relay over {} QKM processes: keys", nodes),
         .value = figures.keys_per_s,
         .unit = "1/s",
         .limit = linear,
         .ratio = figures.keys_per_s / linear,
         .value_spread = {},
         .ratio_spread = {},
         .note = fmt::format("real processes, mutual TLS on every hop and on Km-3; batches of {} on demand, one after the other, median of {}; {:.1f} octets "
                             "of X-1 (without HTTP and TLS) and {:.0f} microseconds of all QKMs' processors per key and hop; link keys placed beforehand; "
                             "limit: what linear growth from two nodes gives",
                             batch_keys, plan.batches, many, figures.cpu_us_per_key_and_hop)});
    report.add(
        {.name = fmt::format("relay over {} QKM processes: latency of one key, per hop", nodes),
         .value = figures.single_ms / chain.hops(),
         .unit = "ms",
         .limit = {},
         .ratio = {},
         .value_spread = {},
         .ratio_spread = {},
         .note = fmt::format("from the KMS's request to its answer {:.1f} ms, median of {}; {:.0f} octets of X-1", figures.single_ms, plan.singles, one)});
  }
  return {};
}

}  // namespace qanat::bench
