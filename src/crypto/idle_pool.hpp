// Operation objects between uses. Botan's keys may be shared by threads but its signers and verifiers may not, and making one costs as
// much as using it (tables of multiples, the matrix A of ML-DSA). Private to crypto.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

namespace qanat::crypto {

/// At most as many idle objects are kept as threads are likely to meet at one key; ML-DSA's hold some 60 KB each.
inline constexpr std::size_t idle_objects_max = 4;

template <class Operation>
class IdlePool {
 public:
  /// Calls `use` with an idle object or, if none is idle, with one from `make` (which returns a unique_ptr). An object that an
  /// exception leaves in the middle of a message is not used again.
  template <class Make, class Use>
  auto with(Make&& make, Use&& use) {
    std::unique_ptr<Operation> operation = take();
    if (!operation) operation = make();
    auto outcome = use(*operation);
    give_back(std::move(operation));
    return outcome;
  }

 private:
  std::unique_ptr<Operation> take() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return nullptr;
    std::unique_ptr<Operation> operation = std::move(idle_.back());
    idle_.pop_back();
    return operation;
  }
  void give_back(std::unique_ptr<Operation> operation) {
    const std::lock_guard lock(mutex_);
    if (idle_.size() < idle_objects_max) idle_.push_back(std::move(operation));
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<Operation>> idle_;
};

}  // namespace qanat::crypto
