#include "services/kms/kp/terminals.hpp"

#include <map>

#include "base/check.hpp"
#include "crypto/kdf.hpp"
#include "services/kms/kp/encryption_state.hpp"

namespace qanat::kms {
namespace {

constexpr std::size_t prepared_per_subscriber = 8;
constexpr UnixMs prepared_life_ms = 7ULL * 86'400'000;

/// Of a row from before there were states, what the row says otherwise. A name that this program does not know: never to be used.
store::KeyState state_in(const store::Row& row, int column, bool confirmed) {
  if (row.is_null(column)) return confirmed ? store::KeyState::active : store::KeyState::generated;
  return store::key_state_from_name(row.text(column)).value_or(store::KeyState::destroyed);
}

Terminal terminal_of(const store::Row& row) {
  return Terminal{.uid = Uid(row.text(0)),
                  .number = Number(row.text(1)),
                  .classical = row.blob(2),
                  .ml_dsa = row.blob(3),
                  .encryption = {.point = row.blob(4), .ml_kem = row.blob(5)},
                  .enc_kid = row.blob(6),
                  .encryption_classical = row.is_null(8) ? Bytes() : row.blob(8),
                  .encryption_ml_kem = row.is_null(9) ? Bytes() : row.blob(9),
                  .confirmed = row.integer(7) != 0,
                  .state = state_in(row, 10, row.integer(7) != 0)};
}

Result<std::optional<Terminal>> find_one(store::Transaction& transaction, const std::string& column, std::string_view key) {
  std::optional<Terminal> out;
  TRY(transaction.query(
      "SELECT uid, number, classical, ml_dsa, enc_point, enc_ml_kem, enc_kid, confirmed, encryption_classical, encryption_ml_kem, enc_state FROM terminal WHERE " +
          column + " = ?",
      {key}, [&](const store::Row& row) { out = terminal_of(row); }));
  return out;
}

Result<std::optional<TerminalLook>> look_at_one(store::Transaction& transaction, std::string_view sql, std::string_view key) {
  std::optional<TerminalLook> out;
  TRY(transaction.query(sql, {key}, [&](const store::Row& row) {
    const bool confirmed = row.integer(1) != 0;
    out = TerminalLook{.uid = Uid(row.text(0)), .confirmed = confirmed, .state = state_in(row, 3, confirmed), .digest = row.is_null(2) ? Bytes() : row.blob(2)};
  }));
  return out;
}

std::string encryption_key_text(const Uid& uid) { return "encryption key of " + uid.text(); }

Result<void> name_certificates(store::Transaction& transaction, const Terminal& terminal) {
  TRY(transaction.run("DELETE FROM terminal_certificate WHERE uid = ?", {std::string_view(terminal.uid.text())}));
  std::map<Bytes, Bytes> serials;  // by fingerprint
  for (const Bytes* der : {&terminal.classical, &terminal.ml_dsa, &terminal.encryption_classical, &terminal.encryption_ml_kem}) {
    if (der->empty()) continue;
    const auto parsed = crypto::Certificate::parse(*der);
    serials.emplace(crypto::digest(crypto::Hash::sha256, *der), parsed ? parsed->serial() : Bytes());
  }
  for (const auto& [fingerprint, serial] : serials) {
    TRY(transaction.run("INSERT INTO terminal_certificate (fingerprint, uid, serial) VALUES (?, ?, ?)",
                        {ByteView(fingerprint), std::string_view(terminal.uid.text()), serial.empty() ? store::Value() : store::Value(ByteView(serial))}));
  }
  return {};
}

}  // namespace

Bytes content_digest(const Terminal& terminal) {
  Bytes all;
  for (const ByteView part : {as_bytes(terminal.uid.text()), as_bytes(terminal.number.text()), ByteView(terminal.classical), ByteView(terminal.ml_dsa),
                              ByteView(terminal.encryption.point), ByteView(terminal.encryption.ml_kem), ByteView(terminal.enc_kid),
                              ByteView(terminal.encryption_classical), ByteView(terminal.encryption_ml_kem)}) {
    append(all, as_bytes(std::to_string(part.size()) + ":"));
    append(all, part);
  }
  return crypto::digest(crypto::Hash::sha256, all);
}

Result<void> save_enrolment(store::Transaction& transaction, const Enrolment& enrolment) {
  const Terminal& terminal = enrolment.terminal;
  const store::Value sealed = enrolment.sealed_encryption.empty() ? store::Value() : store::Value(ByteView(enrolment.sealed_encryption));
  ASSIGN_OR_RETURN(const std::optional<Terminal> of_number, find_terminal(transaction, terminal.number));
  if (of_number && of_number->uid != terminal.uid) TRY(forget_terminal(transaction, of_number->uid));
  // Not what is prepared: the answer may have to be made anew. The token and the grants are of the former certificates.
  for (const std::string_view table : {"terminal", "terminal_certificate", "token", "peer_grant"}) {
    TRY(transaction.run("DELETE FROM " + std::string(table) + " WHERE uid = ?", {std::string_view(terminal.uid.text())}));
  }
  const Bytes digest = content_digest(terminal);
  // Handed over with the answer, if the KMS made it.
  store::KeyState state = store::KeyState::generated;
  if (!enrolment.sealed_encryption.empty()) {
    ASSIGN_OR_RETURN(state, store::advance(store::KeyKind::terminal_encryption, state, store::KeyEvent::deliver, encryption_key_text(terminal.uid)));
  }
  TRY(transaction.run(
      "INSERT INTO terminal (uid, number, classical, ml_dsa, enc_point, enc_ml_kem, enc_kid, confirmed, encryption_classical, encryption_ml_kem,"
      " h_enrol, answer, sealed_encryption, digest, enc_state) VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?)",
      {std::string_view(terminal.uid.text()), std::string_view(terminal.number.text()), ByteView(terminal.classical), ByteView(terminal.ml_dsa),
       ByteView(terminal.encryption.point), ByteView(terminal.encryption.ml_kem), ByteView(terminal.enc_kid), ByteView(terminal.encryption_classical),
       ByteView(terminal.encryption_ml_kem), ByteView(enrolment.h_enrol), ByteView(enrolment.answer), sealed, ByteView(digest), store::name(state)}));
  return name_certificates(transaction, terminal);
}

Result<std::optional<Enrolment>> find_enrolment(store::Transaction& transaction, const Uid& uid) {
  std::optional<Enrolment> out;
  TRY(
      transaction.query("SELECT uid, number, classical, ml_dsa, enc_point, enc_ml_kem, enc_kid, confirmed, encryption_classical, encryption_ml_kem,"
                        " enc_state, h_enrol, answer, sealed_encryption FROM terminal WHERE uid = ?",
                        {std::string_view(uid.text())}, [&](const store::Row& row) {
                          out.emplace(Enrolment{.terminal = terminal_of(row), .h_enrol = row.blob(11), .answer = {}, .sealed_encryption = {}});
                          if (!row.is_null(12)) out->answer = row.blob(12);
                          if (!row.is_null(13)) out->sealed_encryption = row.blob(13);
                        }));
  return out;
}

Result<std::optional<Terminal>> find_terminal(store::Transaction& transaction, const Uid& uid) {
  return find_one(transaction, "uid", uid.text());
}

Result<std::optional<Terminal>> find_terminal(store::Transaction& transaction, const Number& number) {
  return find_one(transaction, "number", number.text());
}

Result<std::optional<TerminalLook>> look_at_terminal(store::Transaction& transaction, const Uid& uid) {
  return look_at_one(transaction, "SELECT uid, confirmed, digest, enc_state FROM terminal WHERE uid = ?", uid.text());
}

Result<std::optional<TerminalLook>> look_at_terminal(store::Transaction& transaction, const Number& number) {
  return look_at_one(transaction, "SELECT uid, confirmed, digest, enc_state FROM terminal WHERE number = ?", number.text());
}

Result<void> check_unchanged(store::Transaction& transaction, const Terminal& terminal, ByteView digest) {
  std::optional<store::KeyState> state;
  TRY(transaction.query("SELECT confirmed, enc_state FROM terminal WHERE uid = ? AND (digest = ? OR (digest IS NULL AND enc_kid = ? AND ml_dsa = ?))",
                        {std::string_view(terminal.uid.text()), digest, ByteView(terminal.enc_kid), ByteView(terminal.ml_dsa)},
                        [&](const store::Row& row) { state = state_in(row, 1, row.integer(0) != 0); }));
  if (!state) return fail(ErrorCode::conflict, "the encryption keys of " + terminal.uid.text() + " have changed; apply again");
  return check_encryption_key(terminal.uid, *state);
}

Result<void> confirm_terminal(store::Transaction& transaction, const Uid& uid) {
  ASSIGN_OR_RETURN(const std::optional<TerminalLook> look, look_at_terminal(transaction, uid));
  if (!look) return {};
  store::KeyState state = look->state;
  for (const store::KeyEvent event : {store::KeyEvent::confirm, store::KeyEvent::activate}) {
    if (event == store::KeyEvent::confirm && state == store::KeyState::generated) continue;  // its terminal made it
    ASSIGN_OR_RETURN(state, store::advance(store::KeyKind::terminal_encryption, state, event, encryption_key_text(uid)));
  }
  TRY(transaction.run("UPDATE terminal SET confirmed = 1, enc_state = ?, answer = NULL, sealed_encryption = NULL WHERE uid = ?",
                      {store::name(state), std::string_view(uid.text())}));
  TRY(transaction.run("DELETE FROM prepared_encryption WHERE uid = ?", {std::string_view(uid.text())}));
  return {};
}

Result<crypto::CertificateBundle> bundle_of(const crypto::Suite& suite, const Terminal& terminal) {
  if (terminal.encryption_classical.empty() || terminal.encryption_ml_kem.empty()) {
    return fail(ErrorCode::denied, "terminal " + terminal.uid.text() + " has no encryption certificates: it must enrol anew");
  }
  ASSIGN_OR_RETURN(crypto::CertificateBundle out,
                   crypto::parse_bundle({terminal.classical, terminal.ml_dsa, terminal.encryption_classical, terminal.encryption_ml_kem}));
  TRY(crypto::check_bundle(suite, out));
  if (out.encryption_key() != terminal.encryption) {
    return fail(ErrorCode::denied, "the encryption certificates of " + terminal.uid.text() + " are over other keys than those in the pool");
  }
  return out;
}

Result<void> replace_certificates(store::Transaction& transaction, const Terminal& former, const Terminal& next) {
  ASSIGN_OR_RETURN(
      const std::int64_t changed,
      transaction.run("UPDATE terminal SET classical = ?, ml_dsa = ?, encryption_classical = ?, encryption_ml_kem = ? WHERE uid = ? AND ml_dsa = ?",
                      {ByteView(next.classical), ByteView(next.ml_dsa), ByteView(next.encryption_classical), ByteView(next.encryption_ml_kem),
                       std::string_view(former.uid.text()), ByteView(former.ml_dsa)}));
  if (changed != 1) return fail(ErrorCode::conflict, "terminal " + former.uid.text() + " has got other certificates meanwhile");
  ASSIGN_OR_RETURN(const std::optional<Terminal> row, find_terminal(transaction, former.uid));
  CHECK(row.has_value());
  const Bytes digest = content_digest(*row);
  TRY(transaction.run("UPDATE terminal SET digest = ? WHERE uid = ?", {ByteView(digest), std::string_view(former.uid.text())}));
  TRY(transaction.run("DELETE FROM token WHERE uid = ?", {std::string_view(former.uid.text())}));
  return name_certificates(transaction, next);
}

Result<void> name_all_certificates(store::Transaction& transaction) {
  constexpr std::int64_t at_once = 256;
  std::string after;
  while (true) {
    std::vector<Terminal> unnamed;
    TRY(transaction.query("SELECT uid, number, classical, ml_dsa, enc_point, enc_ml_kem, enc_kid, confirmed, encryption_classical, encryption_ml_kem, enc_state FROM terminal"
                          " WHERE uid > ? AND NOT EXISTS (SELECT 1 FROM terminal_certificate WHERE terminal_certificate.uid = terminal.uid AND serial IS NOT NULL)"
                          " ORDER BY uid LIMIT ?",
                          {std::string_view(after), at_once}, [&](const store::Row& row) { unnamed.push_back(terminal_of(row)); }));
    if (unnamed.empty()) return {};
    for (const Terminal& terminal : unnamed) TRY(name_certificates(transaction, terminal));
    after = unnamed.back().uid.text();
  }
}

Result<std::set<Uid>> terminals_of(store::Transaction& transaction, const std::set<Bytes>& fingerprints) {
  std::set<Uid> out;
  for (const Bytes& fingerprint : fingerprints) {
    TRY(transaction.query("SELECT uid FROM terminal_certificate WHERE fingerprint = ?", {ByteView(fingerprint)},
                          [&](const store::Row& row) { out.insert(Uid(row.text(0))); }));
  }
  return out;
}

Result<std::vector<Bytes>> certificates_with(store::Transaction& transaction, ByteView serial) {
  std::vector<Bytes> out;
  TRY(transaction.query("SELECT terminal_certificate.fingerprint, classical, ml_dsa, encryption_classical, encryption_ml_kem FROM terminal_certificate"
                        " JOIN terminal ON terminal.uid = terminal_certificate.uid WHERE terminal_certificate.serial = ?",
                        {serial}, [&](const store::Row& row) {
                          const Bytes fingerprint = row.blob(0);
                          for (int column = 1; column < row.columns(); ++column) {
                            if (row.is_null(column)) continue;
                            if (Bytes der = row.blob(column); crypto::digest(crypto::Hash::sha256, der) == fingerprint) out.push_back(std::move(der));
                          }
                        }));
  return out;
}

Result<void> forget_terminal(store::Transaction& transaction, const Uid& uid) {
  for (const std::string_view table : {"terminal", "terminal_certificate", "prepared_encryption", "token", "peer_grant"}) {
    TRY(transaction.run("DELETE FROM " + std::string(table) + " WHERE uid = ?", {std::string_view(uid.text())}));
  }
  return {};
}

Result<std::optional<PreparedPair>> find_prepared(store::Transaction& transaction, const Uid& uid, ByteView h_enrol) {
  std::optional<PreparedPair> out;
  TRY(transaction.query("SELECT sealed_scalar, sealed_seed FROM prepared_encryption WHERE uid = ? AND h_enrol = ?", {std::string_view(uid.text()), h_enrol},
                        [&](const store::Row& row) { out = PreparedPair{.scalar = row.blob(0), .ml_kem_seed = row.blob(1)}; }));
  return out;
}

Result<void> save_prepared(store::Transaction& transaction, const Uid& uid, ByteView h_enrol, const PreparedPair& sealed, UnixMs now) {
  TRY(transaction.run("INSERT INTO prepared_encryption (uid, h_enrol, sealed_scalar, sealed_seed, made_ms) VALUES (?, ?, ?, ?, ?)",
                      {std::string_view(uid.text()), h_enrol, ByteView(sealed.scalar), ByteView(sealed.ml_kem_seed), store::column(now)}));
  // This one, and of the others the latest.
  TRY(transaction.run("DELETE FROM prepared_encryption WHERE uid = ? AND h_enrol <> ? AND h_enrol NOT IN (SELECT h_enrol FROM prepared_encryption WHERE uid = ?"
                      " AND h_enrol <> ? ORDER BY made_ms DESC, h_enrol DESC LIMIT ?)",
                      {std::string_view(uid.text()), h_enrol, std::string_view(uid.text()), h_enrol, store::column(prepared_per_subscriber - 1)}));
  return {};
}

Result<void> forget_prepared(store::Transaction& transaction, const Uid& uid, ByteView h_enrol) {
  TRY(transaction.run("DELETE FROM prepared_encryption WHERE uid = ? AND h_enrol = ?", {std::string_view(uid.text()), h_enrol}));
  return {};
}

Result<void> forget_old_prepared(store::Transaction& transaction, UnixMs now) {
  TRY(transaction.run("DELETE FROM prepared_encryption WHERE made_ms < ?", {store::column(now > prepared_life_ms ? now - prepared_life_ms : 0)}));
  return {};
}

}  // namespace qanat::kms
