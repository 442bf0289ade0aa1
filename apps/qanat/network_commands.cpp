// up, enrol, status, revoke, subscriber, service.
#include <fmt/format.h>
#include <signal.h>

#include <cstdio>

#include "commands.hpp"
#include "launch.hpp"
#include "network_session.hpp"
#include "operator.hpp"
#include "sae_authority.hpp"
#include "sae_commands.hpp"
#include "services/cas/ceis/own_server.hpp"
#include "steps_view.hpp"

namespace qanat::app {

int complain(const Error& error) {
  fmt::print(stderr, "qanat: {}\n", error.message);
  return 1;
}

void print_elements(const Network& network, const RunningNetwork& running) {
  fmt::print("  {:<14} {:<34} {:>6}  {}\n", "element", "identity", "port", "certificate");
  for (const ElementPlan& element : network.elements()) {
    if (element.started) fmt::print("  {:<14} {:<34} {:>6}  {}\n", element.name(), element.identity.uri(), element.port, running.certificate_of(element.name()));
  }
}

namespace {

void print_table(const Network& network, const RunningNetwork& running) {
  fmt::print("\n");
  print_elements(network, running);
  fmt::print("\n  roots and issuing CAs: {}; configurations: {}; databases, logs and audit records: {}\n", network.trust().string(), (network.folder() / "config").string(),
             (network.folder() / "state").string());
  for (const LinkPlan& link : network.links()) {
    fmt::print("  QKD link {} ({} – {}): simulated photons, {} km of fibre\n", link.name, link.from, link.to, link.distance_km);
  }
  for (const ElementPlan& element : network.elements()) {
    if (element.status_port == 0) continue;
    fmt::print(
        "  certificate status for everybody's software: OCSP http://127.0.0.1:{0}/ocsp, revocation lists http://127.0.0.1:{0}/crl/ml_dsa.crl and "
        "classical.crl\n",
        element.status_port);
    if (element.enrolment_port == 0) continue;
    fmt::print("  certificates for everybody's software: https://localhost:{} (its CAs: {})\n", element.enrolment_port, (network.trust() / cas::enrolment_roots_file).string());
  }
  print_sae_listeners(network);
}

constexpr timespec register_look_every{.tv_sec = 0, .tv_nsec = 200'000'000};

/// The QKMs read the register of SAEs when they start. One after the other: while one is away, the others serve.
Result<void> take_up_saes(NetworkSession& session) {
  const Network& network = session.network();
  if (sae_listeners(network).empty()) return {};
  ASSIGN_OR_RETURN(const std::int64_t revision, sae_revision(network));
  if (sae_applied(network).value_or(-1) == revision) return {};
  for (const SaeListener& listener : sae_listeners(network)) {
    if (listener.at == SaeAt::kms) continue;  // it asks IAM who there is, and reads the revocation lists when they change
    session.running().stop_element(listener.kme, RunningNetwork::Ending::orderly);
    TRY(session.running().start_element(listener.kme));
  }
  fmt::print("  the QKMs were started anew: the SAEs have changed\n");
  std::fflush(stdout);
  return set_sae_applied(network, revision);
}

/// Until Ctrl-C or SIGTERM; meanwhile does what `qanat sae` asks for.
void run_until_stopped(NetworkSession& session) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  std::string told;
  while (sigtimedwait(&signals, nullptr, &register_look_every) < 0) {
    const auto done = take_up_saes(session);
    if (done || done.error().message == told) continue;
    told = done.error().message;  // once, not five times a second
    static_cast<void>(complain(done.error()));
  }
}

}  // namespace

int up(const UpOptions& options) {
  block_signals();
  auto session = NetworkSession::start(options, [](const std::string& name) { fmt::print("  ready  {}\n", name); std::fflush(stdout); });
  if (!session) return complain(session.error());
  print_table((*session)->network(), (*session)->running());
  fmt::print("\n  The network runs. Next: qanat enrol A B C; qanat call --from A --to B; qanat status; qanat points; qanat sae add enc1 --domain a. Ctrl-C stops it.\n");
  std::fflush(stdout);
  run_until_stopped(**session);
  fmt::print("\n  stopping\n");
  return 0;
}

int enrol(const std::filesystem::path& folder, const std::vector<std::string>& terminals, Output output) {
  const auto network = Network::read(folder);
  if (!network) return complain(network.error());
  return with_operator({.folder = folder}, "operator", [&](Operator& op) -> Result<void> {
    for (const std::string& uid : terminals) {
      ASSIGN_OR_RETURN(const TerminalPlan* plan, network->terminal(uid));
      ASSIGN_OR_RETURN(const wire::Json result, enrol_terminal(*network, own_program(), op, *plan));
      if (output == Output::json) {
        fmt::print("{}\n", result.dump());
      } else {
        fmt::print("  enrolled {} ({}) at {}\n", plan->uid, plan->number, plan->kms);
      }
    }
    return {};
  });
}

int status(const OperatorPlace& at, Output output) {
  return with_operator(at, "operator", [&](Operator& op) -> Result<void> {
    wire::Json all = wire::Json::array();
    for (const auto& [name, peer] : op.node().settings().peers) {
      const auto health = op.health(name);
      if (output == Output::json) {
        all.push(health ? *health : wire::Json::object({{"identity", peer.expected.uri()}, {"status", "unreachable"}, {"reason", health.error().message}}));
      } else {
        fmt::print("  {:<14} {}\n", name, health ? health->dump() : "unreachable: " + health.error().message);
      }
    }
    if (output == Output::json) fmt::print("{}\n", all.pretty());
    return {};
  });
}

int revoke(const OperatorPlace& at, const std::string& terminal, Output output) {
  return with_operator(at, "operator", [&](Operator& op) -> Result<void> {
    ASSIGN_OR_RETURN(const TerminalPlan plan, op.terminal(terminal));
    ASSIGN_OR_RETURN(const std::vector<std::string> serials, op.revoke({.domain = plan.domain, .kind = Kind::app1, .name = plan.uid}));
    wire::Json list = wire::Json::array();
    for (const std::string& serial : serials) list.push(serial);
    if (output == Output::json) {
      fmt::print("{}\n", wire::Json::object({{"revoked", list}}).dump());
    } else {
      fmt::print("  revoked {} certificate(s) of terminal {}\n", serials.size(), terminal);
    }
    return {};
  });
}

int subscriber(const OperatorPlace& at, const std::string& terminal, const std::string& operation) {
  return with_operator(at, "operator", [&](Operator& op) -> Result<void> {
    TRY(op.terminal(terminal));
    return op.set_subscriber(terminal, operation);
  });
}

int service(const OperatorPlace& at, const std::string& terminal, const std::string& setting) {
  return with_operator(at, "operator", [&](Operator& op) -> Result<void> {
    ASSIGN_OR_RETURN(const TerminalPlan plan, op.terminal(terminal));
    return op.set_service(plan, setting);
  });
}

}  // namespace qanat::app
