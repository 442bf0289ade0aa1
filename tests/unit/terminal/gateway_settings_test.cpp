// The configuration of a gateway's agent.
#include "terminal/gateway/settings.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "node/settings.hpp"
#include "temporary_directory.hpp"

namespace qanat::terminal::gateway {
namespace {

const std::string kme_lines = "[gateway]\nkme = \"https://kme.example:8443\"\nkme_certificate = \"a.pem\"\nkme_key = \"a.key\"\nkme_roots = \"ca.pem\"\n";
const std::string strongswan_lines = "software = \"strongswan\"\nrole = \"initiator\"\npeer = \"gw-b\"\npeer_sae = \"enc-b\"\nconnection = \"ab.conf\"\n";
const std::string wireguard_lines =
    "software = \"wireguard\"\nrole = \"responder\"\npeer = \"gw-b\"\npeer_sae = \"enc-b\"\nsocket = \"wg0.sock\"\n"
    "peer_key = \"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\"\n";

Result<GatewaySettings> read_text(const std::string& text) {
  const qanat::test::TemporaryDirectory folder;
  std::ofstream(folder / "gw.toml") << text;
  auto config = node::Config::read(folder / "gw.toml");
  if (!config) return fail(config.error());
  GatewaySettings out = GatewaySettings::read(*config);
  TRY(config->finish());
  return out;
}
std::string complaint(const std::string& text) {
  const auto got = read_text(text);
  return got ? "accepted" : got.error().message;
}
std::string with_tunnel(const std::string& lines, const std::string& name = "ab") { return kme_lines + "[gateway.tunnels." + name + "]\n" + lines; }

std::string with_role(std::string lines, const std::string& role, const std::string& other) { return lines.replace(lines.find(role), role.size(), other); }
std::string as_responder(const std::string& lines) { return with_role(lines, "initiator", "responder"); }
std::string as_initiator(const std::string& lines) { return with_role(lines, "responder", "initiator"); }

TEST(GatewaySettingsTest, AreReadForBothKindsOfSoftware) {
  const auto got = read_text(with_tunnel(strongswan_lines + "rotate_s = 60\nahead = 3\nhold_queue = 7\n") + "[gateway.tunnels.wg]\n" + wireguard_lines);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->kme.url.host, "kme.example");
  ASSERT_EQ(got->tunnels.size(), 2U);
  EXPECT_EQ(got->tunnels[0].policy.rotate_after, std::chrono::minutes(1));
  EXPECT_EQ(got->tunnels[0].policy.ahead, 3U);
  EXPECT_EQ(std::get<StrongSwanSettings>(got->tunnels[0].software).hold.queue, 7);
  EXPECT_EQ(got->tunnels[1].role, Role::responder);
  EXPECT_EQ(std::get<WireGuardSettings>(got->tunnels[1].software).handshake, Handshake::forced);
}

TEST(GatewaySettingsTest, SayWhatIsWrong) {
  EXPECT_NE(complaint(kme_lines).find("there is no [gateway.tunnels.<name>]"), std::string::npos);
  EXPECT_NE(complaint(with_tunnel("role = \"leader\"\n" + strongswan_lines.substr(0, 24) + strongswan_lines.substr(43))).find("must be initiator or responder"),
            std::string::npos);
  EXPECT_NE(complaint(with_tunnel(strongswan_lines, "A_b")).find("the tunnel's name"), std::string::npos);
  EXPECT_NE(complaint(with_tunnel(strongswan_lines + "ahead = 9\n")).find("ahead"), std::string::npos);
  EXPECT_NE(complaint(with_tunnel(strongswan_lines + "socket = \"wg0\"\n")).find("socket"), std::string::npos) << "WireGuard's";
  EXPECT_NE(complaint(with_tunnel(wireguard_lines + "rotate_s = 60\n")).find("rotate_s"), std::string::npos) << "the initiator's";
  for (const char* line : {"hold_queue = 7\n", "hold_namespace = \"/run/netns/a\"\n", "overlap_ms = 100\n"}) {
    const std::string key = std::string(line).substr(0, std::string(line).find(' '));
    EXPECT_EQ(complaint(with_tunnel(strongswan_lines + line)), "accepted");
    EXPECT_NE(complaint(with_tunnel(as_responder(strongswan_lines) + line)).find(key), std::string::npos) << "the initiator's";
  }
  EXPECT_NE(complaint(with_tunnel(wireguard_lines + "handshake = \"awaited\"\n")).find("handshake"), std::string::npos) << "the initiator's";
  EXPECT_NE(complaint(with_tunnel(as_initiator(wireguard_lines) + "handshake = \"never\"\n")).find("must be forced or awaited"), std::string::npos);
  std::string bad_key = wireguard_lines;
  bad_key.replace(bad_key.find("AQID"), 4, "AQ!D");
  EXPECT_NE(complaint(with_tunnel(bad_key)).find("is no public key in base64"), std::string::npos);
  std::string no_url = with_tunnel(strongswan_lines);
  no_url.replace(no_url.find("https"), 5, "xhttp");
  EXPECT_NE(complaint(no_url), "accepted");
}

/// What stands in a document between ```toml and ```, one file for each.
std::vector<std::string> toml_blocks(const std::filesystem::path& document) {
  std::vector<std::string> out;
  std::ifstream in(document);
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    if (line == "```toml") {
      inside = true;
      out.emplace_back();
    } else if (line == "```") {
      inside = false;
    } else if (inside) {
      out.back() += line + "\n";
    }
  }
  return out;
}

TEST(GatewaySettingsTest, TheOperatorsExamplesStart) {
  const auto blocks = toml_blocks(QANAT_SOURCE_DIR "/docs/operations/gateway.md");
  ASSERT_FALSE(blocks.empty());
  for (const std::string& block : blocks) {
    const qanat::test::TemporaryDirectory folder;
    std::ofstream(folder / "gateway.toml") << block;
    auto config = node::Config::read(folder / "gateway.toml");
    ASSERT_TRUE(config) << config.error().message;
    const node::Settings common = node::Settings::read(*config);
    const GatewaySettings gateway = GatewaySettings::read(*config);
    const auto finished = config->finish();
    ASSERT_TRUE(finished) << finished.error().message;
    EXPECT_EQ(common.identity.kind, Kind::dev1);
    EXPECT_FALSE(common.server.address.starts_with("127.")) << "the other agent could not reach it";
    EXPECT_NE(common.server.port, 0);
    for (const auto& [name, peer] : common.peers) EXPECT_FALSE(peer.host.starts_with("127.")) << name;
    EXPECT_TRUE(common.peers.contains("cas")) << "which it enrols with";
    for (const TunnelSettings& tunnel : gateway.tunnels) {
      ASSERT_TRUE(common.peers.contains(tunnel.peer)) << tunnel.name;
      EXPECT_EQ(common.peers.at(tunnel.peer).expected.kind, Kind::dev1);
    }
  }
}

}  // namespace
}  // namespace qanat::terminal::gateway
