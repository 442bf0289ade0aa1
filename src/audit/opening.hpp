// What happens to the tree while a log is opened: the lines are hashed again and held against the tiles and the last checkpoint. Private to audit.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "audit/checkpoint.hpp"
#include "audit/tile_folder.hpp"

namespace qanat::audit {

/// The signed note of the last checkpoint, in the folder of the tiles.
std::filesystem::path checkpoint_file(const std::filesystem::path& folder);

struct Opened {
  std::filesystem::path folder;
  TileTree tree;
  std::vector<std::string> rebuilt;  // tiles that did not fit the lines, by path; at most rebuilt_named_max are named
};
inline constexpr std::size_t rebuilt_named_max = 8;

class Opening {
 public:
  /// `internal` if the checkpoint is there and is none.
  static Result<Opening> begin(std::filesystem::path folder);
  /// The next line, without LF. `internal` if the lines up to here are not those that the checkpoint was made over.
  Result<void> take(std::string_view line);
  /// After the last line. `internal` if the checkpoint or a tile has more lines than there are.
  Result<Opened> finish() &&;

 private:
  Opening(std::filesystem::path folder, std::optional<Checkpoint> last) : folder_(folder), tiles_(std::move(folder)), last_(std::move(last)) {}
  Result<void> mend(const Tile& tile, std::span<const TreeHash> hashes);

  std::filesystem::path folder_;
  TileFolder tiles_;
  std::optional<Checkpoint> last_;
  TileTree tree_;
  std::vector<std::string> rebuilt_;
};

}  // namespace qanat::audit
