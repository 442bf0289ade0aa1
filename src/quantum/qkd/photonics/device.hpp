// What the post-processing sees of the optics: each side its own half and nothing of the other's. A driver for real hardware
// implements the same two interfaces.
#pragma once

#include <span>
#include <vector>

#include "base/id.hpp"
#include "base/secret.hpp"
#include "quantum/qkd/photonics/clicks.hpp"
#include "quantum/qkd/photonics/link.hpp"
#include "quantum/qkd/photonics/monitor.hpp"

namespace qanat::qkd {

struct RunTag;
/// One run of the optics: both devices are started with the same fresh value, drawn by both sides together.
using RunId = Id<RunTag, 16>;
/// The most that a run may collect.
inline constexpr std::size_t clicks_per_run_max = std::size_t{1} << 30;

/// Alice's settings at some pulses. The three have one entry per pulse; `bits` holds one bit per octet.
struct EmissionRecord {
  std::vector<Basis> bases;
  std::vector<Intensity> intensities;
  Secret bits;
};

/// What a run brought at Bob's.
struct DetectionRecord {
  PackedClicks clicks;
  std::uint64_t gates = 0;  // that the run has taken, clicks or not
  MonitorRecord monitor;    // for check_monitor(): a block whose detectors were not their own masters gives no key
};

class AliceDevice {
 public:
  virtual ~AliceDevice() = default;
  [[nodiscard]] virtual Result<void> start(const RunId& run) = 0;
  /// What was sent at `indices`: strictly ascending, and beyond those asked for earlier in this run.
  [[nodiscard]] virtual Result<EmissionRecord> emissions(std::span<const std::uint64_t> indices) = 0;
};

class BobDevice {
 public:
  virtual ~BobDevice() = default;
  [[nodiscard]] virtual Result<void> start(const RunId& run) = 0;
  /// Waits for `count` clicks and ends the run.
  [[nodiscard]] virtual Result<DetectionRecord> collect(std::size_t count) = 0;
};

}  // namespace qanat::qkd
