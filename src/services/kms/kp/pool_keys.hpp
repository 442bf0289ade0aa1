// KP's envelope: a key is sealed under the pool key of its library or kind (pool.hpp), a pool key under the master key of the crypto device. So the device is asked
// once for each pool key and not for each row, and a pool is gone for good when its pool keys are.
//
// A pool key seals each column under a key of its own, HKDF(pool key, column ‖ row): a sealed column opens in its place alone, and a random nonce is fresh enough.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "base/clock.hpp"
#include "crypto/device.hpp"
#include "crypto/suite.hpp"
#include "services/kms/kp/pool.hpp"
#include "store/lifecycle.hpp"
#include "store/store.hpp"

namespace qanat::kms {

struct SealedColumn;

class PoolKeys {
 public:
  struct Parts {
    store::Store& store;
    crypto::CryptoDevice& device;
    const crypto::Suite& suite;
    std::chrono::milliseconds lifetime{};  // after which another pool key takes its place
  };
  /// Opens the pool keys, makes those that are missing, and seals anew what is sealed by the device itself (a database from before there were pool keys, or this
  /// one) or under a former pool key: so many columns in each transaction, so that a process that is killed leaves every column sealed one way or the other, and the
  /// next goes on.
  static Result<std::unique_ptr<PoolKeys>> open(Parts parts, UnixMs now);
  ~PoolKeys();

  /// True if the library in use had no pool key before: what is sealed by the device itself and is not sealed anew (working keys) does not open any more.
  [[nodiscard]] bool is_first() const noexcept { return is_first_; }

  /// Seals and unseals under the pool's key, like a device; random octets are the device's. `denied` for what was changed, moved, or sealed for another pool;
  /// `unavailable` for what is under a later pool key than this process has looked up.
  [[nodiscard]] crypto::CryptoDevice& of(Pool pool) noexcept;
  [[nodiscard]] crypto::CryptoDevice& of(Library library) noexcept { return of(pool_of(library)); }

  /// What is to be done now and then: a new pool key where one is due, columns of former ones sealed anew (`most` at a time), former ones that nothing uses
  /// destroyed: a commitment stays (pool_key_end), and their end is owed to the record. To be called every second or so: it also sees what other processes of this KMS did.
  Result<void> maintain(UnixMs now, std::size_t most = 64);
  /// A new pool key, whatever the age of the former; in force once all processes have had a minute to see it.
  Result<void> rotate(Pool pool, UnixMs now);
  /// Generations that are there, the one in force last.
  [[nodiscard]] std::vector<std::uint32_t> generations(Pool pool) const;

 private:
  class Device;
  struct PoolKey {
    std::shared_ptr<const Secret> key;  // shared with who is sealing
    UnixMs made_ms = 0;
    store::KeyState state = store::KeyState::generated;  // active: it seals; superseded: it opens what it sealed. One is active, at most
  };
  struct Found {
    std::uint32_t generation = 0;
    std::shared_ptr<const Secret> key;
  };

  explicit PoolKeys(Parts parts);
  Result<void> load(UnixMs now);
  /// What all processes have had the time to see seals from now on, and goes on to, whatever becomes of the clock: a former one never seals again.
  Result<void> put_in_force(Pool pool, UnixMs now);
  Result<std::size_t> reseal(std::size_t most);
  Result<std::size_t> reseal_column(const SealedColumn& column, ByteView in_force, std::size_t most);
  Result<void> drop_former(UnixMs now);
  [[nodiscard]] Found current(Pool pool) const;
  [[nodiscard]] std::shared_ptr<const Secret> find(Pool pool, std::uint32_t generation) const;

  Parts parts_;
  bool is_first_ = false;
  std::vector<std::uint32_t> resealed_;  // of each sealed column: the generation under which all of it was found. Of open() and who maintains
  mutable std::mutex mutex_;  // guards keys_
  std::array<std::map<std::uint32_t, PoolKey>, all_pools.size()> keys_;
  std::array<std::unique_ptr<Device>, all_pools.size()> devices_;
};

}  // namespace qanat::kms
