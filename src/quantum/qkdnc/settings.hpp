// What a QKDNC's configuration says beyond the common tables: [qkdnc], [qkdnc.controller_keys.<qkm>].
#pragma once

#include <filesystem>
#include <map>

#include "node/config.hpp"
#include "quantum/qkdnc/topology.hpp"

namespace qanat::qkdnc {

struct QkdncSettings {
  TopologyPolicy topology;
  std::optional<ElementName> other;  // the second controller, which takes over when this one falls silent, and the other way round
  UnixMs takeover_ms = 3000;
  std::map<ElementName, std::filesystem::path> controller_keys;  // by QKM, for centralised relays

  static QkdncSettings read(node::Config& config);
};

}  // namespace qanat::qkdnc
