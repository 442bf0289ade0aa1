// A QKD link on one bench: Alice in this process, Bob in another, a socket between them and nothing else. The devices are whatever the caller
// opens in each process: simulated ones or recordings.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "quantum/qkd/process/records.hpp"

namespace qanat::app {

struct LaboratoryPlan {
  qkd::SessionSettings settings;
  std::size_t blocks = 1;  // that are tried
  bool stop_at_failure = false;
  std::function<Result<std::unique_ptr<qkd::AliceDevice>>(crypto::Rng&)> open_alice;  // each is called in its own process
  std::function<Result<std::unique_ptr<qkd::BobDevice>>(crypto::Rng&)> open_bob;
  std::function<void(const std::string&)> progress;
};

/// One block that was tried: finished, or why not.
struct LaboratoryBlock {
  std::uint64_t block_id = 0;
  std::optional<qkd::BlockSummary> summary;
  std::string failure;
};

struct LaboratoryOutcome {
  std::vector<LaboratoryBlock> blocks;
  double wall_s = 0.0;       // of everything: optics, sifting, post-processing
  double alice_cpu_s = 0.0;  // of the processes
  double bob_cpu_s = 0.0;
  std::uint64_t octets = 0;  // over the classical channel, both directions

  [[nodiscard]] std::size_t finished() const;
  [[nodiscard]] std::uint64_t secret_bits() const;  // before authentication took its share
  /// How long the optics would have taken: of the finished blocks.
  [[nodiscard]] double simulated_s() const;
  /// Secret bits per second of the optics' time. A block that failed took as long as the others and gave nothing.
  [[nodiscard]] double rate_bps() const;
};

/// Fails when an end fails, and when the two ends do not hold the same keys. This process must have one thread.
Result<LaboratoryOutcome> run_laboratory(const LaboratoryPlan& plan);

}  // namespace qanat::app
