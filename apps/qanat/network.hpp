// A network on one machine as a plan: which elements there are, their identities, ports, peers and files. `qanat up` writes it once and
// reuses it; every other command reads it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/identity.hpp"
#include "base/result.hpp"
#include "crypto/device.hpp"
#include "wire/json.hpp"

namespace qanat::app {

struct ElementPlan {
  Identity identity;
  std::uint16_t port = 0;
  std::vector<std::string> peers;  // element names that it calls
  std::uint16_t sae_port = 0;      // of a QKM or KMS that gives keys to SAEs; 0: it does not
  std::uint16_t stream_port = 0;   // the same, in streams
  std::uint16_t status_port = 0;   // of CAS, which answers everybody for its certificates there; 0: it does not
  std::uint16_t enrolment_port = 0;  // of CAS, where everybody's software enrols; 0: it does not
  bool started = true;             // false: an identity that may enrol, without a process of this network (the operator; spares)

  [[nodiscard]] const std::string& name() const { return identity.name; }
};

struct TerminalPlan {
  std::string uid;     // "A"
  std::string number;  // "+8655110000001"
  std::string domain;
  std::string kms;
};

struct LinkPlan {
  std::string name;  // "a-r"
  std::string from;  // QKM names, alphabetical
  std::string to;
  double distance_km = 0;
};

struct NetworkOptions {
  std::string suite = "GM-hybrid";
  bool pqc_fallback = true;
  std::int64_t block_sifted_bits = 100000;
  std::int64_t status_fresh_ms = 5000;
  std::int64_t status_lifetime_s = 60;
  std::int64_t token_lifetime_s = 300;
  std::int64_t element_lifetime_s = 90LL * 86400;  // of elements' certificates, which renew themselves when two thirds of it are over
  std::int64_t key_lifetime_ms = 60000;
  std::string relay = "hop-by-hop";  // how keys cross the relays: hop-by-hop, centralised, or multipath (hop by hop over two separate paths)
  std::int64_t paths = 1;            // relays between the domains, each on a path of its own: 1 or 2
  std::int64_t chain = 0;            // instead: so many QKMs in a row from domain to domain, 2 or more, on one path
  bool optics = true;                // false: QKDs have their place and identity, and are not started: keys come from elsewhere (measurements)
  std::int64_t controllers = 1;      // of the relay network: 1, or 2 of which one leads
  bool profile_v1 = false;  // KMSs serve the paper's own messages too (docs/protocol/v1.md)
  std::int64_t quantum_pool = 0;  // quantum keys that a KMS draws ahead of calls, in calls' worth; 0: on demand
  bool saes = false;        // the QKMs and KMSs of both domains give keys to SAEs (sae_authority.hpp)
  double distance_km = 50;
  std::filesystem::path roots = {};  // made offline (qanat ca ceremony); empty: the network makes its own
  std::optional<crypto::DeviceSettings> root_device = {};  // that seals their keys
  std::optional<crypto::DeviceSettings> cas_device = {};   // where CAS's master key is instead of a file
  std::vector<Identity> spares;  // further elements that may enrol; they call CAS alone and are never started
};

class Network {
 public:
  /// The folder of the network `name`: $XDG_STATE_HOME/qanat/<name>, or below ~/.local/state.
  static std::filesystem::path default_folder(const std::string& name);

  /// The standard two-domain plan with free ports; nothing is written yet.
  static Result<Network> plan(const std::filesystem::path& folder, NetworkOptions options);
  /// Reads <folder>/network.json; not_found if there is none.
  static Result<Network> read(const std::filesystem::path& folder);
  /// Makes everything a first start needs: folders (0700), master keys, site keys, the CA ceremony, enrolment secrets, configurations, network.json.
  Result<void> create() const;

  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
  [[nodiscard]] const std::vector<ElementPlan>& elements() const { return elements_; }
  [[nodiscard]] const std::vector<TerminalPlan>& terminals() const { return terminals_; }
  [[nodiscard]] const std::vector<LinkPlan>& links() const { return links_; }
  [[nodiscard]] const NetworkOptions& options() const { return options_; }
  /// conflict, saying what to do, if this network does not relay in this way ("": any will do).
  Result<void> check_relay(const std::string& wanted) const;
  Result<const ElementPlan*> element(const std::string& name) const;
  /// The terminal by uid; the failure lists those that there are.
  Result<const TerminalPlan*> terminal(const std::string& uid) const;

  [[nodiscard]] std::filesystem::path config_of(const std::string& name) const { return folder_ / "config" / (name + ".toml"); }
  [[nodiscard]] std::filesystem::path state_of(const std::string& name) const { return folder_ / "state" / name; }
  [[nodiscard]] std::filesystem::path secret_of(const std::string& name) const { return folder_ / "secrets" / name; }
  /// Where a KMS looks for the transport keys of new media, and where a terminal's medium is.
  [[nodiscard]] std::filesystem::path media_keys_of(const std::string& kms) const { return folder_ / "secrets" / ("media-" + kms); }
  [[nodiscard]] std::filesystem::path medium_of(const std::string& uid) const { return state_of(uid) / "medium"; }
  [[nodiscard]] std::filesystem::path trust() const { return folder_ / "trust"; }

 private:
  friend class NetworkFiles;
  std::filesystem::path folder_;
  NetworkOptions options_;
  std::vector<ElementPlan> elements_;
  std::vector<TerminalPlan> terminals_;
  std::vector<LinkPlan> links_;
};

/// Ports of loopback that nobody has, below those of outgoing connections where there are any free. This process keeps them bound until it ends: only who sets
/// SO_REUSEADDR can listen there, and neither another network nor a connection gets a port whose element has not started yet, or starts again.
Result<std::vector<std::uint16_t>> free_ports(std::size_t count);

}  // namespace qanat::app
