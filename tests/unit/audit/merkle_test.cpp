#include "audit/merkle.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "audit/tiles.hpp"
#include "wire/json.hpp"

namespace qanat::audit {
namespace {

TreeHash hash_of_hex(std::string_view text) { return tree_hash(from_hex(text).value()).value(); }
std::vector<TreeHash> hashes_of(const std::vector<std::string>& texts) {
  std::vector<TreeHash> out;
  for (const std::string& text : texts) out.push_back(hash_of_hex(text));
  return out;
}

/// The leaves and roots of the test tree that the Certificate Transparency implementations share (certificate-transparency,
/// cpp/merkletree/merkle_tree_test.cc; transparency-dev/merkle, testonly).
struct CtLeaf {
  std::string_view leaf;
  std::string_view root;  // of the tree up to here
};
constexpr std::array ct_tree{
    CtLeaf{"", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
    CtLeaf{"00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"},
    CtLeaf{"10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"},
    CtLeaf{"2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"},
    CtLeaf{"3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"},
    CtLeaf{"40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"},
    CtLeaf{"5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"},
    CtLeaf{"606162636465666768696a6b6c6d6e6f", "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"},
};

TEST(MerkleTest, RootsAreThoseOfTheCertificateTransparencyTestTree) {
  EXPECT_EQ(to_hex(empty_root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  LeafTree tree;
  TileTree tiles;
  const auto none_full = [](const Tile&, std::span<const TreeHash>) -> Result<void> { return fail(ErrorCode::internal, "a tile is full"); };
  EXPECT_EQ(tiles.root(), empty_root());
  for (const CtLeaf& one : ct_tree) {
    const TreeHash leaf = leaf_hash(as_text(from_hex(one.leaf).value()));
    tree.append(leaf);
    ASSERT_TRUE(tiles.append(leaf, none_full));
    EXPECT_EQ(to_hex(root_at(tree.size(), tree.reader()).value()), one.root);
    EXPECT_EQ(to_hex(tiles.root()), one.root);
  }
}

TEST(MerkleTest, ProofsAreThoseOfTheCertificateTransparencyTestTree) {
  LeafTree tree;
  for (const CtLeaf& one : ct_tree) tree.append(leaf_hash(as_text(from_hex(one.leaf).value())));
  // Consistency from 1 to 8 and from 6 to 8, inclusion of leaf 5 in 8 (same origin).
  EXPECT_EQ(prove_consistency(1, 8, tree.reader()).value(),
            hashes_of({"96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7", "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                       "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"}));
  EXPECT_EQ(prove_consistency(6, 8, tree.reader()).value(),
            hashes_of({"0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a", "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                       "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"}));
  EXPECT_EQ(prove_inclusion(5, 8, tree.reader()).value(),
            hashes_of({"bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b", "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                       "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"}));
}

class MerkleVectorTest : public testing::Test {
 protected:
  void SetUp() override {
    std::ifstream in(QANAT_SOURCE_DIR "/tests/vectors/audit/audit.json", std::ios::binary);
    const std::string text(std::istreambuf_iterator<char>(in), {});
    answers_ = wire::Json::parse(std::string_view(text)).value();
    for (std::uint64_t i = 0; i < 1000; ++i) tree_.append(leaf(i));
  }
  static TreeHash leaf(std::uint64_t i) { return leaf_hash("line " + std::to_string(i)); }
  [[nodiscard]] TreeHead head(std::uint64_t size) const { return {.size = size, .root = root_at(size, tree_.reader()).value()}; }

  wire::Json answers_;
  LeafTree tree_;
};

TEST_F(MerkleVectorTest, RootsAreThoseOfTheRecursiveDefinition) {
  const auto trees = answers_.array("trees").value();
  EXPECT_GT(trees.size(), 10U);
  for (const wire::Json& one : trees) {
    const auto size = static_cast<std::uint64_t>(one.integer("size").value());
    EXPECT_EQ(to_hex(head(size).root), one.text("root").value()) << size;
    TileTree tiles;
    for (std::uint64_t i = 0; i < size; ++i) {
      ASSERT_TRUE(tiles.append(leaf(i), [](const Tile&, std::span<const TreeHash>) -> Result<void> { return {}; }));
    }
    EXPECT_EQ(to_hex(tiles.root()), one.text("root").value()) << size;
  }
}

TEST_F(MerkleVectorTest, InclusionProofsAreThoseOfTheRecursiveDefinitionAndHold) {
  for (const wire::Json& one : answers_.array("inclusion").value()) {
    const auto index = static_cast<std::uint64_t>(one.integer("index").value());
    const auto size = static_cast<std::uint64_t>(one.integer("size").value());
    const std::vector<TreeHash> proof = hashes_of(one.texts("proof").value());
    EXPECT_EQ(prove_inclusion(index, size, tree_.reader()).value(), proof) << index << " in " << size;
    EXPECT_TRUE(verify_inclusion(leaf(index), index, proof, head(size)));
  }
}

TEST_F(MerkleVectorTest, ConsistencyProofsAreThoseOfTheRecursiveDefinitionAndHold) {
  for (const wire::Json& one : answers_.array("consistency").value()) {
    const auto old = static_cast<std::uint64_t>(one.integer("old").value());
    const auto size = static_cast<std::uint64_t>(one.integer("size").value());
    const std::vector<TreeHash> proof = hashes_of(one.texts("proof").value());
    EXPECT_EQ(prove_consistency(old, size, tree_.reader()).value(), proof) << old << " to " << size;
    EXPECT_TRUE(verify_consistency(head(old), proof, head(size)));
  }
}

TEST_F(MerkleVectorTest, EveryInclusionProofHoldsForItsLeafAlone) {
  for (std::uint64_t size = 1; size <= 40; ++size) {
    for (std::uint64_t index = 0; index < size; ++index) {
      const std::vector<TreeHash> proof = prove_inclusion(index, size, tree_.reader()).value();
      EXPECT_TRUE(verify_inclusion(leaf(index), index, proof, head(size)));
      EXPECT_FALSE(verify_inclusion(leaf(index + 1), index, proof, head(size)));
      if (size > 1) EXPECT_FALSE(verify_inclusion(leaf(index), (index + 1) % size, proof, head(size)));
      if (!proof.empty()) EXPECT_FALSE(verify_inclusion(leaf(index), index, {proof.begin(), proof.end() - 1}, head(size)));
      std::vector<TreeHash> longer = proof;
      longer.push_back(leaf(0));
      EXPECT_FALSE(verify_inclusion(leaf(index), index, longer, head(size)));
      TreeHead other = head(size);
      other.root[0] ^= 1U;
      EXPECT_FALSE(verify_inclusion(leaf(index), index, proof, other));
    }
    EXPECT_FALSE(prove_inclusion(size, size, tree_.reader()));
    EXPECT_FALSE(verify_inclusion(leaf(size), size, {}, head(size)));
  }
}

TEST_F(MerkleVectorTest, EveryConsistencyProofHoldsForItsPairAlone) {
  for (std::uint64_t size = 0; size <= 40; ++size) {
    for (std::uint64_t old = 0; old <= size; ++old) {
      const std::vector<TreeHash> proof = prove_consistency(old, size, tree_.reader()).value();
      EXPECT_TRUE(verify_consistency(head(old), proof, head(size))) << old << " to " << size;
      TreeHead other = head(old);
      other.root[0] ^= 1U;
      EXPECT_FALSE(verify_consistency(other, proof, head(size))) << old << " to " << size;
      std::vector<TreeHash> longer = proof;
      longer.push_back(leaf(0));
      EXPECT_FALSE(verify_consistency(head(old), longer, head(size)));
      if (old == 0) continue;  // an empty tree begins every tree
      other = head(size);
      other.root[31] ^= 1U;
      EXPECT_FALSE(verify_consistency(head(old), proof, other));
      if (!proof.empty()) EXPECT_FALSE(verify_consistency(head(old), {proof.begin() + 1, proof.end()}, head(size)));
    }
    EXPECT_FALSE(prove_consistency(size + 1, size, tree_.reader()));
    EXPECT_FALSE(verify_consistency(head(size + 1), {}, head(size))) << "an older tree cannot be larger";
  }
}

TEST_F(MerkleVectorTest, ALeafCannotPassForANode) {
  // Second pre-images: the two hashes of a node as a line of 64 octets give another hash, since leaves and nodes begin differently.
  const TreeHash left = leaf(0);
  const TreeHash right = leaf(1);
  const std::string octets(as_text(concat({left, right})));
  EXPECT_NE(leaf_hash(octets), node_hash(left, right));
}

}  // namespace
}  // namespace qanat::audit
