#include "audit/tiles.hpp"

#include <bit>
#include <charconv>

#include "base/check.hpp"

namespace qanat::audit {
namespace {

constexpr std::string_view tile_prefix = "tile/";
constexpr std::uint64_t per_element = 1000;  // of a path: three digits
constexpr unsigned level_max = 63;           // as the specification bounds it

std::string three_digits(std::uint64_t value) {
  std::string out = std::to_string(value);
  return std::string(3 - out.size(), '0') + out;
}

/// Decimal without leading zeros, at most `max`.
bool read_number(std::string_view text, std::uint64_t max, std::uint64_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && (text[0] != '0' || text.size() == 1) && out <= max;
}

/// "x001/x234/067".
bool read_index(std::string_view text, std::uint64_t& out) {
  out = 0;
  bool first = true;
  while (true) {
    const bool more = text.starts_with('x');
    if (more) text.remove_prefix(1);
    if (text.size() < 3) return false;
    const std::string_view digits = text.substr(0, 3);
    unsigned value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size() || (first && more && value == 0)) return false;
    if (out > (UINT64_MAX - value) / per_element) return false;
    out = out * per_element + value;
    text.remove_prefix(3);
    first = false;
    if (!more) return text.empty();
    if (!text.starts_with('/')) return false;
    text.remove_prefix(1);
  }
}

/// The hash over 2^n hashes.
TreeHash fold(std::span<const TreeHash> hashes) {
  if (hashes.size() == 1) return hashes.front();
  std::vector<TreeHash> row(hashes.begin(), hashes.end());
  while (row.size() > 1) {
    for (std::size_t i = 0; i < row.size() / 2; ++i) row[i] = node_hash(row[2 * i], row[2 * i + 1]);
    row.resize(row.size() / 2);
  }
  return row.front();
}

}  // namespace

std::string tile_path(const Tile& tile) {
  CHECK(tile.width >= 1 && tile.width <= tile_width);
  std::uint64_t rest = tile.index;
  std::string index = three_digits(rest % per_element);
  while (rest >= per_element) {
    rest /= per_element;
    index.insert(0, "x" + three_digits(rest % per_element) + "/");
  }
  std::string out = std::string(tile_prefix) + std::to_string(tile.level) + "/" + index;
  if (tile.width < tile_width) out += ".p/" + std::to_string(tile.width);
  return out;
}

Result<Tile> parse_tile_path(std::string_view path) {
  const auto bad = [&] { return fail(ErrorCode::invalid_argument, "tile: not the path of one"); };
  std::string_view rest = path;
  if (!rest.starts_with(tile_prefix)) return bad();
  rest.remove_prefix(tile_prefix.size());
  const std::size_t slash = rest.find('/');
  if (slash == std::string_view::npos) return bad();
  Tile out;
  std::uint64_t number = 0;
  if (!read_number(rest.substr(0, slash), level_max, number)) return bad();
  out.level = static_cast<unsigned>(number);
  rest.remove_prefix(slash + 1);
  if (const std::size_t partial = rest.find(".p/"); partial != std::string_view::npos) {
    if (!read_number(rest.substr(partial + 3), tile_width - 1, number) || number == 0) return bad();
    out.width = static_cast<unsigned>(number);
    rest = rest.substr(0, partial);
  }
  if (!read_index(rest, out.index)) return bad();
  return out;
}

Result<void> TileTree::append(const TreeHash& leaf, const OnFull& full) {
  TreeHash hash = leaf;
  ++size_;
  for (unsigned level = 0; level < tile_levels_max; ++level) {
    if (level == levels_.size()) levels_.emplace_back().reserve(tile_width);
    std::vector<TreeHash>& hashes = levels_[level];
    hashes.push_back(hash);
    if (hashes.size() < tile_width) return {};
    TRY(full(Tile{.level = level, .index = (size_ >> (tile_height * (level + 1))) - 1, .width = tile_width}, hashes));
    hash = fold(hashes);
    hashes.clear();
  }
  return {};
}

TreeHash TileTree::root() const {
  if (size_ == 0) return empty_root();
  // The complete subtrees from left to right, largest first, joined from the right (RFC 9162 §2.1.1).
  std::vector<TreeHash> subtrees;
  for (std::size_t level = levels_.size(); level-- > 0;) {
    std::span<const TreeHash> rest = levels_[level];
    while (!rest.empty()) {
      const std::size_t count = std::bit_floor(rest.size());
      subtrees.push_back(fold(rest.first(count)));
      rest = rest.subspan(count);
    }
  }
  TreeHash out = subtrees.back();
  for (std::size_t i = subtrees.size() - 1; i-- > 0;) out = node_hash(subtrees[i], out);
  return out;
}

std::vector<TileTree::Partial> TileTree::partial() const {
  std::vector<Partial> out;
  for (unsigned level = 0; level < levels_.size(); ++level) {
    if (levels_[level].empty()) continue;
    const Tile tile{.level = level, .index = size_ >> (tile_height * (level + 1)), .width = static_cast<unsigned>(levels_[level].size())};
    out.push_back({.tile = tile, .hashes = levels_[level]});
  }
  return out;
}

SubtreeReader subtrees_of_tiles(std::uint64_t size, TileReader read) {
  return [size, read = std::move(read)](unsigned level, std::uint64_t index) -> Result<TreeHash> {
    // Levels 8·l to 8·l + 7 stand in the tiles of level l.
    const unsigned tile_level = level / tile_height;
    if (tile_level >= tile_levels_max) return fail(ErrorCode::invalid_argument, "tile: above every tree");
    const unsigned inside = level % tile_height;
    const std::uint64_t first = index << inside;  // among the hashes of this tile level
    const std::uint64_t count = 1U << inside;
    const std::uint64_t have = size >> (tile_height * tile_level);
    if (first + count > have) return fail(ErrorCode::not_found, "the log has no such complete subtree");
    Tile tile{.level = tile_level, .index = first / tile_width, .width = tile_width};
    if (tile.index == have / tile_width) tile.width = static_cast<unsigned>(have % tile_width);
    ASSIGN_OR_RETURN(const std::vector<TreeHash> hashes, read(tile));
    if (hashes.size() != tile.width) return fail(ErrorCode::internal, tile_path(tile) + ": not as many hashes as it should have");
    return fold(std::span(hashes).subspan(first % tile_width, count));
  };
}

}  // namespace qanat::audit
