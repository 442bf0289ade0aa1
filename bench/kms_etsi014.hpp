// ETSI GS QKD 014 at two KMSs: enc_keys at one, dec_keys at the other, over mutual TLS, with 10^3 to 10^7 keys in the stock that they share. The stock is
// filled beforehand by the store's own functions, and held by the KMSs' own agreements while it is measured.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "report.hpp"

namespace qanat::bench {

struct KmsEtsi014Plan {
  std::string program;
  std::filesystem::path within;
  std::vector<std::size_t> stocks{1000, 10000, 100000, 1000000, 10000000};  // ascending: one grows to the next
  std::size_t requests = 10000;                                             // of each run
  std::size_t warm_up = 1000;                                               // before them, on the same connections; not measured
  std::size_t runs = 3;                                                     // of each stock
  std::size_t connections = 256;
};

Result<void> measure_kms_etsi014(Report& report, const KmsEtsi014Plan& plan);

}  // namespace qanat::bench
