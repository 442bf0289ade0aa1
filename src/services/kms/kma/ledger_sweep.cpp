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
    std::vector<Ledger::Due> legs;
    const auto destroyed = page(which, now, after, legs);
    if (destroyed) {
      TRY(record(which, *destroyed));
    } else if (is_of_row(destroyed.error().code) && !legs.empty()) {
      TRY(one_by_one(which, now, legs));
    } else {
      return fail(destroyed.error());
    }
    if (std::ssize(legs) < at_once_) return {};
    after = legs.back();
  }
}

Result<std::vector<Destroyed>> LedgerSweep::page(Ledger::Sweep which, UnixMs now, const Ledger::Due& after, std::vector<Ledger::Due>& legs) {
  return store_.transact([&](store::Transaction& transaction) -> Result<std::vector<Destroyed>> {
    legs.clear();
    ASSIGN_OR_RETURN(legs, ledger_.due(transaction, which, now, after, at_once_));
    std::vector<Ledger::Due> sound;
    sound.reserve(legs.size());
    for (const Ledger::Due& leg : legs) {
      if (!altered_.contains({leg.sid_wk, leg.leg})) sound.push_back(leg);
    }
    return ledger_.sweep(transaction, which, now, sound);
  });
}

Result<void> LedgerSweep::one_by_one(Ledger::Sweep which, UnixMs now, std::span<const Ledger::Due> legs) {
  for (std::size_t i = 0; i < legs.size(); ++i) {
    if (altered_.contains({legs[i].sid_wk, legs[i].leg})) continue;
    const auto destroyed = store_.transact([&](store::Transaction& transaction) -> Result<std::vector<Destroyed>> {
      ASSIGN_OR_RETURN(const bool there, has_octets(transaction, legs[i]));
      if (!there) return std::vector<Destroyed>();  // ended meanwhile
      return ledger_.sweep(transaction, which, now, legs.subspan(i, 1));
    });
    if (destroyed) {
      TRY(record(which, *destroyed));
    } else if (is_of_row(destroyed.error().code)) {
      TRY(pass_over(legs[i], destroyed.error()));
    } else {
      return fail(destroyed.error());
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

Result<void> LedgerSweep::record(Ledger::Sweep which, std::span<const Destroyed> destroyed) {
  for (const Destroyed& gone : destroyed) {
    TRY(node_.record({.action = "wk.expired",
                      .outcome = audit::Outcome::success,
                      .subject = gone.uid.text(),
                      .object = gone.sid_wk.hex(),
                      .reason = gone.reason(Ledger::why(which)),
                      .request_id = ""}));
  }
  return {};
}

}  // namespace qanat::kms
