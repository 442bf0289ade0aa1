// Sifting: which clicks count. Nothing is announced until the run's photons have all been detected: announcing bases between rounds and
// stopping when enough have matched would open the sifting attacks of Pfister, Luetkenhaus, Wehner, Coles (New J. Phys. 18, 053001).
// Bob therefore collects a number of clicks that is fixed beforehand, announces them in chunks, and all matching key-basis events count.
// What comes out is packed, one bit per bit.
#pragma once

#include <vector>

#include "quantum/qkd/photonics/device.hpp"

namespace qanat::qkd {

inline constexpr std::size_t clicks_per_chunk = std::size_t{1} << 19;

struct BasisCounts {
  std::array<std::uint64_t, intensity_count> detections{};
  std::array<std::uint64_t, intensity_count> errors{};

  [[nodiscard]] std::uint64_t total() const { return detections[0] + detections[1] + detections[2]; }
  [[nodiscard]] std::uint64_t total_errors() const { return errors[0] + errors[1] + errors[2]; }
};

/// Clicks to collect so that at least `block_size` match in the key basis, but for six standard deviations.
std::size_t clicks_needed(std::size_t block_size, double key_basis_probability);

/// Part of what Bob announces about his clicks: where, in which basis, and the bits of those in the check basis.
struct Announcement {
  std::vector<std::uint64_t> indices;
  std::vector<Basis> bases;
  Bytes check_bits;  // one per click in the check basis, in order, one per octet
};

/// What Alice answers: per click, whether its basis matches and with what intensity it was sent; and her check-basis bits.
struct Verdict {
  static constexpr std::uint8_t dropped = 0;  // otherwise 1 + intensity
  std::vector<std::uint8_t> marks;            // one per click
  Bytes check_bits;                           // one per kept click in the check basis, one per octet
};

/// With which intensity each bit of the sifted key was sent: public. Packed as the key; neither bit set means signal.
struct IntensityMarks {
  Bytes decoy;
  Bytes vacuum;
};

/// What sifting leaves at one end.
struct SiftedBlock {
  std::uint64_t block_id = 0;
  Secret key;  // packed, key_bits of it
  std::size_t key_bits = 0;
  IntensityMarks marks;
  std::array<std::uint64_t, intensity_count> key_counts{};  // by intensity; they add up to key_bits
  BasisCounts check;
  std::uint64_t gates = 0;  // that the run took
};

/// The growing result, of either side.
class Sifted {
 public:
  Sifted() = default;
  /// Room for `clicks` key bits.
  explicit Sifted(std::size_t clicks);

  void add_key_bit(std::uint8_t bit, Intensity intensity);
  void add_check(Intensity intensity, bool is_error);

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] const BasisCounts& check() const noexcept { return check_; }
  /// Everything; once.
  [[nodiscard]] SiftedBlock take(std::uint64_t block_id, std::uint64_t gates);

 private:
  Secret bits_;
  IntensityMarks marks_;
  std::size_t size_ = 0;
  std::array<std::uint64_t, intensity_count> key_counts_{};
  BasisCounts check_;
};

/// Where the bits of `before` and `after` differ, counted by intensity. All are packed and of one length.
std::array<std::uint64_t, intensity_count> differences_by_intensity(const Secret& before, const Secret& after, const IntensityMarks& marks);

/// What Bob says about a chunk of his clicks.
Announcement announce(const Clicks& clicks);
/// Alice: compares with what she sent, adds to `sifted`.
Verdict judge(const EmissionRecord& sent, const Announcement& announced, Sifted& sifted);
/// Bob: applies Alice's verdict on those clicks. Fails if it does not fit his announcement.
Result<void> apply(const Verdict& verdict, const Clicks& clicks, Sifted& sifted);

}  // namespace qanat::qkd
