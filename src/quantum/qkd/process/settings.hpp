// What a QKD's configuration says beyond the common tables: [qkd].
#pragma once

#include <filesystem>

#include "base/id.hpp"
#include "node/config.hpp"
#include "quantum/qkd/photonics/file_device.hpp"
#include "quantum/qkd/process/vendor_source.hpp"
#include "quantum/qkd/session/settings.hpp"

namespace qanat::qkd {

enum class Role : std::uint8_t { alice, bob };
std::string_view name(Role role) noexcept;

/// Where this end's half of the key comes from.
enum class Driver : std::uint8_t {
  simulated,  // optics that both ends compute from a shared seed; post-processing here
  files,      // recordings of a source and a receiver; post-processing here
  etsi014,    // finished keys of a maker's key management entities
};
/// "simulated", "files", "etsi014".
std::string_view name(Driver driver) noexcept;

/// What a process may be asked to hold at once: a block's state goes into the database, and its keys to the QKM, in one piece.
inline constexpr std::size_t process_block_size_max = std::size_t{1} << 24;

struct QkdSettings {
  Role role{};
  Driver driver = Driver::simulated;
  ElementName peer;                            // the QKD at the other end of the link
  ElementName qkm;                             // the site's QKM
  std::filesystem::path site_key;              // empty: keys travel to the QKM under TLS alone
  std::filesystem::path pre_shared_key;        // authenticates the first handshakes; read once, when there is no state yet
  std::filesystem::path simulated_fibre_seed;  // simulated: what both devices draw the same events from
  Recording recording;                         // files: this end's; its clock's gate frequency is the link's
  VendorAccess vendor;                         // etsi014
  SessionSettings session;                     // etsi014: the link alone; otherwise also optics, block size, security parameters: the same at both ends

  static QkdSettings read(node::Config& config);
};

}  // namespace qanat::qkd
