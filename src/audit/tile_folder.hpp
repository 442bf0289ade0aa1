// The tiles of a log on the disk, in the layout of C2SP tlog-tiles under one folder. They are made from the lines and carry no authority of their own: what
// is missing or does not fit is written again. Private to audit.
#pragma once

#include <filesystem>
#include <span>

#include "audit/tiles.hpp"

namespace qanat::audit {

class TileFolder {
 public:
  explicit TileFolder(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// What the tile's file has.
  enum class Content : std::uint8_t { same, other, absent };
  Result<Content> compare(const Tile& tile, std::span<const TreeHash> hashes) const;
  Result<void> write(const Tile& tile, std::span<const TreeHash> hashes) const;
  /// A full tile goes in the place of its partial ones.
  Result<void> write_full(const Tile& tile, std::span<const TreeHash> hashes) const;
  /// Whether at the place of this (partial or empty: width 0) tile stands one that has more hashes: lines that were once on the disk.
  Result<bool> has_wider(const Tile& tile) const;
  /// The tile's hashes: the file's, or out of the full tile where a partial one was replaced by it. not_found if there is neither.
  Result<std::vector<TreeHash>> read(const Tile& tile) const;

 private:
  std::filesystem::path folder_;
};

}  // namespace qanat::audit
