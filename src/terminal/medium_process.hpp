// What `qanat terminal` runs for the secure medium: it is made, charged by file or over the wire, and looked at. One process at a time may use it.
#pragma once

#include "node/node.hpp"
#include "terminal/charging.hpp"
#include "terminal/loaded.hpp"
#include "wire/json.hpp"

namespace qanat::terminal {

/// At manufacture: a medium with a new id at the place that the configuration names. `transport_key`: a file that gets the key which the KMS needs for charges
/// by file (mode 0600, to be carried there by hand and not over a network); empty: none, the medium is charged over the wire alone. {"medium", "kind"}
Result<wire::Json> make_medium(node::Node& node, const TerminalSettings& settings, MediumKind kind, const std::filesystem::path& transport_key);
/// {"medium", "kind", "state", "generation", "keys": {set: {"next", "end", "room"}}}
Result<wire::Json> show_medium(node::Node& node, const TerminalSettings& settings);
/// The charge in the file, on record.
Result<wire::Json> load_charge(node::Node& node, const TerminalSettings& settings, const std::filesystem::path& file);
/// A charge over the wire, on record; or what the KMS wants done instead, done. {"medium", "order"} and with a charge {"charged", "origin", "keys"}
Result<wire::Json> charge_medium(node::Node& node, const TerminalSettings& settings, const WantedKeys& wanted);

/// After the KMS has refused an application with a charged key: it may want the medium locked or wiped. That it cannot be asked is no failure.
void obey_kms(node::Node& node, const TerminalSettings& settings, Loaded& loaded);

}  // namespace qanat::terminal
