// A KME for the bench, as a process: what `qanat qkm` gives keys to SAEs with (node, key stock, SaeFront, X-1 activate, housekeeping), and a way in for keys
// that takes the place of links and relays, so that a stock can be held at a level while it is measured.
#pragma once

#include <filesystem>

namespace qanat::bench {

/// Until SIGTERM. `config`: of a QKM with the table [sae]. Keys come in over <state>/bench.sock. The exit code.
int run_kme(const std::filesystem::path& config);

}  // namespace qanat::bench
