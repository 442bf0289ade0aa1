#include "services/cmsp/cam/sessions.hpp"

#include <algorithm>

namespace qanat::cmsp {
namespace {

// Sessions older than this may be forgotten: their messages are outside the clock window, and refused for that.
constexpr UnixMs session_kept_ms = 4 * clock_window_ms;

Result<void> check_caller(store::Transaction& transaction, const wire::SessionOpen& asked) {
  const std::string who = "caller " + asked.num_call.text();
  ASSIGN_OR_RETURN(const std::optional<Account> caller, find_account(transaction, asked.num_call));
  if (!caller) return fail(ErrorCode::denied, who + " has no account");
  if (caller->uid != asked.uid_a) return fail(ErrorCode::denied, who + " is not the number of '" + asked.uid_a.text() + "'");
  if (caller->kms != asked.kms_a) return fail(ErrorCode::denied, who + " is not served by " + asked.kms_a.text());
  if (caller->service != Service::open) return fail(ErrorCode::denied, who + " has not opened the service");
  return {};
}

Result<Account> find_callee(store::Transaction& transaction, const wire::SessionOpen& asked) {
  const std::string who = "callee " + asked.num_called.text();
  ASSIGN_OR_RETURN(std::optional<Account> callee, find_account(transaction, asked.num_called));
  if (!callee) return fail(ErrorCode::not_found, who + " is in no domain");
  if (!asked.uid_b.empty() && callee->uid != asked.uid_b) return fail(ErrorCode::denied, who + " is not the number of '" + asked.uid_b.text() + "'");
  if (callee->service != Service::open) return fail(ErrorCode::denied, who + " has not opened the service");
  ASSIGN_OR_RETURN(const bool registered, is_registered(transaction, *callee));
  if (!registered) return fail(ErrorCode::unavailable, who + " is not registered at " + callee->kms.text());
  return *std::move(callee);
}

}  // namespace

Result<Located> Sessions::open(const wire::SessionOpen& asked, ByteView open_hash, UnixMs now) {
  return store_.transact([&](store::Transaction& transaction) -> Result<Located> {
    bool known = false;
    TRY(transaction.query("SELECT 1 FROM session WHERE sid_wk = ?", {asked.sid_wk.view()}, [&](const store::Row&) { known = true; }));
    if (known) return fail(ErrorCode::conflict, "session " + asked.sid_wk.hex() + " was opened already");
    if (asked.num_call == asked.num_called) return fail(ErrorCode::denied, "caller " + asked.num_call.text() + " calls itself");
    TRY(check_caller(transaction, asked));
    ASSIGN_OR_RETURN(const Account callee, find_callee(transaction, asked));
    TRY(transaction.run("DELETE FROM session WHERE opened_ms < ?", {static_cast<std::int64_t>(now - std::min(now, session_kept_ms))}));
    TRY(transaction.run("INSERT INTO session (sid_wk, open_hash, num_call, num_called, kms_a, kms_b, state, opened_ms) VALUES (?, ?, ?, ?, ?, ?, 'opened', ?)",
                        {asked.sid_wk.view(), open_hash, std::string_view(asked.num_call.text()), std::string_view(asked.num_called.text()),
                         std::string_view(asked.kms_a.text()), std::string_view(callee.kms.text()), static_cast<std::int64_t>(now)}));
    return Located{.uid_b = callee.uid, .kms_b = callee.kms};
  });
}

Result<void> Sessions::granted(const SidWk& sid_wk) {
  ASSIGN_OR_RETURN(const std::int64_t changed, store_.transact([&](store::Transaction& transaction) {
    return transaction.run("UPDATE session SET state = 'granted' WHERE sid_wk = ? AND state = 'opened'", {sid_wk.view()});
  }));
  if (changed != 1) return fail(ErrorCode::conflict, "session " + sid_wk.hex() + " is not open");
  return {};
}

Result<void> check_sender(const wire::SessionOpen& asked, const ElementName& kms, const wire::Fingerprints& fingerprints, UnixMs now) {
  const std::string where = "session " + asked.sid_wk.hex();
  if (asked.kms_a != kms) return fail(ErrorCode::denied, where + ": names " + asked.kms_a.text() + " as its KMS, but comes from " + kms.text());
  if (asked.kms_a_fps != fingerprints) return fail(ErrorCode::denied, where + ": names other certificates than its signer's");
  if (asked.ts_ms > now + clock_window_ms || asked.ts_ms + clock_window_ms < now) {
    return fail(ErrorCode::denied, where + ": was made outside the clock window of 120 s");
  }
  return {};
}

wire::SessionFields answer_fields(const wire::Framed<wire::SessionOpen>& open, const Located& located, UnixMs now) {
  wire::SessionFields out = open.message;
  out.uid_b = located.uid_b;
  out.kms_b = located.kms_b;
  out.prev_hash = open.hash;
  // kms_b_fps stays zero: CMSP has not seen the certificates of the callee's KMS. KMS-A checks them itself, in step 9.
  out.ts_ms = now;
  return out;
}

}  // namespace qanat::cmsp
