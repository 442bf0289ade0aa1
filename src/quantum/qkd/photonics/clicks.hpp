// Bob's clicks. A run may have hundreds of millions, all of which he must hold until the last photon was detected (nothing is announced before), so they
// are kept packed: the distances between them as in the message that will announce them, one bit for the basis, one for the value. Two to three
// octets per click on usual links.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "base/secret.hpp"
#include "quantum/qkd/photonics/link.hpp"

namespace qanat::qkd {

/// Some clicks, in order of time. `bits` holds one bit per octet; a double click has become a random bit already.
struct Clicks {
  std::vector<std::uint64_t> indices;  // of the pulse, strictly ascending
  std::vector<Basis> bases;
  Secret bits;
};

/// A queue of clicks: added in order of time, taken in the same order.
class PackedClicks {
 public:
  PackedClicks() = default;
  /// Room for `count`, which may not be exceeded.
  explicit PackedClicks(std::size_t count) : bases_((count + 7) / 8), bits_((count + 7) / 8) {}

  /// `index` is greater than the last one's.
  void add(std::uint64_t index, Basis basis, bool bit);
  /// The next clicks, at most so many. Memory of their distances is given back.
  [[nodiscard]] Clicks take(std::size_t at_most);
  [[nodiscard]] Clicks take_all() { return take(size()); }

  [[nodiscard]] std::size_t size() const noexcept { return added_ - taken_; }
  /// Pulse of the last click that was added.
  [[nodiscard]] std::uint64_t last() const noexcept { return last_; }

 private:
  std::deque<std::uint8_t> steps_;  // LEB128: from the click before, the first from 0
  Bytes bases_;                     // packed, set: check basis
  Secret bits_;                     // packed
  std::size_t added_ = 0;
  std::size_t taken_ = 0;
  std::uint64_t last_ = 0;
  std::uint64_t last_taken_ = 0;
};

}  // namespace qanat::qkd
