// What a key may be used for: who, what for, until when, how often, and what it must rest on at least. Stored with the key and bound to its sealed octets, so
// that a row whose policy was edited does not open.
#pragma once

#include "base/clock.hpp"
#include "services/kms/kma/traffic.hpp"
#include "wire/qfc2.hpp"

namespace qanat::kms {

/// The part that is drawn up from the settings when the key is made; who and until when come from the session.
struct KeyTerms {
  Traffic traffic = Traffic::voice;
  wire::Assurance level_min = wire::Assurance::local_rng;
  std::uint8_t deliveries_max = 1;  // the first one and its repetitions

  bool operator==(const KeyTerms&) const = default;
};

struct KeyPolicy {
  Uid holder;
  UnixMs not_after_ms = 0;
  KeyTerms terms;
};

/// One use of a key, as it is about to be made.
struct KeyUse {
  Uid by;
  Traffic traffic{};
  UnixMs now_ms = 0;
};

/// What the key is like at that moment.
struct KeyCondition {
  wire::Assurance rests_on{};
  std::int64_t deliveries = 0;  // so far
};

enum class Verdict : std::uint8_t { allowed, another_holder, another_use, past_its_time, used_up, rests_on_too_little };
constexpr std::string_view text(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::allowed:
      return "allowed";
    case Verdict::another_holder:
      return "the key is somebody else's";
    case Verdict::another_use:
      return "the key is for other traffic";
    case Verdict::past_its_time:
      return "the key is past its time";
    case Verdict::used_up:
      return "the key was delivered as often as its policy allows";
    case Verdict::rests_on_too_little:
      return "the key rests on less than its policy demands";
  }
  return "?";
}

/// The first of the rules that the use breaks, in the order of Verdict.
Verdict may(const KeyPolicy& policy, const KeyUse& use, const KeyCondition& condition);

/// What the sealed octets are bound to: every field in one encoding, fixed sizes first.
Bytes canonical(const KeyPolicy& policy);

}  // namespace qanat::kms
