// What a take gave (Km-3), sealed, until its receiver is done with it or its time is over: the same take again, because the answer was lost, gets the same
// keys. The stock has given them up for good: this is the answer that is kept, not a key that could be chosen once more.
#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "quantum/qkm/relayed_keys.hpp"

namespace qanat::qkm {

class GivenKeys {
 public:
  explicit GivenKeys(crypto::CryptoDevice& device) : device_(device) {}

  /// A session may take keys over separate paths and, where there are none, over one: the two are the names of a session's takes.
  struct Take {
    SidWk sid_wk;
    std::size_t paths = 1;
    std::string holder;  // for whom, as it stands with the keys in stock: holder_of()
    std::string asked;   // all else that makes it this take
  };
  static std::string holder_of(const SidWk& sid_wk, std::string_view kms) { return sid_wk.hex() + " " + std::string(kms); }

  /// What the take was given before; nothing if it was given nothing. conflict if its name stands for another holder, for something else that was asked, or for
  /// keys that were done with; denied if the row was altered.
  Result<std::optional<std::vector<RelayedKey>>> find(store::Transaction& transaction, const Take& take, UnixMs now);
  /// In the transaction that takes the keys out of stock.
  Result<void> keep(store::Transaction& transaction, const Take& take, std::span<const RelayedKey> keys, UnixMs until_ms);
  /// These are done with keys of theirs, so they have the answer: its octets go. Its name stays taken until its time is over.
  static Result<void> done(store::Transaction& transaction, const std::set<std::string>& holders);
  static Result<void> sweep(store::Transaction& transaction, UnixMs now);

 private:
  crypto::CryptoDevice& device_;
};

}  // namespace qanat::qkm
