// When the key of a running call has been in use for long enough, and when for too long. Pure: the time comes in.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace qanat::terminal {

// After an attempt that came to nothing; doubled with each further one, because each may have cost a quantum key.
inline constexpr std::chrono::milliseconds rekey_retry{5'000};
inline constexpr std::chrono::milliseconds rekey_retry_longest{300'000};
inline constexpr std::chrono::milliseconds rekey_wish_every{5'000};  // of the callee
// Between two sessions that the other end begins and the callee follows; doubled with each that brought no key, because each may have cost a charged one. Less
// than rekey_retry and rekey_retry_longest, so that a caller who keeps to these never waits for it.
inline constexpr std::chrono::milliseconds rekey_begins_every{1'000};
inline constexpr std::chrono::milliseconds rekey_begins_longest{150'000};
static_assert(rekey_begins_every < rekey_retry && rekey_begins_longest < rekey_retry_longest);
inline constexpr std::uint64_t rekey_limit_of_packets = 2;           // times `after_packets`
// How far asked_min grows, because each wish that is followed costs a quantum key and perhaps a charged one: to this part of `after`, or without `after` to
// rekey_asked_longest.
inline constexpr int rekey_asked_part = 4;
inline constexpr std::chrono::milliseconds rekey_asked_longest{900'000};

struct RekeyRules {
  std::chrono::milliseconds after{0};           // a key that has been in force for so long is replaced; 0: however long
  std::uint64_t after_packets = 0;              // or one that has protected so many of our media packets; 0: however many
  std::chrono::milliseconds limit{0};           // without another key the call ends; 0: it does not
  std::chrono::milliseconds asked_min{10'000};    // caller: how long a key is in force at least before the other end's wish is followed; doubled with each
  std::chrono::milliseconds attempt_max{30'000};  // callee: after so long a session that has brought no key is given up, whether or not the caller has said so
};

class RekeyPlan {
 public:
  using Time = std::chrono::steady_clock::time_point;
  explicit RekeyPlan(const RekeyRules& rules) : rules_(rules), asked_min_(rules.asked_min) {}

  /// Both ends use this key from now on.
  void in_force(Time now);
  /// The attempt came to nothing, for this reason: the next one waits for a while.
  void failed(Time now, std::string why);
  /// Callee: a session of the other end's is followed; the next one is not for a while.
  void followed(Time now);
  /// Caller: a wish of the other end's is followed; the next one is not before a key has been in force for longer.
  void wish_followed();
  /// The wish was said: it is said again after a while.
  void asked(Time now) { not_before_ = now + rekey_wish_every; }

  /// `packets`: of ours, under the key in force.
  [[nodiscard]] bool due(Time now, std::uint64_t packets) const;
  [[nodiscard]] bool follows_begin(Time now) const { return now >= no_begin_before_; }
  [[nodiscard]] bool follows_wish(Time now) const { return now >= since_ + asked_min_ && now >= not_before_; }
  /// Why the call cannot go on; nothing if it can. `under_way`: what the attempt that is being made waits for; empty if none is.
  [[nodiscard]] std::optional<std::string> spent(Time now, std::uint64_t packets, std::string_view under_way) const;

 private:
  RekeyRules rules_;
  std::chrono::milliseconds asked_min_;  // of the next wish
  Time since_{};
  Time not_before_{};
  std::chrono::milliseconds retry_ = rekey_retry;
  Time no_begin_before_{};
  std::chrono::milliseconds begin_pause_ = rekey_begins_every;
  std::string last_failure_;
};

}  // namespace qanat::terminal
