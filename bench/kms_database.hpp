// The database of a KMS that is stopped, opened in this process as KP opens it: guarded, with the KMS's own device.
#pragma once

#include "ground.hpp"
#include "store/guard.hpp"

namespace qanat::bench {

class KmsDatabase {
 public:
  static Result<std::unique_ptr<KmsDatabase>> open(Ground& ground, const std::string& kms);
  /// As a KMS that stops in order leaves it.
  Result<void> close() { return store_->close(); }

  [[nodiscard]] store::Store& store() { return *store_; }
  [[nodiscard]] crypto::CryptoDevice& device() { return *device_; }

 private:
  KmsDatabase(std::unique_ptr<crypto::CryptoDevice> device, std::unique_ptr<store::GuardedStore> store)
      : device_(std::move(device)), store_(std::move(store)) {}
  std::unique_ptr<crypto::CryptoDevice> device_;
  std::unique_ptr<store::GuardedStore> store_;
};

}  // namespace qanat::bench
