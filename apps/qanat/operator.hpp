// What an operator does to a running network, with the operator's own certificate: subscribers, accounts, revocation, health.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "commands.hpp"
#include "network.hpp"
#include "node/node.hpp"

namespace qanat::app {

class Operator {
 public:
  /// Opens the operator's node and enrols it the first time. One at a time per network and name: "operator", "administrator", "auditor".
  static Result<std::unique_ptr<Operator>> open(const Network& network, const std::string& name = "operator");
  /// The same by a configuration file of the operator's own.
  static Result<std::unique_ptr<Operator>> open(const std::filesystem::path& config);
  /// not_found if there is no such element, invalid_argument if it is of a kind that does not answer this.
  Result<void> check_answers(points::Endpoint endpoint, const std::string& element) const;
  /// One question to an element, answered in JSON.
  Result<wire::Json> ask(points::Endpoint endpoint, const std::string& element, const wire::Json& body);

  /// The operator's node: its key and certificate, randomness, suite.
  [[nodiscard]] node::Node& node() noexcept { return *node_; }

  /// Creates the subscriber at IAM and opens the account at CMSP, and writes the enrolment secret where the terminal's configuration says: in a network that
  /// `qanat up` keeps, and nowhere else.
  /// A subscriber that exists already keeps its secret; if that was lost before it was used, it gets a new one.
  Result<void> provision(const TerminalPlan& terminal);
  /// The terminal by uid: of the network's plan, or as IAM has it. not_found if there is none.
  Result<TerminalPlan> terminal(const std::string& uid);
  /// IAM's record of the subscriber: "status", "enrolled" …
  Result<wire::Json> subscriber(const std::string& uid);
  Result<void> set_subscriber(const std::string& uid, const std::string& operation);  // "suspend", "resume"
  Result<void> set_service(const TerminalPlan& terminal, const std::string& service);   // "open", "closed"
  /// Revokes every live certificate of the identity; their serials.
  Result<std::vector<std::string>> revoke(const Identity& identity);
  /// An element's health answer.
  Result<wire::Json> health(const std::string& element);

 private:
  /// The enrolment secret; nothing if the subscriber has one, or has used it.
  Result<std::optional<std::string>> new_subscriber(const TerminalPlan& terminal);
  Operator(const Network* network, std::unique_ptr<node::Node> node) : network_(network), node_(std::move(node)) {}
  const Network* network_;  // nullptr: opened by a file of its own
  std::unique_ptr<node::Node> node_;
};

/// Opens the running network as this operator, or as the one whose configuration file it is, and does the work; the process's exit code.
int with_operator(const OperatorPlace& at, const std::string& name, const std::function<Result<void>(Operator&)>& work);

}  // namespace qanat::app
