// Dx-1: the agents of two gateways, with real QKMs or KMSs behind them and real strongSwan or WireGuard before them, in network namespaces. Skipped where there
// can be none (not root, or the machine refuses them), and says so.
#include <signal.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "gateway_lab.hpp"
#include "kme/key_id_text.hpp"
#include "kms_saes.hpp"
#include "point_test.hpp"
#include "terminal/gateway/connection_file.hpp"
#include "test_network.hpp"

namespace qanat::test {
namespace {

using terminal::gateway::ViciSection;
using Side = GatewayLab::Side;

constexpr std::chrono::seconds gateway_patience{40};

class GatewaySystem : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    start("qkm-", {}, [] { let_saes_in(*network_, [](const app::SaeDemo& demo) { saes_.emplace(demo); }); });
  }
  /// `kme`: what the gateways' key management entities are called, without their domain. `let_in` lets the SAEs sae-a and sae-b in there.
  static void start(const std::string& kme, app::NetworkOptions options, const std::function<void()>& let_in) {
    if (!GatewayLab::impossible().empty() || !GatewayLab::not_installed().empty()) return;
    kme_ = kme;
    options.spares = {{.domain = "a", .kind = Kind::dev1, .name = "gw-a"}, {.domain = "b", .kind = Kind::dev1, .name = "gw-b"}};
    network_ = std::make_unique<TestNetwork>(options);
    if (!network_->ok()) return;
    let_in();
    ASSERT_TRUE(saes_);
    network_->await_quantum_keys();
    const auto ports = app::free_ports(2);
    ASSERT_TRUE(ports) << ports.error().message;
    std::copy_n(ports->begin(), 2, ports_.begin());
    for (const Side side : GatewayLab::sides) configs_[name_of(side)] = text_of(network_->network().config_of(name_of(side)));
  }
  static void TearDownTestSuite() {
    network_.reset();
    saes_.reset();
  }
  void SetUp() override {
    if (const std::string why = GatewayLab::impossible(); !why.empty()) GTEST_SKIP() << "GATEWAYS ARE NOT TESTED HERE: " << why;
    ASSERT_EQ(GatewayLab::not_installed(), "");
    ASSERT_TRUE(network_ && network_->ok());
    lab_ = std::make_unique<GatewayLab>();
  }
  void TearDown() override {
    agents_ = {};
    if (HasFailure() && lab_) {
      for (const Side side : GatewayLab::sides) {
        std::fprintf(stderr, "---- %s\n%s\n%s\n", name_of(side).c_str(), text_of(lab_->file(side, "agent.err")).c_str(),
                     text_of(lab_->file(side, "charon.log")).substr(0, 6000).c_str());
      }
    }
    lab_.reset();
  }

  static std::string name_of(Side side) { return "gw-" + GatewayLab::letter(side); }
  static TestNetwork& net() { return *network_; }
  static std::uint16_t port_of(Side side) { return ports_[side == Side::a ? 0 : 1]; }

  /// Its configuration, with one tunnel.
  void configure(Side side, const std::string& tunnel, const std::string& software) const {
    const Side far = GatewayLab::other(side);
    std::string text = configs_.at(name_of(side));
    text.replace(text.find("port = 0"), 8, "port = " + std::to_string(port_of(side)));
    const std::string sae = "sae-" + GatewayLab::letter(side);
    const crypto::PemFiles& files = saes_->demo().saes.at(sae);
    text += "[peers." + name_of(far) + "]\nidentity = \"qanat://" + GatewayLab::letter(far) + "/dev1/" + name_of(far) +
            "\"\nport = " + std::to_string(port_of(far)) + "\n\n";
    text += "[gateway]\nkme = \"https://localhost:" + std::to_string(saes_->demo().ports.at(kme_ + GatewayLab::letter(side))) + "\"\nkme_certificate = \"" +
            files.certificate.string() + "\"\nkme_key = \"" + files.key.string() + "\"\nkme_roots = \"" + saes_->demo().root.certificate.string() + "\"\n\n";
    text += "[gateway.tunnels." + tunnel + "]\nrole = \"" + (side == Side::a ? "initiator" : "responder") + "\"\npeer = \"" + name_of(far) +
            "\"\npeer_sae = \"sae-" + GatewayLab::letter(far) + "\"\n" + software;
    std::ofstream(net().network().config_of(name_of(side)), std::ios::trunc) << text;
  }
  void configure_strongswan(const std::string& tunnel) {
    tunnel_ = tunnel;
    for (const Side side : GatewayLab::sides) {
      lab_->start_strongswan(side);
      std::string software =
          "software = \"strongswan\"\nvici = \"" + lab_->vici_socket(side).string() + "\"\nconnection = \"" + lab_->connection_file(side).string() + "\"\n";
      if (side == Side::a) {
        software += "overlap_ms = 100\nhold_queue = " + std::to_string(GatewayLab::hold_queue) + "\nhold_namespace = \"/run/netns/" +
                    lab_->network_namespace(side) + "\"\n";
      }
      configure(side, tunnel, software);
    }
  }

  void start_agent(Side side, const std::string& program = QANAT_PROGRAM, std::vector<std::string> environment = {}) {
    auto& slot = agents_[side == Side::a ? 0 : 1];
    slot.reset();
    const bool is_to_die = !environment.empty();
    auto child = app::Child::start({.program = program,
                                    .arguments = {"gateway", "--config", net().network().config_of(name_of(side)).string()},
                                    .environment = std::move(environment),
                                    .standard_error = lab_->file(side, "agent.err")});
    ASSERT_TRUE(child) << child.error().message;
    slot = std::move(*child);
    const auto line = slot->read_line(Deadline::after(gateway_patience));
    // One that is to die may do so before it is ready.
    EXPECT_TRUE(is_to_die || (line && *line && (*line)->starts_with("ready "))) << slot->last_words();
  }
  app::Child& agent(Side side) { return *agents_[side == Side::a ? 0 : 1]; }
  void kill_agent(Side side) {
    ::kill(agent(side).pid(), SIGKILL);
    agents_[side == Side::a ? 0 : 1].reset();
  }
  void ask_for_change() { ::kill(agent(Side::a).pid(), SIGHUP); }

  /// The ids in this agent's records of such a change of its tunnel's keys, in order.
  std::vector<std::string> on_record(Side side, const std::string& change) const {
    std::vector<std::string> out;
    for (const wire::Json& line : net().audit(name_of(side), change)) {
      const std::string object = line.text("object").value_or("");
      if (line.text("action").value_or("") == change && object.starts_with(tunnel_ + "/")) out.push_back(object);
    }
    return out;
  }
  std::string in_force(Side side) const {
    const auto all = on_record(side, "gateway.key.active");
    return all.empty() ? "" : all.back();
  }
  /// Waits until both agents have the same key in force, another than `before`.
  void await_change(const std::string& before) const {
    TestNetwork::await(
        "another key in force at both gateways than " + before,
        [&] {
          const std::string now = in_force(Side::a);
          return !now.empty() && now != before && in_force(Side::b) == now;
        },
        gateway_patience);
  }
  void start_tunnel() {
    start_agent(Side::b);
    start_agent(Side::a);
    await_change("");
  }
  /// A thousand pings each way while the key changes three times.
  void expect_changes_without_loss() {
    Ping there = lab_->ping(Side::a, 1000, 5);
    Ping back = lab_->ping(Side::b, 1000, 5);
    for (const int at : {150, 400, 650}) {
      const std::string before = in_force(Side::a);
      there.await(at);
      ask_for_change();
      await_change(before);
    }
    EXPECT_EQ(there.lost(), 0);
    EXPECT_EQ(back.lost(), 0);
  }
  /// No key was put in force, or tried, twice.
  void expect_each_key_once() const {
    const auto all = on_record(Side::a, "gateway.key.switching");
    EXPECT_EQ(std::set(all.begin(), all.end()).size(), all.size());
    EXPECT_GE(all.size(), 1U);
  }

  std::vector<ViciSection> sas(Side side) const {
    ViciSection message;
    message.set("ike", std::string("ab"));
    auto events = lab_->vici(side).stream("list-sas", "list-sa", message, Deadline::after(gateway_patience));
    EXPECT_TRUE(events) << (events ? "" : events.error().message);
    std::vector<ViciSection> out;
    if (!events) return out;
    for (const ViciSection& event : *events) {
      if (const ViciSection* const sa = event.section("ab")) out.push_back(*sa);
    }
    return out;
  }
  /// Ids of the one IKE SA that there is, when there is one.
  std::string only_sa() const {
    TestNetwork::await("one IKE SA", [&] { return sas(Side::a).size() == 1; });
    const auto all = sas(Side::a);
    return all.empty() ? "" : std::string(all.front().text("uniqueid"));
  }
  std::vector<std::string> ppks(Side side) const {
    const auto answer = lab_->vici(side).command("get-shared", {}, Deadline::after(gateway_patience));
    std::vector<std::string> out;
    if (!answer || answer->list("keys") == nullptr) return out;
    for (const std::string& key : *answer->list("keys")) {
      if (kme::from_uuid(key)) out.push_back(key);
    }
    return out;
  }
  /// Another key under the same id: what a fault, or an attacker at one key management entity, would make of it.
  void spoil_ppks(Side side) const {
    for (const std::string& id : ppks(side)) {
      const Deadline soon = Deadline::after(gateway_patience);
      ViciSection old;
      old.set("id", id);
      EXPECT_TRUE(lab_->vici(side).command("unload-shared", old, soon));
      ViciSection other;
      other.set("id", id).set("type", std::string("PPK")).set("owners", ViciSection::List{id}).set("data", std::string("not the key"));
      EXPECT_TRUE(lab_->vici(side).command("load-shared", other, soon));
    }
  }

  Result<net::Response> call(const std::string& caller, points::Endpoint endpoint, const wire::Json& body) {
    const auto client = net::Client::create({.host = "127.0.0.1", .port = port_of(Side::b), .expected = {.domain = "b", .kind = Kind::dev1, .name = "gw-b"}},
                                            net().identity_of(caller), net().shared_trust(), {});
    const points::EndpointRow& row = points::row(endpoint);
    const std::string text = body.dump();
    return client->call({.method = std::string(row.method),
                         .path = std::string(row.path),
                         .query = "",
                         .content_type = std::string(row.request_type),
                         .body = as_bytes(text),
                         .request_id = to_hex(net().rng().bytes(8))},
                        Deadline::after(gateway_patience));
  }
  unsigned status(const std::string& caller, points::Endpoint endpoint, const wire::Json& body) {
    const auto answer = call(caller, endpoint, body);
    EXPECT_TRUE(answer) << (answer ? "" : answer.error().message);
    return answer ? answer->status : 0;
  }

  static std::string kme_;
  static std::unique_ptr<TestNetwork> network_;
  static std::optional<SaeClient> saes_;
  static std::array<std::uint16_t, 2> ports_;
  static std::map<std::string, std::string> configs_;
  std::unique_ptr<GatewayLab> lab_;
  std::array<std::unique_ptr<app::Child>, 2> agents_;
  std::string tunnel_;
};
std::string GatewaySystem::kme_;
std::unique_ptr<TestNetwork> GatewaySystem::network_;
std::optional<SaeClient> GatewaySystem::saes_;
std::array<std::uint16_t, 2> GatewaySystem::ports_{};
std::map<std::string, std::string> GatewaySystem::configs_;

POINT_TEST(GatewaySystem, Dx_1, accepts, StrongSwanChangesItsKeysWithoutLosingAPacket) {
  configure_strongswan("rotating");
  start_tunnel();
  expect_changes_without_loss();
  only_sa();
  const auto all = sas(Side::a);
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all.front().text("ppk"), "yes");
  TestNetwork::await("former PPKs to be gone", [&] { return ppks(Side::a).size() == 3 && ppks(Side::b).size() == 3; });
  EXPECT_TRUE(std::ranges::is_permutation(ppks(Side::a), ppks(Side::b))) << "one in force, two ahead";
  expect_each_key_once();
  Ping ping = lab_->ping(Side::a, 400, 10);
  const std::string seen = lab_->listen_on_cable(40);
  EXPECT_TRUE(seen.contains("ESP(spi=")) << seen;
  EXPECT_FALSE(seen.contains("echo re") || seen.contains("10.1.0.1")) << seen;
}

TEST_F(GatewaySystem, AWrongKeyIsRefusedAndTheTunnelStaysAsItWas) {
  configure_strongswan("wrong");
  start_tunnel();
  TestNetwork::await("keys ahead", [&] { return ppks(Side::b).size() == 3; });
  const std::string before = in_force(Side::a);
  const std::string sa = only_sa();
  Ping ping = lab_->ping(Side::a, 300, 10);
  spoil_ppks(Side::b);
  ask_for_change();
  net().expect_audit("gw-a", "gateway.rotation", "AUTHENTICATION_FAILED");
  EXPECT_EQ(ping.lost(), 0);
  // The spoilt ones are used up, and one that is the same at both ends comes in force.
  await_change(before);
  EXPECT_NE(only_sa(), sa);
  expect_each_key_once();
}

TEST_F(GatewaySystem, WithoutAKeyNoTunnelComesUp) {
  configure_strongswan("closed");
  start_agent(Side::b);
  TestNetwork::await("the connection", [&] {
    auto events = lab_->vici(Side::b).stream("list-conns", "list-conn", {}, Deadline::after(gateway_patience));
    return events && !events->empty();
  });
  const auto connection = terminal::gateway::read_connection(lab_->connection_file(Side::a));
  ASSERT_TRUE(connection) << connection.error().message;
  ViciSection settings = connection->settings;
  settings.set("version", std::string("2"));
  ViciSection load;
  load.set("ab", settings);
  terminal::gateway::ViciClient vici = lab_->vici(Side::a);
  ASSERT_TRUE(vici.command("load-conn", load, Deadline::after(gateway_patience)));
  ViciSection initiate;
  initiate.set("ike", std::string("ab")).set("child", std::string("net")).set("timeout", std::string("5000")).set("loglevel", std::string("-1"));
  const auto made = vici.stream("initiate", "control-log", initiate, Deadline::after(gateway_patience));
  ASSERT_FALSE(made) << "a peer without PPK was let in";
  EXPECT_EQ(made.error().code, ErrorCode::conflict) << made.error().message;
  EXPECT_TRUE(text_of(lab_->file(Side::b, "charon.log")).contains("PPK required but"));
}

TEST_F(GatewaySystem, AnAgentThatIsKilledAtAnyPointLeavesTheTunnelUpAndAgreesAgain) {
  configure_strongswan("killed");
  start_tunnel();
  const auto crash = [this](const std::string& place, Side side) {
    SCOPED_TRACE(place);
    const std::string before = in_force(Side::a);
    kill_agent(side);
    start_agent(side, QANAT_CRASH_PROGRAM, {"QANAT_CRASH_AT=" + place});
    TestNetwork::await(
        "its death",
        [&] {
          if (agent(Side::a).ended() == std::nullopt) ask_for_change();
          return agent(side).ended().has_value();
        },
        gateway_patience);
    Ping ping = lab_->ping(Side::a, 20, 10);
    EXPECT_EQ(ping.lost(), 0) << "the tunnel does not need its agent";
    start_agent(side);
    ask_for_change();
    await_change(before);
  };
  crash("gateway.taken", Side::a);
  crash("gateway.offered", Side::a);
  crash("gateway.loaded", Side::a);
  crash("gateway.switching", Side::a);
  crash("gateway.told", Side::a);
  crash("gateway.changed", Side::a);
  crash("gateway.peer.taken", Side::b);
  crash("gateway.peer.fetched", Side::b);
  crash("gateway.peer.loaded", Side::b);
  crash("gateway.peer.followed", Side::b);
  expect_each_key_once();
}

TEST_F(GatewaySystem, AStrongSwanThatIsRestartedGetsNewKeys) {
  configure_strongswan("restarted");
  start_tunnel();
  for (const Side side : {Side::b, Side::a}) {
    const std::string before = in_force(Side::a);
    lab_->stop(side);
    lab_->start_strongswan(side);
    await_change(before);
    Ping ping = lab_->ping(Side::a, 5, 10);
    EXPECT_EQ(ping.lost(), 0);
  }
}

TEST_F(GatewaySystem, WireGuardChangesItsKeysWithoutLosingAPacket) {
  tunnel_ = "wg";
  lab_->start_wireguard();
  for (const Side side : GatewayLab::sides) {
    configure(side, tunnel_,
              "software = \"wireguard\"\nsocket = \"" + lab_->wireguard_socket(side).string() + "\"\npeer_key = \"" +
                  lab_->wireguard_public_key(GatewayLab::other(side)) + "\"\n");
  }
  start_tunnel();
  expect_changes_without_loss();
  // Each agent dies; WireGuard goes on, and the next change is by new keys: those that waited were in the memory of who died.
  for (const Side side : GatewayLab::sides) {
    const std::string before = in_force(Side::a);
    Ping ping = lab_->ping(Side::a, 200, 10);
    kill_agent(side);
    start_agent(side);
    await_change(before);
    EXPECT_EQ(ping.lost(), 0);
  }
  expect_each_key_once();
}

POINT_TEST(GatewaySystem, Dx_1, refuses, OthersOtherTunnelsAndWhatWasOvertaken) {
  using points::Endpoint;
  configure_strongswan("refusing");
  start_tunnel();
  TestNetwork::await("keys ahead", [&] { return ppks(Side::b).size() == 3; });
  kill_agent(Side::a);
  const auto loaded = [&](const std::string& tunnel, std::int64_t turn) {
    return wire::Json::object({{"tunnel", tunnel}, {"turn", turn}, {"keep", wire::Json::array(std::vector<wire::Json>())}});
  };
  const auto key = [&](const std::string& tunnel) { return wire::Json::object({{"tunnel", tunnel}, {"key", "8f3d2b69-c05a-4b72-a1b2-c3d4e5f60718"}}); };
  EXPECT_EQ(status("kms-a", Endpoint::dx1_key, key("refusing")), 403U);
  EXPECT_EQ(status("qkm-a", Endpoint::dx1_loaded, loaded("refusing", 1)), 403U);
  EXPECT_EQ(status("gw-b", Endpoint::dx1_key, key("refusing")), 403U) << "a gateway that is not at the other end";
  EXPECT_EQ(status("gw-a", Endpoint::dx1_key, key("another")), 403U);
  EXPECT_EQ(status("gw-a", Endpoint::dx1_loaded, loaded("another", 1)), 403U);
  EXPECT_EQ(status("gw-a", Endpoint::dx1_key, wire::Json::object({{"tunnel", "refusing"}})), 400U);
  EXPECT_EQ(status("gw-a", Endpoint::dx1_loaded, loaded("refusing", 1)), 409U) << "overtaken";
  EXPECT_EQ(status("gw-a", Endpoint::dx1_key, key("refusing")), 400U) << "no key of the key management entity";
  net().expect_audit("gw-b", "dx-1.key", "one or more keys specified are not found on KME");
  net().expect_audit("gw-b", "dx-1.loaded", "comes after");
  EXPECT_EQ(ppks(Side::b).size(), 3U) << "nothing was changed by any of them";
}

/// Gateways whose key management entities are the KMSs: the keys are agreed on between these, ahead of demand.
class GatewayAtKmss : public GatewaySystem {
 protected:
  static void SetUpTestSuite() {
    app::NetworkOptions options;
    options.saes = true;
    start("kms-", options, [] {
      saes_ =
          let_saes_in_at_kmss(*network_, {{.name = "sae-a", .domain = "a", .peer_domains = {"b"}}, {.name = "sae-b", .domain = "b", .peer_domains = {"a"}}});
      if (!saes_) return;
      for (const auto& [own, other] : {std::pair("a", "b"), std::pair("b", "a")}) await_stock(own, other);
    });
  }
  static void await_stock(const std::string& own, const std::string& other) {
    TestNetwork::await(
        "keys for sae-" + own,
        [&] {
          const wire::Json status = saes_->curl("sae-" + own, "kms-" + own, "/api/v1/keys/sae-" + other + "/status").json();
          return status.integer("stored_key_count").value_or(0) > 0;
        },
        std::chrono::seconds(60));
  }
};

POINT_TEST(GatewayAtKmss, Dx_1, accepts, StrongSwanChangesToKeysThatTwoKmssAgreedOn) {
  configure_strongswan("kmss");
  start_tunnel();
  expect_changes_without_loss();
  expect_each_key_once();
  net().expect_audit("kms-a", "sae.enc_keys", "");
  net().expect_audit("kms-b", "sae.dec_keys", "");
  EXPECT_TRUE(net().audit("qkm-a", "sae.enc_keys").empty()) << "they are not the QKMs' keys";
  // A key that there is not, of an agent that may speak.
  const std::string none = "8f3d2b69-c05a-4b72-a1b2-c3d4e5f60718";
  kill_agent(Side::a);
  EXPECT_EQ(status("gw-a", points::Endpoint::dx1_key, wire::Json::object({{"tunnel", "kmss"}, {"key", none}})), 400U);
  net().expect_audit("gw-b", "dx-1.key", "one or more keys specified are not found on KME");
}

}  // namespace
}  // namespace qanat::test
