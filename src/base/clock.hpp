// Time comes in as a value. Domain logic takes a TimePoint; services hold a Clock; a request carries a Deadline.
#pragma once

#include <chrono>
#include <cstdint>

namespace qanat {

/// Milliseconds since the Unix epoch, wall clock (what goes on the wire and into certificates).
using UnixMs = std::uint64_t;

class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual UnixMs now_ms() const = 0;
};

class SystemClock final : public Clock {
 public:
  [[nodiscard]] UnixMs now_ms() const override {
    return static_cast<UnixMs>(std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count());
  }
};

/// When the answer is no longer wanted. Travels with the request: a callee never starts a fresh time-out.
class Deadline {
 public:
  using clock = std::chrono::steady_clock;
  static Deadline after(std::chrono::milliseconds span) { return Deadline(clock::now() + span); }
  explicit Deadline(clock::time_point at) : at_(at) {}

  [[nodiscard]] clock::time_point at() const noexcept { return at_; }
  [[nodiscard]] bool passed() const { return clock::now() >= at_; }
  /// Never negative.
  [[nodiscard]] std::chrono::milliseconds remaining() const {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(at_ - clock::now());
    return left.count() > 0 ? left : std::chrono::milliseconds(0);
  }
  [[nodiscard]] Deadline sooner_of(std::chrono::milliseconds span) const {
    const Deadline other = after(span);
    return other.at_ < at_ ? other : *this;
  }

 private:
  clock::time_point at_;
};

}  // namespace qanat
