// How many texts each version of a key may still seal, out of what was counted durably ahead: after a crash the rest of a block is lost, never used twice.
#pragma once

#include <map>
#include <mutex>

#include "services/kms/csa/sealed_text.hpp"

namespace qanat::kms::csa {

/// Random nonces of 96 bits: at most 2^32 texts under one key (SP 800-38D, 8.3).
struct SealLimits {
  std::int64_t block = 4096;
  std::int64_t max = 1LL << 32;
};

class SealBudget {
 public:
  /// False if nothing is left.
  bool take(const CsaKeyId& id, std::uint32_t version) {
    const std::lock_guard lock(mutex_);
    const auto found = left_.find({id, version});
    if (found == left_.end()) return false;
    if (--found->second == 0) left_.erase(found);
    return true;
  }
  void add(const CsaKeyId& id, std::uint32_t version, std::int64_t seals) {
    const std::lock_guard lock(mutex_);
    if (left_.size() >= versions_kept) left_.clear();  // what they had left is given up
    left_[{id, version}] += seals;
  }

 private:
  static constexpr std::size_t versions_kept = 65536;
  std::mutex mutex_;
  std::map<std::pair<CsaKeyId, std::uint32_t>, std::int64_t> left_;  // each at least 1
};

}  // namespace qanat::kms::csa
