// What every measurement stands on: a two-domain network of real processes in a temporary folder, which goes with this object.
#pragma once

#include <functional>
#include <memory>

#include "cpu_clock.hpp"
#include "crypto/random.hpp"
#include "launch.hpp"
#include "network.hpp"
#include "node/credentials.hpp"
#include "operator.hpp"

namespace qanat::bench {

struct GroundOptions {
  std::string program;           // the qanat program that the elements run
  std::filesystem::path within;  // where the temporary folder is made; empty: the system's place for such
  app::NetworkOptions network{};
  std::string qkm_settings{};  // lines that each QKM's table begins with
  std::string kms_sae_settings{};  // the same of each KMS's table [sae], where the network has SAEs
  std::function<Result<void>(const app::Network& network)> prepare{};  // changes configurations before any element starts
};

/// A configuration made into another.
using ConfigChange = std::function<Result<std::string>(std::string)>;
/// With further lines at the beginning of a table ("[qkm]"); `internal` if it has no such table.
Result<std::string> with_lines(std::string config, std::string_view table, std::string_view lines);
/// With another value of the first key of this name; `internal` if it has none.
Result<std::string> with_value(std::string config, std::string_view key, std::string_view value);

class Ground {
 public:
  static Result<std::unique_ptr<Ground>> lay(const GroundOptions& options);
  ~Ground();
  Ground(const Ground&) = delete;
  Ground& operator=(const Ground&) = delete;

  [[nodiscard]] const app::Network& network() const { return network_; }
  [[nodiscard]] app::RunningNetwork& running() { return *running_; }
  [[nodiscard]] app::Operator& op() { return *op_; }
  [[nodiscard]] crypto::Rng& rng() { return *rng_; }
  [[nodiscard]] const crypto::Suite& suite() const { return *suite_; }
  [[nodiscard]] const std::shared_ptr<const crypto::TrustStore>& trust() const { return trust_; }
  [[nodiscard]] const std::string& program() const { return program_; }
  /// Where measurements may leave files for the time of the run.
  [[nodiscard]] std::filesystem::path scratch() const { return folder_ / "scratch"; }

  /// A client of `callee` that shows the credentials of `caller`, an element of the network.
  Result<std::unique_ptr<net::Client>> client_of(const std::string& callee, const std::string& caller) const;
  /// What an element of the network has in its store of credentials.
  Result<node::Credentials> credentials_of(const std::string& element) const;
  /// Writes an element's configuration anew: it counts from the next start on.
  Result<void> configure(const std::string& element, const ConfigChange& change) const;
  /// Stops the element in order, configures it and starts it.
  Result<void> restart(const std::string& element, const ConfigChange& change);
  /// How an element of the network is reached.
  Result<net::Target> target(const std::string& element) const;
  Result<ProcessClock> clock_of(const std::string& element) const { return ProcessClock::of(running_->pid_of(element)); }
  /// Waits until the QKD simulators rest, since they make and take most of the processor's time; false if they did not within `longest`.
  bool await_calm(std::chrono::milliseconds longest);

 private:
  Ground(std::filesystem::path folder, app::Network network, std::string program);
  Result<void> start(const GroundOptions& options);

  std::filesystem::path folder_;
  app::Network network_;
  std::string program_;
  const crypto::Suite* suite_ = nullptr;
  std::unique_ptr<crypto::Rng> rng_;
  std::shared_ptr<const crypto::TrustStore> trust_;  // shared with the clients of the terminals
  std::unique_ptr<app::RunningNetwork> running_;
  std::unique_ptr<app::Operator> op_;
};

}  // namespace qanat::bench
