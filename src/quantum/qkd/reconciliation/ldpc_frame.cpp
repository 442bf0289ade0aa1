#include "quantum/qkd/reconciliation/ldpc_frame.hpp"

#include <cmath>
#include <cstring>
#include <deque>
#include <mutex>

namespace qanat::qkd {
namespace {

__extension__ using Wide = unsigned __int128;

constexpr std::uint64_t prime = (std::uint64_t{1} << 61) - 1;
constexpr std::size_t word_octets = 7;

std::uint64_t product(std::uint64_t a, std::uint64_t b) noexcept {
  const Wide wide = Wide{a} * b;
  const std::uint64_t sum = static_cast<std::uint64_t>(wide & prime) + static_cast<std::uint64_t>(wide >> 61);
  return sum >= prime ? sum - prime : sum;
}

/// The latest codes by their size, so that a block does not pay for what the block before has made. A pure function's memory: no state that
/// anybody could see, and a size that nobody can drive up.
template <class Made>
class Kept {
 public:
  std::shared_ptr<const Made> get(std::size_t columns, std::size_t rows) {
    const std::lock_guard lock(mutex_);
    for (const Entry& entry : entries_)
      if (entry.columns == columns && entry.rows == rows) return entry.made;
    if (entries_.size() >= entries_max) entries_.pop_front();
    entries_.push_back({.columns = columns, .rows = rows, .made = std::make_shared<const Made>(columns, rows)});
    return entries_.back().made;
  }

 private:
  static constexpr std::size_t entries_max = 32;
  struct Entry {
    std::size_t columns;
    std::size_t rows;
    std::shared_ptr<const Made> made;  // with who still decodes with it
  };
  std::mutex mutex_;
  std::deque<Entry> entries_;
};

}  // namespace

LdpcFrameBits::LdpcFrameBits(const Secret& key, const LdpcFrames& frames, std::size_t frame)
    : columns_((frames.bits(frame) + circulant_bits - 1) / circulant_bits) {
  const ByteView octets = key.reveal().subspan(frame * frame_bits / 8, frames.octets(frame));
  for (std::size_t i = 0; i < octets.size(); ++i) columns_[i / circulant_octets][i / 8 % 2] |= std::uint64_t{octets[i]} << (i % 8 * 8);
  const std::size_t bits = frames.bits(frame);
  if (const std::size_t used = bits % 64; used != 0) columns_[bits / circulant_bits][bits / 64 % 2] &= (std::uint64_t{1} << used) - 1;
}

LdpcFrameBits::~LdpcFrameBits() { wipe({reinterpret_cast<std::uint8_t*>(columns_.data()), columns_.size() * sizeof(Circulant)}); }

void LdpcFrameBits::write(std::span<std::uint8_t> key, const LdpcFrames& frames, std::size_t frame) const {
  for (std::size_t i = 0; i < frames.octets(frame); ++i) key[frame * frame_bits / 8 + i] = octet(i);
}

LdpcCheck::LdpcCheck(ByteView seed) {
  std::uint64_t words[2] = {};
  for (std::size_t i = 0; i < 16; ++i) words[i / 8] = words[i / 8] << 8 | seed[i];
  point_ = (words[0] & prime) % prime;
  factor_ = (words[1] & prime) % prime;
}

std::uint32_t LdpcCheck::of(std::span<const Circulant> frame) const noexcept {
  const std::size_t octets = frame.size() * sizeof(Circulant);
  const auto* const at = reinterpret_cast<const std::uint8_t*>(frame.data());
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < octets; i += word_octets) {
    std::uint64_t word = 0;
    std::memcpy(&word, at + i, std::min(word_octets, octets - i));
    sum = product(sum, point_) + word;
    if (sum >= prime) sum -= prime;
  }
  // Once more by the point, so that the last word does not stand bare; the factor spreads every difference evenly before the cut.
  return static_cast<std::uint32_t>(product(product(sum, point_), factor_));
}

std::shared_ptr<const LdpcCode> ldpc_code(std::size_t columns, std::size_t rows) {
  static Kept<LdpcCode> kept;
  return kept.get(columns, rows);
}

std::shared_ptr<const LdpcPlan> ldpc_plan(std::size_t columns, std::size_t rows) {
  static Kept<LdpcPlan> kept;
  return kept.get(columns, rows);
}

Result<void> check_ldpc_setup(const ReconciliationSetup& setup, const Secret& key) {
  if (setup.key_bits == 0 || setup.key_bits > reconciliation_bits_max || key.size() != (setup.key_bits + 7) / 8)
    return fail(ErrorCode::invalid_argument, "error correction: a key of another size than agreed");
  if (setup.seed.size() != reconciliation_seed_size) return fail(ErrorCode::invalid_argument, "error correction: seed of a wrong size");
  if (!std::isfinite(setup.error_rate) || setup.error_rate < 0 || setup.error_rate > 0.5)
    return fail(ErrorCode::invalid_argument, "error correction: error rate out of range");
  return {};
}

void write_row(std::span<std::uint8_t> out, const Circulant& row) noexcept {
  for (std::size_t i = 0; i < circulant_octets; ++i) out[i] = static_cast<std::uint8_t>(row[i / 8] >> (i % 8 * 8));
}

Circulant read_row(ByteView in) noexcept {
  Circulant row{};
  for (std::size_t i = 0; i < circulant_octets; ++i) row[i / 8] |= std::uint64_t{in[i]} << (i % 8 * 8);
  return row;
}

}  // namespace qanat::qkd
