// The stocks of keys for SAEs that this KMS shares with the KMSs of other domains, filled ahead of demand over Km-2. Each stock is named after what its keys rest
// on: "domain/<domain>/qkd-2" over two separate paths of quantum key distribution, "…/qkd-1", "…/pqc" on public keys alone.
#pragma once

#include <map>

#include "kme/provider.hpp"
#include "kme/stock/key_stock.hpp"
#include "node/senders.hpp"
#include "services/kms/sae/supply_agreement.hpp"
#include "services/kms/sae/supply_settings.hpp"

namespace qanat::kms {

/// The stock of keys that rest on so many paths.
kme::StockName supply_stock(const std::string& domain, std::uint8_t paths);
/// Whether each key of the stock meets what an order demands, as far as a KMS knows: quantum and paths. What must be proved and how many relays there may be is
/// not known here, and so not met.
bool supply_meets(const kme::StockName& stock, const kme::Demands& demands);

class Supply {
 public:
  Supply(node::Node& node, store::Store& store, kme::KeyStock& stock, node::SenderDirectory& senders, Agreement& agreement,
         std::map<std::string, ElementName> domains, SupplySettings settings);

  /// Agrees on more where there are fewer than there should be. A failure says why there still are.
  Result<void> fill(const std::string& domain);
  /// km2_supply: the other KMS's offer, answered when its keys are stored.
  Result<net::Response> offered(const net::Request& request);
  struct Level {
    std::int64_t quantum = 0;  // own keys
    std::int64_t all = 0;
    std::int64_t peer = 0;
  };
  Result<Level> level(const std::string& domain);

 private:
  enum class From : std::uint8_t { quantum, public_keys };
  /// The settings under CSO's policy.
  [[nodiscard]] SupplySettings in_force() const;
  Result<void> agree(const std::string& domain, std::int64_t missing, From from);
  Result<AgreedSupply> agree_with(const std::string& domain, const wire::SupplyId& id, std::int64_t missing, const QuantumShares& shares, Deadline deadline,
                                  const std::string& request_id);
  Result<void> add(store::Transaction& transaction, const std::string& domain, const AgreedSupply& agreed, kme::Owner owner);
  Result<void> record(std::string_view action, audit::Outcome outcome, const wire::SupplyId& id, const std::string& domain, std::string_view why,
                      const std::string& request_id);
  [[nodiscard]] SupplySigner signer(const node::MessageSigner& own) { return {node_.suite(), node_.settings().policy_epoch, own, node_.rng()}; }

  node::Node& node_;
  store::Store& store_;
  kme::KeyStock& stock_;
  node::SenderDirectory& senders_;
  Agreement& agreement_;
  const std::map<std::string, ElementName> domains_;
  const SupplySettings settings_;
};

}  // namespace qanat::kms
