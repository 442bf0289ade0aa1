// A network that this command runs itself, and the enrolment of terminals: shared by up, enrol, call and demo.
#pragma once

#include <functional>
#include <memory>

#include "commands.hpp"
#include "launch.hpp"
#include "operator.hpp"

namespace qanat::app {

class NetworkSession {
 public:
  /// Reads the network in options.folder or makes it, and starts every element.
  static Result<std::unique_ptr<NetworkSession>> start(const UpOptions& options, const std::function<void(const std::string&)>& progress);
  [[nodiscard]] const Network& network() const { return network_; }
  [[nodiscard]] RunningNetwork& running() { return *running_; }

 private:
  explicit NetworkSession(Network network) : network_(std::move(network)) {}
  Network network_;
  std::unique_ptr<RunningNetwork> running_;
};

/// Provisions the subscriber and runs the terminal's own enrolment process from `program`; its result. A terminal that is enrolled already
/// stays so.
Result<wire::Json> enrol_terminal(const Network& network, const std::string& program, Operator& op, const TerminalPlan& terminal);

/// The table of its elements, for people: identity, port, certificate.
void print_elements(const Network& network, const RunningNetwork& running);

/// SIGINT and SIGTERM wait for sigwait() in this thread; every thread started later inherits it.
void block_signals();

}  // namespace qanat::app
