#include "services/kms/kp/revocations.hpp"

namespace qanat::kms {

Result<void> purge_revoked(node::Node& node, store::Store& store, Ledger& ledger, const std::set<Bytes>& fingerprints, const std::string& request_id) {
  struct Purged {
    Uid uid;
    std::vector<SidWk> sessions;
  };
  ASSIGN_OR_RETURN(const std::vector<Purged> purged, store.transact([&](store::Transaction& transaction) -> Result<std::vector<Purged>> {
    std::vector<Purged> out;
    ASSIGN_OR_RETURN(const std::set<Uid> terminals, terminals_of(transaction, fingerprints));
    for (const Uid& uid : terminals) {
      TRY(EncryptionPairs::end(transaction, uid, "revoked", node.clock().now_ms()));
      ASSIGN_OR_RETURN(std::vector<SidWk> sessions, ledger.destroy_of(transaction, uid));
      TRY(forget_terminal(transaction, uid));
      out.push_back({.uid = uid, .sessions = std::move(sessions)});
    }
    return out;
  }));
  if (purged.empty()) return {};
  TRY(store.settle());
  for (const Purged& one : purged) {
    std::string sessions;
    for (const SidWk& sid_wk : one.sessions) sessions += (sessions.empty() ? "" : " ") + sid_wk.hex();
    TRY(node.record({.action = "kp.purged",
                     .outcome = audit::Outcome::success,
                     .subject = one.uid.text(),
                     .object = sessions,
                     .reason = "its certificates are revoked: keys, certificates and token are gone here",
                     .request_id = request_id}));
  }
  return {};
}

}  // namespace qanat::kms
