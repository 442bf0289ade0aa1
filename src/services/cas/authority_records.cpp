// The issuing CAs in cas.db: those that issue, those before them, those to come.
#include <algorithm>

#include "base/check.hpp"
#include "services/cas/authority_contexts.hpp"
#include "services/cas/records.hpp"
#include "store/long_lived.hpp"

namespace qanat::cas {
namespace {

struct AuthorityRow {
  std::int64_t generation = 0;
  Bytes certificate;
  Bytes sealed_key;
};

AuthorityRow authority_row(const store::Row& row) { return {.generation = row.integer(0), .certificate = row.blob(1), .sealed_key = row.blob(2)}; }

/// Where an issuing CA's key stands.
struct KeyPlace {
  store::Store& store;
  crypto::CryptoDevice& device;
  std::string_view table;
};

Result<Authority> open_authority(const KeyPlace& place, const crypto::Suite& suite, Branch branch, const AuthorityRow& row, ByteView context) {
  ASSIGN_OR_RETURN(crypto::Certificate certificate, crypto::Certificate::parse(row.certificate));
  if (certificate.key_algorithm() != key_algorithm(suite, branch)) {
    return fail(ErrorCode::invalid_argument, "the issuing CA " + certificate.subject() + " is not of suite " + std::string(suite.name));
  }
  ASSIGN_OR_RETURN(Secret secret, store::unseal_long_lived(place.store, place.device, place.table, "sealed_key", context, row.sealed_key));
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

Result<std::optional<crypto::Certificate>> read_link(const Bytes& der) {
  using Link = std::optional<crypto::Certificate>;
  if (der.empty()) return Link();
  ASSIGN_OR_RETURN(crypto::Certificate certificate, crypto::Certificate::parse(der));
  return Link(std::move(certificate));
}

Result<std::vector<DeviceSuccession>> read_successions(store::Store& store) {
  struct SuccessionRow {
    std::int64_t generation;
    Bytes new_with_new;
    Bytes new_with_old;
    Bytes old_with_new;
    bool installed;
  };
  std::vector<SuccessionRow> rows;
  TRY(store.transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT generation, new_with_new, new_with_old, old_with_new, sealed_key FROM device_succession ORDER BY generation DESC", {},
                             [&](const store::Row& row) {
                               rows.push_back({.generation = row.integer(0),
                                               .new_with_new = row.blob(1),
                                               .new_with_old = row.is_null(2) ? Bytes() : row.blob(2),
                                               .old_with_new = row.is_null(3) ? Bytes() : row.blob(3),
                                               .installed = row.is_null(4)});
                             });
  }));
  std::vector<DeviceSuccession> out;
  for (const SuccessionRow& row : rows) {
    ASSIGN_OR_RETURN(crypto::Certificate new_with_new, crypto::Certificate::parse(row.new_with_new));
    DeviceSuccession one{.generation = row.generation, .new_with_new = std::move(new_with_new), .installed = row.installed};
    ASSIGN_OR_RETURN(one.new_with_old, read_link(row.new_with_old));
    ASSIGN_OR_RETURN(one.old_with_new, read_link(row.old_with_new));
    out.push_back(std::move(one));
  }
  return out;
}

store::Value link_value(const std::optional<crypto::Certificate>& link) { return link ? store::Value(ByteView(link->der())) : store::Value(); }

}  // namespace

const std::vector<Authority>& Authorities::earlier(Branch branch) const noexcept {
  if (branch == Branch::devices) return earlier_devices;
  return branch == Branch::ml_dsa ? earlier_ml_dsa : earlier_classical;
}

const Authority& Authorities::of(Branch branch) const noexcept {
  if (branch != Branch::devices) return branch == Branch::ml_dsa ? ml_dsa : classical;
  CHECK(devices.has_value());
  return *devices;
}

const DeviceSuccession* Authorities::next_devices() const noexcept {
  return device_successions.empty() || device_successions.front().installed ? nullptr : &device_successions.front();
}

const DeviceSuccession* Authorities::last_devices() const noexcept {
  const auto found = std::ranges::find_if(device_successions, &DeviceSuccession::installed);
  return found == device_successions.end() ? nullptr : &*found;
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
  const KeyPlace in_force{*store_, device_, "authority"};
  const KeyPlace before{*store_, device_, "earlier_authority"};
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
    return open_authority(in_force, suite, branch, found, authority_context(branch));
  };
  const auto read_earlier = [&](Branch branch) -> Result<std::vector<Authority>> {
    std::vector<AuthorityRow> rows;
    TRY(store_->transact([&](store::Transaction& transaction) {
      return transaction.query("SELECT generation, certificate, sealed_key FROM earlier_authority WHERE branch = ? ORDER BY generation DESC", {name(branch)},
                               [&](const store::Row& row) { rows.push_back(authority_row(row)); });
    }));
    std::vector<Authority> out;
    for (const AuthorityRow& row : rows) {
      ASSIGN_OR_RETURN(Authority one, open_authority(before, suite, branch, row, earlier_context(branch, row.generation)));
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
    ASSIGN_OR_RETURN(out.devices, open_authority(in_force, suite, Branch::devices, devices, authority_context(Branch::devices)));
  }
  ASSIGN_OR_RETURN(out.earlier_devices, read_earlier(Branch::devices));
  ASSIGN_OR_RETURN(out.device_successions, read_successions(*store_));
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

Result<void> Records::keep_next_devices(const DeviceSuccession& next, const crypto::PrivateKey& key) {
  return store_->transact([&](store::Transaction& transaction) -> Result<void> {
    std::int64_t waiting = 0;
    TRY(transaction.query("SELECT count(*) FROM device_succession WHERE sealed_key IS NOT NULL", {}, [&](const store::Row& row) { waiting = row.integer(0); }));
    if (waiting != 0) return fail(ErrorCode::conflict, "a next device CA waits already");
    ASSIGN_OR_RETURN(const Bytes sealed, device_.seal(next_device_context(next.generation), key.secret));
    TRY(transaction.run("INSERT INTO device_succession (generation, new_with_new, new_with_old, old_with_new, sealed_key) VALUES (?, ?, ?, ?, ?)",
                        {next.generation, ByteView(next.new_with_new.der()), link_value(next.new_with_old), link_value(next.old_with_new), ByteView(sealed)}));
    // The directory gets to know it, too.
    TRY(transaction.run("INSERT OR REPLACE INTO outbox (kind, branch, name) VALUES ('authority', ?, x'')", {name(Branch::devices)}));
    return {};
  });
}

Result<void> Records::succeed_devices(UnixMs now) {
  return store_->transact([&](store::Transaction& transaction) -> Result<void> {
    AuthorityRow next;
    TRY(transaction.query("SELECT generation, new_with_new, sealed_key FROM device_succession WHERE sealed_key IS NOT NULL", {},
                          [&](const store::Row& row) { next = authority_row(row); }));
    if (next.certificate.empty()) return fail(ErrorCode::conflict, "no device CA waits: prepare one first (qanat ca rollover-devices --prepare)");
    ASSIGN_OR_RETURN(const crypto::Certificate certificate, crypto::Certificate::parse(next.certificate));
    crypto::PrivateKey key{.algorithm = certificate.key_algorithm(), .secret = {}};
    ASSIGN_OR_RETURN(key.secret, device_.unseal(next_device_context(next.generation), next.sealed_key));
    ASSIGN_OR_RETURN(const Bytes own, crypto::public_octets(key));
    if (own != certificate.public_key()) return fail(ErrorCode::internal, "cas.db: the key that waits is not that of " + certificate.subject());
    TRY(retire(transaction, device_, Branch::devices, now));
    ASSIGN_OR_RETURN(const Bytes sealed, device_.seal(authority_context(Branch::devices), key.secret));
    TRY(transaction.run("INSERT INTO authority (branch, certificate, sealed_key, generation) VALUES (?, ?, ?, ?)",
                        {name(Branch::devices), ByteView(next.certificate), ByteView(sealed), next.generation}));
    TRY(transaction.run("UPDATE device_succession SET sealed_key = NULL WHERE generation = ?", {next.generation}));
    return {};
  });
}

}  // namespace qanat::cas
