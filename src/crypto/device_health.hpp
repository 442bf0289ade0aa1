// How a device is, as its calls found it; and the tests of its random octets. Private to crypto.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "crypto/device.hpp"

namespace qanat::crypto {

/// Keeps the state of one device and tells of its changes.
class DeviceWatch {
 public:
  explicit DeviceWatch(std::string_view device) : device_(device) {}

  void on_change(CryptoDevice::OnChange listener);
  [[nodiscard]] DeviceHealth now() const;

  /// An outcome on its way to the caller. `denied` is the box's fault and `exhausted` ours: neither says anything against the device.
  template <class T>
  Result<T> noted(Result<T> outcome) {
    if (outcome || outcome.error().code == ErrorCode::denied) {
      worked();
    } else if (outcome.error().code != ErrorCode::exhausted) {
      failed(outcome.error().message);
    }
    return outcome;
  }
  /// Its random octets are refused, from now on.
  void bad_random(const std::string& why);
  void failed(const std::string& why);

 private:
  void worked();
  void tell();
  [[nodiscard]] DeviceState state() const;  // under mutex_

  const std::string device_;
  mutable std::mutex mutex_;
  bool works_ = true;
  bool random_is_bad_ = false;
  std::string last_error_;
  std::mutex telling_;  // so that what is told last is how it is
  DeviceState told_ = DeviceState::ok;
  CryptoDevice::OnChange listener_;
};

/// Random octets of a device: the health tests of SP 800-90B on every octet, and none of the last draws may come again (an own addition: a generator that
/// starts anew, or gives one answer to everybody, passes the others). What fails once is refused for good.
class DeviceRandom {
 public:
  DeviceRandom(Rng& rng, DeviceWatch& watch) : rng_(rng), watch_(watch) {}

  /// `draw(span)` has the device fill it. The octets are added to the process's: the result is as good as the better of the two. `internal` if a test failed.
  template <class Draw>
  Result<Secret> random(std::size_t size, const Draw& draw) {
    Secret drawn(std::max(size, octets_min));
    TRY(draw(drawn.writable()));
    return accept(drawn, size);
  }
  /// SP 800-90B, 4.3: the test before anything is used.
  template <class Draw>
  Result<void> start_up(const Draw& draw) {
    TRY(random(start_up_octets, draw));
    TRY(random(octets_min, draw));
    return {};
  }

 private:
  static constexpr std::size_t octets_min = 32;
  static constexpr std::size_t start_up_octets = 1024;
  static constexpr std::size_t draws_kept = 256;

  Result<Secret> accept(const Secret& drawn, std::size_t size);
  [[nodiscard]] std::optional<std::string_view> fault_of(ByteView drawn);

  Rng& rng_;
  DeviceWatch& watch_;
  std::mutex mutex_;
  HealthTests tests_{4.0};                 // as the process's own source is put down: random.cpp
  std::optional<std::string_view> fault_;  // what was wrong once
  std::array<Bytes, draws_kept> kept_;
  std::size_t next_ = 0;
  std::set<Bytes> seen_;  // digests of the first octets of the last draws
};

/// What every device shows when it is opened: it opens what it seals,
Result<void> check_round_trip(CryptoDevice& device, Rng& rng);
/// and nothing under another context.
Result<void> check_device(CryptoDevice& device, Rng& rng);

}  // namespace qanat::crypto
