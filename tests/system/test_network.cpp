#include "test_network.hpp"

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include "commands.hpp"
#include "network_session.hpp"
#include "postgresql.hpp"
#include "wire/key_schedule.hpp"

namespace qanat::test {
namespace {

constexpr std::chrono::seconds request_max{10};
constexpr std::chrono::milliseconds look_every{5};

bool kmss_are_on_postgresql() {
  const char* const said = std::getenv(kms_store_variable);
  return said != nullptr && std::string_view(said) == "postgresql";
}

}  // namespace

std::string text_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void write(const std::filesystem::path& file, const std::string& text) { std::ofstream(file, std::ios::binary | std::ios::trunc) << text; }

std::string with_water_marks(const std::string& config, std::int64_t low, std::int64_t high) {
  std::istringstream lines(config);
  std::string out;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("low_water = ") || line.starts_with("high_water = ")) continue;
    out += line + "\n";
    if (line == "[qkm]") out += "low_water = " + std::to_string(low) + "\nhigh_water = " + std::to_string(high) + "\n";
  }
  return out;
}

TestNetwork::TestNetwork(app::NetworkOptions options, const std::string& program, const std::function<void(const app::Network&)>& prepare) {
  auto rng = crypto::open_rng();
  if (!rng) {
    ADD_FAILURE() << rng.error().message;
    return;
  }
  rng_ = *std::move(rng);
  auto network = app::Network::plan(folder_ / "network", std::move(options));
  if (!network) {
    ADD_FAILURE() << network.error().message;
    return;
  }
  network_ = *std::move(network);
  if (const auto created = network_->create(); !created) {
    ADD_FAILURE() << created.error().message;
    return;
  }
  // Few link keys: to simulate the photons for the usual stock takes most of the time that a test's network lives.
  for (const app::ElementPlan& element : network_->elements()) {
    if (element.identity.kind != Kind::qkm) continue;
    const std::filesystem::path file = network_->config_of(element.name());
    const std::string config = with_water_marks(text_of(file), 32, 96);
    std::ofstream(file, std::ios::binary | std::ios::trunc) << config;
  }
  if (prepare) prepare(*network_);
  if (kmss_are_on_postgresql()) put_kmss_on_postgresql();
  trust_ = node::read_trust(network_->trust()).value();
  auto running = app::RunningNetwork::start(*network_, program, {});
  if (!running) {
    ADD_FAILURE() << running.error().message;
    return;
  }
  running_ = *std::move(running);
  for (const auto& [kms, database] : databases_) EXPECT_FALSE(std::filesystem::exists(network_->state_of(kms) / "kms.db")) << kms << " has its state in files";
}

void TestNetwork::put_kmss_on_postgresql() {
  PostgresqlCluster& cluster = PostgresqlCluster::instance();
  for (const app::ElementPlan& element : network_->elements()) {
    if (element.identity.kind != Kind::kms || !element.started) continue;
    const std::string database = cluster.conninfo(cluster.new_database());
    std::ofstream(network_->config_of(element.name()), std::ios::binary | std::ios::app) << "\n[store]\npostgresql = \"" << database << "\"\n";
    databases_.emplace(element.name(), database);
  }
}

TestNetwork::~TestNetwork() {
  terminals_.clear();
  operator_.reset();
  running_.reset();
}

app::Operator& TestNetwork::op() {
  if (!operator_) {
    auto opened = app::Operator::open(*network_);
    if (!opened) throw std::runtime_error("operator: " + opened.error().message);
    operator_ = *std::move(opened);
  }
  return *operator_;
}

void TestNetwork::enrol(const std::string& uid) { enrol(**network_->terminal(uid)); }

void TestNetwork::enrol(const app::TerminalPlan& terminal) {
  const auto done = app::enrol_terminal(*network_, QANAT_PROGRAM, op(), terminal);
  ASSERT_TRUE(done) << done.error().message;
}

app::TerminalPlan TestNetwork::further_terminal(const std::string& model, const std::string& uid, const std::string& number) {
  app::TerminalPlan out = **network_->terminal(model);
  std::string config = text_of(network_->config_of(model));
  const auto replace = [&config](const std::string& from, const std::string& to) {
    for (std::size_t at = config.find(from); at != std::string::npos; at = config.find(from, at + to.size())) config.replace(at, from.size(), to);
  };
  replace("/" + model + "\"", "/" + uid + "\"");
  replace("/" + model + ".", "/" + uid + ".");
  replace("uid = \"" + model + "\"", "uid = \"" + uid + "\"");
  replace(out.number, number);
  out.uid = uid;
  out.number = number;
  std::ofstream(network_->config_of(uid), std::ios::binary | std::ios::trunc) << config;
  std::filesystem::create_directories(network_->state_of(uid));
  std::filesystem::permissions(network_->state_of(uid), std::filesystem::perms::owner_all);
  return out;
}

TestTerminal& TestNetwork::terminal(const std::string& uid) {
  if (const auto known = terminals_.find(uid); known != terminals_.end()) return *known->second;
  auto opened = TestTerminal::open(*network_, uid);
  if (!opened) throw std::runtime_error("terminal " + uid + ": " + opened.error().message);
  return *terminals_.emplace(uid, *std::move(opened)).first->second;
}

std::string TestNetwork::Pair::reasons() const {
  return "caller: " + (caller ? std::string("has a key") : caller.error().message) + "; callee: " + (callee ? std::string("has a key") : callee.error().message);
}

TestNetwork::Pair TestNetwork::apply(const std::string& from, const std::string& to, std::chrono::milliseconds max) {
  TestTerminal& caller = terminal(from);
  TestTerminal& callee = terminal(to);
  const auto sid_wk = rng_->id<SidWk>();
  const SidCall sid_call = wire::make_sid_call(caller.number(), callee.number(), rng_->bytes(16));
  const auto wanted = [&](wire::Role role) {
    return terminal::KeyWanted{.role = role, .sid_wk = sid_wk, .sid_call = sid_call, .caller = caller.number(), .called = callee.number()};
  };
  const Deadline deadline = Deadline::after(max);
  Pair out{.caller = fail(ErrorCode::internal, "did not run"), .callee = fail(ErrorCode::internal, "did not run")};
  std::thread other([&] { out.callee = callee.apply(wanted(wire::Role::callee), deadline); });
  out.caller = caller.apply(wanted(wire::Role::caller), deadline);
  other.join();
  return out;
}

Result<wire::Json> TestNetwork::hold_call(const std::string& from, const std::string& to, const std::filesystem::path& out, double pace) {
  const std::filesystem::path voices = QANAT_SOURCE_DIR "/assets/voice";
  return app::run_call(*network_, {.folder = network_->folder(),
                                   .from = from,
                                   .to = to,
                                   .out = out,
                                   .caller_wav = voices / "caller.wav",
                                   .callee_wav = voices / "callee.wav",
                                   .pace = pace,
                                   .output = app::Output::json,
                                   .program = QANAT_PROGRAM});
}

std::shared_ptr<const net::TlsIdentity> TestNetwork::identity_of(const std::string& name) {
  const auto device = crypto::open_software_device(network_->secret_of(name + ".master"), *rng_);
  if (!device) throw std::runtime_error(device.error().message);
  const auto suite = *crypto::find_suite(network_->options().suite);
  const auto place = place_of(name, "credentials");
  auto store = place ? node::CredentialStore::open(*place, **device, *suite)
                     : node::CredentialStore::open(network_->state_of(name) / "credentials.db", **device, *suite);
  if (!store) throw std::runtime_error(store.error().message);
  auto credentials = (*store)->load();
  if (!credentials || !*credentials) throw std::runtime_error(name + " has no credentials");
  return (*credentials)->tls;
}

std::optional<store::PostgresqlPlace> TestNetwork::place_of(const std::string& kms, const std::string& schema) const {
  const auto database = databases_.find(kms);
  if (database == databases_.end()) return std::nullopt;
  return store::PostgresqlPlace{.conninfo = database->second, .schema = schema, .connections = 2};
}

std::shared_ptr<const net::TlsIdentity> TestNetwork::enrol_spare(const std::string& name) {
  auto config = node::Config::read(network_->config_of(name));
  if (!config) throw std::runtime_error(config.error().message);
  auto node = node::Node::open(node::Settings::read(*config));
  if (!node) throw std::runtime_error(node.error().message);
  const auto enrolled = (*node)->enrol(Deadline::after(request_max));
  if (!enrolled) throw std::runtime_error(enrolled.error().message);
  return (*node)->credentials().tls;
}

std::unique_ptr<net::Client> TestNetwork::client(const std::string& callee, std::shared_ptr<const net::TlsIdentity> identity) {
  const app::ElementPlan* element = *network_->element(callee);
  return net::Client::create({.host = "127.0.0.1", .port = element->port, .expected = element->identity}, std::move(identity), trust_, {});
}

Result<net::Response> TestNetwork::call(const std::string& caller, points::Endpoint endpoint, const std::string& callee, ByteView body, const std::string& query) {
  const points::EndpointRow& line = points::row(endpoint);
  const auto connection = client(callee, caller.empty() ? nullptr : identity_of(caller));
  return connection->call({.method = std::string(line.method),
                           .path = std::string(line.path),
                           .query = query,
                           .content_type = std::string(line.request_type),
                           .body = body,
                           .request_id = to_hex(rng_->bytes(8))},
                          Deadline::after(request_max));
}

Result<net::Response> TestNetwork::call_json(const std::string& caller, points::Endpoint endpoint, const std::string& callee, const wire::Json& body) {
  const std::string text = body.dump();
  return call(caller, endpoint, callee, as_bytes(text));
}

std::vector<wire::Json> TestNetwork::audit(const std::string& element, const std::string& action, const std::string& reason) {
  std::vector<wire::Json> out;
  std::ifstream in(network_->state_of(element) / "audit.jsonl");
  std::string line;
  while (std::getline(in, line)) {
    const auto json = wire::Json::parse(line);
    if (!json) continue;  // the last line may be half written
    if (json->text("action").value_or("").find(action) == std::string::npos || json->text("reason").value_or("").find(reason) == std::string::npos) continue;
    out.push_back(*json);
  }
  return out;
}

void TestNetwork::expect_audit(const std::string& element, const std::string& action, const std::string& reason) {
  await("an audit record of " + element + ": " + action + " … " + reason, [&] { return !audit(element, action, reason).empty(); }, std::chrono::seconds(5));
}

void TestNetwork::await(const std::string& what, const std::function<bool()>& holds, std::chrono::milliseconds max) {
  const Deadline deadline = Deadline::after(max);
  std::mutex mutex;
  std::condition_variable never;
  std::unique_lock lock(mutex);
  while (!holds()) {
    if (deadline.passed()) {
      ADD_FAILURE() << "waited in vain for " << what;
      return;
    }
    never.wait_for(lock, look_every);
  }
}

void TestNetwork::await_quantum_keys() {
  await("link keys at both ends", [&] {
    for (const char* qkm : {"kms-a", "kms-b"}) {
      const std::string peer = std::string("qkm-") + (std::string(qkm) == "kms-a" ? "a" : "b");
      const auto response = call(qkm, points::Endpoint::km3_status, peer, {});
      if (!response || response->status != 200) return false;
      const auto json = wire::Json::parse(response->body);
      const auto peers = json ? json->array("peers") : Result<std::vector<wire::Json>>(fail(json.error()));
      if (!peers || peers->empty() || peers->front().integer("stock").value_or(0) == 0) return false;
    }
    return true;
  });
}

const crypto::Suite& TestNetwork::suite() const { return **crypto::find_suite(network_->options().suite); }

app::NetworkOptions SharedNetwork::options_;
std::unique_ptr<TestNetwork> SharedNetwork::network_;

void SharedNetwork::SetUpTestSuite() { network_ = std::make_unique<TestNetwork>(options_); }
void SharedNetwork::TearDownTestSuite() {
  network_.reset();
  options_ = {};
}

}  // namespace qanat::test
