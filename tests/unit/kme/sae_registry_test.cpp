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
}

}  // namespace
}  // namespace qanat::kme
