#include "services/cmsp/cam/accounts.hpp"

#include "node/crash_point.hpp"

namespace qanat::cmsp {

std::string_view name(Service service) noexcept { return service == Service::open ? "open" : "closed"; }

Result<Service> parse_service(std::string_view text) {
  if (text == name(Service::open)) return Service::open;
  if (text == name(Service::closed)) return Service::closed;
  return fail(ErrorCode::invalid_argument, "service must be open or closed");
}

Result<std::optional<Account>> find_account(store::Transaction& transaction, const Number& number) {
  std::optional<Account> out;
  TRY(transaction.query("SELECT uid, kms, service FROM account WHERE number = ?", {std::string_view(number.text())}, [&](const store::Row& row) {
    out = Account{.number = number,
                  .uid = Uid(row.text(0)),
                  .kms = ElementName(row.text(1)),
                  .service = row.text(2) == name(Service::open) ? Service::open : Service::closed};
  }));
  return out;
}

Result<bool> is_registered(store::Transaction& transaction, const Account& account) {
  bool out = false;
  TRY(transaction.query("SELECT 1 FROM registration WHERE number = ? AND kms = ?",
                        {std::string_view(account.number.text()), std::string_view(account.kms.text())}, [&](const store::Row&) { out = true; }));
  return out;
}

Result<void> Accounts::put(const Account& account) {
  const auto done = store_.transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(transaction.run(
        "INSERT INTO account (number, uid, kms, service) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (number) DO UPDATE SET uid = excluded.uid, kms = excluded.kms, service = excluded.service",
        {std::string_view(account.number.text()), std::string_view(account.uid.text()), std::string_view(account.kms.text()), name(account.service)}));
    TRY(transaction.run("DELETE FROM registration WHERE number = ? AND kms <> ?",
                        {std::string_view(account.number.text()), std::string_view(account.kms.text())}));
    return {};
  });
  if (!done && done.error().code == ErrorCode::conflict) return fail(ErrorCode::conflict, "subscriber '" + account.uid.text() + "' has another number already");
  TRY(done);
  ++changes_;
  node::crash_point("cmsp.account.entered");
  return {};
}

Result<Account> Accounts::find(const Number& number) {
  ASSIGN_OR_RETURN(std::optional<Account> account, store_.transact([&](store::Transaction& transaction) { return find_account(transaction, number); }));
  if (!account) return fail(ErrorCode::not_found, number.text() + " has no account");
  return *std::move(account);
}

Result<void> Accounts::enter_registration(const Number& number, const Uid& uid, const ElementName& kms, UnixMs now) {
  TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
    ASSIGN_OR_RETURN(const std::optional<Account> account, find_account(transaction, number));
    if (!account) return fail(ErrorCode::not_found, number.text() + " has no account");
    if (account->uid != uid) return fail(ErrorCode::denied, number.text() + " is not the number of '" + uid.text() + "'");
    if (account->kms != kms) return fail(ErrorCode::denied, number.text() + " is not served by " + kms.text());
    TRY(
        transaction.run("INSERT INTO registration (number, kms, registered_ms) VALUES (?, ?, ?) "
                        "ON CONFLICT (number) DO UPDATE SET kms = excluded.kms, registered_ms = excluded.registered_ms",
                        {std::string_view(number.text()), std::string_view(kms.text()), static_cast<std::int64_t>(now)}));
    return {};
  }));
  ++changes_;
  node::crash_point("cmsp.registration.entered");
  return {};
}

Result<std::vector<Account>> Accounts::reachable(const Number& after, std::int64_t max) {
  std::vector<Account> out;
  TRY(store_.transact([&](store::Transaction& transaction) {
    out.clear();
    return transaction.query(
        "SELECT account.number, uid, account.kms FROM account JOIN registration ON registration.number = account.number AND registration.kms = account.kms"
        " WHERE service = 'open' AND account.number > ? ORDER BY account.number LIMIT ?",
        {std::string_view(after.text()), max}, [&](const store::Row& row) {
          out.push_back({.number = Number(row.text(0)), .uid = Uid(row.text(1)), .kms = ElementName(row.text(2)), .service = Service::open});
        });
  }));
  return out;
}

Result<Accounts::Counts> Accounts::counts() {
  Counts out;
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT (SELECT count(*) FROM account), (SELECT count(*) FROM registration)", {}, [&](const store::Row& row) {
      out.accounts = row.integer(0);
      out.registrations = row.integer(1);
    });
  }));
  return out;
}

}  // namespace qanat::cmsp
