#include "quantum/qkd/session/key_block.hpp"

#include <algorithm>

#include "crypto/kdf.hpp"

namespace qanat::qkd {
namespace {

using CountArray = std::array<std::uint64_t, intensity_count>;
using RealArray = std::array<double, intensity_count>;

void write_all(OctetWriter& out, const CountArray& values) {
  for (const std::uint64_t value : values) out.u64(value);
}
void write_all(OctetWriter& out, const RealArray& values) {
  for (const double value : values) out.f64(value);
}
void read_all(OctetReader& in, CountArray& values) {
  for (std::uint64_t& value : values) value = in.u64();
}
void read_all(OctetReader& in, RealArray& values) {
  for (double& value : values) value = in.f64();
}

/// An enumeration whose values run from `first` to `last`.
template <class Enum>
Enum read_choice(OctetReader& in, Enum first, Enum last) {
  const std::uint8_t value = in.u8();
  if (value >= static_cast<std::uint8_t>(first) && value <= static_cast<std::uint8_t>(last)) return static_cast<Enum>(value);
  in.refuse();
  return first;
}

/// `size` octets or none.
Bytes read_digest(OctetReader& in, std::size_t size) {
  const std::size_t octets = in.u8();
  if (octets != 0 && octets != size) in.refuse();
  return to_bytes(in.octets(in.failed() ? 0 : octets));
}

}  // namespace

std::string_view name(LeakModel model) noexcept {
  switch (model) {
    case LeakModel::one_way:
      return "one_way";
    case LeakModel::both_directions:
      return "both_directions";
  }
  return "";
}

std::string_view name(FirstKey first_key) noexcept {
  switch (first_key) {
    case FirstKey::pre_shared:
      return "pre_shared";
    case FirstKey::pqc:
      return "pqc";
  }
  return "";
}

void BlockReport::write_shared(OctetWriter& out) const {
  out.u64(n_sift);
  for (const CountArray& counts : {key_counts, key_errors, check_counts, check_errors}) write_all(out, counts);
  write_all(out, mu);
  write_all(out, p);
  out.f64(key_basis_probability);
  out.u64(gates);
  out.f64(qber_key);
  out.f64(qber_check);
  out.u8(static_cast<std::uint8_t>(reconciliation));
  out.u64(disclosed.by_alice);
  out.u64(disclosed.by_bob);
  out.u8(static_cast<std::uint8_t>(leak_model));
  out.f64(leak_charged);
  out.u8(static_cast<std::uint8_t>(bound));
  out.u8(static_cast<std::uint8_t>(length_rule));
  out.u8(rung);
  out.u8(static_cast<std::uint8_t>(thresholds.size()));
  out.octets(thresholds);
  for (const double value : {vacuum, single, single_check, single_errors, phase_error}) out.f64(value);
  out.u64(length);
  out.f64(eps_sec);
  out.f64(eps_cor);
  out.u64(authentication_bits_spent);
  out.u64(authentication_bits_refilled);
  out.u8(static_cast<std::uint8_t>(first_key));
  out.f64(simulated_time_s);
}

void BlockReport::write(OctetWriter& out) const {
  write_shared(out);
  out.u8(static_cast<std::uint8_t>(agreement.size()));
  out.octets(agreement);
  out.u64(times.began_ms);
  out.u64(times.wall_ms);
}

Result<BlockReport> BlockReport::read(OctetReader& in) {
  BlockReport report;
  report.n_sift = in.u64();
  for (CountArray* counts : {&report.key_counts, &report.key_errors, &report.check_counts, &report.check_errors}) read_all(in, *counts);
  read_all(in, report.mu);
  read_all(in, report.p);
  report.key_basis_probability = in.f64();
  report.gates = in.u64();
  report.qber_key = in.f64();
  report.qber_check = in.f64();
  report.reconciliation = read_choice(in, ReconciliationMethod::cascade, ReconciliationMethod::ldpc);
  report.disclosed.by_alice = in.u64();
  report.disclosed.by_bob = in.u64();
  report.leak_model = read_choice(in, LeakModel::one_way, LeakModel::both_directions);
  report.leak_charged = in.f64();
  report.bound = read_choice(in, Bound::wiesemann_2026, Bound::gllp);
  report.length_rule = read_choice(in, LengthRule::fixed, LengthRule::observed);
  report.rung = in.u8();
  report.thresholds = read_digest(in, thresholds_digest_size);
  for (double* value : {&report.vacuum, &report.single, &report.single_check, &report.single_errors, &report.phase_error}) *value = in.f64();
  report.length = in.u64();
  report.eps_sec = in.f64();
  report.eps_cor = in.f64();
  report.authentication_bits_spent = in.u64();
  report.authentication_bits_refilled = in.u64();
  report.first_key = read_choice(in, FirstKey::pre_shared, FirstKey::pqc);
  report.simulated_time_s = in.f64();
  report.agreement = read_digest(in, agreement_size);
  report.times.began_ms = in.u64();
  report.times.wall_ms = in.u64();
  if (in.failed()) return fail(ErrorCode::invalid_argument, "block report: malformed");
  return report;
}

Bytes BlockReport::digest(const LinkId& link, std::uint64_t block_id, ByteView verification_key, ByteView verification_hash) const {
  OctetWriter out;
  out.octets(as_bytes("qanat qkd agreement"));
  out.text(link.text());
  out.u64(block_id);
  write_shared(out);
  out.octets(verification_key);
  out.octets(verification_hash);
  return crypto::digest(crypto::Hash::sha256, out.take());
}

KeyId key_id(const LinkId& link, std::uint64_t block_id, std::uint32_t index) {
  OctetWriter out;
  out.octets(as_bytes("qanat qkd key id"));
  out.text(link.text());
  out.u64(block_id);
  out.u32(index);
  const Bytes digest = crypto::digest(crypto::Hash::sha256, out.take());
  return KeyId(ByteView(digest).first(KeyId::size));
}

std::vector<KeyBlock> in_pieces(const KeyBlock& block) {
  std::vector<KeyBlock> pieces;
  const std::uint64_t whole = block.bit_count / link_key_bits * link_key_bits;
  for (std::uint64_t at = 0; at < whole; at += piece_bits_max) {
    const std::uint64_t bits = std::min<std::uint64_t>(piece_bits_max, whole - at);
    pieces.push_back({.block_id = block.block_id + pieces.size(),
                      .bits = Secret::copy_of(block.bits.reveal().subspan(at / 8, bits / 8)),
                      .bit_count = bits,
                      .report = block.report});
  }
  return pieces;
}

}  // namespace qanat::qkd
