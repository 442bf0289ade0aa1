// The users of the service: number, subscriber, the KMS that serves it, whether the service is open to it, and where it is registered.
#pragma once

#include <atomic>
#include <optional>
#include <vector>

#include "base/clock.hpp"
#include "base/id.hpp"
#include "store/store.hpp"

namespace qanat::cmsp {

enum class Service : std::uint8_t { open, closed };
std::string_view name(Service service) noexcept;
Result<Service> parse_service(std::string_view text);

struct Account {
  Number number;
  Uid uid;
  ElementName kms;
  Service service = Service::closed;
  bool operator==(const Account&) const = default;
};

/// Inside a transaction, for Sessions.
Result<std::optional<Account>> find_account(store::Transaction& transaction, const Number& number);
/// True if `account.kms` has registered the number.
Result<bool> is_registered(store::Transaction& transaction, const Account& account);

class Accounts {
 public:
  explicit Accounts(store::Store& store) : store_(store) {}

  /// Enters the account or replaces it; a registration at another KMS than the account's ends. `conflict` if the uid has another number.
  Result<void> put(const Account& account);
  /// `not_found` if the number has none.
  Result<Account> find(const Number& number);
  /// The KMS serves this number from now on. `not_found` without an account; `denied` if the account is another uid's or another KMS's.
  Result<void> enter_registration(const Number& number, const Uid& uid, const ElementName& kms, UnixMs now);

  /// Those whose service is open and who are registered at their KMS, ascending by number, after this one.
  Result<std::vector<Account>> reachable(const Number& after, std::int64_t max);
  /// Another value whenever an account or a registration was entered.
  [[nodiscard]] std::uint64_t changes() const noexcept { return changes_; }

  struct Counts {
    std::int64_t accounts = 0;
    std::int64_t registrations = 0;
  };
  Result<Counts> counts();

 private:
  store::Store& store_;
  std::atomic<std::uint64_t> changes_ = 0;
};

}  // namespace qanat::cmsp
