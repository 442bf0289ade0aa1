// Certificates of subjects in cas.db: the same table as the elements', with rules of their own.
#include "services/cas/ceis/registrations.hpp"

namespace qanat::cas {
namespace {

constexpr std::string_view certificate_sql =
    "SELECT branch, serial, not_before_ms, not_after_ms, key_hash, generation, identity, registration, state, der, revoked_ms FROM certificate WHERE ";

SubjectCertificateRow certificate_row(const store::Row& row) {
  return {.intention = {.branch = branch_named(row.text(0)),
                        .serial = row.blob(1),
                        .not_before = static_cast<UnixMs>(row.integer(2)),
                        .not_after = static_cast<UnixMs>(row.integer(3)),
                        .key_hash = row.is_null(4) ? Bytes() : row.blob(4)},
          .generation = row.is_null(5) ? 0 : row.integer(5),
          .identity = row.text(6),
          .registration = row.is_null(7) ? "" : row.text(7),
          .issued = row.text(8) == "issued",
          .abandoned = row.text(8) == "abandoned",
          .der = row.is_null(9) ? Bytes() : row.blob(9),
          .revoked = !row.is_null(10)};
}

Result<std::optional<SubjectCertificateRow>> read_certificate_row(store::Transaction& transaction, const char* column, ByteView value) {
  const std::string sql = std::string(certificate_sql) + column + " = ?";
  std::optional<SubjectCertificateRow> out;
  TRY(transaction.query(sql, {value}, [&](const store::Row& row) { out = certificate_row(row); }));
  return out;
}

Result<void> make_room_for(store::Transaction& transaction, const SubjectIssuance& issuance, UnixMs now) {
  if (!issuance.live_max) return {};
  const std::string_view registration = issuance.registration;
  std::int64_t live = 0;
  TRY(transaction.query("SELECT count(*) FROM certificate WHERE registration = ? AND state = 'issued' AND revoked_ms IS NULL AND not_after_ms > ?",
                        {registration, store::column(now)}, [&](const store::Row& row) { live = row.integer(0); }));
  if (live > *issuance.live_max) {
    const std::string has = "registration " + issuance.registration + " has " + std::to_string(live) + " live certificate(s): ";
    if (*issuance.live_max == 0) return fail(ErrorCode::conflict, has + "renew with it, or have it revoked first");
    return fail(ErrorCode::exhausted, has + "some must expire or be revoked first");
  }
  // Whoever made an earlier request that never came to an end has begun anew.
  if (*issuance.live_max == 0) TRY(transaction.run("UPDATE certificate SET state = 'abandoned' WHERE registration = ? AND state = 'intended'", {registration}));
  return {};
}

}  // namespace

Result<std::optional<SubjectCertificateRow>> SubjectRecords::of_request(ByteView request_hash) {
  return store_.transact([&](store::Transaction& transaction) { return read_certificate_row(transaction, "request_hash", request_hash); });
}

Result<std::optional<SubjectCertificateRow>> SubjectRecords::of_serial(ByteView serial) {
  return store_.transact([&](store::Transaction& transaction) { return read_certificate_row(transaction, "serial", serial); });
}

Result<std::vector<SubjectCertificateRow>> SubjectRecords::of_registration(std::string_view reference, std::int64_t limit) {
  static const std::string sql = std::string(certificate_sql) + "registration = ? ORDER BY rowid DESC LIMIT ?";
  std::vector<SubjectCertificateRow> out;
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.query(sql, {reference, limit}, [&](const store::Row& row) { out.push_back(certificate_row(row)); });
  }));
  return out;
}

Result<SubjectCertificateRow> SubjectRecords::intend(const SubjectIssuance& issuance, UnixMs now) {
  return store_.transact([&](store::Transaction& transaction) -> Result<SubjectCertificateRow> {
    ASSIGN_OR_RETURN(std::optional<SubjectCertificateRow> known, read_certificate_row(transaction, "request_hash", issuance.request_hash));
    if (known && (known->issued || known->abandoned)) return *std::move(known);
    if (!known) TRY(make_room_for(transaction, issuance, now));
    // The key of an intention that was left may have been compromised since.
    TRY(Records::check_key(transaction, issuance.identity, issuance.intention.key_hash, now));
    if (known) return *std::move(known);
    const Intention& intention = issuance.intention;
    TRY(transaction.run(
        "INSERT INTO certificate (serial, branch, identity, request_hash, state, not_before_ms, not_after_ms, key_hash, registration) VALUES (?, ?, ?, ?, "
        "'intended', ?, ?, ?, ?)",
        {ByteView(intention.serial), name(intention.branch), std::string_view(issuance.identity), ByteView(issuance.request_hash),
         store::column(intention.not_before), store::column(intention.not_after), ByteView(intention.key_hash), std::string_view(issuance.registration)}));
    return SubjectCertificateRow{.intention = intention, .identity = issuance.identity, .registration = issuance.registration, .der = {}};
  });
}

Result<SubjectCertificateRow> SubjectRecords::complete(ByteView request_hash, ByteView serial, ByteView der) {
  return store_.transact([&](store::Transaction& transaction) -> Result<SubjectCertificateRow> {
    TRY(transaction.run("UPDATE certificate SET state = 'issued', der = ? WHERE serial = ? AND state = 'intended'", {der, serial}));
    ASSIGN_OR_RETURN(std::optional<SubjectCertificateRow> row, read_certificate_row(transaction, "request_hash", request_hash));
    if (!row || !row->issued) return fail(ErrorCode::conflict, "this request was given up in favour of a later one");
    return *std::move(row);
  });
}

}  // namespace qanat::cas
