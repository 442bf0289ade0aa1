// What a QKM's configuration says of software that others wrote and that gets keys from it: [sae], [sae.chains.<name>], [sae.names.<name>],
// [sae.callbacks.<kme>], [sae.kmes.<kme>]. Off when absent.
#pragma once

#include <optional>

#include "kme/sae_registry.hpp"
#include "net/foreign.hpp"
#include "node/config.hpp"
#include "quantum/qkm/sae_streams.hpp"

namespace qanat::qkm {

enum class SaeStandard : std::uint8_t { etsi014, skip, etsi020, etsi004 };

/// A key manager of another maker to which keys may be brought (ETSI GS QKD 020).
struct NeighbourSettings {
  std::string url;      // "https://host[:port]/kmapi/v1/": requests go to url + "ext_keys"
  net::ForeignTls tls;  // one chain, which this element shows there
};

struct SaeSettings {
  net::ForeignSettings listener;
  std::vector<SaeStandard> served;
  kme::SaeRegistry registry;
  std::chrono::milliseconds lifetime{3600000};  // of a key that nobody fetches
  std::int64_t max_key_count = 10000000;        // what ETSI GS QKD 014's status tells
  std::map<std::string, std::string> callbacks;  // ETSI GS QKD 020: where acknowledgements to a key manager may go, "https://host:port/"
  std::map<std::string, NeighbourSettings> kmes;
  std::string ack_callback_url;  // ETSI GS QKD 020: where key managers shall acknowledge what was brought to them

  std::uint16_t stream_port = 0;       // ETSI GS QKD 004, on a listener of its own
  std::size_t stream_connections_max = 256;
  StreamLimits streams;

  /// Nothing if there is no table [sae]. `own_domain`: names of this domain are served here.
  static std::optional<SaeSettings> read(node::Config& config, const std::string& own_domain);
};

}  // namespace qanat::qkm
