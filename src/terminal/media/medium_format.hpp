// The octets of a secure medium (docs/operations/injection.md, "Formats"): two copies of a header, and one slot of fixed size for each key. Octets in, values
// out; no I/O here. What is written here comes from whoever holds the medium: nothing of it counts before the header's MAC holds.
#pragma once

#include <array>
#include <optional>

#include "wire/charge.hpp"

namespace qanat::terminal {

enum class MediumKind : std::uint8_t { sim = 1, tf_card = 2, software = 3, pci_card = 4 };
enum class MediumState : std::uint8_t {
  active = 1,
  locked = 2,  // gives no key until it is charged offline again
  wiped = 3,   // for good
};

/// How a kind of medium keeps its slots.
enum class MediumLayout : std::uint8_t {
  records,  // one file: header copies, then each set's slots as a ring of fixed records
  tree,     // a folder: the header copies in one file, each set a folder of files with 64 slots each
};
struct MediumKindRow {
  MediumKind kind;
  std::string_view name;
  MediumLayout layout;
  std::uint32_t capacity;  // keys of each set that it holds at a time
};
/// A SIM's 3 × 80 records of 64 octets fit one linear fixed file of at most 254 records (ETSI TS 102 221 §8.2.2.2).
inline constexpr std::array medium_kinds{
    MediumKindRow{MediumKind::sim, "sim", MediumLayout::records, 80},
    MediumKindRow{MediumKind::tf_card, "tf-card", MediumLayout::tree, 4096},
    MediumKindRow{MediumKind::software, "software", MediumLayout::records, 1024},
    MediumKindRow{MediumKind::pci_card, "pci-card", MediumLayout::records, 65536},
};
const MediumKindRow& row_of(MediumKind kind) noexcept;
Result<MediumKind> medium_kind_from_name(std::string_view text);
std::string_view name(MediumState state) noexcept;

/// Of one set. Keys are in slots of indexes next … end-1, with gaps where a charge never came.
struct SetCursor {
  std::uint32_t erased = 0;  // slots below are known to be empty
  std::uint32_t next = 0;    // the least index that may be used
  std::uint32_t end = 0;     // no index from here on was ever written
  bool operator==(const SetCursor&) const = default;
};

struct MediumHeader {
  MediumKind kind{};
  MediumState state = MediumState::active;
  crypto::SuiteId suite{};
  wire::MediumId id;
  std::uint64_t sequence = 0;    // the copy with the higher one is in force
  std::uint32_t generation = 0;  // of the transport key
  std::array<SetCursor, wire::all_key_sets.size()> sets{};
  Bytes sealed_key;        // the medium's own key, under the crypto device; empty once wiped
  Bytes sealed_transport;  // likewise; empty: it is charged over a wire alone
  bool operator==(const MediumHeader&) const = default;
};
inline constexpr std::size_t header_block_size = 1024;
inline constexpr wire::Bounds sealed_secret_bounds{0, 255};
inline constexpr std::size_t header_mac_size = 32;

/// One copy: header_block_size octets, `mac` among them.
Result<Bytes> encode_header_block(const MediumHeader& header, ByteView mac);
struct HeaderBlock {
  MediumHeader header;
  Bytes mac;
};
/// invalid_argument for anything that encode_header_block does not make.
Result<HeaderBlock> parse_header_block(ByteView octets);
/// What the MAC is over: the block up to it.
Result<Bytes> header_octets(const MediumHeader& header);

inline constexpr std::size_t slot_size = 64;
inline constexpr std::size_t sealed_slot_key = wire::charged_key_size + crypto::aead_tag;
struct Slot {
  std::uint32_t index = 0;
  wire::Charged charged{};
  Bytes sealed;  // sealed_slot_key octets
  bool operator==(const Slot&) const = default;
};
Bytes encode_slot(const Slot& slot);
/// Nothing for a slot of zeros (never written, or erased).
Result<std::optional<Slot>> parse_slot(ByteView octets);

}  // namespace qanat::terminal
