// What a QKM's configuration says beyond the common tables: [qkm], [qkm.links.<link>], [qkm.domains.<domain>].
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <vector>

#include "base/id.hpp"
#include "node/config.hpp"
#include "quantum/qkm/links.hpp"
#include "quantum/qkm/sae_settings.hpp"
#include "quantum/qkm/supply.hpp"

namespace qanat::qkm {

struct LinkSettings {
  ElementName peer;  // the QKM at the other end; of the two, the one whose name sorts first owns the keys with even index
  ElementName qkd;   // this end's QKD, which alone may bring blocks
};

enum class RelayWay : std::uint8_t {
  hop_by_hop,   // each relay decrypts and encrypts again
  centralised,  // the relays report to a controller, none of them sees a key (Kq-2)
};

struct QkmSettings {
  std::filesystem::path site_key;  // empty: keys travel under TLS alone, and count as PQC-grade
  bool km3_chained_alone = false;  // the KMS is answered over connections that are under the site key too, and over no others
  std::map<LinkId, LinkSettings> links;
  std::map<std::string, ElementName> domains;  // the QKM of each domain that keys are shared with
  std::vector<ElementName> controllers;        // asked in this order, told all; none: routes lead straight to neighbours
  RelayWay relay = RelayWay::hop_by_hop;
  std::filesystem::path controller_key;        // shared with the controllers; needed for centralised relays, ordered here or elsewhere
  std::size_t paths = 1;                       // pools are kept over so many separate paths to each domain
  WaterMarks marks{.low = 256, .high = 1024};  // keys, per link and direction
  std::int64_t keys_max = 65536;               // per link
  std::size_t pool_target = 8;                 // keys relayed beforehand, per domain and path; 0: every relay on demand
  std::chrono::milliseconds lifetime{60000};   // of a relayed key that nobody fetches
  std::chrono::milliseconds route_fresh{3000};
  std::optional<SaeSettings> sae;              // keys for software that others wrote; absent: none is served

  static QkmSettings read(node::Config& config);
};

}  // namespace qanat::qkm
