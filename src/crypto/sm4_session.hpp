// What SDF and SKF devices have in common for us: a session that holds two SM4 keys which the device made and wraps. Private to crypto.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace qanat::crypto {

inline constexpr std::size_t sm4_block = 16;
using Sm4Block = std::array<std::uint8_t, sm4_block>;
/// A digest by SM3: what is MACed.
using TwoBlocks = std::array<std::uint8_t, 2 * sm4_block>;

enum class BoxKey : std::uint8_t { encryption, mac };

/// Which key of the device wraps: as the file of wrapped keys says it, and as the check in it is bound to it.
struct Wrapper {
  std::string text;  // digits and a..f
  Bytes octets;
};

/// One thread at a time. Closing it destroys its keys. The keys' values are never in this process.
class Sm4Session {
 public:
  Sm4Session() = default;
  Sm4Session(const Sm4Session&) = delete;
  Sm4Session& operator=(const Sm4Session&) = delete;
  virtual ~Sm4Session() = default;

  [[nodiscard]] virtual Wrapper wrapper() const = 0;
  /// Puts a new key in this place; the same, wrapped.
  virtual Result<Bytes> make_key(BoxKey place) = 0;
  virtual Result<void> import_key(BoxKey place, ByteView wrapped) = 0;

  /// SM4-CBC over whole blocks, in place. After a failure `blocks` are worth nothing.
  virtual Result<void> encrypt(BoxKey key, const Sm4Block& iv, std::span<std::uint8_t> blocks) = 0;
  virtual Result<void> decrypt(BoxKey key, const Sm4Block& iv, std::span<std::uint8_t> blocks) = 0;
  /// CBC-MAC with SM4 under the MAC key, IV zero. Secure for data of one length alone: hence two blocks.
  virtual Result<Sm4Block> mac(TwoBlocks data) = 0;
  virtual Result<void> random(std::span<std::uint8_t> out) = 0;
};

/// A device that says that it is done, and is not.
[[nodiscard]] inline std::unexpected<Error> misbehaved(std::string_view call, std::string_view how) {
  return fail(ErrorCode::internal, std::string(call) + ": the device says that it is done, and " + std::string(how));
}

/// What is given to a device in one call: less than any maker's limit.
inline constexpr std::size_t piece_octets = 4096;
/// Room behind what a call is to write, for a maker's library that pads although it should not: that is an error, and must not be an overrun.
inline constexpr std::size_t spare_octets = 2 * sm4_block;

/// Whole blocks in pieces that are chained by hand. `pass(iv, piece, out, length)` makes the maker's calls for one piece; it gets room for `length` octets, and
/// says in `length` how many it wrote.
template <class Pass>
Result<void> in_pieces(std::string_view call, bool encrypting, Sm4Block chain, std::span<std::uint8_t> blocks, const Pass& pass) {
  while (!blocks.empty()) {
    const std::span<std::uint8_t> piece = blocks.first(std::min(blocks.size(), piece_octets));
    blocks = blocks.subspan(piece.size());
    Sm4Block last{};
    std::ranges::copy(piece.last(sm4_block), last.begin());
    Secret out(piece.size() + spare_octets);
    // What a device leaves as it was is then no result, and is seen.
    std::ranges::copy(piece, out.writable().begin());
    auto length = static_cast<unsigned int>(out.size());
    TRY(pass(chain, piece, out.writable(), length));
    if (length != piece.size()) return misbehaved(call, "gives " + std::to_string(length) + " octets for " + std::to_string(piece.size()));
    const std::span<std::uint8_t> result = out.writable().first(piece.size());
    if (equal_constant_time(result, piece)) return misbehaved(call, "gives back what it was given");
    std::ranges::copy(result, piece.begin());
    if (encrypting) std::ranges::copy(piece.last(sm4_block), last.begin());
    chain = last;
  }
  return {};
}

/// The MAC as a device wrote it into `room`.
inline Result<Sm4Block> mac_of(std::string_view call, std::span<const std::uint8_t> room, unsigned int length) {
  if (length != sm4_block) return misbehaved(call, "the MAC has " + std::to_string(length) + " octets");
  Sm4Block out{};
  std::ranges::copy(room.first(sm4_block), out.begin());
  if (out == Sm4Block{}) return misbehaved(call, "gives no MAC");
  return out;
}

}  // namespace qanat::crypto
