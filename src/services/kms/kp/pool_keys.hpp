// KP's envelope: a key is sealed under the pool key of its library, a pool key under the master key of the crypto device. So the device is asked once for each pool
// key and not for each row, and a library is gone for good when its pool keys are.
//
// A pool key seals each column under a key of its own, HKDF(pool key, column ‖ row): a sealed column opens in its place alone, and a random nonce is fresh enough.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>

#include "base/clock.hpp"
#include "crypto/device.hpp"
#include "crypto/suite.hpp"
#include "services/kms/kp/library.hpp"
#include "store/store.hpp"

namespace qanat::kms {

class PoolKeys {
 public:
  struct Parts {
    store::Store& store;
    crypto::CryptoDevice& device;
    const crypto::Suite& suite;
    std::chrono::milliseconds lifetime{};  // after which another pool key takes its place
  };
  /// Opens the pool keys, makes those that are missing, and seals anew what is sealed by the device itself (a database from before there were pool keys) or under a
  /// former pool key.
  static Result<std::unique_ptr<PoolKeys>> open(Parts parts, UnixMs now);
  ~PoolKeys();

  /// True if there were no pool keys before: what is sealed by the device itself and is not sealed anew (working keys) does not open any more.
  [[nodiscard]] bool is_first() const noexcept { return is_first_; }

  /// Seals and unseals under the library's pool key, like a device; random octets are the device's. `denied` for what was changed, moved, or sealed for another
  /// library.
  [[nodiscard]] crypto::CryptoDevice& of(Library library) noexcept;

  /// What is to be done now and then: a new pool key where one is due, columns of former ones sealed anew (`most` at a time), former ones that nothing uses
  /// deleted. To be called every second or so: it also sees what other processes of this KMS did.
  Result<void> maintain(UnixMs now, std::size_t most = 64);
  /// A new pool key for the library, whatever the age of the former; in force once all processes have seen it.
  Result<void> rotate(Library library, UnixMs now);
  /// Generations that are there, the one in force last.
  [[nodiscard]] std::vector<std::uint32_t> generations(Library library) const;

 private:
  class Device;
  struct PoolKey {
    std::shared_ptr<const Secret> key;  // shared with who is sealing
    UnixMs made_ms = 0;
    bool in_force = false;
  };
  struct Found {
    std::uint32_t generation = 0;
    std::shared_ptr<const Secret> key;
  };

  explicit PoolKeys(Parts parts);
  Result<void> load(UnixMs now);
  Result<std::size_t> reseal(std::size_t most);
  Result<void> drop_former(UnixMs now);
  [[nodiscard]] Found current(Library library) const;
  [[nodiscard]] std::shared_ptr<const Secret> find(Library library, std::uint32_t generation) const;

  Parts parts_;
  bool is_first_ = false;
  mutable std::mutex mutex_;  // guards keys_
  std::array<std::map<std::uint32_t, PoolKey>, all_libraries.size()> keys_;
  std::array<std::unique_ptr<Device>, all_libraries.size()> devices_;
};

}  // namespace qanat::kms
