// Applications for working keys in numbers: signed beforehand, then sent as fast as a KMS answers, or at times that were drawn before and that no late answer
// moves; what was delivered is opened and acknowledged afterwards.
#pragma once

#include <chrono>
#include <span>
#include <vector>

#include "bench_terminal.hpp"

namespace qanat::bench {

/// Which applications of a session are made. A KMS lets as many callees wait for their caller's key as half of its workers, so with one worker none.
enum class Legs : std::uint8_t { callers, both };

/// One application under way.
struct AppliedLeg {
  BenchTerminal* terminal = nullptr;
  std::size_t at = 0;  // the terminal's place among all
  std::optional<terminal::KeyApplication> application;
  Result<Bytes> answer = Bytes{};
  std::chrono::steady_clock::time_point due{};
  double latency_ms = 0;  // from `due`, or from the sending where nothing is due
};

/// What one sending cost.
struct Driven {
  double seconds = 0;      // by the clock
  double kms_cpu_s = 0;    // the KMS's user and system time, from before the first request until it has come to rest
  double other_cpu_s = 0;  // of this process and the other elements
  std::vector<double> latency_ms;

  [[nodiscard]] double count() const { return static_cast<double>(latency_ms.size()); }
  [[nodiscard]] double per_second() const { return count() / seconds; }
  [[nodiscard]] double per_kms_cpu_second() const { return count() / kms_cpu_s; }
};

class ApplicationLoad {
 public:
  /// The terminals, all of the KMS `kms`, pair up: first with second and so on. Ground and terminals outlive the object.
  ApplicationLoad(Ground& ground, std::string kms, std::span<const std::unique_ptr<BenchTerminal>> terminals)
      : ground_(ground), kms_(std::move(kms)), terminals_(terminals) {}

  /// New applications, of so many sessions, in place of the former.
  Result<void> prepare(std::size_t sessions, Legs legs);
  /// So many threads, each with terminals of its own, one request after the other.
  Result<Driven> saturate(std::size_t senders);
  /// Callers' applications at times of a Poisson process, callees' a fixed time after their callers'; `per_second` counts both. A thread for each terminal.
  Result<Driven> pace(double per_second);
  /// Opens what was delivered, and acknowledges it.
  Result<void> finish(std::size_t senders);
  /// After a start of the KMS, or the first time: one application of each terminal, so that connections, certificates' status and access tokens are there.
  Result<void> warm_up(Legs legs);

  [[nodiscard]] std::span<const AppliedLeg> legs() const { return legs_; }
  [[nodiscard]] const std::string& kms() const { return kms_; }
  [[nodiscard]] Ground& ground() const { return ground_; }

 private:
  enum class Timing : std::uint8_t { at_once, when_due };
  using Lanes = std::vector<std::vector<std::size_t>>;  // by thread: its legs, in order
  [[nodiscard]] Lanes lanes(std::size_t senders) const;
  Result<void> prepare_leg(AppliedLeg& leg, const terminal::KeyWanted& wanted);
  Result<Driven> drive(const Lanes& lanes, Timing timing);
  Result<std::vector<ProcessClock>> others() const;

  Ground& ground_;
  std::string kms_;
  std::span<const std::unique_ptr<BenchTerminal>> terminals_;
  std::vector<AppliedLeg> legs_;
};

/// A process's time once it rests: what it does behind an answer belongs to the answer.
double settled_cpu_s(const ProcessClock& clock);

}  // namespace qanat::bench
