// Accepted offers that wait for the other KMS's confirmation: on the disk, because it may come to another front end, or after one was restarted.
#pragma once

#include <optional>
#include <vector>

#include "base/clock.hpp"
#include "crypto/suite.hpp"
#include "store/store.hpp"
#include "wire/qfc2.hpp"

namespace qanat::kms {

struct Pending {
  Identity kms_a;
  Bytes h_accept;
  Bytes h_kc_a;  // hash_of_confirmation(kc_a)
  std::vector<wire::ShareRef> shares;
  UnixMs expires_ms = 0;
  bool confirmed = false;  // then it waits for nothing but the same confirmation again, whose answer was lost
  Bytes h_offer{};         // with `accept`: for find_accept alone, find_pending leaves both empty
  Bytes accept{};          // the KmsAccept as it was answered, until it is confirmed
};

/// What is kept of a key confirmation (32 octets of HMAC, nobody guesses them): enough to know it by, and no help to who reads the database.
Bytes hash_of_confirmation(const crypto::Suite& suite, ByteView kc_a);

/// conflict for a session that has one.
Result<void> add_pending(store::Transaction& transaction, const SidWk& sid_wk, const Pending& pending);
Result<std::optional<Pending>> find_pending(store::Transaction& transaction, const SidWk& sid_wk);
/// What this offer of this KMS was answered; nothing if the session has no agreement. conflict if that is another offer's, or has no need of it any more: it is
/// confirmed, or past its time.
Result<std::optional<Bytes>> find_accept(store::Transaction& transaction, const SidWk& sid_wk, const Identity& kms_a, ByteView h_offer, UnixMs now);
/// The KmsAccept leaves the database with that.
Result<void> confirm_pending(store::Transaction& transaction, const SidWk& sid_wk);
Result<void> drop_pending(store::Transaction& transaction, const SidWk& sid_wk);
Result<void> drop_expired_pending(store::Transaction& transaction, UnixMs now);
/// How many there are without confirmation; in a transaction of its own, so that it stands in nobody's way.
Result<std::int64_t> count_pending(store::Transaction& transaction);

}  // namespace qanat::kms
