#include "quantum/qkd/sifting/sifting.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/check.hpp"

namespace qanat::qkd {

std::size_t clicks_needed(std::size_t block_size, double key_basis_probability) {
  const double match = key_basis_probability * key_basis_probability;
  const auto wanted = static_cast<double>(block_size);
  // n clicks give n match ± 6 sqrt(n match (1 - match)) events; solved for n, a little generously.
  const double slack = 6.0 * std::sqrt(wanted * (1.0 - match));
  return static_cast<std::size_t>(std::ceil((wanted + slack + 36.0) / match));
}

Sifted::Sifted(std::size_t clicks) : bits_((clicks + 7) / 8), marks_{.decoy = Bytes((clicks + 7) / 8), .vacuum = Bytes((clicks + 7) / 8)} {}

void Sifted::add_key_bit(std::uint8_t bit, Intensity intensity) {
  const std::size_t octet = size_ / 8;
  const std::size_t place = size_ % 8;
  CHECK(octet < bits_.size());
  bits_.writable()[octet] |= static_cast<std::uint8_t>((bit & 1U) << place);
  if (intensity == Intensity::decoy) marks_.decoy[octet] |= static_cast<std::uint8_t>(1U << place);
  if (intensity == Intensity::vacuum) marks_.vacuum[octet] |= static_cast<std::uint8_t>(1U << place);
  ++size_;
  ++key_counts_[index_of(intensity)];
}

void Sifted::add_check(Intensity intensity, bool is_error) {
  ++check_.detections[index_of(intensity)];
  if (is_error) ++check_.errors[index_of(intensity)];
}

SiftedBlock Sifted::take(std::uint64_t block_id, std::uint64_t gates) {
  const std::size_t octets = (size_ + 7) / 8;
  SiftedBlock out{.block_id = block_id,
                  .key = Secret::copy_of(bits_.reveal().first(octets)),
                  .key_bits = size_,
                  .marks = std::move(marks_),
                  .key_counts = key_counts_,
                  .check = check_,
                  .gates = gates};
  out.marks.decoy.resize(octets);
  out.marks.vacuum.resize(octets);
  bits_ = Secret();
  return out;
}

std::array<std::uint64_t, intensity_count> differences_by_intensity(const Secret& before, const Secret& after, const IntensityMarks& marks) {
  CHECK(before.size() == after.size() && marks.decoy.size() == before.size() && marks.vacuum.size() == before.size());
  std::array<std::uint64_t, intensity_count> out{};
  const ByteView old = before.reveal();
  const ByteView corrected = after.reveal();
  std::uint64_t all = 0;
  // Words of eight octets, then what is left as one more.
  const auto count = [&](std::size_t at, std::size_t size) {
    const auto word = [&](ByteView octets) {
      std::uint64_t value = 0;
      std::memcpy(&value, octets.data() + at, size);
      return value;
    };
    // Which bits were wrong is known to whoever followed the error correction: no secret decides this branch.
    const std::uint64_t difference = word(old) ^ word(corrected);
    if (difference == 0) return;
    all += static_cast<unsigned>(std::popcount(difference));
    out[index_of(Intensity::decoy)] += static_cast<unsigned>(std::popcount(difference & word(marks.decoy)));
    out[index_of(Intensity::vacuum)] += static_cast<unsigned>(std::popcount(difference & word(marks.vacuum)));
  };
  std::size_t at = 0;
  for (; at + sizeof(std::uint64_t) <= old.size(); at += sizeof(std::uint64_t)) count(at, sizeof(std::uint64_t));
  if (at < old.size()) count(at, old.size() - at);
  out[index_of(Intensity::signal)] = all - out[index_of(Intensity::decoy)] - out[index_of(Intensity::vacuum)];
  return out;
}

Announcement announce(const Clicks& clicks) {
  Announcement out{.indices = clicks.indices, .bases = clicks.bases, .check_bits = {}};
  const ByteView bits = clicks.bits.reveal();
  for (std::size_t i = 0; i < bits.size(); ++i) {
    if (clicks.bases[i] == Basis::check_z) out.check_bits.push_back(bits[i]);
  }
  return out;
}

Verdict judge(const EmissionRecord& sent, const Announcement& announced, Sifted& sifted) {
  Verdict out;
  out.marks.reserve(sent.bases.size());
  std::size_t check_at = 0;
  const ByteView bits = sent.bits.reveal();
  for (std::size_t i = 0; i < sent.bases.size(); ++i) {
    const bool is_check = announced.bases[i] == Basis::check_z;
    const std::uint8_t bob_check_bit = is_check ? announced.check_bits[check_at++] : 0;
    if (sent.bases[i] != announced.bases[i]) {
      out.marks.push_back(Verdict::dropped);
      continue;
    }
    out.marks.push_back(static_cast<std::uint8_t>(1 + index_of(sent.intensities[i])));
    if (is_check) {
      out.check_bits.push_back(bits[i]);
      sifted.add_check(sent.intensities[i], bits[i] != bob_check_bit);
    } else {
      sifted.add_key_bit(bits[i], sent.intensities[i]);
    }
  }
  return out;
}

Result<void> apply(const Verdict& verdict, const Clicks& clicks, Sifted& sifted) {
  std::size_t check_at = 0;
  const ByteView bits = clicks.bits.reveal();
  for (std::size_t i = 0; i < verdict.marks.size(); ++i) {
    if (verdict.marks[i] == Verdict::dropped) continue;
    const auto intensity = all_intensities[verdict.marks[i] - 1U];
    if (clicks.bases[i] == Basis::key_x) {
      sifted.add_key_bit(bits[i], intensity);
    } else {
      if (check_at == verdict.check_bits.size()) return fail(ErrorCode::invalid_argument, "sifting: Alice's check bits do not fit her verdict");
      sifted.add_check(intensity, verdict.check_bits[check_at++] != bits[i]);
    }
  }
  if (check_at != verdict.check_bits.size()) return fail(ErrorCode::invalid_argument, "sifting: Alice's check bits do not fit her verdict");
  return {};
}

}  // namespace qanat::qkd
