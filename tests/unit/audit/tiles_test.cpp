#include "audit/tiles.hpp"

#include <gtest/gtest.h>

#include <map>

namespace qanat::audit {
namespace {

TEST(TilePathTest, PathsAreThoseOfTheSpecification) {
  EXPECT_EQ(tile_path({.level = 0, .index = 1234067, .width = 256}), "tile/0/x001/x234/067");  // C2SP tlog-tiles, "Merkle Tree"
  EXPECT_EQ(tile_path({.level = 0, .index = 0, .width = 256}), "tile/0/000");
  EXPECT_EQ(tile_path({.level = 2, .index = 0, .width = 1}), "tile/2/000.p/1");
  EXPECT_EQ(tile_path({.level = 0, .index = 273, .width = 112}), "tile/0/273.p/112");
  EXPECT_EQ(tile_path({.level = 1, .index = 1000, .width = 255}), "tile/1/x001/000.p/255");
}

TEST(TilePathTest, WhatIsWrittenIsReadAgain) {
  for (const std::uint64_t index : {0ULL, 1ULL, 999ULL, 1000ULL, 1001ULL, 999'999ULL, 1'000'000ULL, 1'234'067ULL, 123'456'789'012ULL}) {
    for (const unsigned width : {1U, 17U, 255U, 256U}) {
      const Tile tile{.level = static_cast<unsigned>(index % 8), .index = index, .width = width};
      const auto read = parse_tile_path(tile_path(tile));
      ASSERT_TRUE(read) << tile_path(tile);
      EXPECT_EQ(*read, tile);
    }
  }
}

TEST(TilePathTest, EveryOtherFormIsRefused) {
  for (const char* path : {"",
                           "tile/",
                           "tile/0",
                           "tile/0/",
                           "tile/0/1",
                           "tile/0/0001",
                           "tile/00/001",
                           "tile/64/001",
                           "tile/0/001.p/0",
                           "tile/0/001.p/256",
                           "tile/0/001.p/01",
                           "tile/0/001.p/",
                           "tile/0/x000/001",
                           "tile/0/x001",
                           "tile/0/x001/",
                           "tile/0/001/002",
                           "tile/0/x001/x002",
                           "tile/-1/001",
                           "tile/0/00a",
                           "tile/0/+01",
                           "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
                           "tile/entries/001",
                           "/tile/0/001",
                           "tile/0/001.new"}) {
    EXPECT_FALSE(parse_tile_path(path)) << path;
  }
}

/// Keeps what a TileTree hands out.
class TilesTest : public testing::Test {
 protected:
  void grow(std::uint64_t size) {
    for (std::uint64_t i = tree_.size(); i < size; ++i) {
      const TreeHash leaf = leaf_hash(std::to_string(i));
      leaves_.append(leaf);
      ASSERT_TRUE(tree_.append(leaf, [this](const Tile& tile, std::span<const TreeHash> hashes) -> Result<void> {
        EXPECT_EQ(hashes.size(), tile_width);
        full_[tile_path(tile)] = {hashes.begin(), hashes.end()};
        return {};
      }));
    }
  }
  [[nodiscard]] SubtreeReader from_tiles() const {
    std::map<std::string, std::vector<TreeHash>> tiles = full_;
    for (const TileTree::Partial& partial : tree_.partial()) tiles[tile_path(partial.tile)] = {partial.hashes.begin(), partial.hashes.end()};
    return subtrees_of_tiles(tree_.size(), [tiles](const Tile& tile) -> Result<std::vector<TreeHash>> {
      const auto found = tiles.find(tile_path(tile));
      if (found == tiles.end()) return fail(ErrorCode::not_found, tile_path(tile));
      return found->second;
    });
  }

  TileTree tree_;
  LeafTree leaves_;
  std::map<std::string, std::vector<TreeHash>> full_;
};

TEST_F(TilesTest, ATreeOfSeventyThousandHasTheTilesThatTheSpecificationCounts) {
  grow(70'000);
  std::size_t at_level_0 = 0;
  for (const auto& [path, hashes] : full_) at_level_0 += path.starts_with("tile/0/") ? 1U : 0U;
  EXPECT_EQ(at_level_0, 273U);
  EXPECT_EQ(full_.size(), 274U) << "and one full tile of level 1";
  std::vector<std::string> partial;
  for (const TileTree::Partial& one : tree_.partial()) partial.push_back(tile_path(one.tile));
  EXPECT_EQ(partial, (std::vector<std::string>{"tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"}));
  EXPECT_EQ(tree_.root(), root_at(70'000, leaves_.reader()).value());
}

TEST_F(TilesTest, ATreeOf256HasAFullTileAndOneOfWidthOneAbove) {
  grow(256);
  ASSERT_EQ(full_.size(), 1U);
  ASSERT_EQ(tree_.partial().size(), 1U);
  EXPECT_EQ(tile_path(tree_.partial().front().tile), "tile/1/000.p/1");
  EXPECT_EQ(tree_.partial().front().hashes[0], tree_.root());
}

TEST_F(TilesTest, ProofsOutOfTilesAreThoseOutOfTheLeaves) {
  grow(66'000);
  const SubtreeReader read = from_tiles();
  EXPECT_EQ(root_at(66'000, read).value(), tree_.root());
  for (const std::uint64_t size : {1ULL, 255ULL, 256ULL, 257ULL, 65'535ULL, 65'536ULL, 65'537ULL, 66'000ULL}) {
    EXPECT_EQ(root_at(size, read).value(), root_at(size, leaves_.reader()).value()) << size;
    EXPECT_EQ(prove_inclusion(size / 2, 66'000, read).value(), prove_inclusion(size / 2, 66'000, leaves_.reader()).value());
    EXPECT_EQ(prove_consistency(size, 66'000, read).value(), prove_consistency(size, 66'000, leaves_.reader()).value());
  }
  EXPECT_FALSE(root_at(66'001, read)) << "the tree has no such size";
}

TEST_F(TilesTest, AMissingTileIsAFailureAndNoWrongProof) {
  grow(1000);
  full_.erase("tile/0/001");
  EXPECT_FALSE(prove_inclusion(300, 1000, from_tiles()));
}

}  // namespace
}  // namespace qanat::audit
