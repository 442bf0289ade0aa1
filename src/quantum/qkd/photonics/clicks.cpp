#include "quantum/qkd/photonics/clicks.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace qanat::qkd {

void PackedClicks::add(std::uint64_t index, Basis basis, bool bit) {
  CHECK(added_ / 8 < bases_.size() && (added_ == 0 || index > last_));
  std::uint64_t step = index - last_;
  for (; step >= 0x80; step >>= 7) steps_.push_back(static_cast<std::uint8_t>(step | 0x80));
  steps_.push_back(static_cast<std::uint8_t>(step));
  bases_[added_ / 8] |= static_cast<std::uint8_t>((basis == Basis::check_z ? 1U : 0U) << (added_ % 8));
  bits_.writable()[added_ / 8] |= static_cast<std::uint8_t>((bit ? 1U : 0U) << (added_ % 8));
  last_ = index;
  ++added_;
}

Clicks PackedClicks::take(std::size_t at_most) {
  const std::size_t count = std::min(at_most, size());
  Clicks out{.indices = {}, .bases = {}, .bits = Secret(count)};
  out.indices.reserve(count);
  out.bases.reserve(count);
  const auto bits = out.bits.writable();
  const ByteView packed = bits_.reveal();
  auto at = steps_.begin();
  for (std::size_t i = 0; i < count; ++i, ++taken_) {
    std::uint64_t step = 0;
    unsigned shift = 0;
    for (; (*at & 0x80) != 0; shift += 7) step |= std::uint64_t{*at++ & 0x7fU} << shift;
    step |= std::uint64_t{*at++} << shift;
    last_taken_ += step;
    out.indices.push_back(last_taken_);
    out.bases.push_back((bases_[taken_ / 8] >> (taken_ % 8) & 1U) != 0 ? Basis::check_z : Basis::key_x);
    bits[i] = packed[taken_ / 8] >> (taken_ % 8) & 1U;
  }
  steps_.erase(steps_.begin(), at);
  return out;
}

}  // namespace qanat::qkd
