#include "services/kms/kp/terminals.hpp"

namespace qanat::kms {
namespace {

Terminal terminal_of(const store::Row& row) {
  return Terminal{.uid = Uid(row.text(0)),
                  .number = Number(row.text(1)),
                  .classical = row.blob(2),
                  .ml_dsa = row.blob(3),
                  .encryption = {.point = row.blob(4), .ml_kem = row.blob(5)},
                  .enc_kid = row.blob(6),
                  .confirmed = row.integer(7) != 0};
}

Result<std::optional<Terminal>> find_one(store::Transaction& transaction, std::string_view sql, std::string_view key) {
  std::optional<Terminal> out;
  TRY(transaction.query(sql, {key}, [&](const store::Row& row) { out = terminal_of(row); }));
  return out;
}

}  // namespace

Result<void> save_enrolment(store::Transaction& transaction, const Enrolment& enrolment) {
  const Terminal& terminal = enrolment.terminal;
  const store::Value sealed = enrolment.sealed_encryption.empty() ? store::Value() : store::Value(ByteView(enrolment.sealed_encryption));
  TRY(transaction.run(
      "INSERT OR REPLACE INTO terminal (uid, number, classical, ml_dsa, enc_point, enc_ml_kem, enc_kid, confirmed, h_enrol, answer, sealed_encryption)"
      " VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?)",
      {std::string_view(terminal.uid.text()), std::string_view(terminal.number.text()), ByteView(terminal.classical), ByteView(terminal.ml_dsa),
       ByteView(terminal.encryption.point), ByteView(terminal.encryption.ml_kem), ByteView(terminal.enc_kid), ByteView(enrolment.h_enrol),
       ByteView(enrolment.answer), sealed}));
  return {};
}

Result<std::optional<Enrolment>> find_enrolment(store::Transaction& transaction, const Uid& uid) {
  std::optional<Enrolment> out;
  TRY(transaction.query(
      "SELECT uid, number, classical, ml_dsa, enc_point, enc_ml_kem, enc_kid, confirmed, h_enrol, answer, sealed_encryption FROM terminal WHERE uid = ?",
      {std::string_view(uid.text())}, [&](const store::Row& row) {
        out.emplace(Enrolment{.terminal = terminal_of(row), .h_enrol = row.blob(8), .answer = {}, .sealed_encryption = {}});
        if (!row.is_null(9)) out->answer = row.blob(9);
        if (!row.is_null(10)) out->sealed_encryption = row.blob(10);
      }));
  return out;
}

Result<std::optional<Terminal>> find_terminal(store::Transaction& transaction, const Uid& uid) {
  return find_one(transaction, "SELECT uid, number, classical, ml_dsa, enc_point, enc_ml_kem, enc_kid, confirmed FROM terminal WHERE uid = ?", uid.text());
}

Result<std::optional<Terminal>> find_terminal(store::Transaction& transaction, const Number& number) {
  return find_one(transaction, "SELECT uid, number, classical, ml_dsa, enc_point, enc_ml_kem, enc_kid, confirmed FROM terminal WHERE number = ?", number.text());
}

Result<void> confirm_terminal(store::Transaction& transaction, const Uid& uid) {
  TRY(transaction.run("UPDATE terminal SET confirmed = 1, answer = NULL, sealed_encryption = NULL WHERE uid = ?", {std::string_view(uid.text())}));
  return {};
}

}  // namespace qanat::kms
