#include "services/cas/cmp/records.hpp"

#include <array>

#include "services/cas/ceis/issuer.hpp"

namespace qanat::cas {
namespace {

constexpr std::array cmp_states{CmpState::asked, CmpState::waiting, CmpState::unconfirmed, CmpState::closed};
constexpr std::int64_t signers_max = 4;
constexpr UnixMs issued_before_ms = backdating_ms + 1000;  // a certificate's notBefore against the time of its issue

/// In the order in which transaction_of() reads them.
constexpr std::string_view all_columns =
    "SELECT reference, id, signer, kind, certificate_request, request_hash, implicit, first_nonce, nonce, earlier_nonce, state, ticket, serial, due_ms, "
    "key_hash, began_ms FROM cmp_transaction";

CmpTransaction transaction_of(const store::Row& row) {
  CmpTransaction out{.reference = row.text(0), .id = row.blob(1), .kind = row.text(3), .request_hash = row.blob(5), .first_nonce = row.blob(7)};
  if (!row.is_null(2)) out.signer = row.blob(2);
  out.certificate_request = row.integer(4);
  out.implicit = row.integer(6) != 0;
  out.nonce = row.blob(8);
  out.earlier_nonce = row.blob(9);
  const std::string state = row.text(10);
  for (const CmpState each : cmp_states) {
    if (state == name(each)) out.state = each;
  }
  out.ticket = row.text(11);
  if (!row.is_null(12)) out.serial = row.blob(12);
  out.due = static_cast<UnixMs>(row.integer(13));
  out.key_hash = row.blob(14);
  out.began = static_cast<UnixMs>(row.integer(15));
  return out;
}

store::Value or_null(const Bytes& octets) { return octets.empty() ? store::Value() : store::Value(ByteView(octets)); }

Result<std::optional<CmpTransaction>> look_up(store::Transaction& transaction, std::string_view reference, ByteView id) {
  std::optional<CmpTransaction> out;
  TRY(transaction.query(std::string(all_columns) + " WHERE reference = ? AND id = ?", {reference, id},
                        [&](const store::Row& row) { out = transaction_of(row); }));
  return out;
}

Result<void> check_room(store::Transaction& transaction, std::string_view reference, const CmpBounds& bounds) {
  std::int64_t open = 0;
  std::int64_t of_one = 0;
  std::int64_t kept = 0;
  TRY(transaction.query("SELECT count(*) FROM cmp_transaction WHERE state <> 'closed'", {}, [&](const store::Row& row) { open = row.integer(0); }));
  TRY(transaction.query("SELECT count(*) FROM cmp_transaction WHERE state <> 'closed' AND reference = ?", {reference},
                        [&](const store::Row& row) { of_one = row.integer(0); }));
  TRY(transaction.query("SELECT count(*) FROM cmp_transaction WHERE reference = ?", {reference}, [&](const store::Row& row) { kept = row.integer(0); }));
  if (of_one >= bounds.open_of_one_max) return fail(ErrorCode::exhausted, std::to_string(of_one) + " transactions of this registration are open");
  if (kept >= bounds.kept_of_one_max) return fail(ErrorCode::exhausted, std::to_string(kept) + " transactions of this registration are kept: later again");
  if (open >= bounds.open_max) return fail(ErrorCode::exhausted, std::to_string(open) + " transactions are open");
  return {};
}

}  // namespace

std::string_view name(CmpState state) noexcept {
  switch (state) {
    case CmpState::asked:
      return "asked";
    case CmpState::waiting:
      return "waiting";
    case CmpState::unconfirmed:
      return "unconfirmed";
    case CmpState::closed:
      return "closed";
  }
  return "closed";
}

Result<CmpTransaction> CmpRecords::begin(const CmpTransaction& wanted, const CmpBounds& bounds) {
  return store_.transact([&](store::Transaction& transaction) -> Result<CmpTransaction> {
    ASSIGN_OR_RETURN(const std::optional<CmpTransaction> known, look_up(transaction, wanted.reference, wanted.id));
    if (known) {
      const bool same = known->signer == wanted.signer && known->kind == wanted.kind && known->request_hash == wanted.request_hash &&
                        known->first_nonce == wanted.first_nonce;
      // What needs no confirmation is over once it is given, and may be given again.
      const bool over = known->state == CmpState::closed && (known->serial.empty() || !known->implicit);
      if (!same || over) return fail(ErrorCode::conflict, "this transactionID is in use, or was used lately");
      return *known;
    }
    TRY(check_room(transaction, wanted.reference, bounds));
    TRY(transaction.run("INSERT INTO cmp_transaction (reference, id, signer, kind, certificate_request, request_hash, implicit, first_nonce, nonce, "
                        "earlier_nonce, state, ticket, serial, due_ms, key_hash, began_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        {std::string_view(wanted.reference), ByteView(wanted.id), or_null(wanted.signer), std::string_view(wanted.kind),
                         wanted.certificate_request, ByteView(wanted.request_hash), std::int64_t{wanted.implicit ? 1 : 0}, ByteView(wanted.first_nonce),
                         ByteView(wanted.nonce), ByteView(wanted.earlier_nonce), name(wanted.state), std::string_view(wanted.ticket), or_null(wanted.serial),
                         store::column(wanted.due), ByteView(wanted.key_hash), store::column(wanted.began)}));
    return wanted;
  });
}

Result<std::optional<CmpTransaction>> CmpRecords::find(std::string_view reference, ByteView id) {
  return store_.transact([&](store::Transaction& transaction) { return look_up(transaction, reference, id); });
}

Result<std::vector<Bytes>> CmpRecords::signers_of(ByteView id) {
  return store_.transact([&](store::Transaction& transaction) -> Result<std::vector<Bytes>> {
    std::vector<Bytes> out;
    TRY(transaction.query("SELECT signer FROM cmp_transaction WHERE id = ? AND signer IS NOT NULL LIMIT ?", {id, signers_max},
                          [&](const store::Row& row) { out.push_back(row.blob(0)); }));
    return out;
  });
}

Result<void> CmpRecords::move(const CmpTransaction& to, CmpState from) {
  return store_.transact([&](store::Transaction& transaction) -> Result<void> {
    ASSIGN_OR_RETURN(const std::int64_t changed,
                     transaction.run("UPDATE cmp_transaction SET state = ?, ticket = ?, serial = ?, nonce = ?, earlier_nonce = ?, due_ms = ? WHERE "
                                     "reference = ? AND id = ? AND state = ?",
                                     {name(to.state), std::string_view(to.ticket), or_null(to.serial), ByteView(to.nonce), ByteView(to.earlier_nonce),
                                      store::column(to.due), std::string_view(to.reference), ByteView(to.id), name(from)}));
    if (changed != 1) return fail(ErrorCode::conflict, "the transaction has gone on meanwhile");
    return {};
  });
}

Result<std::vector<CmpTransaction>> CmpRecords::due(UnixMs now, std::size_t max) {
  return store_.transact([&](store::Transaction& transaction) -> Result<std::vector<CmpTransaction>> {
    std::vector<CmpTransaction> out;
    TRY(transaction.query(std::string(all_columns) + " WHERE due_ms <= ? ORDER BY due_ms LIMIT ?", {store::column(now), store::column(max)},
                          [&](const store::Row& row) { out.push_back(transaction_of(row)); }));
    return out;
  });
}

Result<Bytes> CmpRecords::issued_for(const CmpTransaction& wanted) {
  return store_.transact([&](store::Transaction& transaction) -> Result<Bytes> {
    Bytes out;
    const UnixMs since = wanted.began > issued_before_ms ? wanted.began - issued_before_ms : 0;
    TRY(transaction.query("SELECT der FROM certificate WHERE registration = ? AND key_hash = ? AND state = 'issued' AND revoked_ms IS NULL AND "
                          "not_before_ms >= ? AND serial NOT IN (SELECT serial FROM cmp_transaction WHERE reference = ? AND serial IS NOT NULL AND id <> ?) "
                          "LIMIT 1",
                          {std::string_view(wanted.reference), ByteView(wanted.key_hash), store::column(since), std::string_view(wanted.reference),
                           ByteView(wanted.id)},
                          [&](const store::Row& row) { out = row.blob(0); }));
    return out;
  });
}

Result<void> CmpRecords::postpone(std::string_view reference, ByteView id, UnixMs due) {
  return store_.transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(transaction.run("UPDATE cmp_transaction SET due_ms = ? WHERE reference = ? AND id = ?", {store::column(due), reference, id}));
    return {};
  });
}

Result<void> CmpRecords::forget(std::string_view reference, ByteView id) {
  return store_.transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(transaction.run("DELETE FROM cmp_transaction WHERE reference = ? AND id = ? AND state = 'closed'", {reference, id}));
    return {};
  });
}

}  // namespace qanat::cas
