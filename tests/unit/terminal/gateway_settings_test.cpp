// The configuration of a gateway's agent.
#include "terminal/gateway/settings.hpp"

#include <gtest/gtest.h>

#include <fstream>

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
  EXPECT_NE(complaint(with_tunnel(wireguard_lines + "handshake = \"never\"\n")).find("must be forced or awaited"), std::string::npos);
  std::string bad_key = wireguard_lines;
  bad_key.replace(bad_key.find("AQID"), 4, "AQ!D");
  EXPECT_NE(complaint(with_tunnel(bad_key)).find("is no public key in base64"), std::string::npos);
  std::string no_url = with_tunnel(strongswan_lines);
  no_url.replace(no_url.find("https"), 5, "xhttp");
  EXPECT_NE(complaint(no_url), "accepted");
}

}  // namespace
}  // namespace qanat::terminal::gateway
