#include "audit/tile_folder.hpp"

#include <optional>

#include "audit/files.hpp"

namespace qanat::audit {
namespace {

constexpr std::size_t full_tile_octets = tile_width * tree_hash_octets;

ByteView octets_of_hashes(std::span<const TreeHash> hashes) { return {hashes.data()->data(), hashes.size() * tree_hash_octets}; }
static_assert(sizeof(TreeHash) == tree_hash_octets);

Tile as_full(Tile tile) {
  tile.width = tile_width;
  return tile;
}

}  // namespace

Result<TileFolder::Content> TileFolder::compare(const Tile& tile, std::span<const TreeHash> hashes) const {
  ASSIGN_OR_RETURN(const std::optional<Bytes> octets, read_small_file(folder_ / tile_path(tile), full_tile_octets));
  if (!octets) return Content::absent;
  return equal(*octets, octets_of_hashes(hashes)) ? Content::same : Content::other;
}

Result<void> TileFolder::write(const Tile& tile, std::span<const TreeHash> hashes) const {
  return replace_file(folder_ / tile_path(tile), octets_of_hashes(hashes), Durability::later);
}

Result<void> TileFolder::write_full(const Tile& tile, std::span<const TreeHash> hashes) const {
  TRY(write(tile, hashes));
  std::error_code ignored;  // partial tiles that stay behind are only in the way
  std::filesystem::remove_all((folder_ / tile_path(tile)).string() + ".p", ignored);
  return {};
}

Result<bool> TileFolder::has_wider(const Tile& tile) const {
  std::error_code error;
  const std::filesystem::path full_path = folder_ / tile_path(as_full(tile));
  if (std::filesystem::exists(full_path, error)) return true;
  const std::filesystem::path partial = full_path.string() + ".p";
  if (!std::filesystem::exists(partial, error)) return false;
  for (const auto& entry : std::filesystem::directory_iterator(partial, error)) {
    const auto other = parse_tile_path(std::filesystem::relative(entry.path(), folder_, error).generic_string());
    if (other && other->width > tile.width) return true;  // what has another name is left over from a write that was cut off
  }
  if (error) return fail(ErrorCode::internal, partial.string() + ": " + error.message());
  return false;
}

Result<std::vector<TreeHash>> TileFolder::read(const Tile& tile) const {
  ASSIGN_OR_RETURN(std::optional<Bytes> octets, read_small_file(folder_ / tile_path(tile), full_tile_octets));
  if (!octets && tile.width < tile_width) {
    ASSIGN_OR_RETURN(octets, read_small_file(folder_ / tile_path(as_full(tile)), full_tile_octets));
  }
  if (!octets) return fail(ErrorCode::not_found, tile_path(tile) + ": no such tile");
  if (octets->size() < tile.width * tree_hash_octets) return fail(ErrorCode::internal, tile_path(tile) + ": too short");
  std::vector<TreeHash> out(tile.width);
  for (std::size_t i = 0; i < out.size(); ++i) {
    ASSIGN_OR_RETURN(out[i], tree_hash(ByteView(*octets).subspan(i * tree_hash_octets, tree_hash_octets)));
  }
  return Result<std::vector<TreeHash>>(std::move(out));
}

}  // namespace qanat::audit
