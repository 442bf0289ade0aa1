// What an operator orders of working keys: suspend, recover, destroy; of a terminal's encryption key: suspend, recover; and the charges that billing
// fetches.
#pragma once

#include "node/node.hpp"
#include "node/recorded.hpp"
#include "services/kms/kma/agreement.hpp"
#include "services/kms/kma/ledger.hpp"

namespace qanat::kms {

class Orders {
 public:
  Orders(node::Node& node, store::Store& store, Ledger& ledger, Agreement& agreement) : node_(node), store_(store), ledger_(ledger), agreement_(agreement) {}

  /// x5_keys: {"op": "suspend" | "recover" | "destroy", "sid_wk" or "uid", "reason"} → the legs with their new states, and those that the order could not
  /// reach, with why (a thousand; of how many more the order was: "further"). not_found if there is no leg that lives. Each leg is on record.
  /// {"op": "suspend" | "recover", "encryption_key_of": uid, "reason"} or {"op": "show", "encryption_key_of": uid} → {"encryption_key": {"uid", "number",
  /// "enc_kid", "state", "library", "until_ms"}}. `conflict` where its state knows no such event.
  Result<net::Response> keys(const net::Request& request);
  /// x5_charges: {"from_ms", "until_ms", "after": a page's "next"} → one page, in the order of delivery.
  Result<net::Response> charges(const net::Request& request);

 private:
  struct Order;
  struct LegOutcome;
  static wire::Json outcome_json(const LegOutcome& one);
  /// The legs of the session, or the subscriber's next ones after `after`, by one transaction.
  Result<std::vector<LegOutcome>> reach(const Order& order, const std::optional<LivingLeg>& after, const std::string& request_id);
  Result<net::Response> carry_out(const net::Request& request, node::Deed& deed);
  Result<net::Response> of_encryption_key(const wire::Json& json, const net::Request& request, node::Deed& deed);

  node::Node& node_;
  store::Store& store_;
  Ledger& ledger_;
  Agreement& agreement_;
};

}  // namespace qanat::kms
