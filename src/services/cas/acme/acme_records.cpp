#include "services/cas/acme/acme_records.hpp"

#include "wire/json.hpp"

namespace qanat::cas {
namespace {

constexpr UnixMs deactivated_kept_ms = 90ULL * 86'400'000;
constexpr std::int64_t swept_at_once = 1000;

constexpr std::string_view account_columns = "SELECT id, reference, thumbprint, jwk, contact, status, made_ms FROM acme_account ";

std::string contacts_text(const std::vector<std::string>& contacts) {
  wire::Json out = wire::Json::array();
  for (const std::string& contact : contacts) out.push(contact);
  return out.dump();
}

AcmeAccount account_from(const store::Row& row) {
  AcmeAccount out{.id = row.text(0),
                  .reference = row.text(1),
                  .thumbprint = row.blob(2),
                  .jwk = row.text(3),
                  .contacts = {},
                  .valid = row.text(5) == "valid",
                  .made = static_cast<UnixMs>(row.integer(6))};
  if (const auto json = wire::Json::parse(row.text(4))) {
    if (const auto list = json->as_array()) {
      for (const wire::Json& each : *list) out.contacts.push_back(each.as_text().value_or(""));
    }
  }
  return out;
}

Result<std::optional<AcmeAccount>> read_account(store::Transaction& transaction, std::string_view where, store::Value value) {
  std::optional<AcmeAccount> out;
  TRY(transaction.query(std::string(account_columns) + std::string(where), {value}, [&](const store::Row& row) { out = account_from(row); }));
  return out;
}

Result<void> check_room(store::Transaction& transaction, std::string_view reference, const AcmeBounds& bounds) {
  std::int64_t count = 0;
  TRY(transaction.query("SELECT count(*) FROM acme_account WHERE reference = ?", {reference}, [&](const store::Row& row) { count = row.integer(0); }));
  if (std::cmp_less(count, bounds.accounts_per_registration)) return {};
  return fail(ErrorCode::exhausted, "registration " + std::string(reference) + " has " + std::to_string(count) + " accounts already");
}

/// Who lost a race, or named what is gone, learns that it is so.
Result<void> one_changed(const Result<std::int64_t>& changed, std::string_view what) {
  if (!changed) return fail(changed.error());
  if (*changed != 1) return fail(ErrorCode::conflict, std::string(what));
  return {};
}

}  // namespace

Result<std::optional<AcmeAccount>> AcmeRecords::account(std::string_view id) {
  return store_.transact([&](store::Transaction& transaction) { return read_account(transaction, "WHERE id = ?", id); });
}

Result<std::optional<AcmeAccount>> AcmeRecords::account_of_key(ByteView thumbprint) {
  return store_.transact([&](store::Transaction& transaction) { return read_account(transaction, "WHERE thumbprint = ?", thumbprint); });
}

Result<void> AcmeRecords::room_for_account(std::string_view reference, const AcmeBounds& bounds) {
  return store_.transact([&](store::Transaction& transaction) { return check_room(transaction, reference, bounds); });
}

Result<AcmeRecords::Opened> AcmeRecords::open_account(const AcmeAccount& account, const AcmeBounds& bounds) {
  const std::string contact = contacts_text(account.contacts);
  return store_.transact([&](store::Transaction& transaction) -> Result<Opened> {
    ASSIGN_OR_RETURN(auto existing, read_account(transaction, "WHERE thumbprint = ?", ByteView(account.thumbprint)));
    if (existing) return Opened{.account = *std::move(existing), .made = false};
    TRY(check_room(transaction, account.reference, bounds));
    TRY(transaction.run("INSERT INTO acme_account (id, reference, thumbprint, jwk, contact, status, made_ms, changed_ms) VALUES (?, ?, ?, ?, ?, 'valid', ?, ?)",
                        {std::string_view(account.id), std::string_view(account.reference), ByteView(account.thumbprint), std::string_view(account.jwk),
                         std::string_view(contact), store::column(account.made), store::column(account.made)}));
    return Opened{.account = account, .made = true};
  });
}

Result<void> AcmeRecords::change_contacts(std::string_view account, const std::vector<std::string>& contacts, UnixMs now) {
  const std::string contact = contacts_text(contacts);
  return store_.transact([&](store::Transaction& transaction) {
    return one_changed(transaction.run("UPDATE acme_account SET contact = ?, changed_ms = ? WHERE id = ? AND status = 'valid'",
                                       {std::string_view(contact), store::column(now), account}),
                       "the account is not valid any more");
  });
}

Result<void> AcmeRecords::deactivate_account(std::string_view account, std::string_view problem, UnixMs now) {
  return store_.transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(transaction.run("UPDATE acme_account SET status = 'deactivated', changed_ms = ? WHERE id = ?", {store::column(now), account}));
    TRY(transaction.run("UPDATE acme_order SET status = 'invalid', problem = ? WHERE account = ? AND status IN ('ready', 'processing')", {problem, account}));
    TRY(transaction.run("UPDATE acme_authorization SET status = 'deactivated' WHERE account = ?", {account}));
    return {};
  });
}

Result<void> AcmeRecords::change_key(std::string_view account, std::string_view jwk, ByteView thumbprint, UnixMs now) {
  return store_.transact([&](store::Transaction& transaction) -> Result<void> {
    ASSIGN_OR_RETURN(const auto other, read_account(transaction, "WHERE thumbprint = ?", thumbprint));
    if (other) return fail(ErrorCode::conflict, "the new key is that of an account already");
    return one_changed(transaction.run("UPDATE acme_account SET jwk = ?, thumbprint = ?, changed_ms = ? WHERE id = ? AND status = 'valid'",
                                       {jwk, thumbprint, store::column(now), account}),
                       "the account is not valid any more");
  });
}

Result<std::optional<AcmeAuthorization>> AcmeRecords::authorization(std::string_view id) {
  std::optional<AcmeAuthorization> out;
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT id, account, name, status, expires_ms FROM acme_authorization WHERE id = ?", {id}, [&](const store::Row& row) {
      out = AcmeAuthorization{
          .id = row.text(0), .account = row.text(1), .dns = row.text(2), .valid = row.text(3) == "valid", .expires = static_cast<UnixMs>(row.integer(4))};
    });
  }));
  return out;
}

Result<void> AcmeRecords::deactivate_authorization(std::string_view id, std::string_view problem) {
  return store_.transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(transaction.run("UPDATE acme_authorization SET status = 'deactivated' WHERE id = ?", {id}));
    TRY(
        transaction.run("UPDATE acme_order SET status = 'invalid', problem = ? WHERE status = 'ready' AND "
                        "id IN (SELECT order_id FROM acme_order_name WHERE authorization = ?)",
                        {problem, id}));
    return {};
  });
}

Result<bool> AcmeRecords::authorized_for(std::string_view account, const std::vector<std::string>& names, UnixMs now) {
  return store_.transact([&](store::Transaction& transaction) -> Result<bool> {
    for (const std::string& name : names) {
      bool found = false;
      TRY(transaction.query("SELECT id FROM acme_authorization WHERE account = ? AND name = ? AND status = 'valid' AND expires_ms > ?",
                            {account, std::string_view(name), store::column(now)}, [&](const store::Row&) { found = true; }));
      if (!found) return false;
    }
    return !names.empty();
  });
}

Result<bool> AcmeRecords::sweep(UnixMs now) {
  return store_.transact([&](store::Transaction& transaction) -> Result<bool> {
    ASSIGN_OR_RETURN(const std::int64_t orders, transaction.run("DELETE FROM acme_order WHERE id IN (SELECT id FROM acme_order WHERE expires_ms <= ? LIMIT ?)",
                                                                {store::column(now), swept_at_once}));
    TRY(
        transaction.run("DELETE FROM acme_authorization WHERE expires_ms <= ? AND NOT EXISTS "
                        "(SELECT 1 FROM acme_order_name WHERE acme_order_name.authorization = acme_authorization.id)",
                        {store::column(now)}));
    const UnixMs long_ago = now > deactivated_kept_ms ? now - deactivated_kept_ms : 0;
    TRY(
        transaction.run("DELETE FROM acme_account WHERE status = 'deactivated' AND changed_ms <= ? AND NOT EXISTS "
                        "(SELECT 1 FROM acme_order WHERE acme_order.account = acme_account.id)",
                        {store::column(long_ago)}));
    return orders < swept_at_once;
  });
}

}  // namespace qanat::cas
