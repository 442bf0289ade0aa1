#include "services/cas/bundle_records.hpp"

#include <algorithm>

#include "crypto/kdf.hpp"

namespace qanat::cas {
namespace {

constexpr std::string_view renewed_by_another = "this bundle has been renewed by another request";
constexpr std::string_view given_up = "this request was given up in favour of a later one";

/// What stands in `certificate` as the request of one part.
Bytes part_hash(ByteView request_hash, BundleRole role) {
  return crypto::digest(crypto::Hash::sha256, {as_bytes("qanat bundle part"), request_hash, as_bytes(name(role))});
}

struct ReadBundle {
  Bundle bundle;
  bool abandoned = false;  // one of its certificates was given up
};

Result<std::optional<ReadBundle>> read(store::Transaction& transaction, std::int64_t row) {
  std::optional<ReadBundle> out;
  TRY(transaction.query("SELECT identity, number, id, renews, home_kms FROM bundle WHERE row = ?", {row}, [&](const store::Row& found) {
    out.emplace();
    out->bundle.row = row;
    out->bundle.identity = found.text(0);
    out->bundle.number = Number(found.text(1));
    out->bundle.home_kms = ElementName(found.text(4));
    if (!found.is_null(2)) out->bundle.id = found.blob(2);
    if (!found.is_null(3)) out->bundle.renews = found.integer(3);
  }));
  if (!out) return out;
  Result<void> sound;
  TRY(transaction.query(
      "SELECT m.role, c.serial, c.not_before_ms, c.not_after_ms, c.der, c.revoked_ms, c.state FROM bundle_member m JOIN certificate c ON c.serial = m.serial"
      " WHERE m.bundle = ?",
      {row}, [&](const store::Row& found) {
        const Result<BundleRole> role = crypto::parse_bundle_role(found.text(0));
        if (!role) {
          sound = fail_in("cas.db", role.error());
          return;
        }
        out->abandoned = out->abandoned || found.text(6) == "abandoned";
        out->bundle.members[*role] = {.serial = found.blob(1),
                                      .not_before = static_cast<UnixMs>(found.integer(2)),
                                      .not_after = static_cast<UnixMs>(found.integer(3)),
                                      .der = found.is_null(4) ? Bytes() : found.blob(4),
                                      .revoked_at = found.is_null(5) ? 0 : static_cast<UnixMs>(found.integer(5))};
      }));
  TRY(sound);
  return out;
}

/// The bundle in which this request is on record; 0: in none.
Result<std::int64_t> bundle_of_request(store::Transaction& transaction, const BundleIntention& intention) {
  std::int64_t out = 0;
  const BundleRole any = intention.parts.begin()->first;
  const Bytes hash = part_hash(intention.request_hash, any);
  TRY(transaction.query("SELECT m.bundle FROM certificate c JOIN bundle_member m ON m.serial = c.serial WHERE c.request_hash = ?", {ByteView(hash)},
                        [&](const store::Row& row) { out = row.integer(0); }));
  return out;
}

/// What the same request was promised before, if that still stands.
Result<Bundle> still_good(ReadBundle known, UnixMs now) {
  if (known.abandoned) return fail(ErrorCode::conflict, std::string(given_up));
  for (const auto& [role, member] : known.bundle.members) {
    if (member.revoked_at != 0) return fail(ErrorCode::denied, "the certificates of this request are revoked: enrolling again takes a new secret");
    if (member.not_after <= now) return fail(ErrorCode::denied, "the certificates of this request have expired: enrolling again takes a new secret");
  }
  return std::move(known.bundle);
}

/// One live bundle per terminal and per number: whoever holds another one must have lost it first.
Result<void> make_room(store::Transaction& transaction, const BundleIntention& intention, UnixMs now) {
  const std::string uri = intention.identity.uri();
  bool live = false;
  TRY(transaction.query("SELECT 1 FROM certificate WHERE identity = ? AND state = 'issued' AND revoked_ms IS NULL AND not_after_ms > ? LIMIT 1",
                        {std::string_view(uri), store::column(now)}, [&](const store::Row&) { live = true; }));
  if (live) return fail(ErrorCode::conflict, uri + " has a live certificate: it must expire or be revoked first");
  std::string holder;
  TRY(
      transaction.query("SELECT b.identity FROM bundle b JOIN bundle_member m ON m.bundle = b.row JOIN certificate c ON c.serial = m.serial"
                        " WHERE b.number = ? AND c.state = 'issued' AND c.revoked_ms IS NULL AND c.not_after_ms > ? LIMIT 1",
                        {std::string_view(intention.number.text()), store::column(now)}, [&](const store::Row& row) { holder = row.text(0); }));
  if (!holder.empty()) {
    return fail(ErrorCode::conflict,
                "number " + intention.number.text() + " stands in a live certificate of " + holder + ": it must expire or be revoked first");
  }
  // Whoever made an earlier request that never came to an end has begun anew.
  TRY(transaction.run("UPDATE certificate SET state = 'abandoned' WHERE identity = ? AND state = 'intended'", {std::string_view(uri)}));
  TRY(
      transaction.run("UPDATE certificate SET state = 'abandoned' WHERE state = 'intended' AND serial IN"
                      " (SELECT m.serial FROM bundle_member m JOIN bundle b ON b.row = m.bundle WHERE b.number = ?)",
                      {std::string_view(intention.number.text())}));
  return {};
}

Result<void> add_parts(store::Transaction& transaction, std::int64_t row, const BundleIntention& intention, UnixMs now) {
  const std::string uri = intention.identity.uri();
  for (const auto& [role, part] : intention.parts) {
    TRY(Records::check_key(transaction, uri, part.key_hash, now));
    const Bytes hash = part_hash(intention.request_hash, role);
    TRY(
        transaction.run("INSERT INTO certificate (serial, branch, identity, request_hash, state, not_before_ms, not_after_ms, key_hash)"
                        " VALUES (?, ?, ?, ?, 'intended', ?, ?, ?)",
                        {ByteView(part.serial), name(branch_of(role)), std::string_view(uri), ByteView(hash), store::column(part.not_before),
                         store::column(part.not_after), ByteView(part.key_hash)}));
    TRY(transaction.run("INSERT INTO bundle_member (serial, bundle, role) VALUES (?, ?, ?)", {ByteView(part.serial), row, name(role)}));
  }
  return {};
}

Result<std::int64_t> add_bundle(store::Transaction& transaction, const BundleIntention& intention, std::int64_t renews) {
  const std::string uri = intention.identity.uri();
  std::int64_t row = 0;
  TRY(transaction.query("INSERT INTO bundle (identity, number, home_kms, renews) VALUES (?, ?, ?, ?) RETURNING row",
                        {std::string_view(uri), std::string_view(intention.number.text()), std::string_view(intention.home_kms.text()),
                         renews == 0 ? store::Value() : store::Value(renews)},
                        [&](const store::Row& made) { row = made.integer(0); }));
  return row;
}

Bundle intended(std::int64_t row, std::int64_t renews, const BundleIntention& intention) {
  return {.row = row,
          .identity = intention.identity.uri(),
          .number = intention.number,
          .home_kms = intention.home_kms,
          .id = {},
          .renews = renews,
          .members = intention.parts};
}

/// This bundle, if it is live.
Result<Bundle> live_bundle(store::Transaction& transaction, std::int64_t row, UnixMs now) {
  ASSIGN_OR_RETURN(std::optional<ReadBundle> found, read(transaction, row));
  if (!found || !found->bundle.live(now))
    return fail(ErrorCode::denied, "the certificates of this bundle are not all good any more: the terminal must enrol anew");
  return std::move(found->bundle);
}

/// Whether any certificate of a bundle is still good.
Result<bool> lives_on(store::Transaction& transaction, std::int64_t row, UnixMs now) {
  bool out = false;
  TRY(
      transaction.query("SELECT 1 FROM certificate c JOIN bundle_member m ON m.serial = c.serial"
                        " WHERE m.bundle = ? AND c.state = 'issued' AND c.revoked_ms IS NULL AND c.not_after_ms > ? LIMIT 1",
                        {row, store::column(now)}, [&](const store::Row&) { out = true; }));
  return out;
}

/// The certificates of a bundle that are issued and not revoked, revoked now; what was only intended is given up.
Result<std::vector<Bytes>> end_bundle(store::Transaction& transaction, std::int64_t row, UnixMs now) {
  std::vector<Bytes> serials;
  TRY(
      transaction.query("SELECT c.serial FROM certificate c JOIN bundle_member m ON m.serial = c.serial"
                        " WHERE m.bundle = ? AND c.state = 'issued' AND c.revoked_ms IS NULL",
                        {row}, [&](const store::Row& found) { serials.push_back(found.blob(0)); }));
  for (const Bytes& serial : serials) {
    TRY(transaction.run("UPDATE certificate SET revoked_ms = ?, reason = ? WHERE serial = ?",
                        {store::column(now), std::int64_t{superseded}, ByteView(serial)}));
  }
  TRY(transaction.run("UPDATE certificate SET state = 'abandoned' WHERE state = 'intended' AND serial IN (SELECT serial FROM bundle_member WHERE bundle = ?)",
                      {row}));
  return serials;
}

/// What follows this bundle, each as far as it has come, without what was given up.
Result<std::vector<ReadBundle>> followers(store::Transaction& transaction, std::int64_t former) {
  std::vector<std::int64_t> rows;
  TRY(transaction.query("SELECT row FROM bundle WHERE renews = ? ORDER BY row", {former}, [&](const store::Row& found) { rows.push_back(found.integer(0)); }));
  std::vector<ReadBundle> out;
  for (const std::int64_t row : rows) {
    ASSIGN_OR_RETURN(std::optional<ReadBundle> one, read(transaction, row));
    const bool revoked = std::ranges::any_of(one->bundle.members, [](const auto& member) { return member.second.revoked_at != 0; });
    if (!one->abandoned && !revoked) out.push_back(*std::move(one));
  }
  return out;
}

/// How far a renewal has come with its second half. Nobody has a certificate of one that was only intended: it can be given up.
enum class Half : std::uint8_t { absent, intended, issued };
Half came_to(const Bundle& bundle) {
  const auto second = bundle.members.find(BundleRole::ml_dsa_signing);
  if (second == bundle.members.end()) return Half::absent;
  return second->second.der.empty() ? Half::intended : Half::issued;
}

}  // namespace

bool Bundle::complete() const noexcept {
  return members.size() == crypto::all_bundle_roles.size() && std::ranges::none_of(members, [](const auto& member) { return member.second.der.empty(); });
}

bool Bundle::live(UnixMs now) const noexcept {
  return complete() && std::ranges::none_of(members, [now](const auto& member) { return member.second.revoked_at != 0 || member.second.not_after <= now; });
}

Result<Bundle> BundleRecords::begin(const BundleIntention& intention, UnixMs now) {
  return store_.transact([&](store::Transaction& transaction) -> Result<Bundle> {
    ASSIGN_OR_RETURN(std::int64_t row, bundle_of_request(transaction, intention));
    if (row != 0) {
      ASSIGN_OR_RETURN(std::optional<ReadBundle> known, read(transaction, row));
      return still_good(*std::move(known), now);
    }
    TRY(make_room(transaction, intention, now));
    ASSIGN_OR_RETURN(row, add_bundle(transaction, intention, 0));
    TRY(add_parts(transaction, row, intention, now));
    return intended(row, 0, intention);
  });
}

Result<Bundle> BundleRecords::in_force(ByteView ml_dsa_serial, UnixMs now) {
  return store_.transact([&](store::Transaction& transaction) -> Result<Bundle> {
    std::int64_t row = 0;
    TRY(transaction.query("SELECT bundle FROM bundle_member WHERE serial = ? AND role = ?", {ml_dsa_serial, name(BundleRole::ml_dsa_signing)},
                          [&](const store::Row& found) { row = found.integer(0); }));
    if (row == 0) return fail(ErrorCode::denied, "the certificate is of no bundle: it cannot be renewed, the terminal must enrol anew");
    return live_bundle(transaction, row, now);
  });
}

Result<BundleRecords::Begun> BundleRecords::begin_renewal(const Bundle& former, const BundleIntention& intention, UnixMs now) {
  return store_.transact([&](store::Transaction& transaction) -> Result<Begun> {
    ASSIGN_OR_RETURN(std::int64_t row, bundle_of_request(transaction, intention));
    Begun out;
    if (row != 0) {
      ASSIGN_OR_RETURN(std::optional<ReadBundle> known, read(transaction, row));
      ASSIGN_OR_RETURN(out.bundle, still_good(*std::move(known), now));
      return out;
    }
    // Again, in the transaction that records: it may have been revoked while IAM and CMSP were asked.
    TRY(live_bundle(transaction, former.row, now));
    ASSIGN_OR_RETURN(const bool unconfirmed, lives_on(transaction, former.renews, now));
    if (unconfirmed) return fail(ErrorCode::conflict, "this bundle has not been confirmed: the one before it is still good");
    ASSIGN_OR_RETURN(const std::vector<ReadBundle> others, followers(transaction, former.row));
    for (const ReadBundle& other : others) {
      if (came_to(other.bundle) == Half::issued) return fail(ErrorCode::conflict, std::string(renewed_by_another));
      ASSIGN_OR_RETURN(std::vector<Bytes> ended, end_bundle(transaction, other.bundle.row, now));
      std::ranges::move(ended, std::back_inserter(out.given_up));
    }
    ASSIGN_OR_RETURN(row, add_bundle(transaction, intention, former.row));
    TRY(add_parts(transaction, row, intention, now));
    out.bundle = intended(row, former.row, intention);
    return out;
  });
}

Result<Bundle> BundleRecords::continue_renewal(const Bundle& former, const BundleIntention& intention, UnixMs now) {
  return store_.transact([&](store::Transaction& transaction) -> Result<Bundle> {
    ASSIGN_OR_RETURN(const std::int64_t row, bundle_of_request(transaction, intention));
    if (row != 0) {
      ASSIGN_OR_RETURN(std::optional<ReadBundle> known, read(transaction, row));
      return still_good(*std::move(known), now);
    }
    TRY(live_bundle(transaction, former.row, now));
    ASSIGN_OR_RETURN(const std::vector<ReadBundle> others, followers(transaction, former.row));
    for (const ReadBundle& other : others) {
      const Bundle& begun = other.bundle;
      if (came_to(begun) == Half::issued) return fail(ErrorCode::conflict, std::string(renewed_by_another));
      if (came_to(begun) == Half::intended) {
        return fail(ErrorCode::conflict, "another request for the ML-DSA certificate has not come to its end: that one again, or both halves anew");
      }
      if (begun.id.empty()) continue;
      TRY(add_parts(transaction, begun.row, intention, now));
      ASSIGN_OR_RETURN(std::optional<ReadBundle> out, read(transaction, begun.row));
      return std::move(out->bundle);
    }
    return fail(ErrorCode::conflict, "the classical certificate comes first: the ML-DSA certificate is to name it");
  });
}

Result<std::vector<Bytes>> BundleRecords::supersede(const Bundle& bundle, UnixMs now) {
  if (bundle.renews == 0) return std::vector<Bytes>();
  return store_.transact([&](store::Transaction& transaction) { return end_bundle(transaction, bundle.renews, now); });
}

Result<Bundle> BundleRecords::complete(std::int64_t row, const std::map<BundleRole, Bytes>& der) {
  return store_.transact([&](store::Transaction& transaction) -> Result<Bundle> {
    for (const auto& [role, octets] : der) {
      TRY(
          transaction.run("UPDATE certificate SET state = 'issued', der = ? WHERE state = 'intended' AND serial IN"
                          " (SELECT serial FROM bundle_member WHERE bundle = ? AND role = ?)",
                          {ByteView(octets), row, name(role)}));
    }
    ASSIGN_OR_RETURN(std::optional<ReadBundle> now, read(transaction, row));
    if (!now || now->abandoned) return fail(ErrorCode::conflict, std::string(given_up));
    Bundle& out = now->bundle;
    const auto first = out.members.find(BundleRole::classical_signing);
    if (out.id.empty() && first != out.members.end() && !first->second.der.empty()) {
      out.id = crypto::digest(crypto::Hash::sha256, first->second.der);
      TRY(transaction.run("UPDATE bundle SET id = ? WHERE row = ?", {ByteView(out.id), row}));
    }
    return std::move(out);
  });
}

Result<std::vector<BundleRecords::IssuedInName>> BundleRecords::issued_to(const Identity& identity, UnixMs now, std::size_t most) {
  const std::string uri = identity.uri();
  const std::string joint = holder_text(identity, Held::jointly);  // what a CCS got in its name: not of a bundle
  std::vector<IssuedInName> out;
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.query(
        "SELECT c.der, c.revoked_ms, CASE c.identity WHEN ?1 THEN m.role ELSE 'joint' END, b.id FROM certificate c"
        " LEFT JOIN bundle_member m ON m.serial = c.serial LEFT JOIN bundle b ON b.row = m.bundle"
        " WHERE c.identity IN (?1, ?2) AND c.state = 'issued' AND c.not_after_ms > ?3 ORDER BY c.rowid DESC LIMIT ?4",
        {std::string_view(uri), std::string_view(joint), store::column(now), store::column(most)}, [&](const store::Row& row) {
          out.push_back({.role = row.is_null(2) ? std::string() : row.text(2),
                         .bundle = row.is_null(3) ? Bytes() : row.blob(3),
                         .der = row.blob(0),
                         .revoked_at = row.is_null(1) ? 0 : static_cast<UnixMs>(row.integer(1))});
        });
  }));
  return out;
}

}  // namespace qanat::cas
