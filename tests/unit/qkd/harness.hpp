// Two ends of a link in one process: what a caller of the sessions does, with a network that a test may cut or alter and stores that
// survive a crash.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>

#include "quantum/qkd/photonics/simulated_device.hpp"
#include "quantum/qkd/session/session.hpp"

namespace qanat::qkd::test {

/// Reproducible randomness.
class SeededRng final : public crypto::Rng {
 public:
  explicit SeededRng(std::uint64_t seed) : engine_(seed) {}
  void fill(std::span<std::uint8_t> out) override {
    for (std::uint8_t& octet : out) octet = static_cast<std::uint8_t>(engine_());
  }
  std::uint64_t word() { return engine_(); }
  std::uint64_t below(std::uint64_t bound) { return engine_() % bound; }

 private:
  std::mt19937_64 engine_;
};

inline Secret secret_of(std::size_t size, std::uint64_t seed) { return SeededRng(seed).secret(size); }
inline RunId run(std::uint8_t number) { return RunId(Bytes(RunId::size, number)); }

/// A short, quiet link whose small blocks still yield key: for tests that run many of them.
inline SessionSettings quick_settings() {
  SessionSettings settings;
  settings.link = LinkId("a-r");
  settings.parameters.distance_km = 5.0;
  settings.parameters.detector_efficiency = 0.6;
  settings.parameters.dark_count_probability = 1e-7;
  settings.parameters.afterpulse_probability = 0.0;
  settings.parameters.misalignment_error = 2e-3;
  settings.parameters.intensity_probability = {0.2, 0.5, 0.3};
  settings.parameters.key_basis_probability = 0.6;
  settings.block_size = 6000;
  settings.length_rule = LengthRule::observed;  // agreed thresholds leave blocks as small as these no key
  settings.eps_sec = 0.05;
  settings.eps_cor = 1e-6;
  settings.authentication_reserve = 4;
  settings.authentication_target = 12;
  return settings;
}

/// The same for either method of error correction. One-way codes need more bits before any are left over.
inline SessionSettings quick_settings(ReconciliationMethod method) {
  SessionSettings settings = quick_settings();
  settings.reconciliation = method;
  if (method == ReconciliationMethod::ldpc) {
    settings.block_size = 24'000;
    settings.leak_model = LeakModel::one_way;
  }
  return settings;
}

/// For the names of parameterised tests.
inline std::string method_name(const testing::TestParamInfo<ReconciliationMethod>& method) { return std::string(name(method.param)); }

inline constexpr std::uint64_t fibre_seed = 77;
inline constexpr std::uint64_t preshared_seed = 78;

/// What an end's store holds: the sealed state and the blocks it delivered, written together.
struct Store {
  Secret state;
  std::map<std::uint64_t, KeyBlock> delivered;
  std::vector<BlockFailure> failures;
  std::vector<Error> ended;
  std::vector<std::uint64_t> dropped;
};

enum class Side : std::uint8_t { alice, bob };

struct InFlight {
  Side to;
  Bytes frame;
};

class Link {
 public:
  explicit Link(const SessionSettings& settings, std::uint64_t seed = 1) : Link(settings, settings, seed) {}
  Link(const SessionSettings& settings, const SessionSettings& bobs, std::uint64_t seed = 1)
      : settings_(settings), bob_settings_(bobs), alice_random_(seed), bob_random_(seed + 1000) {
    alice_device_ = std::move(*open_simulated_alice(settings_.parameters, secret_of(fibre_seed_size, fibre_seed)));
    bob_device_ = std::move(*open_simulated_bob(settings_.parameters, secret_of(fibre_seed_size, fibre_seed)));
    const Secret preshared = secret_of(2 * one_time_key_size * 40, preshared_seed);
    alice_store.state = DurableState::fresh(preshared)->encode();
    bob_store.state = DurableState::fresh(preshared)->encode();
  }

  /// Both processes (re)start from their stores on a fresh connection.
  void connect() {
    network.clear();
    alice_connected_ = bob_connected_ = true;
    alice = std::make_unique<AliceSession>(SessionParts<AliceDevice>{settings_, *alice_device_, alice_random_, clock_},
                                           *DurableState::decode(alice_store.state.reveal()));
    bob = std::make_unique<BobSession>(SessionParts<BobDevice>{bob_settings_, *bob_device_, bob_random_, clock_},
                                       *DurableState::decode(bob_store.state.reveal()));
    carry_out(Side::bob, bob->start());
  }
  void begin_block() { carry_out(Side::alice, alice->begin_block()); }

  /// Moves one frame; false when none is under way. `alter` may change or drop it (false) before it arrives.
  using Alter = std::function<bool(InFlight&, std::deque<InFlight>&)>;
  bool move_one(const Alter& alter = {}) {
    if (network.empty()) return false;
    InFlight next = std::move(network.front());
    network.pop_front();
    ++moved;
    if (alter && !alter(next, network)) return true;
    if (next.to == Side::alice && alice_connected_) carry_out(Side::alice, alice->receive(next.frame));
    if (next.to == Side::bob && bob_connected_) carry_out(Side::bob, bob->receive(next.frame));
    return true;
  }
  void run(const Alter& alter = {}) {
    while (move_one(alter)) {
    }
  }
  void carry_out(Side side, Step step) {
    Store& store = side == Side::alice ? alice_store : bob_store;
    if (step.persist) store.state = std::move(*step.persist);
    for (KeyBlock& block : step.deliver) store.delivered.emplace(block.block_id, std::move(block));
    for (Bytes& frame : step.send) network.push_back({.to = side == Side::alice ? Side::bob : Side::alice, .frame = std::move(frame)});
    if (step.failed) store.failures.push_back(*step.failed);
    if (step.dropped) store.dropped.push_back(*step.dropped);
    if (step.ended) {
      store.ended.push_back(*step.ended);
      (side == Side::alice ? alice_connected_ : bob_connected_) = false;
    }
  }
  /// For every block that either end delivered, the other delivered the same bits.
  [[nodiscard]] bool ends_agree() const {
    if (alice_store.delivered.size() != bob_store.delivered.size()) return false;
    return no_block_differs();
  }
  /// No block was delivered at both ends with different bits or reports.
  [[nodiscard]] bool no_block_differs() const {
    for (const auto& [id, block] : alice_store.delivered) {
      const auto other = bob_store.delivered.find(id);
      if (other == bob_store.delivered.end()) continue;
      BlockReport bob_report = other->second.report;
      bob_report.times = block.report.times;
      if (!equal_secret(block.bits, other->second.bits) || block.bit_count != other->second.bit_count || !(bob_report == block.report)) return false;
    }
    return true;
  }

  Store alice_store;
  Store bob_store;
  std::unique_ptr<AliceSession> alice;
  std::unique_ptr<BobSession> bob;
  std::deque<InFlight> network;
  std::size_t moved = 0;

 private:
  SessionSettings settings_;
  SessionSettings bob_settings_;
  SystemClock clock_;
  SeededRng alice_random_;
  SeededRng bob_random_;
  std::unique_ptr<AliceDevice> alice_device_;
  std::unique_ptr<BobDevice> bob_device_;
  bool alice_connected_ = false;
  bool bob_connected_ = false;
};

}  // namespace qanat::qkd::test
