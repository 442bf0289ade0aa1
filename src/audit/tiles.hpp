// The tree cut into tiles (C2SP tlog-tiles): squares of 256 hashes, eight levels of the tree high, and their paths. No I/O.
// A tile of level l holds hashes of subtrees of 256^l leaves; the rightmost tile of a level is partial until it has 256.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "audit/merkle.hpp"

namespace qanat::audit {

inline constexpr unsigned tile_height = 8;
inline constexpr unsigned tile_width = 1U << tile_height;
/// 256^8 leaves are more than any log holds.
inline constexpr unsigned tile_levels_max = 8;

struct Tile {
  unsigned level = 0;
  std::uint64_t index = 0;      // within the level
  unsigned width = tile_width;  // hashes, 1 to 256; below 256 a partial tile
  bool operator==(const Tile&) const = default;
};

/// "tile/0/x001/x234/067", and ".p/<width>" behind it for a partial tile.
std::string tile_path(const Tile& tile);
/// invalid_argument for anything that tile_path() does not write.
Result<Tile> parse_tile_path(std::string_view path);

/// Takes leaves one by one and hands out each tile as it becomes full; keeps the partial tiles alone, so its size does not grow with the log.
class TileTree {
 public:
  using OnFull = std::function<Result<void>(const Tile&, std::span<const TreeHash>)>;
  /// Full tiles go to `full`, lower levels first. After its failure the tree is of no further use.
  Result<void> append(const TreeHash& leaf, const OnFull& full);

  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  [[nodiscard]] TreeHash root() const;

  struct Partial {
    Tile tile;
    std::span<const TreeHash> hashes;  // of this object, until the next append()
  };
  /// The partial tiles of the present size, lowest level first.
  [[nodiscard]] std::vector<Partial> partial() const;

 private:
  std::vector<std::vector<TreeHash>> levels_;  // of each level the hashes of its partial tile
  std::uint64_t size_ = 0;
};

/// Reads a tile's hashes: as many as its width, or a failure.
using TileReader = std::function<Result<std::vector<TreeHash>>(const Tile&)>;
/// The complete subtrees of a log of `size` lines, out of its tiles.
SubtreeReader subtrees_of_tiles(std::uint64_t size, TileReader read);

}  // namespace qanat::audit
