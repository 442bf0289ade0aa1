// Who may get keys: the registry as it is replaced while others look, and whom an SAE may share keys with.
#include "kme/sae_registry.hpp"

#include <gtest/gtest.h>

namespace qanat::kme {
namespace {

Sae sae(const char* name, const char* domain) { return {.id = SaeId(name), .domain = domain, .kme = "k", .here = true}; }

TEST(SaeRegistryTest, WhoHasFoundAnSaeKeepsItAsItWas) {
  SaeRegistry registry = *SaeRegistry::make({sae("one", "a")});
  const auto found = registry.find(SaeId("one"));
  const SaeRegistry before = registry;
  registry = *SaeRegistry::make({sae("one", "b"), sae("two", "b")});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->domain, "a");
  EXPECT_EQ(registry.find(SaeId("one"))->domain, "b");
  EXPECT_EQ(before.find(SaeId("two")), nullptr) << "a copy stays what it was";
  registry = SaeRegistry();
  EXPECT_EQ(registry.find(SaeId("one")), nullptr);
  EXPECT_TRUE(registry.all()->empty());
}

TEST(SaeRegistryTest, ANameTwiceOrOneThatIsTooLongMakesNone) {
  EXPECT_FALSE(SaeRegistry::make({sae("one", "a"), sae("one", "b")}));
  EXPECT_FALSE(SaeRegistry::make({sae("", "a")}));
  EXPECT_FALSE(SaeRegistry::make({sae(std::string(257, 'x').c_str(), "a")}));
}

TEST(SaeRegistryTest, AnSaeSharesWithItsOwnDomainAndThoseItWasGranted) {
  Sae one = sae("one", "a");
  EXPECT_TRUE(one.may_share_with("b")) << "where nobody keeps grants";
  one.peer_domains.emplace();
  EXPECT_TRUE(one.may_share_with("a"));
  EXPECT_FALSE(one.may_share_with("b"));
  one.peer_domains->insert("b");
  EXPECT_TRUE(one.may_share_with("b"));
  Sae other = sae("other", "b");
  EXPECT_TRUE(one.shares_with(other) && other.shares_with(one));
  other.peer_domains.emplace();
  EXPECT_FALSE(one.shares_with(other) || other.shares_with(one)) << "one grant is not enough";
}

TEST(SaeRegistryTest, PatternsAreFoundInTheOrderOfTheirNamesBesideHoweverManyEntries) {
  std::vector<Sae> saes;
  for (std::size_t i = 0; i < 2 * saes_looked_at_max; ++i) saes.push_back(sae(("m" + std::to_string(i)).c_str(), "a"));
  for (const char* const pattern : {"z*", "enc-*", "enc-b-*"}) {
    saes.push_back(sae(pattern, "b"));
    saes.back().pattern = true;
  }
  const SaeRegistry registry = *SaeRegistry::make(std::move(saes));
  const SaeRegistry copy = registry;
  EXPECT_EQ(copy.find(SaeId("enc-b-1"))->id, SaeId("enc-*"));
  EXPECT_EQ(copy.find(SaeId("zz"))->id, SaeId("z*"));
  EXPECT_EQ(copy.find(SaeId("enc-*")), nullptr) << "a pattern is nobody's name";
  EXPECT_EQ(copy.find(SaeId("nobody")), nullptr);
}

TEST(SaeRegistryTest, APatternIsMatchedAgainstABoundedNumberOfNamesAndThoseThatShareAlone) {
  Sae stranger = sae("x-2", "b");
  stranger.peer_domains.emplace();
  std::vector<Sae> saes{sae("x-1", "b"), stranger, sae("x-3", "a"), sae("y", "a")};
  for (std::size_t i = 0; i <= saes_looked_at_max; ++i) saes.push_back(sae(("m" + std::to_string(i)).c_str(), "a"));
  const SaeRegistry registry = *SaeRegistry::make(std::move(saes));
  const Sae who = sae("y", "a");
  EXPECT_EQ(*registry.matching("x-?", who), (std::vector{SaeId("x-1"), SaeId("x-3")}));
  EXPECT_TRUE(registry.matching("q*", who)->empty());
  for (const char* const wide : {"m*", "*", "?-1"}) EXPECT_EQ(registry.matching(wide, who).error().code, ErrorCode::invalid_argument) << wide;
}

}  // namespace
}  // namespace qanat::kme
