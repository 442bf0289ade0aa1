#include "gateway_lab.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>

#include "program.hpp"
#include "terminal/gateway/uapi_message.hpp"
#include "test_network.hpp"

namespace qanat::test {
namespace {

constexpr const char* charon = "/usr/lib/ipsec/charon";
constexpr const char* prefix = "qg";
constexpr std::chrono::seconds lab_patience{20};

bool runs(const std::string& line) { return std::system(("{ " + line + "; } >/dev/null 2>&1").c_str()) == 0; }
void must_run(const std::string& line) { EXPECT_TRUE(runs(line)) << line; }
std::string output_of(const std::string& line) {
  const TemporaryDirectory errors;
  std::string out = run_line(line, errors).out;
  while (out.ends_with('\n')) out.pop_back();
  return out;
}

/// Namespaces of laboratories whose process is no more.
void remove_what_was_left() {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/run/netns", ignored)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(prefix)) continue;
    const pid_t owner = std::atoi(name.c_str() + 2);
    if (owner > 0 && ::kill(owner, 0) != 0) (void)runs("ip netns del " + name);
  }
}

std::string hex_of_base64(const std::string& text) { return terminal::gateway::wireguard_public_key(text).value_or(""); }

}  // namespace

std::string GatewayLab::impossible() {
  if (::geteuid() != 0) return "network namespaces need root";
  if (::access("/dev/net/tun", R_OK | W_OK) != 0) return "there is no /dev/net/tun";
  if (!not_installed().empty()) return "";  // that is no property of the machine
  const std::string probe = prefix + std::to_string(::getpid()) + "p";
  if (!runs("ip netns add " + probe)) return "no network namespace can be made here";
  (void)runs("ip netns del " + probe);
  return "";
}

std::string GatewayLab::not_installed() {
  for (const char* tool : {"ip", "ping", "wg", "wireguard-go", "iptables", "tcpdump", charon}) {
    if (!runs("command -v " + std::string(tool))) return std::string(tool) + " is not installed (scripts/setup.sh)";
  }
  return "";
}

GatewayLab::GatewayLab() {
  static std::atomic<int> count = 0;
  tag_ = prefix + std::to_string(::getpid()) + "x" + std::to_string(count++);
  remove_what_was_left();
  for (const Side side : sides) must_run("ip netns add " + network_namespace(side) + " && ip -n " + network_namespace(side) + " link set lo up");
  const std::string a = network_namespace(Side::a);
  const std::string b = network_namespace(Side::b);
  must_run("ip link add cable netns " + a + " type veth peer name cable netns " + b);
  for (const Side side : sides) {
    const std::string ip = "ip -n " + network_namespace(side) + " ";
    must_run(ip + "addr add " + outer(side) + "/30 dev cable && " + ip + "link set cable up && " + ip + "addr add " + inner(side) + "/32 dev lo");
  }
}

GatewayLab::~GatewayLab() {
  for (const Side side : sides) stop(side);
  for (const Side side : sides) must_run("ip netns del " + network_namespace(side));
}

std::unique_ptr<app::Child> GatewayLab::start(Side side, const std::string& line, const std::string& log, std::vector<std::string> environment) const {
  auto child = app::Child::start({.program = "/bin/sh",
                                  .arguments = {"-c", "exec ip netns exec " + network_namespace(side) + " sh -c '" + line + "'"},
                                  .environment = std::move(environment),
                                  .standard_error = file(side, log)});
  EXPECT_TRUE(child) << (child ? "" : child.error().message);
  return child ? std::move(*child) : nullptr;
}

void GatewayLab::start_strongswan(Side side) {
  std::ofstream(file(side, "strongswan.conf"))
      << "charon {\n"
      // This kernel may have no ESP: kernel-libipsec does it in user space, and must come before kernel-netlink, which does the routes.
      << "  load = random nonce openssl kdf hmac pem pkcs1 pubkey x509 curve25519 kernel-libipsec kernel-netlink socket-default vici updown\n"
      << "  plugins {\n    vici {\n      socket = unix://" << vici_socket(side).string()
      << "\n    }\n    kernel-libipsec {\n      allow_peer_ts = yes\n    }\n  }\n"
      << "  filelog {\n    log {\n      path = " << file(side, "charon.log").string() << "\n      default = 1\n      flush_line = yes\n    }\n  }\n}\n";
  std::ofstream(connection_file(side)) << "ab {\n  local_addrs = " << outer(side) << "\n  remote_addrs = " << outer(other(side))
                                       << "\n  encap = yes\n  proposals = aes256gcm16-prfsha384-x25519\n  local {\n    auth = psk\n    id = gw-" << letter(side)
                                       << "\n  }\n  remote {\n    auth = psk\n    id = gw-" << letter(other(side))
                                       << "\n  }\n  children {\n    net {\n      local_ts = " << inner(side) << "/32\n      remote_ts = " << inner(other(side))
                                       << "/32\n      esp_proposals = aes256gcm16-x25519\n    }\n  }\n}\n";
  std::error_code ignored;
  std::filesystem::remove(vici_socket(side), ignored);
  const std::string in_namespace = "ip netns exec " + network_namespace(side) + " ";
  if (side == Side::a) {
    // ESP in UDP begins with an SPI, IKE with four zero octets (RFC 3948 §2.2).
    const std::string rule =
        "INPUT -p udp --dport 4500 -m u32 --u32 '0>>22&0x3C@8=1:0xffffffff' -j NFQUEUE --queue-num " + std::to_string(hold_queue) + " --queue-bypass";
    must_run(in_namespace + "iptables-legacy -w -C " + rule + " || " + in_namespace + "iptables-legacy -w -A " + rule);
  }
  // Its /run is its own: the daemon's file with its process id has one name on a machine. And it runs from here: Debian's AppArmor profile, which goes by the
  // program's path, would keep it from everything in this folder.
  const std::string program = file(side, "charon").string();
  daemons_[index(side)] = start(side, "mount -t tmpfs tmpfs /run && cp -f " + std::string(charon) + " " + program + " && exec " + program, "charon.out",
                                {"STRONGSWAN_CONF=" + file(side, "strongswan.conf").string()});
  TestNetwork::await(
      "strongSwan", [&] { return terminal::gateway::ViciClient::connect(vici_socket(side), Deadline::after(lab_patience)).has_value(); }, lab_patience);
  // The authentication that is not post-quantum: the agents' keys are mixed into what comes of it.
  terminal::gateway::ViciSection shared;
  shared.set("id", std::string("ike"))
      .set("type", std::string("IKE"))
      .set("data", std::string("a classical secret"))
      .set("owners", terminal::gateway::ViciSection::List{"gw-a", "gw-b"});
  const auto loaded = vici(side).command("load-shared", shared, Deadline::after(lab_patience));
  EXPECT_TRUE(loaded) << (loaded ? "" : loaded.error().message);
}

terminal::gateway::ViciClient GatewayLab::vici(Side side) const {
  return std::move(terminal::gateway::ViciClient::connect(vici_socket(side), Deadline::after(lab_patience)).value());
}

void GatewayLab::start_wireguard() {
  std::array<std::string, 2> private_keys;
  for (const Side side : sides) {
    private_keys[index(side)] = output_of("wg genkey");
    public_keys_[index(side)] = output_of("echo " + private_keys[index(side)] + " | wg pubkey");
    std::filesystem::create_directories(file(side, "run"));
    daemons_[index(side)] = start(
        side, "mount -t tmpfs tmpfs /run && mkdir /run/wireguard && mount --bind " + file(side, "run").string() + " /run/wireguard && exec wireguard-go -f wg0",
        "wireguard.out", {});
  }
  for (const Side side : sides) {
    TestNetwork::await(
        "wireguard-go", [&] { return terminal::gateway::UnixStream::connect(wireguard_socket(side), Deadline::after(lab_patience)).has_value(); },
        lab_patience);
    auto stream = terminal::gateway::UnixStream::connect(wireguard_socket(side), Deadline::after(lab_patience));
    ASSERT_TRUE(stream) << stream.error().message;
    const std::string request = "set=1\nprivate_key=" + hex_of_base64(private_keys[index(side)]) +
                                "\nlisten_port=51820\npublic_key=" + hex_of_base64(public_keys_[index(other(side))]) + "\nendpoint=" + outer(other(side)) +
                                ":51820\nallowed_ip=" + inner(other(side)) + "/32\n\n";
    Bytes answer(9);
    EXPECT_TRUE(stream->send(as_bytes(request), Deadline::after(lab_patience)));
    EXPECT_TRUE(stream->receive(answer, Deadline::after(lab_patience)));
    EXPECT_EQ(as_text(answer), "errno=0\n\n");
    const std::string ip = "ip -n " + network_namespace(side) + " ";
    must_run(ip + "link set wg0 up && " + ip + "route add " + inner(other(side)) + "/32 dev wg0 src " + inner(side));
  }
}

Ping GatewayLab::ping(Side from, int count, int interval_ms) const {
  const std::string interval = std::to_string(interval_ms / 1000) + "." + std::to_string(1000 + interval_ms % 1000).substr(1);
  return Ping(start(from, "exec ping -n -i " + interval + " -c " + std::to_string(count + Ping::uncounted) + " -I " + inner(from) + " " + inner(other(from)),
                    "ping.out", {}));
}

std::optional<std::string> Ping::read() {
  const auto line = child_->read_line(Deadline::after(lab_patience));
  if (!line || !*line) return std::nullopt;
  const std::size_t at = (*line)->find("icmp_seq=");
  int number = 0;
  if (at != std::string::npos && std::sscanf((*line)->c_str() + at, "icmp_seq=%d", &number) == 1) answered_.insert(number);
  return **line;
}

void Ping::await(int number) {
  while (!answered_.contains(number)) ASSERT_TRUE(read()) << "no answer " << number;
}

int Ping::lost() {
  while (const auto line = read()) {
    int sent = 0;
    int received = 0;
    if (std::sscanf(line->c_str(), "%d packets transmitted, %d received", &sent, &received) != 2) continue;
    const int counted = sent - uncounted;
    return counted - static_cast<int>(std::distance(answered_.begin(), answered_.upper_bound(counted)));
  }
  return -1;
}

std::string GatewayLab::listen_on_cable(int packets) const {
  return output_of("ip netns exec " + network_namespace(Side::a) + " timeout 10 tcpdump -ni cable -c " + std::to_string(packets));
}

}  // namespace qanat::test
