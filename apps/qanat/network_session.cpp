#include "network_session.hpp"

#include <signal.h>

#include "sae_authority.hpp"

namespace qanat::app {
namespace {

constexpr std::chrono::milliseconds terminal_enrol_max{20000};
constexpr std::chrono::milliseconds terminal_stop_grace{1000};

/// Removes what a network consists of and nothing else that somebody may keep in the folder.
Result<void> erase_network(const std::filesystem::path& folder) {
  for (const char* name : {"network.json", "config", "state", "secrets", "trust", "offline-root", "logs", "sae"}) {
    std::error_code error;
    std::filesystem::remove_all(folder / name, error);
    if (error) return fail(ErrorCode::internal, (folder / name).string() + ": " + error.message());
  }
  return {};
}

}  // namespace

void block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

Result<std::unique_ptr<NetworkSession>> NetworkSession::start(const UpOptions& options, const std::function<void(const std::string&)>& progress) {
  auto network = Network::read(options.folder);
  if (network && options.fresh) {
    if (network_is_running(*network)) return fail(ErrorCode::conflict, "the network in " + options.folder.string() + " is running; stop it before --fresh");
    TRY(erase_network(options.folder));
  }
  if (!network && network.error().code != ErrorCode::not_found) return fail(network.error());
  if (network && !options.fresh) TRY(network->check_relay(options.relay));
  if (!network || options.fresh) {
    // network.json is written last: without it, what an earlier start left is of no use.
    TRY(erase_network(options.folder));
    network = Network::plan(options.folder, options.network);
    if (!network) return fail(network.error());
    TRY(network->create());
  }
  std::unique_ptr<NetworkSession> session(new NetworkSession(*std::move(network)));
  // Read before the QKMs do: what `qanat sae` changes meanwhile is taken up once more.
  const Network& its = session->network_;
  const std::int64_t revision = sae_listeners(its).empty() ? 0 : sae_revision(its).value_or(0);
  ASSIGN_OR_RETURN(session->running_, RunningNetwork::start(session->network_, own_program(), progress));
  if (!sae_listeners(its).empty()) TRY(set_sae_applied(its, revision));
  return Result<std::unique_ptr<NetworkSession>>(std::move(session));
}

Result<wire::Json> enrol_terminal(const Network& network, const std::string& program, Operator& op, const TerminalPlan& terminal) {
  TRY(op.provision(terminal));
  ASSIGN_OR_RETURN(const auto child, Child::start({.program = program,
                                                   .arguments = {"terminal", "enrol", "--config", network.config_of(terminal.uid).string()},
                                                   .environment = {},
                                                   .standard_error = network.folder() / "logs" / (terminal.uid + ".err")}));
  const Deadline deadline = Deadline::after(terminal_enrol_max);
  std::string last;
  while (true) {
    ASSIGN_OR_RETURN(const auto line, child->read_line(deadline));
    if (!line) break;
    last = *line;
  }
  if (child->stop(terminal_stop_grace) != 0) return fail(ErrorCode::unavailable, "terminal " + terminal.uid + ": " + child->last_words());
  return wire::Json::parse(last);
}

}  // namespace qanat::app
