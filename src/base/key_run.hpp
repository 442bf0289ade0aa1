// Quantum keys by the run: a key's id is its batch id ‖ u32 index, and neighbouring keys of a batch are named together.
#pragma once

#include <span>
#include <string>

#include "base/id.hpp"

namespace qanat {

struct BatchTag;
using BatchId = Id<BatchTag, 12>;  // keys that came together, the same at both ends: random, or a digest

inline KeyId key_id(const BatchId& batch, std::uint32_t index) {
  Bytes out = to_bytes(batch.view());
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<std::uint8_t>(index >> shift));
  return KeyId(out);
}
inline BatchId batch_of(const KeyId& id) { return BatchId(id.view().first(BatchId::size)); }
inline std::uint32_t index_of(const KeyId& id) {
  std::uint32_t out = 0;
  for (const std::uint8_t octet : id.view().subspan(BatchId::size)) out = out << 8U | octet;
  return out;
}

/// Keys `first` … `first` + `count` - 1 of a batch.
struct KeyRun {
  BatchId batch;
  std::uint32_t first = 0;
  std::uint32_t count = 0;

  static KeyRun one(const KeyId& id) { return {.batch = batch_of(id), .first = index_of(id), .count = 1}; }
  [[nodiscard]] KeyId id(std::uint32_t at) const { return key_id(batch, first + at); }
  /// "<batch>[3..17]", or the key's id if it is one.
  [[nodiscard]] std::string text() const {
    if (count == 1) return id(0).hex();
    return batch.hex() + "[" + std::to_string(first) + ".." + std::to_string(std::uint64_t{first} + count - 1) + "]";
  }
  auto operator<=>(const KeyRun&) const = default;
};

/// Of all runs together.
inline std::size_t keys_in(std::span<const KeyRun> runs) {
  std::size_t out = 0;
  for (const KeyRun& run : runs) out += run.count;
  return out;
}

}  // namespace qanat
