#include "services/cas/records.hpp"

#include "crypto/kdf.hpp"
#include "services/cas/acme/schema.hpp"
#include "services/cas/authority_contexts.hpp"
#include "services/cas/authority_schema.hpp"
#include "services/cas/ceis/made_keys.hpp"
#include "services/cas/bundle_schema.hpp"
#include "services/cas/ceis/schema.hpp"
#include "services/cas/cmp/schema.hpp"
#include "services/cas/csp/schema.hpp"
#include "services/cas/scep/scep_schema.hpp"

namespace qanat::cas {
namespace {

constexpr std::array migrations{
    store::Migration{1, first_schema},
    store::Migration{2, status_schema},
    store::Migration{3, authority_schema},
    store::Migration{4, enrolment_schema},
    store::Migration{5, made_keys_schema},
    store::Migration{6, acme_schema},
    store::Migration{7, scep_schema},
    store::Migration{8, cmp_schema},
    store::Migration{9, R"sql(
      ALTER TABLE expected ADD COLUMN used_for_classical BLOB;   -- used_for is the request for the ML-DSA certificate's
      ALTER TABLE certificate ADD COLUMN expectation INTEGER)sql"},  // the one-time secret that it was issued for, if it was
    store::Migration{10, bundle_schema},
    store::Migration{11, "CREATE INDEX enrolment_order_waiting ON enrolment_order (made_ms) WHERE state = 'waiting'"},
    store::Migration{12, device_rollover_schema},
    store::Migration{13, "ALTER TABLE registration ADD COLUMN short_lived INTEGER NOT NULL DEFAULT 0 CHECK (short_lived IN (0, 1))"},
};

Bytes expected_context(ByteView fingerprint) { return store::column_context("expected.sealed_proof_key", fingerprint); }

struct RecordedRow {
  Recorded recorded;
  std::string state;
  bool revoked = false;
};

Result<std::vector<RecordedRow>> rows_of(store::Transaction& transaction, ByteView request_hash) {
  std::vector<RecordedRow> out;
  TRY(transaction.query(
      "SELECT branch, serial, not_before_ms, not_after_ms, der, state, revoked_ms FROM certificate WHERE request_hash = ? ORDER BY branch DESC", {request_hash},
      [&](const store::Row& row) {
        const Branch branch = branch_named(row.text(0));
        out.push_back({.recorded = {.intention = {.branch = branch,
                                                  .serial = row.blob(1),
                                                  .not_before = static_cast<UnixMs>(row.integer(2)),
                                                  .not_after = static_cast<UnixMs>(row.integer(3))},
                                    .der = row.is_null(4) ? Bytes() : row.blob(4)},
                       .state = row.text(5),
                       .revoked = !row.is_null(6)});
      }));
  return out;
}

/// What the same request was promised before, if that still stands.
Result<std::vector<Recorded>> still_good(std::vector<RecordedRow> rows, UnixMs now) {
  std::vector<Recorded> out;
  for (RecordedRow& row : rows) {
    if (row.state == "abandoned") return fail(ErrorCode::conflict, "this request was given up in favour of a later one");
    if (row.revoked) return fail(ErrorCode::denied, "the certificates of this request are revoked: enrolling again takes a new secret");
    if (row.recorded.intention.not_after <= now) {
      return fail(ErrorCode::denied, "the certificates of this request have expired: enrolling again takes a new secret");
    }
    out.push_back(std::move(row.recorded));
  }
  return out;
}

Result<void> spend(store::Transaction& transaction, std::int64_t expectation, Branch branch, ByteView request_hash) {
  const std::string_view sql = branch == Branch::ml_dsa ? "UPDATE expected SET used_for = ? WHERE id = ? AND used_for IS NULL"
                                                        : "UPDATE expected SET used_for_classical = ? WHERE id = ? AND used_for_classical IS NULL";
  ASSIGN_OR_RETURN(const std::int64_t changed, transaction.run(sql, {request_hash, expectation}));
  if (changed != 1) return fail(ErrorCode::conflict, "the enrolment secret was used for another request");
  return {};
}

store::Value value_of(const std::optional<std::int64_t>& number) { return number ? store::Value(*number) : store::Value(); }

/// Live certificates of the identity that stand in the way of one more of this branch: any that was not issued for the same one-time secret; for a renewal,
/// those of the branch.
Result<std::int64_t> count_live(store::Transaction& transaction, const Issuance& issuance, Branch branch, UnixMs now) {
  const bool renewal = issuance.overlap == Overlap::renewal;
  const std::string uri = holder_text(issuance.identity, issuance.held);
  std::int64_t live = 0;
  TRY(
      transaction.query("SELECT count(*) FROM certificate WHERE identity = ? AND state = 'issued' AND revoked_ms IS NULL AND not_after_ms > ? AND (branch = ? "
                        "OR (? AND expectation IS NOT ?))",
                        {std::string_view(uri), store::column(now), name(branch), std::int64_t{renewal ? 0 : 1}, value_of(issuance.expectation)},
                        [&](const store::Row& row) { live = row.integer(0); }));
  return live;
}

Result<void> make_room(store::Transaction& transaction, const Issuance& issuance, UnixMs now) {
  const std::string uri = holder_text(issuance.identity, issuance.held);
  for (const Intention& intention : issuance.intentions) {
    ASSIGN_OR_RETURN(const std::int64_t live, count_live(transaction, issuance, intention.branch, now));
    if (live > 0 && issuance.overlap == Overlap::refused) {
      return fail(ErrorCode::conflict, uri + " has a live certificate: it must expire or be revoked first");
    }
    if (live > 1 && issuance.overlap == Overlap::renewal) {
      return fail(ErrorCode::conflict, uri + " has renewed its certificate before: the earlier one must expire or be revoked first");
    }
  }
  // Whoever made an earlier request that never came to an end has begun anew. The other half of the same bundle is no earlier request.
  for (const Intention& intention : issuance.intentions) {
    TRY(transaction.run("UPDATE certificate SET state = 'abandoned' WHERE identity = ? AND state = 'intended' AND (branch = ? OR expectation IS NOT ?)",
                        {std::string_view(uri), name(intention.branch), value_of(issuance.expectation)}));
  }
  return {};
}

}  // namespace

Bytes key_hash_of(ByteView public_key) { return crypto::digest(crypto::Hash::sha256, public_key); }

Result<std::unique_ptr<Records>> Records::open(const std::filesystem::path& file, crypto::CryptoDevice& device) {
  ASSIGN_OR_RETURN(auto store, store::Store::open(file, migrations));
  std::unique_ptr<Records> out(new Records(std::move(store), device));
  TRY(out->note_keys());
  return Result<std::unique_ptr<Records>>(std::move(out));
}

/// Of certificates that were recorded before their keys were.
Result<void> Records::note_keys() {
  return store_->transact([&](store::Transaction& transaction) -> Result<void> {
    std::vector<std::pair<Bytes, Bytes>> unknown;
    TRY(transaction.query("SELECT serial, der FROM certificate WHERE state = 'issued' AND key_hash IS NULL", {},
                          [&](const store::Row& row) { unknown.emplace_back(row.blob(0), row.blob(1)); }));
    for (const auto& [serial, der] : unknown) {
      ASSIGN_OR_RETURN(const crypto::Certificate certificate, crypto::Certificate::parse(der));
      const Bytes hash = key_hash_of(certificate.public_key());
      TRY(transaction.run("UPDATE certificate SET key_hash = ? WHERE serial = ?", {ByteView(hash), ByteView(serial)}));
    }
    return {};
  });
}

Result<void> Records::check_key(store::Transaction& transaction, std::string_view identity, ByteView key_hash, UnixMs now) {
  std::string holder;
  bool compromised = false;
  TRY(transaction.query("SELECT identity, reason, revoked_ms, not_after_ms FROM certificate WHERE key_hash = ? AND state != 'abandoned'", {key_hash},
                        [&](const store::Row& row) {
                          compromised = compromised || (!row.is_null(1) && row.integer(1) == key_compromise);
                          const bool live = row.is_null(2) && static_cast<UnixMs>(row.integer(3)) > now;
                          if (live && row.text(0) != identity) holder = row.text(0);
                        }));
  if (compromised) return fail(ErrorCode::denied, "the key was compromised: a certificate takes a new one");
  if (!holder.empty()) return fail(ErrorCode::denied, "the key is in a certificate of " + holder + ": each has keys of its own");
  return {};
}

Result<void> Records::keep_authorities(const Authorities& authorities) {
  return store_->transact([&](store::Transaction& transaction) -> Result<void> {
    for (const Branch branch : all_branches) {
      const Authority& authority = authorities.of(branch);
      ASSIGN_OR_RETURN(const Bytes sealed, device_.seal(authority_context(branch), authority.key.secret));
      TRY(transaction.run("INSERT INTO authority (branch, certificate, sealed_key) VALUES (?, ?, ?)",
                          {name(branch), ByteView(authority.certificate.der()), ByteView(sealed)}));
    }
    return {};
  });
}

Result<void> Records::expect(std::span<const ExpectedElement> elements, UnixMs now) {
  return store_->transact([&](store::Transaction& transaction) -> Result<void> {
    for (const ExpectedElement& element : elements) {
      const std::string uri = element.identity.uri();
      const Bytes fingerprint = crypto::digest(crypto::Hash::sha256, element.proof_key.reveal());
      ASSIGN_OR_RETURN(const Bytes sealed, device_.seal(expected_context(fingerprint), element.proof_key));
      TRY(transaction.run("INSERT INTO expected (identity, fingerprint, sealed_proof_key, added_ms) VALUES (?, ?, ?, ?)",
                          {std::string_view(uri), ByteView(fingerprint), ByteView(sealed), store::column(now)}));
    }
    return {};
  });
}

Result<std::vector<Expectation>> Records::expectations(const Identity& identity) {
  struct Sealed {
    std::int64_t id;
    Bytes fingerprint;
    Bytes key;
    Bytes used_for_ml_dsa;
    Bytes used_for_classical;
  };
  std::vector<Sealed> rows;
  const std::string uri = identity.uri();
  TRY(store_->transact([&](store::Transaction& transaction) {
    return transaction.query(
        "SELECT id, fingerprint, sealed_proof_key, used_for, used_for_classical FROM expected WHERE identity = ? ORDER BY id DESC", {std::string_view(uri)},
        [&](const store::Row& row) {
          rows.push_back({.id = row.integer(0),
                          .fingerprint = row.blob(1),
                          .key = row.blob(2),
                          .used_for_ml_dsa = row.is_null(3) ? Bytes() : row.blob(3),
                          .used_for_classical = row.is_null(4) ? Bytes() : row.blob(4)});
        });
  }));
  std::vector<Expectation> out;
  for (const Sealed& row : rows) {
    ASSIGN_OR_RETURN(Secret key, device_.unseal(expected_context(row.fingerprint), row.key));
    out.push_back({.id = row.id, .proof_key = std::move(key), .used_for_ml_dsa = row.used_for_ml_dsa, .used_for_classical = row.used_for_classical});
  }
  return Result<std::vector<Expectation>>(std::move(out));
}

Result<bool> Records::knows(ByteView request_hash) {
  return store_->transact([&](store::Transaction& transaction) -> Result<bool> {
    ASSIGN_OR_RETURN(const std::vector<RecordedRow> rows, rows_of(transaction, request_hash));
    return !rows.empty();
  });
}

Result<std::vector<Recorded>> Records::intend(const Issuance& issuance, UnixMs now) {
  return store_->transact([&](store::Transaction& transaction) -> Result<std::vector<Recorded>> {
    ASSIGN_OR_RETURN(std::vector<RecordedRow> known, rows_of(transaction, issuance.request_hash));
    if (!known.empty()) return still_good(std::move(known), now);
    TRY(make_room(transaction, issuance, now));
    for (const Intention& intention : issuance.intentions) TRY(check_key(transaction, holder_text(issuance.identity, issuance.held), intention.key_hash, now));
    const std::string uri = holder_text(issuance.identity, issuance.held);
    std::vector<Recorded> out;
    for (const Intention& intention : issuance.intentions) {
      if (issuance.expectation) TRY(spend(transaction, *issuance.expectation, intention.branch, issuance.request_hash));
      TRY(transaction.run(
          "INSERT INTO certificate (serial, branch, identity, request_hash, state, not_before_ms, not_after_ms, key_hash, expectation)"
          " VALUES (?, ?, ?, ?, 'intended', ?, ?, ?, ?)",
          {ByteView(intention.serial), name(intention.branch), std::string_view(uri), ByteView(issuance.request_hash), store::column(intention.not_before),
           store::column(intention.not_after), ByteView(intention.key_hash), value_of(issuance.expectation)}));
      out.push_back({.intention = intention, .der = {}});
    }
    return out;
  });
}

Result<std::vector<Recorded>> Records::complete(ByteView request_hash, const std::vector<std::pair<Bytes, Bytes>>& serials_and_der) {
  return store_->transact([&](store::Transaction& transaction) -> Result<std::vector<Recorded>> {
    for (const auto& [serial, der] : serials_and_der) {
      TRY(transaction.run("UPDATE certificate SET state = 'issued', der = ? WHERE serial = ? AND state = 'intended'", {ByteView(der), ByteView(serial)}));
    }
    ASSIGN_OR_RETURN(const std::vector<RecordedRow> rows, rows_of(transaction, request_hash));
    std::vector<Recorded> out;
    for (const RecordedRow& row : rows) {
      if (row.state != "issued") return fail(ErrorCode::conflict, "this request was given up in favour of a later one");
      out.push_back(row.recorded);
    }
    return out;
  });
}

Result<std::vector<Bytes>> Records::live(const Identity& identity, Held held, Branch branch, UnixMs now) {
  const std::string uri = holder_text(identity, held);
  std::vector<Bytes> out;
  TRY(store_->transact([&](store::Transaction& transaction) {
    return transaction.query(
        "SELECT der FROM certificate WHERE identity = ? AND branch = ? AND state = 'issued' AND revoked_ms IS NULL AND not_after_ms > ? ORDER BY not_after_ms "
        "DESC",
        {std::string_view(uri), name(branch), store::column(now)}, [&](const store::Row& row) { out.push_back(row.blob(0)); });
  }));
  return out;
}

Result<std::vector<Bytes>> Records::revoke(const Identity& identity, UnixMs now) {
  const std::string uri = identity.uri();
  const std::string joint = holder_text(identity, Held::jointly);
  return store_->transact([&](store::Transaction& transaction) -> Result<std::vector<Bytes>> {
    std::int64_t known = 0;
    TRY(transaction.query("SELECT count(*) FROM certificate WHERE identity IN (?, ?)", {std::string_view(uri), std::string_view(joint)},
                          [&](const store::Row& row) { known = row.integer(0); }));
    if (known == 0) return fail(ErrorCode::not_found, uri + " has no certificate");
    std::vector<Bytes> serials;
    TRY(transaction.query(
        "SELECT serial FROM certificate WHERE identity IN (?, ?) AND state = 'issued' AND revoked_ms IS NULL AND not_after_ms > ? ORDER BY branch DESC, "
        "identity DESC",
        {std::string_view(uri), std::string_view(joint), store::column(now)}, [&](const store::Row& row) { serials.push_back(row.blob(0)); }));
    for (const Bytes& serial : serials) {
      TRY(transaction.run("UPDATE certificate SET revoked_ms = ? WHERE serial = ?", {store::column(now), ByteView(serial)}));
    }
    // What was meant to be issued and never was must not be completed after the revocation.
    TRY(transaction.run("UPDATE certificate SET state = 'abandoned' WHERE identity IN (?, ?) AND state = 'intended'",
                        {std::string_view(uri), std::string_view(joint)}));
    return serials;
  });
}

Result<bool> Records::revoke_certificate(ByteView serial, int reason, UnixMs now) {
  return store_->transact([&](store::Transaction& transaction) -> Result<bool> {
    bool known = false;
    TRY(transaction.query("SELECT 1 FROM certificate WHERE serial = ? AND state = 'issued'", {serial}, [&](const store::Row&) { known = true; }));
    if (!known) return fail(ErrorCode::not_found, "certificate " + to_hex(serial) + " was not issued here");
    ASSIGN_OR_RETURN(const std::int64_t changed,
                     transaction.run("UPDATE certificate SET revoked_ms = ?, reason = ? WHERE serial = ? AND revoked_ms IS NULL",
                                     {store::column(now), std::int64_t{reason}, serial}));
    return changed == 1;
  });
}

Result<crypto::CertStatus> Records::status(Branch branch, ByteView serial) {
  crypto::CertStatus out = crypto::CertStatus::unknown;
  TRY(store_->transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT revoked_ms FROM certificate WHERE serial = ? AND branch = ? AND state = 'issued'", {serial, name(branch)},
                             [&](const store::Row& row) { out = row.is_null(0) ? crypto::CertStatus::good : crypto::CertStatus::revoked; });
  }));
  return out;
}

Result<crypto::CertStatus> Records::status(Branch branch, std::int64_t generation, ByteView serial) {
  crypto::CertStatus out = crypto::CertStatus::unknown;
  TRY(store_->transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT revoked_ms FROM certificate WHERE serial = ? AND branch = ? AND generation = ? AND state = 'issued'",
                             {serial, name(branch), generation},
                             [&](const store::Row& row) { out = row.is_null(0) ? crypto::CertStatus::good : crypto::CertStatus::revoked; });
  }));
  return out;
}

Result<crypto::CertStatus> Records::status(const crypto::Certificate& certificate) {
  crypto::CertStatus out = crypto::CertStatus::unknown;
  TRY(store_->transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT revoked_ms FROM certificate WHERE serial = ? AND der = ?", {ByteView(certificate.serial()), ByteView(certificate.der())},
                             [&](const store::Row& row) { out = row.is_null(0) ? crypto::CertStatus::good : crypto::CertStatus::revoked; });
  }));
  return out;
}

Result<Records::Counts> Records::counts() {
  Counts out;
  TRY(store_->transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT count(*), count(revoked_ms) FROM certificate WHERE state = 'issued'", {}, [&](const store::Row& row) {
      out.issued = row.integer(0);
      out.revoked = row.integer(1);
    });
  }));
  return out;
}

}  // namespace qanat::cas
