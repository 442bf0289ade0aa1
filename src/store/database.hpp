// What the store needs of a connection, whichever database is behind it. Private to store.
#pragma once

#include <functional>
#include <span>
#include <string_view>

#include "base/result.hpp"
#include "store/store.hpp"

namespace qanat::store {

class Database {
 public:
  virtual ~Database() = default;
  virtual Result<std::int64_t> run(std::string_view sql, std::span<const Value> values) = 0;
  virtual Result<void> query(std::string_view sql, std::span<const Value> values, const std::function<void(const Row&)>& each) = 0;
  /// Several statements without values, one after the other (a migration).
  virtual Result<void> run_script(std::string_view sql) = 0;
  /// Begins a transaction that writes.
  virtual Result<void> begin() = 0;
  virtual Result<void> commit() = 0;
  virtual void roll_back() = 0;
  /// False outside of a transaction, and also after an error upon which the database itself gave it up.
  [[nodiscard]] virtual bool in_transaction() const noexcept = 0;
  /// Columns hold to their declared types, in every table.
  virtual Result<void> check_strict() = 0;
};

}  // namespace qanat::store
