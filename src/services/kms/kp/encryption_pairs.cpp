#include "services/kms/kp/encryption_pairs.hpp"

#include <algorithm>

#include "crypto/kdf.hpp"
#include "node/crash_point.hpp"
#include "services/kms/kp/history_keys.hpp"
#include "services/kms/kp/sealed_columns.hpp"

namespace qanat::kms {
namespace {

constexpr std::size_t id_octets = 16;

Bytes terminal_context(const Uid& uid) { return context_of("terminal", "sealed_encryption", uid.view()); }
Bytes prepared_context(std::string_view column, const Uid& uid, ByteView h_enrol) {
  return context_of("prepared_encryption", column, concat({uid.view(), h_enrol}));
}
Bytes history_context(ByteView enc_kid) { return context_of("history_key", "sealed_pair", enc_kid); }

}  // namespace

Result<PreparedPair> EncryptionPairs::seal_prepared(const Uid& uid, ByteView h_enrol, const crypto::DecapsulationSecret& secret) {
  PreparedPair out;
  crypto::CryptoDevice& pool = keys_.of(Library::in_use);
  ASSIGN_OR_RETURN(out.scalar, pool.seal(prepared_context("sealed_scalar", uid, h_enrol), secret.scalar));
  ASSIGN_OR_RETURN(out.ml_kem_seed, pool.seal(prepared_context("sealed_seed", uid, h_enrol), secret.ml_kem_seed));
  return out;
}

Result<crypto::Decapsulator> EncryptionPairs::open_prepared(const Uid& uid, ByteView h_enrol, const PreparedPair& sealed) {
  crypto::DecapsulationSecret secret;
  crypto::CryptoDevice& pool = keys_.of(Library::in_use);
  ASSIGN_OR_RETURN(secret.scalar, pool.unseal(prepared_context("sealed_scalar", uid, h_enrol), sealed.scalar));
  ASSIGN_OR_RETURN(secret.ml_kem_seed, pool.unseal(prepared_context("sealed_seed", uid, h_enrol), sealed.ml_kem_seed));
  return crypto::Decapsulator::from_secret(node_.suite(), secret);
}

Result<std::optional<crypto::Decapsulator>> EncryptionPairs::from_standby(store::Transaction& transaction, const Uid& uid, ByteView h_enrol) {
  Bytes id;
  Bytes scalar;
  Bytes seed;
  TRY(transaction.query("SELECT id, sealed_scalar, sealed_seed FROM standby_pair ORDER BY made_ms, id LIMIT 1", {}, [&](const store::Row& row) {
    id = row.blob(0);
    scalar = row.blob(1);
    seed = row.blob(2);
  }));
  if (id.empty()) return std::optional<crypto::Decapsulator>();
  TRY(check_move(PooledKind::encryption_pair, Library::standby, Library::in_use, to_hex(id)));
  crypto::CryptoDevice& pool = keys_.of(Library::standby);
  crypto::DecapsulationSecret secret;
  ASSIGN_OR_RETURN(secret.scalar, pool.unseal(context_of("standby_pair", "sealed_scalar", id), scalar));
  ASSIGN_OR_RETURN(secret.ml_kem_seed, pool.unseal(context_of("standby_pair", "sealed_seed", id), seed));
  ASSIGN_OR_RETURN(crypto::Decapsulator pair, crypto::Decapsulator::from_secret(node_.suite(), secret));
  ASSIGN_OR_RETURN(const PreparedPair sealed, seal_prepared(uid, h_enrol, secret));
  ASSIGN_OR_RETURN(const std::int64_t gone, transaction.run("DELETE FROM standby_pair WHERE id = ?", {ByteView(id)}));
  if (gone != 1) return fail(ErrorCode::conflict, "standby pair " + to_hex(id) + ": was taken by another process");
  TRY(save_prepared(transaction, uid, h_enrol, sealed, node_.clock().now_ms()));
  return Result<std::optional<crypto::Decapsulator>>(std::move(pair));
}

Result<EncryptionPairs::Prepared> EncryptionPairs::prepare(const Uid& uid, ByteView h_enrol) {
  std::optional<PreparedPair> known;
  ASSIGN_OR_RETURN(std::optional<crypto::Decapsulator> taken, store_.transact([&](store::Transaction& transaction) -> Result<std::optional<crypto::Decapsulator>> {
    ASSIGN_OR_RETURN(known, find_prepared(transaction, uid, h_enrol));
    if (known) return std::optional<crypto::Decapsulator>();
    return from_standby(transaction, uid, h_enrol);
  }));
  if (known) {
    ASSIGN_OR_RETURN(crypto::Decapsulator pair, open_prepared(uid, h_enrol, *known));
    return Result<Prepared>(Prepared{.pair = std::move(pair), .fresh = false});
  }
  const bool from_library = taken.has_value();
  if (!taken) {
    ASSIGN_OR_RETURN(taken, crypto::Decapsulator::generate(node_.suite(), node_.rng()));
    ASSIGN_OR_RETURN(const PreparedPair sealed, seal_prepared(uid, h_enrol, taken->secret()));
    TRY(store_.transact([&](store::Transaction& transaction) { return save_prepared(transaction, uid, h_enrol, sealed, node_.clock().now_ms()); }));
  }
  TRY(node_.record({.action = "kp.moved",
                    .outcome = audit::Outcome::success,
                    .subject = uid.text(),
                    .object = to_hex(wire::key_id_of(node_.suite(), taken->encapsulation_key())),
                    .reason = from_library ? "encryption pair: from standby into use" : "encryption pair: made for use, standby is empty",
                    .request_id = ""}));
  return Result<Prepared>(Prepared{.pair = *std::move(taken), .fresh = true});
}

Result<Bytes> EncryptionPairs::seal_for(const Uid& uid, const crypto::DecapsulationSecret& secret) {
  return keys_.of(Library::in_use).seal(terminal_context(uid), Secret::concat({&secret.scalar, &secret.ml_kem_seed}));
}

Result<Bytes> EncryptionPairs::into_history(store::Transaction& transaction, const Enrolment& enrolment, HistoryPolicy policy, UnixMs now) {
  const Terminal& terminal = enrolment.terminal;
  ASSIGN_OR_RETURN(const Octets octets, check_move(PooledKind::encryption_pair, Library::in_use, Library::history, to_hex(terminal.enc_kid)));
  TRY(end(transaction, terminal.uid, "replaced", now));
  Bytes sealed;
  Bytes commitment;
  if (!enrolment.sealed_encryption.empty()) {
    ASSIGN_OR_RETURN(const Secret pair, keys_.of(Library::in_use).unseal(terminal_context(terminal.uid), enrolment.sealed_encryption));
    commitment = pair_commitment(terminal.enc_kid, pair);
    if (octets == Octets::kept_under_policy && policy == HistoryPolicy::encryption_keys) {
      ASSIGN_OR_RETURN(sealed, keys_.of(Library::history).seal(history_context(terminal.enc_kid), pair));
    }
  }
  TRY(transaction.run("DELETE FROM history_key WHERE enc_kid = ?", {ByteView(terminal.enc_kid)}));  // the same pair confirmed again
  TRY(transaction.run("INSERT INTO history_key (enc_kid, uid, number, since_ms, sealed_pair, commitment) VALUES (?, ?, ?, ?, ?, ?)",
                      {ByteView(terminal.enc_kid), std::string_view(terminal.uid.text()), std::string_view(terminal.number.text()), store::column(now),
                       sealed.empty() ? store::Value() : store::Value(ByteView(sealed)), commitment.empty() ? store::Value() : store::Value(ByteView(commitment))}));
  TRY(certify_in_history(transaction, terminal));
  return commitment;
}

Result<void> EncryptionPairs::confirm(const Terminal& shown, ByteView h_deliver, const std::string& request_id) {
  const Uid& uid = shown.uid;
  const HistoryPolicy policy = policy_();
  // Looked at again where it is changed: a copy of the receipt, or another Enrol message, may have come in between.
  ASSIGN_OR_RETURN(const std::optional<ErasedKey> moved, store_.transact([&](store::Transaction& transaction) -> Result<std::optional<ErasedKey>> {
    ASSIGN_OR_RETURN(const std::optional<Enrolment> known, find_enrolment(transaction, uid));
    if (!known) return fail(ErrorCode::not_found, "no terminal " + uid.text() + " enrols here");
    if (known->terminal.ml_dsa != shown.ml_dsa) return fail(ErrorCode::conflict, "EnrolReceipt: " + uid.text() + " has other certificates by now");
    if (known->terminal.confirmed) return std::optional<ErasedKey>();
    if (!std::ranges::equal(crypto::digest(node_.suite().hash, known->answer), h_deliver))
      return fail(ErrorCode::conflict, "EnrolReceipt: the answer to " + uid.text() + " was made anew meanwhile");
    ASSIGN_OR_RETURN(Bytes commitment, into_history(transaction, *known, policy, node_.clock().now_ms()));
    TRY(confirm_terminal(transaction, uid));
    return std::optional(ErasedKey{.enc_kid = known->terminal.enc_kid, .uid = uid, .commitment = std::move(commitment)});
  }));
  if (!moved) return {};
  node::crash_point("kms.enrol.confirmed");
  const bool kept = policy == HistoryPolicy::encryption_keys;
  return node_.record({.action = "kp.moved",
                       .outcome = audit::Outcome::success,
                       .subject = uid.text(),
                       .object = to_hex(moved->enc_kid),
                       .reason = reason_with(kept ? "encryption pair: from use into history, the private part kept under kms.history"
                                                  : "encryption pair: from use into history, the private part erased",
                                             moved->commitment),
                       .request_id = request_id});
}

Result<void> EncryptionPairs::end(store::Transaction& transaction, const Uid& uid, std::string_view why, UnixMs now) {
  TRY(transaction.run("UPDATE history_key SET ended_ms = ?, why = ? WHERE uid = ? AND ended_ms IS NULL", {store::column(now), why, std::string_view(uid.text())}));
  return {};
}

Result<std::vector<HistoryKey>> EncryptionPairs::history(const Uid& uid) {
  return store_.transact([&](store::Transaction& transaction) -> Result<std::vector<HistoryKey>> {
    std::vector<HistoryKey> out;
    TRY(transaction.query("SELECT enc_kid, number, since_ms, ended_ms, why, sealed_pair, commitment, destroyed_ms, destroyed_why FROM history_key WHERE uid = ?"
                          " ORDER BY since_ms, enc_kid",
                          {std::string_view(uid.text())}, [&](const store::Row& row) {
                            out.push_back({.enc_kid = row.blob(0),
                                           .uid = uid,
                                           .number = Number(row.text(1)),
                                           .since_ms = static_cast<UnixMs>(row.integer(2)),
                                           .ended_ms = row.is_null(3) ? 0 : static_cast<UnixMs>(row.integer(3)),
                                           .why = row.is_null(4) ? "" : row.text(4),
                                           .has_private = !row.is_null(5),
                                           .commitment = row.is_null(6) ? Bytes() : row.blob(6),
                                           .destroyed_ms = row.is_null(7) ? 0 : static_cast<UnixMs>(row.integer(7)),
                                           .destroyed_why = row.is_null(8) ? "" : row.text(8)});
                          }));
    return out;
  });
}

Result<std::size_t> EncryptionPairs::standby() {
  return store_.transact([&](store::Transaction& transaction) -> Result<std::size_t> {
    std::size_t out = 0;
    TRY(transaction.query("SELECT count(*) FROM standby_pair", {}, [&](const store::Row& row) { out = static_cast<std::size_t>(row.integer(0)); }));
    return out;
  });
}

Result<std::size_t> EncryptionPairs::fill(std::size_t low, std::size_t high) {
  ASSIGN_OR_RETURN(const std::size_t there, standby());
  if (there >= low) return std::size_t{0};
  std::size_t made = 0;
  for (; there + made < high && !node_.stopping(); ++made) {
    ASSIGN_OR_RETURN(const crypto::Decapsulator pair, crypto::Decapsulator::generate(node_.suite(), node_.rng()));
    const crypto::DecapsulationSecret secret = pair.secret();
    const Bytes id = node_.rng().bytes(id_octets);
    crypto::CryptoDevice& pool = keys_.of(Library::standby);
    ASSIGN_OR_RETURN(const Bytes scalar, pool.seal(context_of("standby_pair", "sealed_scalar", id), secret.scalar));
    ASSIGN_OR_RETURN(const Bytes seed, pool.seal(context_of("standby_pair", "sealed_seed", id), secret.ml_kem_seed));
    TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
      TRY(transaction.run("INSERT INTO standby_pair (id, sealed_scalar, sealed_seed, made_ms) VALUES (?, ?, ?, ?)",
                          {ByteView(id), ByteView(scalar), ByteView(seed), store::column(node_.clock().now_ms())}));
      return {};
    }));
  }
  return made;
}

Result<std::int64_t> EncryptionPairs::discard_standby(store::Transaction& transaction) { return transaction.run("DELETE FROM standby_pair", {}); }

}  // namespace qanat::kms
