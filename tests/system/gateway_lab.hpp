// Two sites with a gateway each, in network namespaces of this machine, joined by one cable: real strongSwan or real WireGuard (wireguard-go) between them.
// Only root can make namespaces; everything here has names of its own, so that laboratories stand side by side, and is gone with the object. What a test that
// was killed left behind is removed by the next one.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "launch.hpp"
#include "temporary_directory.hpp"
#include "terminal/gateway/vici_client.hpp"

namespace qanat::test {

/// Pings that are under way.
class Ping {
 public:
  /// The last ones. ping waits for their answers for two round trips and no longer, which a machine that is busy exceeds without losing anything.
  static constexpr int uncounted = 50;

  explicit Ping(std::unique_ptr<app::Child> child) : child_(std::move(child)) {}
  /// Until this one is answered.
  void await(int number);
  /// How many of those that count were not answered, when all are sent; -1 if ping does not come to its end.
  int lost();

 private:
  std::optional<std::string> read();

  std::unique_ptr<app::Child> child_;
  std::set<int> answered_;
};

class GatewayLab {
 public:
  enum class Side : std::uint8_t { a, b };
  static constexpr std::array sides{Side::a, Side::b};

  /// Why there can be none on this machine; empty if there can.
  static std::string impossible();
  /// What the laboratory needs and scripts/setup.sh installs, and is not there; empty if all is.
  static std::string not_installed();

  GatewayLab();
  GatewayLab(const GatewayLab&) = delete;
  GatewayLab& operator=(const GatewayLab&) = delete;
  ~GatewayLab();

  [[nodiscard]] static std::string letter(Side side) { return side == Side::a ? "a" : "b"; }
  [[nodiscard]] static Side other(Side side) { return side == Side::a ? Side::b : Side::a; }
  [[nodiscard]] std::string network_namespace(Side side) const { return tag_ + letter(side); }
  [[nodiscard]] std::filesystem::path file(Side side, const std::string& name) const { return folder_ / (letter(side) + "-" + name); }
  /// Inside the site, behind its gateway.
  [[nodiscard]] static std::string inner(Side side) { return side == Side::a ? "10.1.0.1" : "10.2.0.1"; }
  /// On the cable.
  [[nodiscard]] static std::string outer(Side side) { return side == Side::a ? "192.0.2.1" : "192.0.2.2"; }

  /// strongSwan's daemon; vici() is answered when it returns. Its packets of ESP come by the queue `hold_queue`.
  void start_strongswan(Side side);
  /// Its end, by SIGKILL.
  void stop(Side side) { daemons_[index(side)].reset(); }
  [[nodiscard]] std::filesystem::path vici_socket(Side side) const { return file(side, "vici"); }
  /// A connection file for the agent of this side.
  [[nodiscard]] std::filesystem::path connection_file(Side side) const { return file(side, "connection.conf"); }
  [[nodiscard]] terminal::gateway::ViciClient vici(Side side) const;
  static constexpr int hold_queue = 77;

  /// wireguard-go on both sides, without a preshared key.
  void start_wireguard();
  [[nodiscard]] std::filesystem::path wireguard_socket(Side side) const { return file(side, "run") / "wg0.sock"; }
  [[nodiscard]] std::string wireguard_public_key(Side side) const { return public_keys_[index(side)]; }

  /// `count` pings from this site's inner address to the other's, one each `interval_ms`, and a few that do not count.
  [[nodiscard]] Ping ping(Side from, int count, int interval_ms) const;
  /// What a listener on the cable sees, a line for each of `packets` packets.
  [[nodiscard]] std::string listen_on_cable(int packets) const;

 private:
  static std::size_t index(Side side) { return side == Side::a ? 0 : 1; }
  [[nodiscard]] std::unique_ptr<app::Child> start(Side side, const std::string& line, const std::string& log, std::vector<std::string> environment) const;

  std::string tag_;
  TemporaryDirectory folder_;
  std::array<std::unique_ptr<app::Child>, 2> daemons_;
  std::array<std::string, 2> public_keys_;
};

}  // namespace qanat::test
