#include "quantum/qkd/process/vendor_message.hpp"

#include <algorithm>

#include "crypto/kdf.hpp"

namespace qanat::qkd {
namespace {
constexpr std::size_t vendor_reason_max = 200;
}

Bytes VendorMessage::write() const {
  OctetWriter out;
  out.u8(vendor_exchange_version);
  out.u8(static_cast<std::uint8_t>(kind));
  out.text(link.text());
  out.u64(block_id);
  switch (kind) {
    case VendorKind::ask:
      out.u8(wants_run ? 1 : 0);
      break;
    case VendorKind::acknowledge:
      out.octets(tag);
      break;
    case VendorKind::refuse:
      out.text(std::string_view(reason).substr(0, vendor_reason_max));
      break;
    case VendorKind::offer:
      out.octets(tag);
      out.u16(static_cast<std::uint16_t>(ids.size()));
      for (const KeyId& id : ids) out.octets(id.view());
      break;
    case VendorKind::nothing:
    case VendorKind::released:
    case VendorKind::voided:
      break;
  }
  return out.take();
}

Result<VendorMessage> VendorMessage::read(ByteView octets) {
  OctetReader in(octets);
  if (in.u8() != vendor_exchange_version) return fail(ErrorCode::invalid_argument, "X-2: the other end has another driver, or another version");
  const std::uint8_t kind = in.u8();
  const bool is_kind = kind >= static_cast<std::uint8_t>(VendorKind::ask) && kind <= static_cast<std::uint8_t>(VendorKind::voided);
  VendorMessage out;
  out.link = LinkId(in.text(link_id_size_max));
  out.block_id = in.u64();
  if (!is_kind || in.failed() || out.block_id > vendor_block_id_max) return fail(ErrorCode::invalid_argument, "X-2: malformed head");
  out.kind = static_cast<VendorKind>(kind);
  if (out.block_id == 0 && out.kind != VendorKind::ask && out.kind != VendorKind::nothing) in.refuse();
  if (out.kind == VendorKind::ask) {
    const std::uint8_t wants_run = in.u8();
    if (wants_run > 1) in.refuse();
    out.wants_run = wants_run == 1;
  }
  if (out.kind == VendorKind::acknowledge || out.kind == VendorKind::offer) out.tag = to_bytes(in.octets(vendor_tag_size));
  if (out.kind == VendorKind::refuse) {
    out.reason = in.text(vendor_reason_max);
    std::ranges::replace_if(
        out.reason, [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  }
  if (out.kind == VendorKind::offer) {
    const std::size_t count = in.u16();
    if (count == 0 || count > vendor_keys_max) in.refuse();
    for (std::size_t i = 0; i < count && !in.failed(); ++i) {
      const ByteView id = in.octets(KeyId::size);
      if (!in.failed()) out.ids.emplace_back(id);
    }
    std::vector<KeyId> sorted = out.ids;
    std::ranges::sort(sorted);
    if (std::ranges::adjacent_find(sorted) != sorted.end()) in.refuse();
  }
  TRY(in.finish("X-2"));
  return out;
}

Bytes vendor_proof(VendorProver prover, const LinkId& link, std::uint64_t block_id, const std::vector<KeyId>& ids, const Secret& keys) {
  OctetWriter what;
  what.u8(static_cast<std::uint8_t>(prover));
  what.text(link.text());
  what.u64(block_id);
  for (const KeyId& id : ids) what.octets(id.view());
  const Secret root = crypto::hkdf_extract(crypto::Hash::sha256, as_bytes("qanat vendor block"), keys);
  const Secret key = crypto::hkdf_expand(crypto::Hash::sha256, root, {as_bytes("qanat vendor block confirmation")}, vendor_tag_size);
  const Bytes text = what.take();
  return crypto::hmac(crypto::Hash::sha256, key, {ByteView(text)});
}

}  // namespace qanat::qkd
