#include "services/cas/scep/scep_transactions.hpp"

namespace qanat::cas {
namespace {

UnixMs oldest(UnixMs now) { return now > scep_pending_lifetime_ms ? now - scep_pending_lifetime_ms : 0; }

Bytes password_context(std::string_view transaction_id, ByteView signer) {
  return store::column_context("scep_transaction.sealed_password", concat({signer, as_bytes(transaction_id)}));
}

}  // namespace

Result<void> ScepTransactions::keep(const ScepPending& pending, UnixMs now) {
  Bytes sealed;
  if (!pending.password.empty()) {
    ASSIGN_OR_RETURN(sealed, device_.seal(password_context(pending.transaction_id, pending.signer), pending.password));
  }
  return store_.transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(transaction.run("DELETE FROM scep_transaction WHERE made_ms < ?", {store::column(oldest(now))}));
    TRY(transaction.run("DELETE FROM scep_transaction WHERE transaction_id = ? AND signer = ?",
                        {std::string_view(pending.transaction_id), ByteView(pending.signer)}));
    TRY(
        transaction.run("DELETE FROM scep_transaction WHERE rowid IN (SELECT rowid FROM scep_transaction WHERE reference = ? ORDER BY made_ms DESC, rowid DESC "
                        "LIMIT -1 OFFSET ?)",
                        {std::string_view(pending.reference), scep_pending_max - 1}));
    TRY(transaction.run("INSERT INTO scep_transaction (transaction_id, signer, reference, ticket, sealed_password, made_ms) VALUES (?, ?, ?, ?, ?, ?)",
                        {std::string_view(pending.transaction_id), ByteView(pending.signer), std::string_view(pending.reference),
                         std::string_view(pending.ticket), sealed.empty() ? store::Value() : store::Value(ByteView(sealed)), store::column(now)}));
    return {};
  });
}

Result<std::optional<ScepPending>> ScepTransactions::find(std::string_view transaction_id, ByteView signer, UnixMs now) {
  std::optional<ScepPending> out;
  Bytes sealed;
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.query(
        "SELECT transaction_id, signer, reference, ticket, sealed_password FROM scep_transaction WHERE transaction_id = ? AND signer = ? AND made_ms >= ?",
        {transaction_id, signer, store::column(oldest(now))}, [&](const store::Row& row) {
          out.emplace(ScepPending{.transaction_id = row.text(0), .signer = row.blob(1), .reference = row.text(2), .ticket = row.text(3)});
          if (!row.is_null(4)) sealed = row.blob(4);
        });
  }));
  if (out && !sealed.empty()) {
    ASSIGN_OR_RETURN(out->password, device_.unseal(password_context(transaction_id, signer), sealed));
  }
  return Result<std::optional<ScepPending>>(std::move(out));
}

}  // namespace qanat::cas
