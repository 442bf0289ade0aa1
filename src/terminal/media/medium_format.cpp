#include "terminal/media/medium_format.hpp"

#include <algorithm>

#include "wire/reader.hpp"
#include "wire/writer.hpp"

namespace qanat::terminal {
namespace {

constexpr std::string_view medium_magic = "QMED";
constexpr std::uint8_t medium_version = 1;
constexpr std::uint8_t slot_with_key = 1;
constexpr std::size_t slot_padding = slot_size - 1 - 1 - 4 - sealed_slot_key;

std::unexpected<Error> bad_medium(const std::string& why) { return fail(ErrorCode::invalid_argument, "medium: " + why); }

bool all_zero(ByteView octets) {
  return std::ranges::all_of(octets, [](std::uint8_t octet) { return octet == 0; });
}

bool in_order(const SetCursor& cursor) { return cursor.erased <= cursor.next && cursor.next <= cursor.end; }

}  // namespace

const MediumKindRow& row_of(MediumKind kind) noexcept {
  const auto* const found = std::ranges::find(medium_kinds, kind, &MediumKindRow::kind);
  CHECK(found != medium_kinds.end());
  return *found;
}

Result<MediumKind> medium_kind_from_name(std::string_view text) {
  const auto* const found = std::ranges::find(medium_kinds, text, &MediumKindRow::name);
  if (found == medium_kinds.end()) return bad_medium("no kind '" + std::string(text) + "': sim, tf-card, software or pci-card");
  return found->kind;
}

std::string_view name(MediumState state) noexcept {
  switch (state) {
    case MediumState::active:
      return "active";
    case MediumState::locked:
      return "locked";
    case MediumState::wiped:
      return "wiped";
  }
  return "?";
}

Result<Bytes> header_octets(const MediumHeader& header) {
  wire::Writer out;
  out.raw(as_bytes(medium_magic));
  out.u8(medium_version);
  out.u8(static_cast<std::uint8_t>(header.kind));
  out.u8(static_cast<std::uint8_t>(header.state));
  out.u16(static_cast<std::uint16_t>(header.suite));
  out.raw(header.id.view());
  out.u64(header.sequence);
  out.u32(header.generation);
  for (const SetCursor& cursor : header.sets) {
    if (!in_order(cursor)) out.refuse("set", "its indexes are not in order");
    out.u32(cursor.erased);
    out.u32(cursor.next);
    out.u32(cursor.end);
  }
  out.opaque("sealed_key", header.sealed_key, sealed_secret_bounds);
  out.opaque("sealed_transport", header.sealed_transport, sealed_secret_bounds);
  if (header.sealed_key.empty() != (header.state == MediumState::wiped)) out.refuse("sealed_key", "is gone exactly if the medium is wiped");
  auto octets = std::move(out).finish();
  if (!octets) return fail_in("medium", octets.error());
  return octets;
}

Result<Bytes> encode_header_block(const MediumHeader& header, ByteView mac) {
  CHECK(mac.size() == header_mac_size);
  ASSIGN_OR_RETURN(Bytes out, header_octets(header));
  append(out, mac);
  CHECK(out.size() <= header_block_size);  // the bounds of the fields see to it
  out.resize(header_block_size);
  return out;
}

Result<HeaderBlock> parse_header_block(ByteView octets) {
  if (octets.size() != header_block_size) return bad_medium("a header of " + std::to_string(octets.size()) + " octets");
  wire::Reader in(octets);
  ASSIGN_OR_RETURN(const ByteView magic, in.fixed("magic", medium_magic.size()));
  if (as_text(magic) != medium_magic) return bad_medium("no secure medium (magic)");
  ASSIGN_OR_RETURN(const std::uint8_t version, in.u8("version"));
  if (version != medium_version) return bad_medium("version " + std::to_string(version) + " is not known here");
  HeaderBlock out;
  MediumHeader& header = out.header;
  ASSIGN_OR_RETURN(const std::uint8_t kind, in.u8("kind"));
  header.kind = static_cast<MediumKind>(kind);
  if (std::ranges::find(medium_kinds, header.kind, &MediumKindRow::kind) == medium_kinds.end()) return bad_medium("no kind " + std::to_string(kind));
  ASSIGN_OR_RETURN(const std::uint8_t state, in.u8("state"));
  header.state = static_cast<MediumState>(state);
  if (name(header.state) == "?") return bad_medium("no state " + std::to_string(state));
  ASSIGN_OR_RETURN(const std::uint16_t suite, in.u16("suite"));
  const auto known = crypto::find_suite(suite);
  if (!known) return bad_medium("no suite " + std::to_string(suite));
  header.suite = (*known)->id;
  ASSIGN_OR_RETURN(const ByteView id, in.fixed("id", wire::MediumId::size));
  header.id = wire::MediumId(id);
  ASSIGN_OR_RETURN(header.sequence, in.u64("sequence"));
  ASSIGN_OR_RETURN(header.generation, in.u32("generation"));
  for (SetCursor& cursor : header.sets) {
    ASSIGN_OR_RETURN(cursor.erased, in.u32("erased"));
    ASSIGN_OR_RETURN(cursor.next, in.u32("next"));
    ASSIGN_OR_RETURN(cursor.end, in.u32("end"));
    if (!in_order(cursor)) return bad_medium("the indexes of a set are not in order");
  }
  ASSIGN_OR_RETURN(const ByteView sealed_key, in.opaque("sealed_key", sealed_secret_bounds));
  header.sealed_key = to_bytes(sealed_key);
  ASSIGN_OR_RETURN(const ByteView sealed_transport, in.opaque("sealed_transport", sealed_secret_bounds));
  header.sealed_transport = to_bytes(sealed_transport);
  if (header.sealed_key.empty() != (header.state == MediumState::wiped)) return bad_medium("its key is gone exactly if it is wiped");
  ASSIGN_OR_RETURN(const ByteView mac, in.fixed("mac", header_mac_size));
  out.mac = to_bytes(mac);
  if (!all_zero(octets.subspan(in.position()))) return bad_medium("octets after the header");
  return out;
}

Bytes encode_slot(const Slot& slot) {
  CHECK(slot.sealed.size() == sealed_slot_key);
  wire::Writer out;
  out.u8(slot_with_key);
  out.u8(static_cast<std::uint8_t>(slot.charged));
  out.u32(slot.index);
  out.raw(slot.sealed);
  out.raw(Bytes(slot_padding));
  return std::move(out).finish().value();  // no bounded field
}

Result<std::optional<Slot>> parse_slot(ByteView octets) {
  if (octets.size() != slot_size) return bad_medium("a slot of " + std::to_string(octets.size()) + " octets");
  if (all_zero(octets)) return std::optional<Slot>();
  wire::Reader in(octets);
  Slot out;
  ASSIGN_OR_RETURN(const std::uint8_t state, in.u8("state"));
  if (state != slot_with_key) return bad_medium("no slot state " + std::to_string(state));
  ASSIGN_OR_RETURN(const std::uint8_t charged, in.u8("charged"));
  out.charged = static_cast<wire::Charged>(charged);
  if (wire::name(out.charged) == "?") return bad_medium("a key that came in no known way");
  ASSIGN_OR_RETURN(out.index, in.u32("index"));
  ASSIGN_OR_RETURN(const ByteView sealed, in.fixed("sealed", sealed_slot_key));
  out.sealed = to_bytes(sealed);
  if (!all_zero(octets.subspan(in.position()))) return bad_medium("octets after a key");
  return std::optional(std::move(out));
}

}  // namespace qanat::terminal
