// What one key manager tells another when an SAE at its site was given keys (X-1 and Km-2 activate): which keys of the common stock now belong to which SAEs of the
// receiver's site. Reading and writing alone; no I/O.
#pragma once

#include <optional>
#include <vector>

#include "kme/stock/assignments.hpp"
#include "kme/stock/stream_message.hpp"
#include "wire/json.hpp"

namespace qanat::kme {

struct ActivationTag;
using ActivationId = Id<ActivationTag, 16>;

/// Keys of another pair of sites, brought over under keys of the common stock as a one-time pad (multicast over several domains).
struct Carried {
  std::vector<IdRun> ids;
  Bytes padded;  // key ⊕ pad, one key after the other; the pad of a key is the beginning of the stock keys that are its turn
};

struct ActivatedKeys {
  SaeId master;
  std::vector<SaeId> slaves;  // of the receiver's site
  std::uint32_t octets = 0;        // of one key
  std::vector<StockRun> runs;      // the keys themselves, or the pads; with several shares: those of the first, then as many of the next, …
  std::uint32_t shares = 1;        // of so many keys, each of another stock, every key is the XOR; its id is that of the first
  std::optional<Carried> carried;

  [[nodiscard]] std::uint32_t stride() const { return stride_of(octets); }
};

/// Version 1 has groups, and no word of its version. Version 2 has one note of a stream in their place; who does not know it refuses the message.
struct Activation {
  ActivationId id;  // the same again: nothing more happens (a note is told twice safely by what it says)
  std::vector<ActivatedKeys> groups;
  std::optional<StreamNote> stream{};
};

inline constexpr std::size_t activation_keys_max = 4096;  // stock keys of one message
inline constexpr std::uint32_t shares_max = 8;

wire::Json write_activation(const Activation& activation);
/// invalid_argument for what does not fit together: another version, no keys, a number of stock keys that is no multiple of the stride, pads that are not as long as what
/// they cover.
Result<Activation> read_activation(ByteView octets);

/// The keys of `octets` each that `stock_keys` (32 octets each, in order) make.
Secret cut_keys(const Secret& stock_keys, std::uint32_t octets);
/// `shares` parts of one length, one after the other: their XOR.
Secret xor_shares(const Secret& parts, std::uint32_t shares);
/// The runs of the first of so many parts, of which each has whole runs.
std::vector<KeyRun> first_share(std::span<const KeyRun> runs, std::uint32_t shares);
/// One after the other.
Secret joined_keys(const std::vector<Secret>& parts);
/// `count` keys of `octets` each, from the key `first` on.
Secret some_keys(const Secret& keys, std::size_t first, std::size_t count, std::size_t octets);

}  // namespace qanat::kme
