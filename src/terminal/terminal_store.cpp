#include "terminal/terminal_store.hpp"

#include <array>

namespace qanat::terminal {
namespace {

constexpr std::array migrations{
    store::Migration{1, R"sql(
      CREATE TABLE enrolment (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        stage TEXT NOT NULL CHECK (stage IN ('asked', 'delivered', 'confirmed')),
        message BLOB NOT NULL,
        sealed_ephemeral BLOB,     -- NULL once the answer was accepted
        answer BLOB,               -- from 'delivered' on, like all that follows
        sealed_encryption BLOB,
        kms_classical BLOB,
        kms_ml_dsa BLOB
      ) STRICT;
      CREATE TABLE token (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        sealed_digest BLOB NOT NULL
      ) STRICT)sql"},
    store::Migration{2, R"sql(
      CREATE TABLE own_key (
        digest BLOB PRIMARY KEY      -- SHA-256 of a public key
      ) STRICT;
      CREATE TABLE renewal (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        fingerprint BLOB NOT NULL
      ) STRICT;
      CREATE TABLE peer_seen (
        uid TEXT PRIMARY KEY,
        fingerprint BLOB NOT NULL,
        not_before_ms INTEGER NOT NULL,
        not_after_ms INTEGER NOT NULL,
        last_ms INTEGER NOT NULL
      ) STRICT)sql"},
    store::Migration{3, R"sql(
      CREATE TABLE charge_receipt (
        charge BLOB PRIMARY KEY,
        message BLOB NOT NULL
      ) STRICT)sql"},
};

Bytes context(std::string_view column) { return store::column_context(column, {}); }

constexpr std::string_view ephemeral_column = "enrolment.sealed_ephemeral";
constexpr std::string_view encryption_column = "enrolment.sealed_encryption";
constexpr std::string_view token_column = "token.sealed_digest";

Result<Bytes> seal(crypto::CryptoDevice& device, std::string_view column, const crypto::DecapsulationSecret& secret) {
  return device.seal(context(column), Secret::concat({&secret.scalar, &secret.ml_kem_seed}));
}

Result<crypto::DecapsulationSecret> unseal(crypto::CryptoDevice& device, std::string_view column, ByteView sealed) {
  ASSIGN_OR_RETURN(const Secret both, device.unseal(context(column), sealed));
  if (both.size() <= crypto::seed_ml_kem) return fail(ErrorCode::internal, "terminal.db: " + std::string(column) + " is too short");
  const ByteView octets = both.reveal();
  return Result<crypto::DecapsulationSecret>(crypto::DecapsulationSecret{.scalar = Secret::copy_of(octets.first(octets.size() - crypto::seed_ml_kem)),
                                                                        .ml_kem_seed = Secret::copy_of(octets.last(crypto::seed_ml_kem))});
}

}  // namespace

Result<std::unique_ptr<TerminalStore>> TerminalStore::open(const std::filesystem::path& file, crypto::CryptoDevice& device) {
  ASSIGN_OR_RETURN(auto store, store::Store::open(file, migrations));
  return Result<std::unique_ptr<TerminalStore>>(std::unique_ptr<TerminalStore>(new TerminalStore(std::move(store), device)));
}

Result<EnrolmentStage> TerminalStore::stage() {
  std::string text;
  TRY(store_->transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT stage FROM enrolment", {}, [&](const store::Row& row) { text = row.text(0); });
  }));
  if (text == "asked") return EnrolmentStage::asked;
  if (text == "delivered") return EnrolmentStage::delivered;
  if (text == "confirmed") return EnrolmentStage::confirmed;
  return EnrolmentStage::none;
}

Result<void> TerminalStore::save_asked(const Asked& asked) {
  ASSIGN_OR_RETURN(const Bytes sealed, seal(device_, ephemeral_column, asked.ephemeral));
  TRY(store_->transact([&](store::Transaction& transaction) {
    return transaction.run("INSERT OR REPLACE INTO enrolment (one, stage, message, sealed_ephemeral) VALUES (1, 'asked', ?, ?)",
                           {ByteView(asked.message), ByteView(sealed)});
  }));
  return {};
}

Result<TerminalStore::Asked> TerminalStore::asked() {
  Bytes message;
  Bytes sealed;
  TRY(store_->transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT message, sealed_ephemeral FROM enrolment WHERE stage = 'asked'", {}, [&](const store::Row& row) {
      message = row.blob(0);
      sealed = row.blob(1);
    });
  }));
  if (message.empty()) return fail(ErrorCode::not_found, "terminal.db: no enrolment waits for its answer");
  ASSIGN_OR_RETURN(auto ephemeral, unseal(device_, ephemeral_column, sealed));
  return Result<Asked>(Asked{.message = std::move(message), .ephemeral = std::move(ephemeral)});
}

Result<void> TerminalStore::save_delivered(const Delivered& delivered) {
  ASSIGN_OR_RETURN(const Bytes sealed, seal(device_, encryption_column, delivered.encryption));
  ASSIGN_OR_RETURN(const std::int64_t changed, store_->transact([&](store::Transaction& transaction) {
    return transaction.run(
        "UPDATE enrolment SET stage = 'delivered', sealed_ephemeral = NULL, answer = ?, sealed_encryption = ?, kms_classical = ?, kms_ml_dsa = ?"
        " WHERE stage = 'asked'",
        {ByteView(delivered.answer), ByteView(sealed), ByteView(delivered.kms_classical), ByteView(delivered.kms_ml_dsa)});
  }));
  if (changed != 1) return fail(ErrorCode::conflict, "terminal.db: no enrolment waits for its answer");
  return {};
}

Result<TerminalStore::Delivered> TerminalStore::delivered() {
  Delivered out;
  Bytes sealed;
  TRY(store_->transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT answer, sealed_encryption, kms_classical, kms_ml_dsa FROM enrolment WHERE stage <> 'asked'", {},
                             [&](const store::Row& row) {
                               out.answer = row.blob(0);
                               sealed = row.blob(1);
                               out.kms_classical = row.blob(2);
                               out.kms_ml_dsa = row.blob(3);
                             });
  }));
  if (sealed.empty()) return fail(ErrorCode::not_found, "this terminal is not enrolled: run `qanat enrol` first");
  ASSIGN_OR_RETURN(out.encryption, unseal(device_, encryption_column, sealed));
  return Result<Delivered>(std::move(out));
}

Result<void> TerminalStore::save_confirmed() {
  TRY(store_->transact(
      [](store::Transaction& transaction) { return transaction.run("UPDATE enrolment SET stage = 'confirmed' WHERE stage = 'delivered'", {}); }));
  return {};
}

Result<void> TerminalStore::save_kms(ByteView classical, ByteView ml_dsa) {
  ASSIGN_OR_RETURN(const std::int64_t changed, store_->transact([&](store::Transaction& transaction) {
    return transaction.run("UPDATE enrolment SET kms_classical = ?, kms_ml_dsa = ? WHERE stage <> 'asked'", {classical, ml_dsa});
  }));
  if (changed != 1) return fail(ErrorCode::not_found, "this terminal is not enrolled: run `qanat enrol` first");
  return {};
}

Result<void> TerminalStore::remember_own_keys(const std::vector<Bytes>& digests) {
  return store_->transact([&](store::Transaction& transaction) -> Result<void> {
    for (const Bytes& digest : digests) TRY(transaction.run("INSERT OR IGNORE INTO own_key (digest) VALUES (?)", {ByteView(digest)}));
    return {};
  });
}

Result<std::set<Bytes>> TerminalStore::own_keys() {
  std::set<Bytes> out;
  TRY(store_->transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT digest FROM own_key", {}, [&](const store::Row& row) { out.insert(row.blob(0)); });
  }));
  return out;
}

Result<std::optional<Bytes>> TerminalStore::renewal() {
  std::optional<Bytes> out;
  TRY(store_->transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT fingerprint FROM renewal", {}, [&](const store::Row& row) { out = row.blob(0); });
  }));
  return out;
}

Result<void> TerminalStore::begin_renewal(ByteView fingerprint) {
  TRY(store_->transact([&](store::Transaction& transaction) {
    return transaction.run("INSERT OR REPLACE INTO renewal (one, fingerprint) VALUES (1, ?)", {fingerprint});
  }));
  return {};
}

Result<void> TerminalStore::end_renewal() {
  TRY(store_->transact([](store::Transaction& transaction) { return transaction.run("DELETE FROM renewal", {}); }));
  return {};
}

Result<std::optional<TerminalStore::PeerSeen>> TerminalStore::peer_seen(const Uid& uid) {
  std::optional<PeerSeen> out;
  TRY(store_->transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT fingerprint, not_before_ms, not_after_ms, last_ms FROM peer_seen WHERE uid = ?", {std::string_view(uid.text())},
                             [&](const store::Row& row) {
                               out = PeerSeen{.fingerprint = row.blob(0),
                                              .not_before = static_cast<UnixMs>(row.integer(1)),
                                              .not_after = static_cast<UnixMs>(row.integer(2)),
                                              .last_ms = static_cast<UnixMs>(row.integer(3))};
                             });
  }));
  return out;
}

Result<void> TerminalStore::save_peer_seen(const Uid& uid, const PeerSeen& seen) {
  TRY(store_->transact([&](store::Transaction& transaction) {
    return transaction.run(
        "INSERT OR REPLACE INTO peer_seen (uid, fingerprint, not_before_ms, not_after_ms, last_ms) VALUES (?, ?, ?, ?, ?)",
        {std::string_view(uid.text()), ByteView(seen.fingerprint), store::column(seen.not_before), store::column(seen.not_after), store::column(seen.last_ms)});
  }));
  return {};
}

Result<std::optional<TerminalStore::ChargeReceipt>> TerminalStore::charge_receipt() {
  std::optional<ChargeReceipt> out;
  TRY(store_->transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT charge, message FROM charge_receipt ORDER BY rowid LIMIT 1", {},
                             [&](const store::Row& row) { out = ChargeReceipt{.charge = row.blob(0), .message = row.blob(1)}; });
  }));
  return out;
}

Result<void> TerminalStore::save_charge_receipt(const ChargeReceipt& receipt) {
  TRY(store_->transact([&](store::Transaction& transaction) {
    return transaction.run("INSERT INTO charge_receipt (charge, message) VALUES (?, ?)", {ByteView(receipt.charge), ByteView(receipt.message)});
  }));
  return {};
}

Result<void> TerminalStore::forget_charge_receipt(ByteView charge) {
  TRY(store_->transact([&](store::Transaction& transaction) { return transaction.run("DELETE FROM charge_receipt WHERE charge = ?", {charge}); }));
  return {};
}

Result<std::optional<Bytes>> TerminalStore::token_ref() {
  Bytes sealed;
  TRY(store_->transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT sealed_digest FROM token", {}, [&](const store::Row& row) { sealed = row.blob(0); });
  }));
  if (sealed.empty()) return std::optional<Bytes>{};
  ASSIGN_OR_RETURN(const Secret digest, device_.unseal(context(token_column), sealed));
  return std::optional<Bytes>(to_bytes(digest.reveal()));
}

Result<void> TerminalStore::save_token_ref(ByteView digest) {
  ASSIGN_OR_RETURN(const Bytes sealed, device_.seal(context(token_column), Secret::copy_of(digest)));
  TRY(store_->transact([&](store::Transaction& transaction) {
    return transaction.run("INSERT OR REPLACE INTO token (one, sealed_digest) VALUES (1, ?)", {ByteView(sealed)});
  }));
  return {};
}

}  // namespace qanat::terminal
