#include "soak_network.hpp"

#include <signal.h>

#include "bench_terminal.hpp"
#include "configuration_table.hpp"
#include "text_files.hpp"
#include "wire/json.hpp"

namespace qanat::bench {
namespace {

constexpr std::chrono::seconds ready_max{30};
constexpr std::chrono::seconds stop_grace{5};
constexpr std::string_view kms_role = "kms";

test::PostgresqlPlan server_plan(const std::filesystem::path& within) {
  // On the disk, vacuumed: as it is run. What the works that met one another are told is not written down each time.
  return {.within = within.empty() ? std::filesystem::temp_directory_path() : within,
          .settings = {"shared_buffers=64MB", "autovacuum=on", "max_wal_size=256MB", "log_min_messages=fatal", "log_min_error_statement=panic"}};
}

}  // namespace

SoakNetwork::~SoakNetwork() { stop(); }

Result<std::unique_ptr<SoakNetwork>> SoakNetwork::lay(const std::string& program, const std::filesystem::path& within) {
  std::unique_ptr<SoakNetwork> out(new SoakNetwork);
  out->server_ = std::make_unique<test::PostgresqlServer>(server_plan(within));
  TRY(out->server_->answer("CREATE ROLE " + std::string(kms_role) + " LOGIN"));
  TRY(out->server_->answer("CREATE DATABASE " + std::string(database_name) + " OWNER " + std::string(kms_role) + " TEMPLATE template0"));
  ASSIGN_OR_RETURN(const std::vector<std::uint16_t> ports, app::free_ports(1));
  out->second_port_ = ports.front();
  // Few link keys at a time: to simulate the photons for the usual stock takes the processor for minutes.
  ASSIGN_OR_RETURN(
      out->ground_,
      Ground::lay({.program = program, .within = within, .qkm_settings = "low_water = 64\nhigh_water = 256\n", .prepare = [&](const app::Network& network) {
                     return out->prepare(network);
                   }}));
  TRY(out->start_second());
  out->note_processes();
  return Result<std::unique_ptr<SoakNetwork>>(std::move(out));
}

Result<void> SoakNetwork::prepare(const app::Network& network) {
  TRY(tell_of_both(network));
  const std::filesystem::path first = network.config_of("kms-a");
  ASSIGN_OR_RETURN(const std::string config, app::read_text(first));
  const std::string store = "\n[store]\npostgresql = \"" + server_->conninfo(std::string(database_name), std::string(kms_role)) + "\"\n";
  TRY(app::write_text(first, config + store));
  const std::string second = test::with_table(config, "[node]", [&](const std::string& line) -> std::string {
    if (line.starts_with("state = ")) return "state = " + app::quoted(network.state_of(std::string(second_front_end)));
    if (line.starts_with("port = ")) return "port = " + std::to_string(second_port_);
    return line.starts_with("enrolment_secret = ") ? "" : line;  // the first has enrolled for both
  });
  return app::write_text(second_config(network), second + store + "front_end = 2\n");
}

/// Every element's configuration that names kms-a says where its second front end is.
Result<void> SoakNetwork::tell_of_both(const app::Network& network) const {
  const std::string also = "\nothers = [\"127.0.0.1:" + std::to_string(second_port_) + "\"]";
  for (const app::ElementPlan& element : network.elements()) {
    const std::filesystem::path file = network.config_of(element.name());
    if (!std::filesystem::exists(file)) continue;
    ASSIGN_OR_RETURN(const std::string config, app::read_text(file));
    TRY(app::write_text(file,
                        test::with_table(config, "[peers.kms-a]", [&](const std::string& line) { return line.starts_with("port = ") ? line + also : line; })));
  }
  return {};
}

Result<void> SoakNetwork::start_second() {
  const app::Network& network = ground_->network();
  ASSIGN_OR_RETURN(second_, app::Child::start({.program = ground_->program(),
                                               .arguments = {"kms", "--config", second_config(network).string()},
                                               .environment = {},
                                               .standard_error = network.folder() / "logs" / (std::string(second_front_end) + ".err")}));
  const Deadline deadline = Deadline::after(ready_max);
  while (true) {
    ASSIGN_OR_RETURN(const auto line, second_->read_line(deadline));
    if (!line) return fail(ErrorCode::unavailable, std::string(second_front_end) + " did not start: " + second_->last_words());
    if (line->starts_with("ready ")) return {};
  }
}

Result<std::vector<net::Target>> SoakNetwork::places_of_kms(const std::string& domain) const {
  ASSIGN_OR_RETURN(const net::Target first, ground_->target("kms-" + domain));
  std::vector<net::Target> out{first};
  if (domain == "a") out.push_back({.host = first.host, .port = second_port_, .expected = first.expected});
  return Result<std::vector<net::Target>>(std::move(out));
}

Result<void> SoakNetwork::disturb(const Planned& planned) {
  switch (planned.what) {
    case Disturbance::front_end_killed:
    case Disturbance::qkm_killed:
      TRY(restart(planned.victim));
      break;
    case Disturbance::connections_ended:
      TRY(server_->end_connections_to(std::string(database_name)));
      break;
    case Disturbance::database_restarted:
      server_->crash();
      server_->start();
      break;
  }
  note_processes();
  return {};
}

Result<void> SoakNetwork::restart(const std::string& element) {
  if (element != second_front_end) {
    ground_->running().stop_element(element, app::RunningNetwork::Ending::kill);
    note_processes();
    return ground_->running().start_element(element);
  }
  ::kill(second_->pid(), SIGKILL);
  second_.reset();
  note_processes();
  return start_second();
}

std::optional<std::string> SoakNetwork::casualty() {
  if (second_ && second_->ended()) return std::string(second_front_end) + ": " + second_->last_words();
  return ground_->running().casualty();
}

void SoakNetwork::stop() {
  if (second_) second_->stop(stop_grace);
  second_.reset();
  if (ground_) ground_->running().stop();
  if (ground_) note_processes();
}

void SoakNetwork::note_processes() {
  std::vector<NamedProcess> now;
  for (const app::ElementPlan& element : ground_->network().elements()) {
    const pid_t pid = element.started ? ground_->running().pid_of(element.name()) : -1;
    if (pid > 0) now.push_back({.name = element.name(), .pid = pid});
  }
  if (second_) now.push_back({.name = std::string(second_front_end), .pid = second_->pid()});
  const std::lock_guard lock(mutex_);
  processes_ = std::move(now);
}

std::vector<NamedProcess> SoakNetwork::processes() const {
  const std::lock_guard lock(mutex_);
  return processes_;
}

Result<std::unique_ptr<net::Client>> SoakNetwork::client_of(const std::string& element) const {
  ASSIGN_OR_RETURN(const node::Credentials own, ground_->credentials_of("operator"));
  const bool second = element == second_front_end;
  ASSIGN_OR_RETURN(net::Target where, ground_->target(second ? "kms-a" : element));
  if (second) where.port = second_port_;
  return net::Client::create(where, own.tls, ground_->trust(), {});
}

std::optional<double> SoakNetwork::memory_in_use(const std::string& element) {
  std::unique_ptr<net::Client>& client = asked_[element];
  if (!client) {
    auto made = client_of(element);
    if (!made) return std::nullopt;
    client = *std::move(made);
  }
  const auto answer = exchange(*client, points::Endpoint::x6_health, {}, ground_->rng());
  const auto health = answer ? wire::Json::parse(as_text(*answer)) : Result<wire::Json>(fail(answer.error()));
  const auto memory = health ? health->object("memory") : Result<wire::Json>(fail(health.error()));
  if (!memory) return std::nullopt;
  return static_cast<double>(memory->integer("in_use_kib").value_or(0) - memory->integer("database_kib").value_or(0));
}

std::map<std::string, std::filesystem::path> SoakNetwork::states() const {
  const app::Network& network = ground_->network();
  std::map<std::string, std::filesystem::path> out{{std::string(second_front_end), network.state_of(std::string(second_front_end))}};
  for (const app::ElementPlan& element : network.elements()) {
    if (element.started) out.emplace(element.name(), network.state_of(element.name()));
  }
  return out;
}

}  // namespace qanat::bench
