// CMP's transactions as cas.db has them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "store/store.hpp"

namespace qanat::cas {

enum class CmpState : std::uint8_t {
  asked,        // the desk has the order, or had it when the process ended
  waiting,      // for the approval of operators
  unconfirmed,  // the certificate is given; the client has not said yet that it takes it
  closed,       // over: kept until a copy of its messages would be too old to be taken
};
std::string_view name(CmpState state) noexcept;

struct CmpTransaction {
  std::string reference;
  Bytes id;
  Bytes signer = {};  // DER; empty: the registration's secret protects it
  std::string kind;
  std::int64_t certificate_request = 0;  // certReqId
  Bytes request_hash;
  Bytes key_hash = {};  // key_hash_of() the key that a certificate is asked for
  UnixMs began = 0;
  bool implicit = false;
  Bytes first_nonce;
  Bytes nonce = {};
  Bytes earlier_nonce = {};
  CmpState state = CmpState::asked;
  std::string ticket = {};
  Bytes serial = {};
  UnixMs due = 0;
};

struct CmpBounds {
  std::int64_t open_max = 10'000;       // that are not closed
  std::int64_t open_of_one_max = 64;    // of one registration
  std::int64_t kept_of_one_max = 4096;  // the closed ones too, which are kept for minutes: who asks in vain without end fills no disk
};

class CmpRecords {
 public:
  explicit CmpRecords(store::Store& store) : store_(store) {}

  /// Stands on record when it returns: the new transaction, or the one that the same client began by the same request before. `conflict`: the id is in use for
  /// something else, or its transaction is over; `exhausted`: too many are open, or kept.
  Result<CmpTransaction> begin(const CmpTransaction& transaction, const CmpBounds& bounds);
  Result<std::optional<CmpTransaction>> find(std::string_view reference, ByteView id);
  /// Certificates that protected transactions with this id, a few at most: a client need not send its own again (RFC 9483 §3.3).
  Result<std::vector<Bytes>> signers_of(ByteView id);
  /// Puts state, ticket, serial, nonces and due in place of those that stand there; `conflict` if its state is no longer `from`.
  Result<void> move(const CmpTransaction& to, CmpState from);
  /// Whose time is over, the oldest first.
  Result<std::vector<CmpTransaction>> due(UnixMs now, std::size_t max);
  /// DER of the certificate that was issued for a transaction whose end is not on record: for its registration and its key, since it began, and not given in
  /// any other. Empty: none was.
  Result<Bytes> issued_for(const CmpTransaction& transaction);
  Result<void> postpone(std::string_view reference, ByteView id, UnixMs due);
  Result<void> forget(std::string_view reference, ByteView id);

 private:
  store::Store& store_;
};

}  // namespace qanat::cas
