// Steps 7 and 8: whether a caller may reach a callee, and where that one is served.
#pragma once

#include "base/clock.hpp"
#include "services/cmsp/cam/accounts.hpp"
#include "wire/qfc2_session.hpp"
#include "wire/signed.hpp"

namespace qanat::cmsp {

/// How far the sender's clock may be off (±120 s); an older SessionOpen is a replay.
inline constexpr UnixMs clock_window_ms = 120'000;

/// Who is called, and the KMS that serves that number.
struct Located {
  Uid uid_b;
  ElementName kms_b;
};

class Sessions {
 public:
  explicit Sessions(store::Store& store) : store_(store) {}

  /// Opens the session, once and durably: a second SessionOpen with this SID_WK is `conflict`, whatever it says. Otherwise: `denied` if the
  /// caller has no account, its account is closed or served elsewhere; `not_found` if the callee is in no domain; `denied` if it has not
  /// opened the service; `unavailable` if its KMS has not registered it. Each message names the number that it is about.
  Result<Located> open(const wire::SessionOpen& asked, ByteView open_hash, UnixMs now);
  /// The session has been granted.
  Result<void> granted(const SidWk& sid_wk);

 private:
  store::Store& store_;
};

/// `denied` unless the message was made within the clock window and names this KMS, with these certificates, as the caller's.
Result<void> check_sender(const wire::SessionOpen& asked, const ElementName& kms, const wire::Fingerprints& fingerprints, UnixMs now);

/// The fields of Notify and Grant alike: those of the SessionOpen, whom it reached, and its hash.
wire::SessionFields answer_fields(const wire::Framed<wire::SessionOpen>& open, const Located& located, UnixMs now);

}  // namespace qanat::cmsp
