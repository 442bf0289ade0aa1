#include "services/iam/idm/register.hpp"

#include <algorithm>

#include "crypto/kdf.hpp"
#include "node/crash_point.hpp"

namespace qanat::iam {
namespace {

constexpr std::string_view identity_columns =
    "SELECT uid, class, domain, uri, number, home_kms, name, mail, external_id, status, version, epoch, created_ms, changed_ms, user_name, "
    "keys_per_second, keys_per_day, peer_domains FROM identity ";

struct StoredIdentity {
  IdentityRecord record;
  std::string of;
  std::string uri;
  std::string standing;
};

StoredIdentity columns_of(const store::Row& row) {
  StoredIdentity out;
  out.record.uid = Uid(row.text(0));
  out.of = row.text(1);
  out.record.domain = row.text(2);
  out.uri = row.text(3);
  if (!row.is_null(4)) out.record.number = Number(row.text(4));
  out.record.home_kms = ElementName(row.text(5));
  out.record.name = row.text(6);
  out.record.mail = row.text(7);
  out.record.external_id = row.text(8);
  out.standing = row.text(9);
  out.record.version = row.integer(10);
  out.record.epoch = row.integer(11);
  out.record.created_ms = static_cast<UnixMs>(row.integer(12));
  out.record.changed_ms = static_cast<UnixMs>(row.integer(13));
  out.record.user_name = row.text(14);
  out.record.sae = {.keys_per_second = row.integer(15), .keys_per_day = row.integer(16), .peer_domains = split_domains(row.text(17))};
  return out;
}

Result<IdentityRecord> complete(store::Transaction& transaction, StoredIdentity stored) {
  IdentityRecord out = std::move(stored.record);
  ASSIGN_OR_RETURN(out.of, parse_identity_class(stored.of));
  ASSIGN_OR_RETURN(out.standing, parse_standing(stored.standing));
  if (!stored.uri.empty()) {
    ASSIGN_OR_RETURN(out.uri, Identity::parse_uri(stored.uri));
  }
  TRY(transaction.query("SELECT thumbprint FROM identity_certificate WHERE uid = ? ORDER BY thumbprint", {std::string_view(out.uid.text())},
                        [&](const store::Row& row) { out.certificates.push_back(row.blob(0)); }));
  return out;
}

Result<std::vector<IdentityRecord>> complete(store::Transaction& transaction, std::vector<StoredIdentity> stored) {
  std::vector<IdentityRecord> out;
  for (StoredIdentity& one : stored) {
    ASSIGN_OR_RETURN(IdentityRecord record, complete(transaction, std::move(one)));
    out.push_back(std::move(record));
  }
  return out;
}

std::unexpected<Error> no_identity(const std::string& what) { return fail(ErrorCode::not_found, "there is no identity " + what); }

std::unexpected<Error> version_conflict(const IdentityRecord& record, std::int64_t wanted) {
  return fail(ErrorCode::conflict, "identity '" + record.uid.text() + "' is of version " + std::to_string(record.version) + ", not " + std::to_string(wanted));
}

store::Value optional_text(const std::string& text) { return text.empty() ? store::Value(std::monostate()) : store::Value(std::string_view(text)); }

Result<void> put_certificates(store::Transaction& transaction, const IdentityRecord& record) {
  TRY(transaction.run("DELETE FROM identity_certificate WHERE uid = ?", {std::string_view(record.uid.text())}));
  for (const Bytes& one : record.certificates) {
    TRY(transaction.run("INSERT INTO identity_certificate (thumbprint, uid) VALUES (?, ?)", {ByteView(one), std::string_view(record.uid.text())}));
  }
  return {};
}

/// As with its grant: without a security administrator nobody could make another.
Result<void> check_not_last_administrator(store::Transaction& transaction, const Uid& uid) {
  std::vector<std::string> administrators;
  TRY(transaction.query("SELECT DISTINCT subject FROM role_grant WHERE role = 'security-administrator'", {},
                        [&](const store::Row& row) { administrators.push_back(row.text(0)); }));
  if (administrators.size() == 1 && administrators.front() == uid.text()) {
    return fail(ErrorCode::denied, "identity '" + uid.text() + "' is the last security administrator");
  }
  return {};
}

/// Who could enter a certificate or a name for a subject could act as that one: an operator would have the other duties so.
Result<void> check_no_other_duty(store::Transaction& transaction, const Uid& uid) {
  std::string role;
  TRY(transaction.query(
      "SELECT role.name FROM role_grant JOIN role ON role.name = role_grant.role WHERE role_grant.subject = ? AND role.duty IN ('security', 'audit') LIMIT 1",
      {std::string_view(uid.text())}, [&](const store::Row& row) { role = row.text(0); }));
  if (!role.empty()) return fail(ErrorCode::denied, "separation of duties: '" + uid.text() + "' has the role " + role + ": no operator says who that is");
  return {};
}

/// What the database says of a taken name names its columns; here it names the record.
template <class T>
Result<T> taken(Result<T> outcome, const Uid& uid) {
  if (outcome || outcome.error().code != ErrorCode::conflict || !outcome.error().message.contains("UNIQUE")) return outcome;
  return fail(ErrorCode::conflict, "identity '" + uid.text() + "': its uid, user name, number, uri or a certificate is another's");
}

}  // namespace

Result<std::optional<IdentityRecord>> IdentityRegister::read(store::Transaction& transaction, const Uid& uid) {
  std::optional<StoredIdentity> found;
  TRY(transaction.query(std::string(identity_columns) + "WHERE uid = ?", {std::string_view(uid.text())},
                        [&](const store::Row& row) { found = columns_of(row); }));
  if (!found) return std::optional<IdentityRecord>();
  ASSIGN_OR_RETURN(IdentityRecord out, complete(transaction, *std::move(found)));
  return std::optional(std::move(out));
}

Result<IdentityRecord> IdentityRegister::insert(store::Transaction& transaction, const IdentityRecord& record, UnixMs now) {
  if (record.of != IdentityClass::element && for_elements_.contains(record.uid.text())) {
    return fail(ErrorCode::conflict, "identity '" + record.uid.text() + "': this uid is for the element of this name in iam.elements");
  }
  IdentityRecord out = record;
  out.version = 1;
  out.epoch = 0;
  // A uid that was deleted comes back behind what it was: an old token or an old version never fits the new record.
  TRY(transaction.query("SELECT version, epoch FROM deleted_identity WHERE uid = ?", {std::string_view(record.uid.text())}, [&](const store::Row& row) {
    out.version = row.integer(0) + 1;
    out.epoch = row.integer(1);
  }));
  out.created_ms = out.changed_ms = now;
  const std::string uri = out.uri ? out.uri->uri() : "";
  const std::string number = out.number ? out.number->text() : "";
  TRY(transaction.run(
      "INSERT INTO identity (uid, class, domain, uri, number, home_kms, name, mail, external_id, status, version, epoch, created_ms, changed_ms, user_name, "
      "keys_per_second, keys_per_day, peer_domains) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      {std::string_view(out.uid.text()), iam::name(out.of), std::string_view(out.domain), optional_text(uri), optional_text(number),
       std::string_view(out.home_kms.text()), std::string_view(out.name), std::string_view(out.mail), std::string_view(out.external_id),
       iam::name(out.standing), out.version, out.epoch, store::column(now), store::column(now), std::string_view(out.user_name), out.sae.keys_per_second,
       out.sae.keys_per_day, std::string_view(joined_domains(out.sae.peer_domains))}));
  TRY(put_certificates(transaction, out));
  if (out.is_sae()) TRY(epoch_ended_(transaction, out.uid.text(), out.epoch));  // the KMSs hear of it at once
  return out;
}

Result<IdentityRecord> IdentityRegister::replace(store::Transaction& transaction, const IdentityRecord& before, IdentityRecord after, UnixMs now) {
  if (after.certificates != before.certificates || after.uri != before.uri) TRY(check_no_other_duty(transaction, before.uid));
  after.version = before.version + 1;
  after.changed_ms = now;
  const bool ends = before.standing == Standing::active && after.standing == Standing::suspended;
  after.epoch = before.epoch + (ends ? 1 : 0);
  const std::string uri = after.uri ? after.uri->uri() : "";
  const std::string number = after.number ? after.number->text() : "";
  TRY(transaction.run(
      "UPDATE identity SET class = ?, domain = ?, uri = ?, number = ?, home_kms = ?, name = ?, mail = ?, external_id = ?, status = ?, version = ?, epoch = ?, "
      "changed_ms = ?, user_name = ?, keys_per_second = ?, keys_per_day = ?, peer_domains = ? WHERE uid = ?",
      {iam::name(after.of), std::string_view(after.domain), optional_text(uri), optional_text(number), std::string_view(after.home_kms.text()),
       std::string_view(after.name), std::string_view(after.mail), std::string_view(after.external_id), iam::name(after.standing), after.version, after.epoch,
       store::column(now), std::string_view(after.user_name), after.sae.keys_per_second, after.sae.keys_per_day,
       std::string_view(joined_domains(after.sae.peer_domains)), std::string_view(after.uid.text())}));
  TRY(put_certificates(transaction, after));
  // What a KMS knows of an SAE is void whatever has changed of it.
  if (ends || before.is_sae() || after.is_sae()) TRY(epoch_ended_(transaction, after.uid.text(), after.epoch));
  return after;
}

Result<IdentityRecord> IdentityRegister::create(const IdentityRecord& record, UnixMs now) {
  auto made = taken(store_.transact([&](store::Transaction& transaction) -> Result<IdentityRecord> {
    ASSIGN_OR_RETURN(const auto known, read(transaction, record.uid));
    if (known && known->says_the_same(record)) return *known;
    return insert(transaction, record, now);
  }), record.uid);
  node::crash_point("iam.identity.created");
  return made;
}

Result<std::int64_t> IdentityRegister::import(const std::vector<IdentityRecord>& records, UnixMs now) {
  std::string at;
  const auto done = store_.transact([&](store::Transaction& transaction) -> Result<std::int64_t> {
    std::int64_t count = 0;
    for (const IdentityRecord& record : records) {
      at = record.uid.text();
      ASSIGN_OR_RETURN(const auto known, read(transaction, record.uid));
      if (known && known->says_the_same(record)) continue;
      if (known && known->of != record.of) return fail(ErrorCode::conflict, "identity '" + at + "' is a " + std::string(iam::name(known->of)));
      if (known) {
        TRY(replace(transaction, *known, record, now));
      } else {
        TRY(insert(transaction, record, now));
      }
      ++count;
    }
    return count;
  });
  return taken(done, Uid(at));
}

Result<IdentityRecord> IdentityRegister::find_by(std::string_view sql, store::Value value, const std::string& what) {
  return store_.transact([&](store::Transaction& transaction) -> Result<IdentityRecord> {
    std::optional<StoredIdentity> found;
    TRY(transaction.query(std::string(identity_columns) + std::string(sql), {value}, [&](const store::Row& row) { found = columns_of(row); }));
    if (!found) return no_identity(what);
    return complete(transaction, *std::move(found));
  });
}

Result<IdentityRecord> IdentityRegister::find(const Uid& uid) { return find_by("WHERE uid = ?", std::string_view(uid.text()), "'" + uid.text() + "'"); }
Result<IdentityRecord> IdentityRegister::find(const Identity& uri) {
  const std::string text = uri.uri();
  return find_by("WHERE uri = ?", std::string_view(text), text);
}
Result<IdentityRecord> IdentityRegister::find(const Number& number) {
  return find_by("WHERE number = ?", std::string_view(number.text()), "with the number " + number.text());
}
Result<IdentityRecord> IdentityRegister::find_by_certificate(ByteView thumbprint) {
  return find_by("WHERE uid = (SELECT uid FROM identity_certificate WHERE thumbprint = ?)", thumbprint, "with this certificate");
}

Result<std::optional<IdentityRecord>> IdentityRegister::find_by_user_name(const std::string& user_name) {
  auto found = find_by("WHERE user_name = ? COLLATE NOCASE AND user_name <> ''", std::string_view(user_name), "with this user name");
  if (!found && found.error().code == ErrorCode::not_found) return std::optional<IdentityRecord>();
  TRY(found);
  return std::optional(*std::move(found));
}

Result<std::vector<IdentityRecord>> IdentityRegister::find_by_external_id(const std::string& external_id, const std::string& after, std::int64_t limit) {
  return store_.transact([&](store::Transaction& transaction) -> Result<std::vector<IdentityRecord>> {
    std::vector<StoredIdentity> found;
    TRY(transaction.query(std::string(identity_columns) + "WHERE external_id = ? AND external_id <> '' AND uid > ? ORDER BY uid LIMIT ?",
                          {std::string_view(external_id), std::string_view(after), limit},
                          [&](const store::Row& row) { found.push_back(columns_of(row)); }));
    return complete(transaction, std::move(found));
  });
}

Result<bool> IdentityRegister::is_free(const Uid& uid) {
  if (for_elements_.contains(uid.text())) return false;
  bool used = false;
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT 1 FROM identity WHERE uid = ?1 UNION SELECT 1 FROM deleted_identity WHERE uid = ?1", {std::string_view(uid.text())},
                             [&](const store::Row&) { used = true; });
  }));
  return !used;
}

Result<IdentityRecord> IdentityRegister::put(std::int64_t version, const IdentityRecord& wanted, UnixMs now) {
  TRY(check(wanted));
  auto out = taken(store_.transact([&](store::Transaction& transaction) -> Result<IdentityRecord> {
    ASSIGN_OR_RETURN(const auto known, read(transaction, wanted.uid));
    if (!known) return no_identity("'" + wanted.uid.text() + "'");
    if (known->says_the_same(wanted)) return *known;
    if (known->version != version) return version_conflict(*known, version);
    return replace(transaction, *known, wanted, now);
  }), wanted.uid);
  return out;
}

Result<IdentityRecord> IdentityRegister::change(const Uid& uid, std::int64_t version, const wire::Json& set, UnixMs now) {
  auto out = taken(store_.transact([&](store::Transaction& transaction) -> Result<IdentityRecord> {
    ASSIGN_OR_RETURN(const auto known, read(transaction, uid));
    if (!known) return no_identity("'" + uid.text() + "'");
    ASSIGN_OR_RETURN(IdentityRecord wanted, changed(*known, set));
    if (known->version != version) {
      // An answer that was lost: what is asked for was done, and nothing since.
      if (known->version == version + 1 && wanted.says_the_same(*known)) return *known;
      return version_conflict(*known, version);
    }
    if (wanted.says_the_same(*known)) return *known;
    return replace(transaction, *known, std::move(wanted), now);
  }), uid);
  return out;
}

Result<IdentityRecord> IdentityRegister::set_standing(const Uid& uid, std::optional<std::int64_t> version, Standing standing, UnixMs now) {
  auto out = store_.transact([&](store::Transaction& transaction) -> Result<IdentityRecord> {
    ASSIGN_OR_RETURN(const auto known, read(transaction, uid));
    if (!known) return no_identity("'" + uid.text() + "'");
    if (known->standing == standing) return *known;
    if (version && known->version != *version) return version_conflict(*known, *version);
    IdentityRecord wanted = *known;
    wanted.standing = standing;
    return replace(transaction, *known, std::move(wanted), now);
  });
  node::crash_point("iam.subscriber.changed");
  return out;
}

Result<void> IdentityRegister::remove(const Uid& uid, std::int64_t version, UnixMs now) {
  const auto out = store_.transact([&](store::Transaction& transaction) -> Result<void> {
    ASSIGN_OR_RETURN(const auto known, read(transaction, uid));
    if (!known) {
      bool done = false;
      TRY(transaction.query("SELECT 1 FROM deleted_identity WHERE uid = ? AND version = ?", {std::string_view(uid.text()), version},
                            [&](const store::Row&) { done = true; }));
      if (done) return {};
      return no_identity("'" + uid.text() + "'");
    }
    if (known->version != version) return version_conflict(*known, version);
    TRY(check_not_last_administrator(transaction, uid));
    TRY(transaction.run("DELETE FROM role_grant WHERE subject = ?", {std::string_view(uid.text())}));
    TRY(transaction.run("DELETE FROM identity WHERE uid = ?", {std::string_view(uid.text())}));
    TRY(transaction.run("INSERT INTO deleted_identity (uid, version, epoch, deleted_ms) VALUES (?, ?, ?, ?) "
                        "ON CONFLICT (uid) DO UPDATE SET version = excluded.version, epoch = excluded.epoch, deleted_ms = excluded.deleted_ms",
                        {std::string_view(uid.text()), version, known->epoch + 1, store::column(now)}));
    return epoch_ended_(transaction, uid.text(), known->epoch + 1);
  });
  return out;
}

Result<std::int64_t> IdentityRegister::end_epoch(const Uid& uid) {
  auto out = store_.transact([&](store::Transaction& transaction) -> Result<std::int64_t> {
    ASSIGN_OR_RETURN(const auto known, read(transaction, uid));
    if (!known) return no_identity("'" + uid.text() + "'");
    TRY(end_epochs(transaction, uid.text()));
    return known->epoch + 1;
  });
  return out;
}

Result<void> IdentityRegister::end_epochs(store::Transaction& transaction, const std::string& subject) {
  if (const auto of = class_in(subject)) {
    TRY(transaction.run("UPDATE identity SET epoch = epoch + 1 WHERE class = ?", {iam::name(*of)}));
    return epoch_ended_(transaction, subject, 0);
  }
  std::optional<std::int64_t> epoch;
  TRY(transaction.query("UPDATE identity SET epoch = epoch + 1 WHERE uid = ? RETURNING epoch", {std::string_view(subject)},
                        [&](const store::Row& row) { epoch = row.integer(0); }));
  if (!epoch) return {};
  return epoch_ended_(transaction, subject, *epoch);
}

Result<void> IdentityRegister::note_certificate(const Uid& uid, ByteView thumbprint) {
  return store_.transact([&](store::Transaction& transaction) -> Result<void> {
    bool known = false;
    TRY(transaction.query("SELECT 1 FROM identity_certificate WHERE thumbprint = ?", {thumbprint}, [&](const store::Row&) { known = true; }));
    if (known) return {};
    // No more than the record may have: the table is no history. Whoever renews shows a new one now and then, and the oldest goes.
    TRY(transaction.run(
        "DELETE FROM identity_certificate WHERE rowid IN (SELECT rowid FROM identity_certificate WHERE uid = ?1 ORDER BY rowid DESC LIMIT -1 OFFSET ?2)",
        {std::string_view(uid.text()), static_cast<std::int64_t>(certificates_max) - 1}));
    TRY(transaction.run("INSERT INTO identity_certificate (thumbprint, uid) VALUES (?, ?)", {thumbprint, std::string_view(uid.text())}));
    return {};
  });
}

Result<std::vector<IdentityRecord>> IdentityRegister::list(const IdentityFilter& filter, const std::string& after, std::int64_t limit) {
  return store_.transact([&](store::Transaction& transaction) -> Result<std::vector<IdentityRecord>> {
    std::vector<StoredIdentity> found;
    const std::string_view of = filter.of ? iam::name(*filter.of) : std::string_view();
    const std::string_view standing = filter.standing ? iam::name(*filter.standing) : std::string_view();
    const std::string domain = filter.domain.value_or("");
    TRY(transaction.query(std::string(identity_columns) +
                              "WHERE uid > ?1 AND (?2 = '' OR class = ?2) AND (?3 = '' OR domain = ?3) AND (?4 = '' OR status = ?4) ORDER BY uid LIMIT ?5",
                          {std::string_view(after), of, std::string_view(domain), standing, limit},
                          [&](const store::Row& row) { found.push_back(columns_of(row)); }));
    return complete(transaction, std::move(found));
  });
}

Result<SaePage> IdentityRegister::saes(const std::string& after, std::int64_t limit) {
  return store_.transact([&](store::Transaction& transaction) -> Result<SaePage> {
    constexpr std::string_view sae = "class = 'application' AND home_kms <> ''";
    SaePage out;
    std::string standing;
    TRY(transaction.query("SELECT uid, version, epoch FROM identity WHERE " + std::string(sae) + " AND status = 'active' ORDER BY uid", {}, [&](const store::Row& row) {
      standing += row.text(0) + " " + std::to_string(row.integer(1)) + " " + std::to_string(row.integer(2)) + "\n";
    }));
    out.digest = crypto::digest(crypto::Hash::sha256, as_bytes(standing));
    std::vector<StoredIdentity> found;
    TRY(transaction.query(std::string(identity_columns) + "WHERE " + std::string(sae) + " AND status = 'active' AND uid > ? ORDER BY uid LIMIT ?",
                          {std::string_view(after), limit}, [&](const store::Row& row) { found.push_back(columns_of(row)); }));
    ASSIGN_OR_RETURN(out.saes, complete(transaction, std::move(found)));
    return out;
  });
}

Result<std::int64_t> IdentityRegister::count() {
  std::int64_t out = 0;
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT count(*) FROM identity", {}, [&](const store::Row& row) { out = row.integer(0); });
  }));
  return out;
}

}  // namespace qanat::iam
