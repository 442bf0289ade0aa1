#include "services/kms/kp/revocations.hpp"

#include "crypto/kdf.hpp"
#include "node/crash_point.hpp"
#include "services/kms/kim/stock.hpp"
#include "services/kms/kp/owed_records.hpp"

namespace qanat::kms {
namespace {

constexpr std::string_view revoked = "the certificates of its terminal are revoked";

Result<void> purge(store::Transaction& transaction, Ledger& ledger, const Uid& uid, UnixMs now, std::string_view found, std::vector<OwedRecord>& owed) {
  ASSIGN_OR_RETURN(const std::optional<Terminal> terminal, find_terminal(transaction, uid));
  if (!terminal) return {};
  const Bytes fingerprint = crypto::digest(crypto::Hash::sha256, terminal->ml_dsa);
  TRY(transaction.run("INSERT INTO revoked_terminal (uid, ml_dsa, at_ms) VALUES (?, ?, ?) ON CONFLICT (uid, ml_dsa) DO NOTHING",
                      {std::string_view(uid.text()), ByteView(fingerprint), store::column(now)}));
  ASSIGN_OR_RETURN(const std::optional<wire::MediumId> medium, wipe_medium_of(transaction, uid));
  if (medium) owed.push_back({.action = "kim.revoked", .subject = uid.text(), .object = medium->hex(), .reason = std::string(found) + ": the stock is burnt"});
  TRY(EncryptionPairs::end(transaction, uid, "revoked", now));
  ASSIGN_OR_RETURN(const std::vector<Destroyed> keys, ledger.destroy_of(transaction, uid, {.by = "kms", .why = std::string(revoked), .at_ms = now}));
  for (const Destroyed& gone : keys) owed.push_back(end_of(gone, "wk.expired", revoked));
  TRY(forget_terminal(transaction, uid));
  owed.push_back({.action = "kp.purged",
                  .subject = uid.text(),
                  .object = std::to_string(keys.size()) + " working keys",
                  .reason = std::string(found) + ": keys, certificates and token are gone here"});
  return {};
}

}  // namespace

Result<void> purge_revoked(node::Node& node, store::Store& store, Ledger& ledger, const std::set<Bytes>& fingerprints, std::string_view found) {
  const auto id = node.rng().id<OwedId>();
  const UnixMs now = node.clock().now_ms();
  ASSIGN_OR_RETURN(const bool purged, store.transact([&](store::Transaction& transaction) -> Result<bool> {
    std::vector<OwedRecord> owed;
    ASSIGN_OR_RETURN(const std::set<Uid> terminals, terminals_of(transaction, fingerprints));
    for (const Uid& uid : terminals) TRY(purge(transaction, ledger, uid, now, found, owed));
    TRY(owe_records(transaction, id, owed, now));
    return !owed.empty();
  }));
  if (!purged) return {};
  TRY(store.settle());  // CAS says it once
  node::crash_point("kms.injection.revoked");
  return pay_records(node, store, id);
}

}  // namespace qanat::kms
