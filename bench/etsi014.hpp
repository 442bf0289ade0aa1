// ETSI GS QKD 014 at two KMEs that are processes of their own: enc_keys with number = 1, the key activated at the far KME before it is answered, over mutual
// TLS, with 10^3, 10^6 and 10^7 keys in stock. The stock is held at its level while it is measured.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "report.hpp"

namespace qanat::bench {

struct Etsi014Plan {
  std::string program;                                       // the qanat program that the other elements run
  std::filesystem::path within;                              // where the temporary folder is made
  std::vector<std::size_t> stocks{1000, 1000000, 10000000};  // keys stored
  std::size_t requests = 20000;                              // of each run, the same at every stock
  std::size_t warm_up = 2000;                                // before them, on the same connections; not measured
  std::size_t runs = 5;                                      // of each stock, the stocks taking turns
  std::size_t connections = 256;
};

/// Rows of each stock: requests per processor second of both KMEs together, per wall second with the client on the machine, latency, the cost of what holds the
/// level; and how flat it is over the stocks.
Result<void> measure_etsi014(Report& report, const Etsi014Plan& plan);

}  // namespace qanat::bench
