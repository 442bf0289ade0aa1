#include "services/kms/kma/ledger_sweep.hpp"

namespace qanat::kms {
namespace {

constexpr std::size_t altered_max = 10'000;  // beyond that they are tried again each time
constexpr std::size_t told_max = 1'000;      // records; whoever changes more rows than that is known by then

/// That the row does not let itself be changed; not that the database cannot be had.
bool is_of_row(ErrorCode code) { return code == ErrorCode::denied || code == ErrorCode::conflict || code == ErrorCode::not_found; }

Result<bool> has_octets(store::Transaction& transaction, const Ledger::Due& leg) {
  bool out = false;
  TRY(transaction.query("SELECT 1 FROM working_key WHERE sid_wk = ? AND leg = ? AND sealed_wk IS NOT NULL",
                        {leg.sid_wk.view(), static_cast<std::int64_t>(leg.leg)}, [&](const store::Row&) { out = true; }));
  return out;
}

}  // namespace

Result<void> LedgerSweep::run(Ledger::Sweep which, UnixMs now) {
  Ledger::Due after;
  while (true) {
    const auto owed_id = node_.rng().id<OwedId>();
    std::vector<Ledger::Due> legs;
    const auto owes = page(owed_id, which, now, after, legs);
    if (owes) {
      if (*owes) TRY(pay_records(node_, store_, owed_id));
    } else if (is_of_row(owes.error().code) && !legs.empty()) {
      TRY(one_by_one(which, now, legs));
    } else {
      return fail(owes.error());
    }
    if (std::ssize(legs) < at_once_) return {};
    after = legs.back();
  }
}

Result<bool> LedgerSweep::page(const OwedId& owed_id, Ledger::Sweep which, UnixMs now, const Ledger::Due& after, std::vector<Ledger::Due>& legs) {
  return store_.transact([&](store::Transaction& transaction) -> Result<bool> {
    legs.clear();
    ASSIGN_OR_RETURN(legs, ledger_.due(transaction, which, now, after, at_once_));
    std::vector<Ledger::Due> sound;
    sound.reserve(legs.size());
    for (const Ledger::Due& leg : legs) {
      if (!altered_.contains({leg.sid_wk, leg.leg})) sound.push_back(leg);
    }
    return sweep(transaction, owed_id, which, now, sound);
  });
}

Result<bool> LedgerSweep::sweep(store::Transaction& transaction, const OwedId& owed_id, Ledger::Sweep which, UnixMs now, std::span<const Ledger::Due> legs) {
  ASSIGN_OR_RETURN(const std::vector<Destroyed> destroyed, ledger_.sweep(transaction, which, now, legs));
  std::vector<OwedRecord> owed;
  owed.reserve(destroyed.size());
  for (const Destroyed& gone : destroyed) owed.push_back(end_of(gone, "wk.expired", Ledger::why(which)));
  TRY(owe_records(transaction, owed_id, owed, now));
  return !owed.empty();
}

Result<void> LedgerSweep::one_by_one(Ledger::Sweep which, UnixMs now, std::span<const Ledger::Due> legs) {
  for (std::size_t i = 0; i < legs.size(); ++i) {
    if (altered_.contains({legs[i].sid_wk, legs[i].leg})) continue;
    const auto owed_id = node_.rng().id<OwedId>();
    const auto owes = store_.transact([&](store::Transaction& transaction) -> Result<bool> {
      ASSIGN_OR_RETURN(const bool there, has_octets(transaction, legs[i]));
      if (!there) return false;  // ended meanwhile
      return sweep(transaction, owed_id, which, now, legs.subspan(i, 1));
    });
    if (owes) {
      if (*owes) TRY(pay_records(node_, store_, owed_id));
    } else if (is_of_row(owes.error().code)) {
      TRY(pass_over(legs[i], owes.error()));
    } else {
      return fail(owes.error());
    }
  }
  return {};
}

Result<void> LedgerSweep::pass_over(const Ledger::Due& leg, const Error& why) {
  if (altered_.size() < altered_max) altered_.emplace(leg.sid_wk, leg.leg);
  return tell(why, "working key " + leg.sid_wk.hex() + " is past its time and cannot be destroyed: ");
}

Result<void> LedgerSweep::tell(const Error& found, std::string_view of) {
  // By what was found: a database that went back in time says the same of every row.
  if (told_.size() >= told_max || !told_.insert(found.message).second) return {};
  return node_.record({.action = "kp.database.altered",
                       .outcome = audit::Outcome::failure,
                       .subject = node_.identity().uri(),
                       .object = "kms.db",
                       .reason = std::string(of) + found.message,
                       .request_id = ""});
}

}  // namespace qanat::kms
