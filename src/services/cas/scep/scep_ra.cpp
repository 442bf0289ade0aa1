#include "services/cas/scep/scep_ra.hpp"

#include <algorithm>

#include "crypto/kdf.hpp"
#include "node/crash_point.hpp"
#include "node/log.hpp"

namespace qanat::cas {
namespace {

constexpr UnixMs renewal_retry_ms = 60'000;

Bytes ra_context(ByteView public_key) { return store::column_context("scep_ra.sealed_key", crypto::digest(crypto::Hash::sha256, public_key)); }

bool is_under(ByteView certificate, const crypto::Certificate& issuer) {
  const auto read = crypto::SubjectCertificate::parse(certificate);
  return read && read->signed_by(issuer);
}

}  // namespace

struct ScepRaKeeper::Row {
  std::int64_t id = 0;
  Bytes public_key;
  Bytes sealed_key;
  Bytes certificate;  // empty: not issued yet
  UnixMs not_before = 0;
  UnixMs not_after = 0;
  [[nodiscard]] UnixMs renew_at() const { return not_before + (not_after - not_before) / 3 * 2; }
};

Result<std::shared_ptr<const ScepRas>> ScepRaKeeper::at(UnixMs now) {
  const std::lock_guard lock(mutex_);
  const Bytes issuer = issuer_();
  if (known_ && issuer == known_issuer_ && now < known_->renew_at) return known_;
  auto found = refresh(issuer, now);
  if (found) {
    known_ = *found;
    known_issuer_ = issuer;
  } else if (known_) {
    // What there is goes on while it holds; each try may leave a certificate behind, so the next one is not at once.
    node::log(node::LogLevel::error, "SCEP: a new certificate of the registration authority: {}", found.error().message);
    auto kept = std::make_shared<ScepRas>(*known_);
    kept->renew_at = now + renewal_retry_ms;
    std::erase_if(kept->all, [&](const crypto::ScepRa& ra) {
      const auto certificate = crypto::SubjectCertificate::parse(ra.certificate);
      return !certificate || certificate->not_after() <= now;
    });
    if (kept->all.empty()) return found;
    kept->of_this_ca = std::min(kept->of_this_ca, kept->all.size());
    known_ = std::move(kept);
    known_issuer_ = issuer;
  } else {
    return found;
  }
  return known_;
}

/// Those that hold, the latest first, and the one that was begun and not finished. Those that are over go.
Result<std::vector<ScepRaKeeper::Row>> ScepRaKeeper::rows(UnixMs now) {
  std::vector<Row> out;
  TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(transaction.run("DELETE FROM scep_ra WHERE not_after_ms <= ?", {store::column(now)}));
    return transaction.query("SELECT id, public_key, sealed_key, certificate, not_before_ms, not_after_ms FROM scep_ra ORDER BY id DESC", {},
                             [&](const store::Row& row) {
                               const bool issued = !row.is_null(3);
                               out.push_back({.id = row.integer(0),
                                              .public_key = row.blob(1),
                                              .sealed_key = row.blob(2),
                                              .certificate = issued ? row.blob(3) : Bytes(),
                                              .not_before = issued ? static_cast<UnixMs>(row.integer(4)) : UnixMs{0},
                                              .not_after = issued ? static_cast<UnixMs>(row.integer(5)) : UnixMs{0}});
                             });
  }));
  return Result<std::vector<Row>>(std::move(out));
}

/// A new key, durable before anything is signed for it.
Result<ScepRaKeeper::Row> ScepRaKeeper::begun() {
  ASSIGN_OR_RETURN(const crypto::RsaKey key, crypto::RsaKey::generate(scep_ra_bits));
  ASSIGN_OR_RETURN(const Secret pkcs8, key.pkcs8());
  Row out;
  out.public_key = key.public_key_info();
  ASSIGN_OR_RETURN(out.sealed_key, device_.seal(ra_context(out.public_key), pkcs8));
  TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(transaction.run("INSERT INTO scep_ra (public_key, sealed_key) VALUES (?, ?)", {ByteView(out.public_key), ByteView(out.sealed_key)}));
    return transaction.query("SELECT id FROM scep_ra WHERE public_key = ?", {ByteView(out.public_key)},
                             [&](const store::Row& row) { out.id = row.integer(0); });
  }));
  node::crash_point("cas.scep.ra_begun");
  return Result<Row>(std::move(out));
}

Result<void> ScepRaKeeper::finish(const Row& row, UnixMs now) {
  ASSIGN_OR_RETURN(const crypto::SubjectPublicKey key, crypto::SubjectPublicKey::parse(row.public_key));
  const auto certified = certify_(key, now);
  if (!certified && certified.error().code == ErrorCode::denied) {
    // A certificate that was issued long ago, before the process died, and is over or revoked: the next time begins with another key.
    TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
      TRY(transaction.run("DELETE FROM scep_ra WHERE id = ?", {row.id}));
      return {};
    }));
  }
  if (!certified) return fail(certified.error());
  const Bytes& der = *certified;
  ASSIGN_OR_RETURN(const crypto::SubjectCertificate certificate, crypto::SubjectCertificate::parse(der));
  if (certificate.key() != key) return fail(ErrorCode::internal, "SCEP: the registration authority's certificate is of another key");
  node::crash_point("cas.scep.ra_certified");
  return store_.transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(transaction.run("UPDATE scep_ra SET certificate = ?, not_before_ms = ?, not_after_ms = ? WHERE id = ?",
                        {ByteView(der), store::column(certificate.not_before()), store::column(certificate.not_after()), row.id}));
    return {};
  });
}

Result<std::shared_ptr<const ScepRas>> ScepRaKeeper::refresh(ByteView issuer_der, UnixMs now) {
  ASSIGN_OR_RETURN(const crypto::Certificate issuer, crypto::Certificate::parse(issuer_der));
  ASSIGN_OR_RETURN(std::vector<Row> found, rows(now));
  const auto is_fresh = [&](const Row& row) { return !row.certificate.empty() && now < row.renew_at() && is_under(row.certificate, issuer); };
  if (std::ranges::none_of(found, is_fresh)) {
    const auto before = std::ranges::find_if(found, [](const Row& row) { return row.certificate.empty(); });
    ASSIGN_OR_RETURN(Row next, before != found.end() ? Result<Row>(*before) : begun());
    TRY(finish(next, now));
    ASSIGN_OR_RETURN(found, rows(now));
  }
  std::erase_if(found, [](const Row& row) { return row.certificate.empty(); });
  ScepRas out;
  std::vector<Row> ordered;
  for (const bool of_this_ca : {true, false}) {
    for (Row& row : found) {
      if (is_under(row.certificate, issuer) == of_this_ca) ordered.push_back(row);
    }
    if (of_this_ca) out.of_this_ca = ordered.size();
  }
  found = std::move(ordered);
  for (const Row& row : found) {
    ASSIGN_OR_RETURN(const Secret pkcs8, device_.unseal(ra_context(row.public_key), row.sealed_key));
    ASSIGN_OR_RETURN(crypto::RsaKey key, crypto::RsaKey::from_pkcs8(pkcs8));
    out.all.push_back({.certificate = row.certificate, .key = std::move(key)});
  }
  if (out.of_this_ca == 0) return fail(ErrorCode::unavailable, "SCEP: there is no certificate of the registration authority");
  // The next look is due when the one in force grows old, or the oldest of them is over.
  out.renew_at = found.front().renew_at();
  for (const Row& row : found) out.renew_at = std::min(out.renew_at, row.not_after);
  if (out.renew_at <= now) return fail(ErrorCode::unavailable, "SCEP: the certificate of the registration authority was issued for the past");
  return std::make_shared<const ScepRas>(std::move(out));
}

}  // namespace qanat::cas
