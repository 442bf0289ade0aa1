// Which of two controllers leads. No I/O: told what the time is and what the other one said, it says whether this one leads.
//
// Routes are advice: keys are used once whatever two controllers say, because the QKMs see to that. So two controllers may both lead while
// they cannot hear each other; what must not happen is that nobody leads. Each leadership has a term, higher than any that was heard of;
// when both lead and meet, the lower term gives way, of equal terms the name that sorts last.
#pragma once

#include <cstdint>
#include <optional>

#include "base/clock.hpp"
#include "base/id.hpp"

namespace qanat::qkdnc {

struct Claim {
  ElementName name;
  std::uint64_t term = 0;  // of the leadership that it claims or follows
  bool leads = false;
};

class Leadership {
 public:
  struct Setting {
    ElementName self;
    std::optional<ElementName> other;  // none: this one leads from the start
    UnixMs silence_ms = 3000;          // without a leader heard of for so long, this one takes over
  };
  /// `term`: the highest that this controller ever stored.
  Leadership(Setting setting, std::uint64_t term, UnixMs now);

  [[nodiscard]] bool leads() const noexcept { return leads_; }
  [[nodiscard]] std::uint64_t term() const noexcept { return term_; }
  [[nodiscard]] Claim claim() const { return {.name = setting_.self, .term = term_, .leads = leads_}; }

  /// May take the lead: the new term must be stored before anybody acts on it.
  void tick(UnixMs now);
  /// What the other one said, asked or unasked.
  void heard(const Claim& other, UnixMs now);

 private:
  const Setting setting_;
  std::uint64_t term_;
  bool leads_ = false;
  UnixMs leader_heard_ms_;
};

}  // namespace qanat::qkdnc
