#include "ground.hpp"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <thread>

namespace qanat::bench {
namespace {

constexpr std::chrono::milliseconds look_every{500};
constexpr double rest_max = 0.05;  // of one processor: what all simulators together may use while they are called at rest

}  // namespace

Ground::Ground(std::filesystem::path folder, app::Network network, std::string program)
    : folder_(std::move(folder)), network_(std::move(network)), program_(std::move(program)) {}

Ground::~Ground() {
  op_.reset();
  running_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

Result<std::unique_ptr<Ground>> Ground::lay(const GroundOptions& options) {
  const std::filesystem::path within = options.within.empty() ? std::filesystem::temp_directory_path() : options.within;
  std::error_code error;
  std::filesystem::create_directories(within, error);
  std::string pattern = (within / "qanat-bench-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) return fail(ErrorCode::internal, within.string() + ": no temporary folder can be made here");
  const std::filesystem::path folder = pattern;
  auto network = app::Network::plan(folder, options.network);
  if (!network) return fail(network.error());
  std::unique_ptr<Ground> ground(new Ground(folder, *std::move(network), options.program));
  TRY(ground->start(options));
  return Result<std::unique_ptr<Ground>>(std::move(ground));
}

Result<std::string> with_lines(std::string config, std::string_view table, std::string_view lines) {
  const std::string head = std::string(table) + "\n";
  const std::size_t at = config.find(head);
  if (at == std::string::npos) return fail(ErrorCode::internal, "the configuration has no " + std::string(table));
  return config.insert(at + head.size(), lines);
}

Result<std::string> with_value(std::string config, std::string_view key, std::string_view value) {
  const std::string head = "\n" + std::string(key) + " = ";
  const std::size_t at = config.find(head);
  if (at == std::string::npos) return fail(ErrorCode::internal, "the configuration has no " + std::string(key));
  const std::size_t from = at + head.size();
  return config.replace(from, config.find('\n', from) - from, value);
}

Result<void> Ground::configure(const std::string& element, const ConfigChange& change) const {
  const std::filesystem::path file = network_.config_of(element);
  std::ifstream in(file);
  auto changed = change(std::string(std::istreambuf_iterator<char>(in), {}));
  if (!changed) return fail_in(file.string(), changed.error());
  std::ofstream out(file, std::ios::trunc);
  out << *changed;
  if (!out.flush()) return fail(ErrorCode::internal, file.string() + ": cannot be written");
  return {};
}

Result<void> Ground::restart(const std::string& element, const ConfigChange& change) {
  running_->stop_element(element, app::RunningNetwork::Ending::orderly);
  TRY(configure(element, change));
  return running_->start_element(element);
}

Result<void> Ground::start(const GroundOptions& options) {
  ASSIGN_OR_RETURN(suite_, crypto::find_suite(network_.options().suite));
  ASSIGN_OR_RETURN(rng_, crypto::open_rng());
  std::error_code error;
  std::filesystem::create_directories(scratch(), error);
  if (error) return fail(ErrorCode::internal, scratch().string() + ": " + error.message());
  TRY(network_.create());
  for (const app::ElementPlan& element : network_.elements()) {
    const auto begin = [&](std::string_view table, const std::string& lines) -> Result<void> {
      if (lines.empty()) return {};
      return configure(element.name(), [&](std::string config) { return with_lines(std::move(config), table, lines); });
    };
    if (element.identity.kind == Kind::qkm) TRY(begin("[qkm]", options.qkm_settings));
    if (element.identity.kind == Kind::kms && element.sae_port != 0) TRY(begin("[sae]", options.kms_sae_settings));
  }
  if (options.prepare) TRY(options.prepare(network_));
  ASSIGN_OR_RETURN(running_, app::RunningNetwork::start(network_, program_, {}));
  ASSIGN_OR_RETURN(op_, app::Operator::open(network_));
  ASSIGN_OR_RETURN(trust_, node::read_trust(network_.trust()));
  return {};
}

Result<node::Credentials> Ground::credentials_of(const std::string& element) const {
  ASSIGN_OR_RETURN(const auto device, crypto::open_software_device(network_.secret_of(element + ".master"), *rng_));
  ASSIGN_OR_RETURN(const auto store, node::CredentialStore::open(network_.state_of(element) / "credentials.db", *device, *suite_));
  ASSIGN_OR_RETURN(auto credentials, store->load());
  if (!credentials) return fail(ErrorCode::internal, element + " has no credentials");
  return *std::move(credentials);
}

Result<std::unique_ptr<net::Client>> Ground::client_of(const std::string& callee, const std::string& caller) const {
  ASSIGN_OR_RETURN(const node::Credentials credentials, credentials_of(caller));
  ASSIGN_OR_RETURN(const net::Target where, target(callee));
  return net::Client::create(where, credentials.tls, trust_, {});
}

Result<net::Target> Ground::target(const std::string& element) const {
  ASSIGN_OR_RETURN(const app::ElementPlan* plan, network_.element(element));
  return net::Target{.host = "127.0.0.1", .port = plan->port, .expected = plan->identity};
}

bool Ground::await_calm(std::chrono::milliseconds longest) {
  std::vector<ProcessClock> simulators;
  for (const app::ElementPlan& element : network_.elements()) {
    if (element.identity.kind != Kind::qkd) continue;
    if (const auto clock = clock_of(element.name())) simulators.push_back(*clock);
  }
  const auto used = [&] {
    double out = 0;
    for (const ProcessClock& clock : simulators) out += clock.cpu_s();
    return out;
  };
  const Deadline deadline = Deadline::after(longest);
  while (true) {
    const double before = used();
    std::this_thread::sleep_for(look_every);
    if (used() - before < rest_max * std::chrono::duration<double>(look_every).count()) return true;
    if (deadline.passed()) return false;
  }
}

}  // namespace qanat::bench
