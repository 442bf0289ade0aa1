// A CAS without its listeners, for what is measured of it.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "audit/checkpoints.hpp"
#include "services/cas/ceis/issuer.hpp"

namespace qanat::bench {

/// The record of certificates, the issuing CAs, the audit record with its checkpoints.
struct Issuing {
  std::unique_ptr<crypto::Rng> rng;
  std::unique_ptr<crypto::CryptoDevice> device;
  std::unique_ptr<cas::Records> records;
  std::optional<cas::Authorities> authorities;
  SystemClock clock;
  std::unique_ptr<audit::Log> log;
  std::unique_ptr<audit::Checkpoints> checkpoints;
};

/// After a ceremony in this folder.
Result<std::unique_ptr<Issuing>> open_issuing(const std::filesystem::path& folder);
/// Terminals that each ask for one ML-DSA certificate; made beforehand, because making keys is theirs.
Result<std::vector<cas::Order>> make_orders(Issuing& with, std::size_t count);

}  // namespace qanat::bench
