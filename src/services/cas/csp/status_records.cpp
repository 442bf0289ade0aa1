#include "services/cas/csp/status_records.hpp"

#include <algorithm>

namespace qanat::cas {
namespace {

Errand::Kind errand_kind(const std::string& text) {
  if (text == "authority") return Errand::Kind::authority;
  return text == "certificate" ? Errand::Kind::certificate : Errand::Kind::list;
}

IssuedCertificate issued_from(const store::Row& row) {
  return {.branch = branch_named(row.text(0)),
          .serial = row.blob(1),
          .identity = row.text(2),
          .der = row.blob(3),
          .not_after = static_cast<UnixMs>(row.integer(4)),
          .revoked = !row.is_null(5)};
}

}  // namespace

Result<Standing> StatusRecords::standing(Branch branch, ByteView serial) {
  Standing out;
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT revoked_ms, not_after_ms, reason, generation FROM certificate WHERE serial = ? AND branch = ? AND state = 'issued'",
                             {serial, name(branch)},
                             [&](const store::Row& row) {
                               out.status = row.is_null(0) ? crypto::CertStatus::good : crypto::CertStatus::revoked;
                               if (!row.is_null(0)) out.revoked_at = static_cast<UnixMs>(row.integer(0));
                               out.not_after = static_cast<UnixMs>(row.integer(1));
                               if (!row.is_null(2)) out.reason = static_cast<int>(row.integer(2));
                               if (!row.is_null(3)) out.generation = row.integer(3);
                             });
  }));
  return out;
}

Result<std::vector<LiveCertificate>> StatusRecords::live(UnixMs now, std::size_t most) {
  std::vector<LiveCertificate> out;
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT c.branch, c.serial FROM certificate AS c JOIN authority AS a ON a.branch = c.branch AND a.generation = c.generation "
                             "WHERE c.state = 'issued' AND c.not_after_ms > ? ORDER BY c.rowid DESC LIMIT ?",
                             {store::column(now), store::column(most)},
                             [&](const store::Row& row) { out.push_back({.branch = branch_named(row.text(0)), .serial = row.blob(1)}); });
  }));
  return out;
}

Result<std::vector<crypto::RevokedSerial>> StatusRecords::revoked(Branch branch, UnixMs not_expired_at, UnixMs since) {
  std::vector<crypto::RevokedSerial> out;
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.query(
        "SELECT serial, revoked_ms, coalesce(reason, 0) FROM certificate WHERE branch = ? AND state = 'issued' AND revoked_ms IS NOT NULL AND "
        "not_after_ms > ? AND revoked_ms >= ?",
        {name(branch), store::column(not_expired_at), store::column(since)},
        [&](const store::Row& row) {
          out.push_back({.serial = row.blob(0), .revoked_at = static_cast<UnixMs>(row.integer(1)), .reason = static_cast<int>(row.integer(2))});
        });
  }));
  return out;
}

Result<std::vector<IssuedCertificate>> StatusRecords::certificates(std::span<const Bytes> serials) {
  std::vector<IssuedCertificate> out;
  TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
    for (const Bytes& serial : serials) {
      TRY(transaction.query("SELECT branch, serial, identity, der, not_after_ms, revoked_ms FROM certificate WHERE serial = ? AND state = 'issued'",
                            {ByteView(serial)}, [&](const store::Row& row) { out.push_back(issued_from(row)); }));
    }
    return {};
  }));
  return out;
}

Result<std::vector<IssuedCertificate>> StatusRecords::live_of(std::string_view identity, UnixMs now) {
  std::vector<IssuedCertificate> out;
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.query(
        "SELECT branch, serial, identity, der, not_after_ms, revoked_ms FROM certificate WHERE identity = ? AND state = 'issued' AND revoked_ms IS NULL AND "
        "not_after_ms > ? ORDER BY serial",
        {identity, store::column(now)}, [&](const store::Row& row) { out.push_back(issued_from(row)); });
  }));
  return out;
}

Result<std::optional<PublishedList>> StatusRecords::list(Branch branch, std::string_view scope) {
  std::optional<PublishedList> out;
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.query(
        "SELECT number, base_number, base_ms, this_update_ms, next_update_ms, der FROM revocation_list WHERE branch = ? AND scope = ?", {name(branch), scope},
        [&](const store::Row& row) {
          out = PublishedList{.branch = branch,
                              .scope = std::string(scope),
                              .number = static_cast<std::uint64_t>(row.integer(0)),
                              .base_number = static_cast<std::uint64_t>(row.integer(1)),
                              .base_at = static_cast<UnixMs>(row.integer(2)),
                              .this_update = static_cast<UnixMs>(row.integer(3)),
                              .next_update = static_cast<UnixMs>(row.integer(4)),
                              .der = row.blob(5)};
        });
  }));
  return out;
}

Result<void> StatusRecords::publish(std::span<const PublishedList> lists) {
  return store_.transact([&](store::Transaction& transaction) -> Result<void> {
    for (const PublishedList& list : lists) {
      // The number only grows: what was published under one is never published anew under it or a lower one.
      ASSIGN_OR_RETURN(const std::int64_t changed,
                       transaction.run("INSERT INTO revocation_list (branch, scope, number, base_number, base_ms, this_update_ms, next_update_ms, der) "
                                       "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (branch, scope) DO UPDATE SET number = excluded.number, base_number = "
                                       "excluded.base_number, base_ms = excluded.base_ms, this_update_ms = excluded.this_update_ms, next_update_ms = "
                                       "excluded.next_update_ms, der = excluded.der WHERE excluded.number > revocation_list.number",
                                       {name(list.branch), std::string_view(list.scope), store::column(list.number), store::column(list.base_number),
                                        store::column(list.base_at), store::column(list.this_update), store::column(list.next_update), ByteView(list.der)}));
      if (changed != 1) return fail(ErrorCode::conflict, "revocation list: number " + std::to_string(list.number) + " is not higher than the last one");
    }
    return {};
  });
}

Result<void> StatusRecords::note_expired(Branch branch, UnixMs from, UnixMs until) {
  return store_.transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(transaction.run("INSERT OR REPLACE INTO outbox (kind, branch, name) SELECT 'certificate', branch, serial FROM certificate WHERE state = 'issued' AND "
                        "branch = ? AND not_after_ms > ? AND not_after_ms <= ?",
                        {name(branch), store::column(from), store::column(until)}));
    return {};
  });
}

Result<std::optional<Errand>> StatusRecords::next_errand() {
  std::optional<Errand> out;
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT id, kind, branch, name FROM outbox ORDER BY id LIMIT 1", {}, [&](const store::Row& row) {
      out = Errand{.id = row.integer(0), .kind = errand_kind(row.text(1)), .branch = branch_named(row.text(2)), .name = row.blob(3)};
    });
  }));
  return out;
}

Result<void> StatusRecords::errand_done(std::int64_t id) {
  return store_.transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(transaction.run("DELETE FROM outbox WHERE id = ?", {id}));
    return {};
  });
}

Result<std::int64_t> StatusRecords::errands_waiting() {
  std::int64_t out = 0;
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT count(*) FROM outbox", {}, [&](const store::Row& row) { out = row.integer(0); });
  }));
  return out;
}

}  // namespace qanat::cas
