// Requests that wait for approval: which transaction, signed by which key, is which ticket of the desk.
#pragma once

#include <optional>
#include <string>

#include "base/clock.hpp"
#include "crypto/device.hpp"
#include "store/store.hpp"

namespace qanat::cas {

inline constexpr std::int64_t scep_pending_max = 64;                          // of one registration, decided ones among them; the desk lets far fewer wait
inline constexpr UnixMs scep_pending_lifetime_ms = 90ULL * 24 * 3600 * 1000;  // then nobody polls any more

struct ScepPending {
  std::string transaction_id;
  Bytes signer;  // SHA-256 over the SubjectPublicKeyInfo
  std::string reference;
  std::string ticket;
  Secret password = {};  // the challengePassword, for a key that does not encrypt: by the time of the approval the registration's secret may be over
};

class ScepTransactions {
 public:
  ScepTransactions(store::Store& store, crypto::CryptoDevice& device) : store_(store), device_(device) {}

  /// Durable when it returns; in place of what was kept for the same transaction and key, and of the oldest of the registration where it has too many.
  Result<void> keep(const ScepPending& pending, UnixMs now);
  Result<std::optional<ScepPending>> find(std::string_view transaction_id, ByteView signer, UnixMs now);

 private:
  store::Store& store_;
  crypto::CryptoDevice& device_;
};

}  // namespace qanat::cas
