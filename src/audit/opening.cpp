#include "audit/opening.hpp"

#include "audit/files.hpp"

namespace qanat::audit {

std::filesystem::path checkpoint_file(const std::filesystem::path& folder) { return folder / "checkpoint"; }

Result<Opening> Opening::begin(std::filesystem::path folder) {
  const std::filesystem::path file = checkpoint_file(folder);
  ASSIGN_OR_RETURN(const std::optional<Bytes> octets, read_small_file(file, note_octets_max));
  std::optional<Checkpoint> last;
  if (octets) {
    const auto note = parse_note(as_text(*octets));
    auto checkpoint = note ? parse_checkpoint(note->text) : Result<Checkpoint>(fail(note.error()));
    if (!checkpoint) return fail(ErrorCode::internal, file.string() + ": " + checkpoint.error().message);
    last = std::move(*checkpoint);
  }
  return Opening(std::move(folder), std::move(last));
}

Result<void> Opening::mend(const Tile& tile, std::span<const TreeHash> hashes) {
  ASSIGN_OR_RETURN(const TileFolder::Content content, tiles_.compare(tile, hashes));
  if (content == TileFolder::Content::same) return {};
  if (content == TileFolder::Content::other && rebuilt_.size() < rebuilt_named_max) rebuilt_.push_back(tile_path(tile));
  return tile.width == tile_width ? tiles_.write_full(tile, hashes) : tiles_.write(tile, hashes);
}

Result<void> Opening::take(std::string_view line) {
  TRY(tree_.append(leaf_hash(line), [this](const Tile& tile, std::span<const TreeHash> hashes) { return mend(tile, hashes); }));
  if (last_ && last_->head.size == tree_.size() && last_->head.root != tree_.root()) {
    return fail(ErrorCode::internal, "lines 1 to " + std::to_string(tree_.size()) + ": are not those that the checkpoint was made over");
  }
  return {};
}

Result<Opened> Opening::finish() && {
  const auto gone = [&](const std::string& what) {
    return fail(ErrorCode::internal, "holds " + std::to_string(tree_.size()) + " lines, but " + what + ": lines are gone");
  };
  if (last_ && last_->head.size > tree_.size()) return gone("its checkpoint was made over " + std::to_string(last_->head.size));
  std::vector<TileTree::Partial> partial = tree_.partial();
  for (unsigned level = 0; level < tile_levels_max; ++level) {
    const std::uint64_t index = level + 1 < tile_levels_max ? tree_.size() >> (tile_height * (level + 1)) : 0;
    Tile tile{.level = level, .index = index, .width = 0};
    for (const TileTree::Partial& one : partial) {
      if (one.tile.level == level) tile = one.tile;
    }
    ASSIGN_OR_RETURN(const bool wider, tiles_.has_wider(tile));
    if (wider) return gone("its tiles of level " + std::to_string(level) + " have more");
  }
  for (const TileTree::Partial& one : partial) TRY(mend(one.tile, one.hashes));
  return Result<Opened>(Opened{.folder = std::move(folder_), .tree = std::move(tree_), .rebuilt = std::move(rebuilt_)});
}

}  // namespace qanat::audit
