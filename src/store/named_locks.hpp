// Locks by name within one process. Private to store.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "store/store.hpp"

namespace qanat::store {

class NamedLocks {
 public:
  Result<std::unique_ptr<Store::Lock>> take(std::string_view name, Deadline deadline);

 private:
  class Held;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::string, std::less<>> held_;  // under mutex_
};

}  // namespace qanat::store
