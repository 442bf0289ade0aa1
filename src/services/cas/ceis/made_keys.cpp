#include "services/cas/ceis/made_keys.hpp"

#include "node/crash_point.hpp"

namespace qanat::cas {
namespace {

struct MadeKeyRow {
  std::string algorithm;
  Bytes public_key_info;
  Bytes sealed;
};

Bytes made_key_context(ByteView request_hash) { return store::column_context("made_key.sealed_key", request_hash); }

Result<std::optional<MadeKeyRow>> made_key_row(store::Transaction& transaction, ByteView request_hash) {
  std::optional<MadeKeyRow> out;
  TRY(transaction.query("SELECT algorithm, public_key, sealed_key FROM made_key WHERE request_hash = ?", {request_hash}, [&](const store::Row& row) {
    out = MadeKeyRow{.algorithm = row.text(0), .public_key_info = row.blob(1), .sealed = row.is_null(2) ? Bytes() : row.blob(2)};
  }));
  return out;
}

std::int64_t before(UnixMs now, std::chrono::seconds span) { return store::column(now) - std::chrono::duration_cast<std::chrono::milliseconds>(span).count(); }

}  // namespace

Result<crypto::MadeKey> MadeKeys::key_for(ByteView request_hash, crypto::SubjectAlgorithm algorithm, int rsa_bits, UnixMs now) {
  const auto look = [&](store::Transaction& transaction) { return made_key_row(transaction, request_hash); };
  ASSIGN_OR_RETURN(std::optional<MadeKeyRow> row, store_.transact(look));
  if (!row) {
    // Outside of the transaction: an RSA key takes its time.
    ASSIGN_OR_RETURN(const crypto::MadeKey made, crypto::make_subject_key(algorithm, rsa_bits));
    ASSIGN_OR_RETURN(const Bytes sealed, device_.seal(made_key_context(request_hash), made.pkcs8));
    ASSIGN_OR_RETURN(row, store_.transact([&](store::Transaction& transaction) -> Result<std::optional<MadeKeyRow>> {
      TRY(transaction.run("INSERT INTO made_key (request_hash, algorithm, public_key, sealed_key, made_ms) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                          {request_hash, crypto::name(algorithm), ByteView(made.public_key_info), ByteView(sealed), store::column(now)}));
      return made_key_row(transaction, request_hash);  // of whoever was first
    }));
    node::crash_point("cas.made_key.kept");
  }
  if (!row) return fail(ErrorCode::internal, "cas.db: a key that was made is not there");
  if (row->algorithm != crypto::name(algorithm))
    return fail(ErrorCode::conflict, "this request was for a key of algorithm " + row->algorithm + ": ask with a new one");
  if (row->sealed.empty())
    return fail(ErrorCode::conflict, "the private key of this request was handed out, or waited too long, and is no longer kept: ask with a new request");
  ASSIGN_OR_RETURN(Secret pkcs8, device_.unseal(made_key_context(request_hash), row->sealed));
  return Result<crypto::MadeKey>(crypto::MadeKey{.public_key_info = std::move(row->public_key_info), .pkcs8 = std::move(pkcs8)});
}

Result<void> MadeKeys::handed(ByteView request_hash, UnixMs now) {
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.run("UPDATE made_key SET handed_ms = ? WHERE request_hash = ? AND handed_ms IS NULL", {store::column(now), request_hash});
  }));
  return {};
}

Result<void> MadeKeys::forget(ByteView request_hash) {
  TRY(store_.transact(
      [&](store::Transaction& transaction) { return transaction.run("DELETE FROM made_key WHERE request_hash = ? AND handed_ms IS NULL", {request_hash}); }));
  return {};
}

Result<std::size_t> MadeKeys::sweep(UnixMs now) {
  ASSIGN_OR_RETURN(const std::int64_t wiped, store_.transact([&](store::Transaction& transaction) {
    return transaction.run("UPDATE made_key SET sealed_key = NULL WHERE sealed_key IS NOT NULL AND (handed_ms < ? OR made_ms < ?)",
                           {before(now, made_key_kept), before(now, made_key_waits_max)});
  }));
  return static_cast<std::size_t>(wiped);
}

}  // namespace qanat::cas
