// Where charged keys come from: the crypto device's RNG, each key mixed with one quantum key of the charge where there is one (Km-3). Own design: a key is
// secret if either is, because the derivation is an extractor keyed by the quantum key over the device's octets, and each key has device octets of its own.
#pragma once

#include <functional>

#include "node/node.hpp"
#include "wire/charge.hpp"

namespace qanat::kms {

class Agreement;

/// A quantum key for this KMS alone, marked as used at the QKM; nothing if there is none just now.
using DrawQuantum = std::function<std::optional<Secret>(Deadline deadline, const std::string& request_id)>;
/// Asks the QKM of this site for a key towards any other domain that has a KMS among the peers: one that meets what the settings demand of the quantum keys of
/// calls, too. Both must outlive it.
DrawQuantum quantum_for_charges(node::Node& node, Agreement& agreement);

struct DrawnKeys {
  std::vector<Secret> keys;  // of wire::charged_key_size
  wire::ChargeOrigin origin{};
};
/// `unavailable` or `internal` as the crypto device says.
Result<DrawnKeys> draw_keys(node::Node& node, const std::optional<Secret>& quantum, const wire::ChargeId& charge, std::size_t count);

}  // namespace qanat::kms
