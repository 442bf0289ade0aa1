// What a QKD's configuration says beyond the common tables: [qkd].
#pragma once

#include <filesystem>

#include "base/id.hpp"
#include "node/config.hpp"
#include "quantum/qkd/session/settings.hpp"

namespace qanat::qkd {

enum class Role : std::uint8_t { alice, bob };
std::string_view name(Role role) noexcept;

/// What a process may be asked to hold at once: Bob keeps about ten octets for each click, and a block's keys go to the QKM as one message.
inline constexpr std::size_t process_block_size_max = std::size_t{1} << 24;

struct QkdSettings {
  Role role{};
  ElementName peer;                            // the QKD at the other end of the link
  ElementName qkm;                             // the site's QKM
  std::filesystem::path site_key;              // empty: keys travel to the QKM under TLS alone
  std::filesystem::path pre_shared_key;        // authenticates the first handshakes; read once, when there is no state yet
  std::filesystem::path simulated_fibre_seed;  // what both simulated devices draw the same events from
  SessionSettings session;                     // link, optics, block size, security parameters: the same at both ends

  static QkdSettings read(node::Config& config);
};

}  // namespace qanat::qkd
