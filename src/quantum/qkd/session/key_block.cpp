#include "quantum/qkd/session/key_block.hpp"

#include "crypto/kdf.hpp"

namespace qanat::qkd {
namespace {
constexpr std::size_t bound_name_size_max = 32;
}

void BlockReport::write(OctetWriter& out) const {
  out.u64(n_sift);
  for (const auto& counts : {key_counts, check_counts, check_errors}) {
    for (const std::uint64_t count : counts) out.u64(count);
  }
  out.f64(qber_key);
  out.f64(qber_check);
  out.u64(leak_one_way);
  out.u64(leak_all);
  out.u8(static_cast<std::uint8_t>(leak_model));
  out.f64(leak_charged);
  out.f64(phase_error_bound);
  out.u64(length);
  out.f64(eps_sec);
  out.f64(eps_cor);
  out.u64(authentication_bits_spent);
  out.u64(authentication_bits_refilled);
  out.text(bound);
  out.f64(simulated_time_s);
  out.u64(wall_ms);
}

Result<BlockReport> BlockReport::read(OctetReader& in) {
  BlockReport report;
  report.n_sift = in.u64();
  for (auto* counts : {&report.key_counts, &report.check_counts, &report.check_errors}) {
    for (std::uint64_t& count : *counts) count = in.u64();
  }
  report.qber_key = in.f64();
  report.qber_check = in.f64();
  report.leak_one_way = in.u64();
  report.leak_all = in.u64();
  const std::uint8_t model = in.u8();
  if (model > static_cast<std::uint8_t>(LeakModel::both_directions)) in.refuse();
  report.leak_model = static_cast<LeakModel>(model & 1U);
  report.leak_charged = in.f64();
  report.phase_error_bound = in.f64();
  report.length = in.u64();
  report.eps_sec = in.f64();
  report.eps_cor = in.f64();
  report.authentication_bits_spent = in.u64();
  report.authentication_bits_refilled = in.u64();
  report.bound = in.text(bound_name_size_max);
  report.simulated_time_s = in.f64();
  report.wall_ms = in.u64();
  if (in.failed()) return fail(ErrorCode::invalid_argument, "block report: malformed");
  return report;
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

std::vector<LinkKey> split(const LinkId& link, const KeyBlock& block) {
  std::vector<LinkKey> keys;
  const std::size_t count = block.bit_count / link_key_bits;
  keys.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    keys.push_back({.id = key_id(link, block.block_id, static_cast<std::uint32_t>(i)),
                    .key = Secret::copy_of(block.bits.reveal().subspan(i * link_key_bits / 8, link_key_bits / 8))});
  }
  return keys;
}

}  // namespace qanat::qkd
