// The issuing CAs in cas.db: those that issue, those before them, those to come.
#include "base/check.hpp"
#include "services/cas/authority_contexts.hpp"
#include "services/cas/records.hpp"

namespace qanat::cas {
namespace {

struct AuthorityRow {
  std::int64_t generation = 0;
  Bytes certificate;
  Bytes sealed_key;
};

AuthorityRow authority_row(const store::Row& row) { return {.generation = row.integer(0), .certificate = row.blob(1), .sealed_key = row.blob(2)}; }

Result<Authority> open_authority(crypto::CryptoDevice& device, const crypto::Suite& suite, Branch branch, const AuthorityRow& row, ByteView context) {
  ASSIGN_OR_RETURN(crypto::Certificate certificate, crypto::Certificate::parse(row.certificate));
  if (certificate.key_algorithm() != key_algorithm(suite, branch)) {
    return fail(ErrorCode::invalid_argument, "the issuing CA " + certificate.subject() + " is not of suite " + std::string(suite.name));
  }
  ASSIGN_OR_RETURN(Secret secret, device.unseal(context, row.sealed_key));
  crypto::PrivateKey key{.algorithm = certificate.key_algorithm(), .secret = std::move(secret)};
  return Result<Authority>(Authority{.certificate = std::move(certificate), .key = std::move(key), .generation = row.generation});
}

/// Moves the branch's issuing CA to the earlier ones, its key sealed for its new place.
Result<void> retire(store::Transaction& transaction, crypto::CryptoDevice& device, Branch branch, UnixMs now) {
  AuthorityRow old;
  TRY(transaction.query("SELECT generation, certificate, sealed_key FROM authority WHERE branch = ?", {name(branch)},
                        [&](const store::Row& row) { old = authority_row(row); }));
  if (old.certificate.empty()) return fail(ErrorCode::not_found, "cas.db holds no issuing CA: the ceremony has not been held");
  ASSIGN_OR_RETURN(const Secret key, device.unseal(authority_context(branch), old.sealed_key));
  ASSIGN_OR_RETURN(const Bytes sealed, device.seal(earlier_context(branch, old.generation), key));
  TRY(transaction.run("INSERT INTO earlier_authority (branch, generation, certificate, sealed_key, succeeded_ms) VALUES (?, ?, ?, ?, ?)",
                      {name(branch), old.generation, ByteView(old.certificate), ByteView(sealed), store::column(now)}));
  TRY(transaction.run("DELETE FROM authority WHERE branch = ?", {name(branch)}));
  return {};
}

/// Makes the one that waits the branch's issuing CA.
Result<void> promote(store::Transaction& transaction, crypto::CryptoDevice& device, Branch branch, const crypto::Certificate& certificate) {
  std::int64_t generation = 0;
  Bytes waiting;
  TRY(transaction.query("SELECT generation, sealed_key FROM next_authority WHERE branch = ?", {name(branch)}, [&](const store::Row& row) {
    generation = row.integer(0);
    waiting = row.blob(1);
  }));
  if (waiting.empty()) return fail(ErrorCode::conflict, "no issuing CA waits for a certificate: ask for one first (qanat ca rollover --request)");
  crypto::PrivateKey key{.algorithm = certificate.key_algorithm(), .secret = {}};
  ASSIGN_OR_RETURN(key.secret, device.unseal(next_context(branch, generation), waiting));
  ASSIGN_OR_RETURN(const Bytes own, crypto::public_octets(key));
  if (own != certificate.public_key()) return fail(ErrorCode::denied, certificate.subject() + " is over another key than the one that waits");
  ASSIGN_OR_RETURN(const Bytes sealed, device.seal(authority_context(branch), key.secret));
  TRY(transaction.run("INSERT INTO authority (branch, certificate, sealed_key, generation) VALUES (?, ?, ?, ?)",
                      {name(branch), ByteView(certificate.der()), ByteView(sealed), generation}));
  TRY(transaction.run("DELETE FROM next_authority WHERE branch = ?", {name(branch)}));
  return {};
}

}  // namespace

const std::vector<Authority>& Authorities::earlier(Branch branch) const noexcept {
  static const std::vector<Authority> none;  // the device CA has no rollover
  if (branch == Branch::devices) return none;
  return branch == Branch::ml_dsa ? earlier_ml_dsa : earlier_classical;
}

const Authority& Authorities::of(Branch branch) const noexcept {
  if (branch != Branch::devices) return branch == Branch::ml_dsa ? ml_dsa : classical;
  CHECK(devices.has_value());
  return *devices;
}

std::span<const Branch> Authorities::branches() const noexcept {
  static constexpr std::array every{Branch::ml_dsa, Branch::classical, Branch::devices};
  static_assert(every.size() == branch_count);
  return std::span(every).first(devices ? every.size() : all_branches.size());
}

const Authority* Authorities::issuer_of(Branch branch, const crypto::Certificate& certificate) const {
  const auto issued = [&](const Authority& authority) { return crypto::TrustStore({}, {authority.certificate}).issuer_of(certificate) != nullptr; };
  if (issued(of(branch))) return &of(branch);
  for (const Authority& authority : earlier(branch)) {
    if (issued(authority)) return &authority;
  }
  return nullptr;
}

Result<Authorities> Records::authorities(const crypto::Suite& suite) {
  const auto find = [&](Branch branch) -> Result<AuthorityRow> {
    AuthorityRow found;
    TRY(store_->transact([&](store::Transaction& transaction) {
      return transaction.query("SELECT generation, certificate, sealed_key FROM authority WHERE branch = ?", {name(branch)},
                               [&](const store::Row& row) { found = authority_row(row); });
    }));
    return found;
  };
  const auto read = [&](Branch branch) -> Result<Authority> {
    ASSIGN_OR_RETURN(const AuthorityRow found, find(branch));
    if (found.certificate.empty()) return fail(ErrorCode::not_found, "cas.db holds no issuing CA: the ceremony has not been held");
    return open_authority(device_, suite, branch, found, authority_context(branch));
  };
  const auto read_earlier = [&](Branch branch) -> Result<std::vector<Authority>> {
    std::vector<AuthorityRow> rows;
    TRY(store_->transact([&](store::Transaction& transaction) {
      return transaction.query("SELECT generation, certificate, sealed_key FROM earlier_authority WHERE branch = ? ORDER BY generation DESC", {name(branch)},
                               [&](const store::Row& row) { rows.push_back(authority_row(row)); });
    }));
    std::vector<Authority> out;
    for (const AuthorityRow& row : rows) {
      ASSIGN_OR_RETURN(Authority one, open_authority(device_, suite, branch, row, earlier_context(branch, row.generation)));
      out.push_back(std::move(one));
    }
    return Result<std::vector<Authority>>(std::move(out));
  };
  ASSIGN_OR_RETURN(Authority ml_dsa, read(Branch::ml_dsa));
  ASSIGN_OR_RETURN(Authority classical, read(Branch::classical));
  Authorities out{.ml_dsa = std::move(ml_dsa), .classical = std::move(classical)};
  ASSIGN_OR_RETURN(out.earlier_ml_dsa, read_earlier(Branch::ml_dsa));
  ASSIGN_OR_RETURN(out.earlier_classical, read_earlier(Branch::classical));
  ASSIGN_OR_RETURN(const AuthorityRow devices, find(Branch::devices));
  if (!devices.certificate.empty()) {
    ASSIGN_OR_RETURN(out.devices, open_authority(device_, suite, Branch::devices, devices, authority_context(Branch::devices)));
  }
  return Result<Authorities>(std::move(out));
}

Result<void> Records::keep_device_authority(const Authority& authority) {
  return store_->transact([&](store::Transaction& transaction) -> Result<void> {
    ASSIGN_OR_RETURN(const Bytes sealed, device_.seal(authority_context(Branch::devices), authority.key.secret));
    TRY(transaction.run("INSERT INTO authority (branch, certificate, sealed_key) VALUES (?, ?, ?)",
                        {name(Branch::devices), ByteView(authority.certificate.der()), ByteView(sealed)}));
    return {};
  });
}

Result<std::vector<NextAuthority>> Records::next_authorities() {
  std::vector<NextAuthority> out;
  for (const Branch branch : all_branches) {
    TRY(store_->transact([&](store::Transaction& transaction) {
      return transaction.query("SELECT generation, request FROM next_authority WHERE branch = ?", {name(branch)},
                               [&](const store::Row& row) { out.push_back({.branch = branch, .generation = row.integer(0), .request = row.blob(1)}); });
    }));
  }
  return out;
}

Result<void> Records::keep_next(std::span<const std::pair<NextAuthority, const crypto::PrivateKey*>> next) {
  return store_->transact([&](store::Transaction& transaction) -> Result<void> {
    for (const auto& [one, key] : next) {
      ASSIGN_OR_RETURN(const Bytes sealed, device_.seal(next_context(one.branch, one.generation), key->secret));
      TRY(transaction.run("INSERT INTO next_authority (branch, generation, sealed_key, request) VALUES (?, ?, ?, ?)",
                          {name(one.branch), one.generation, ByteView(sealed), ByteView(one.request)}));
    }
    return {};
  });
}

Result<void> Records::succeed(std::span<const crypto::Certificate> certificates, UnixMs now) {
  CHECK(certificates.size() == all_branches.size());
  return store_->transact([&](store::Transaction& transaction) -> Result<void> {
    for (std::size_t i = 0; i < all_branches.size(); ++i) {
      TRY(retire(transaction, device_, all_branches[i], now));
      TRY(promote(transaction, device_, all_branches[i], certificates[i]));
    }
    return {};
  });
}

}  // namespace qanat::cas
