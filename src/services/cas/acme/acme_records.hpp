// The tables of schema.hpp. What one function does is one transaction.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "crypto/random.hpp"
#include "store/store.hpp"

namespace qanat::cas {

struct AcmeAccount {
  std::string id;
  std::string reference;
  Bytes thumbprint;
  std::string jwk;  // canonical (wire/jwk.hpp)
  std::vector<std::string> contacts;
  bool valid = true;
  UnixMs made = 0;
};

/// No order is ever pending: its authorisations are valid when it is made.
enum class OrderStatus : std::uint8_t { ready, processing, valid, invalid };
std::string_view name(OrderStatus status) noexcept;

struct AcmeOrder {
  struct Name {
    std::string dns;
    std::string authorization;
  };
  std::string id;
  std::string account;
  std::string reference;
  OrderStatus status{};
  std::vector<Name> names;  // sorted
  std::string profile;
  std::string replaces;
  UnixMs made = 0;
  UnixMs expires = 0;
  Bytes csr;
  Bytes request_hash;
  std::string ticket;   // empty: the desk has not been heard yet, or wants no approval
  std::string problem;  // JSON
  Bytes serial;
  std::string chain;
};

struct AcmeAuthorization {
  std::string id;
  std::string account;
  std::string dns;
  bool valid = true;
  UnixMs expires = 0;
};

struct AcmeBounds {
  std::size_t accounts_per_registration = 16;  // deactivated ones too
  std::size_t orders_per_hour = 100;           // of one account
  std::size_t orders_per_registration = 2000;  // that are kept
};

/// What finalize brings.
struct Finalization {
  Bytes csr;
  Bytes asked_hash;
  Bytes request_hash;
};

class AcmeRecords {
 public:
  AcmeRecords(store::Store& store, crypto::Rng& rng) : store_(store), rng_(rng) {}

  /// 32 hexadecimal digits that nobody can guess.
  std::string draw_id() { return to_hex(rng_.bytes(16)); }

  /// Nothing if there is none.
  Result<std::optional<AcmeAccount>> account(std::string_view id);
  Result<std::optional<AcmeAccount>> account_of_key(ByteView thumbprint);
  struct Opened {
    AcmeAccount account;
    bool made = false;  // false: there was one with this key
  };
  /// exhausted: the registration has as many as it may.
  Result<void> room_for_account(std::string_view reference, const AcmeBounds& bounds);
  /// The same failure. `account.id` is one of draw_id().
  Result<Opened> open_account(const AcmeAccount& account, const AcmeBounds& bounds);
  Result<void> change_contacts(std::string_view account, const std::vector<std::string>& contacts, UnixMs now);
  /// Its orders that have no certificate end with `problem`.
  Result<void> deactivate_account(std::string_view account, std::string_view problem, UnixMs now);
  /// conflict if an account, one that is deactivated too, has this key.
  Result<void> change_key(std::string_view account, std::string_view jwk, ByteView thumbprint, UnixMs now);

  /// Id, status and authorisations are made here. exhausted: too many in the last hour, or kept; conflict: `replaces` names what another order has replaced.
  Result<AcmeOrder> open_order(AcmeOrder order, UnixMs authorizations_expire, const AcmeBounds& bounds);
  Result<std::optional<AcmeOrder>> order(std::string_view id);
  Result<std::optional<AcmeOrder>> order_of_certificate(ByteView serial);
  /// Serials of the account's latest certificates that have not expired, the latest first.
  Result<std::vector<Bytes>> certificates_of(std::string_view account, std::size_t most, UnixMs now);
  /// Ids after `after` in their own order, without invalid ones.
  Result<std::vector<std::string>> orders_of(std::string_view account, std::string_view after, std::size_t most, UnixMs now);

  /// From ready to processing. An order of the same account for the same key and names that waits for approval already hands on its request and ticket: an
  /// asker who comes again has not to be approved again. conflict: it is not ready, expired, or an authorisation of it does not hold any more.
  Result<void> begin(std::string_view order, const Finalization& finalization, UnixMs keep_until, UnixMs now);
  Result<void> keep_ticket(std::string_view order, std::string_view ticket);
  /// Whoever comes first wins.
  Result<void> complete(std::string_view order, ByteView serial, std::string_view chain, UnixMs certificate_ends);
  /// From processing to invalid.
  Result<void> give_up(std::string_view order, std::string_view problem, UnixMs keep_until);
  /// From processing back to ready: nothing was signed, and another CSR may fit.
  Result<void> reopen(std::string_view order, UnixMs expires);

  Result<std::optional<AcmeAuthorization>> authorization(std::string_view id);
  /// Orders that are ready and need it end with `problem`.
  Result<void> deactivate_authorization(std::string_view id, std::string_view problem);
  /// Whether the account has a valid authorisation for each of the names.
  Result<bool> authorized_for(std::string_view account, const std::vector<std::string>& names, UnixMs now);

  /// Deletes what has expired: orders (at most so many at once), then authorisations that no order names, then accounts that were deactivated long ago and have
  /// no orders left. False if there may be more orders to delete.
  Result<bool> sweep(UnixMs now);

 private:
  store::Store& store_;
  crypto::Rng& rng_;
};

}  // namespace qanat::cas
