// ETSI GS QKD 014 at two KMEs that are real processes: enc_keys with number = 1, the key activated at the far KME before it is answered, over mutual TLS.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "report.hpp"

namespace qanat::bench {

struct Etsi014Plan {
  std::string program;                // the qanat program that the KMEs run
  std::filesystem::path within;       // where the temporary folder is made
  std::vector<std::size_t> stocks{1000, 1000000, 10000000};  // keys stored before each measurement, rising
  std::size_t requests = 40000;       // of each measurement; a stock that is smaller is filled again as often as it takes
  std::size_t connections = 256;
};

/// Rows: requests per processor second of both KMEs together, per wall second with the client on the machine, latency, and how flat it is over the stocks.
Result<void> measure_etsi014(Report& report, const Etsi014Plan& plan);

}  // namespace qanat::bench
