#include "services/kms/kp/revocations.hpp"

namespace qanat::kms {
namespace {

constexpr std::string_view revoked = "the certificates of its terminal are revoked";

}  // namespace

Result<void> purge_revoked(node::Node& node, store::Store& store, Ledger& ledger, const std::set<Bytes>& fingerprints) {
  struct Purged {
    Uid uid;
    std::vector<Destroyed> keys;
  };
  ASSIGN_OR_RETURN(const std::vector<Purged> purged, store.transact([&](store::Transaction& transaction) -> Result<std::vector<Purged>> {
    std::vector<Purged> out;
    ASSIGN_OR_RETURN(const std::set<Uid> terminals, terminals_of(transaction, fingerprints));
    for (const Uid& uid : terminals) {
      TRY(EncryptionPairs::end(transaction, uid, "revoked", node.clock().now_ms()));
      ASSIGN_OR_RETURN(std::vector<Destroyed> keys, ledger.destroy_of(transaction, uid, {.by = "kms", .why = std::string(revoked), .at_ms = node.clock().now_ms()}));
      TRY(forget_terminal(transaction, uid));
      out.push_back({.uid = uid, .keys = std::move(keys)});
    }
    return out;
  }));
  if (purged.empty()) return {};
  TRY(store.settle());
  for (const Purged& one : purged) {
    for (const Destroyed& gone : one.keys) {
      TRY(node.record({.action = "wk.expired",
                       .outcome = audit::Outcome::success,
                       .subject = gone.uid.text(),
                       .object = gone.sid_wk.hex(),
                       .reason = gone.reason(revoked),
                       .request_id = ""}));
    }
    TRY(node.record({.action = "kp.purged",
                     .outcome = audit::Outcome::success,
                     .subject = one.uid.text(),
                     .object = std::to_string(one.keys.size()) + " working keys",
                     .reason = "its certificates are revoked: keys, certificates and token are gone here",
                     .request_id = ""}));
  }
  return {};
}

}  // namespace qanat::kms
