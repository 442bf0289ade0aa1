// draft-cisco-skip-02: capabilities, keys and entropy, and what is refused.
#include "kme/skip.hpp"

#include "provider_double.hpp"
#include "wire/json.hpp"

namespace qanat::kme::skip {
namespace {

using test::ask;

class SkipTest : public testing::Test {
 protected:
  test::Answered key(const std::string& query, const std::string& sae = "sae-a") { return ask(service, {.pattern = "/key", .query = query, .sae = sae}); }
  test::Answered by_id(const std::string& id, const std::string& query = "", const std::string& sae = "sae-c") {
    return ask(service, {.pattern = "/key/{}", .parameters = {id}, .query = query, .sae = sae});
  }
  static wire::Json json(const test::Answered& answer) { return wire::Json::parse(std::string_view(answer.body)).value_or(wire::Json()); }

  test::ProviderDouble provider;
  net::ForeignService service = make_service(provider, test::registry());
};

TEST_F(SkipTest, CapabilitiesNameBothSides) {
  const auto answer = json(ask(service, {.pattern = "/capabilities"}));
  EXPECT_TRUE(*answer.boolean("entropy") && *answer.boolean("key"));
  EXPECT_EQ(*answer.text("localSystemID"), "sae-a");
  EXPECT_EQ(answer.texts("remoteSystemID")->size(), 3U);
}

TEST_F(SkipTest, AKeyIsGivenInHexadecimalAndItsPeerGetsItByIdOnce) {
  const auto made = json(key("remoteSystemID=sae-c&size=128"));
  EXPECT_EQ(*made.text("keyId"), test::key_id(1).hex());
  EXPECT_EQ(*made.text("key"), "01010101010101010101010101010101");
  EXPECT_EQ(by_id(*made.text("keyId"), "remoteSystemID=sae-a").status, 200U);
  EXPECT_EQ(by_id(*made.text("keyId")).status, 400U);  // zeroised when it was read
}

TEST_F(SkipTest, AnIdOfAnothersKeyTellsAsLittleAsOneThatIsUnknown) {
  ASSERT_EQ(key("remoteSystemID=sae-c").status, 200U);
  const auto others = by_id(test::key_id(1).hex(), "", "sae-a");
  const auto unknown = by_id(test::key_id(9).hex());
  EXPECT_EQ(others.status, 400U);
  EXPECT_EQ(others.body, unknown.body);
}

TEST_F(SkipTest, EntropyComesInTheAmountAskedFor) {
  const auto answer = json(ask(service, {.pattern = "/entropy", .query = "minentropy=128"}));
  EXPECT_EQ(answer.text("randomStr")->size(), 32U);
  EXPECT_EQ(*answer.integer("minentropy"), 128);
  EXPECT_EQ(json(ask(service, {.pattern = "/entropy"})).text("randomStr")->size(), 64U);
}

TEST_F(SkipTest, BadRequestsAreRefused) {
  for (const char* query : {"", "size=256", "remoteSystemID=", "remoteSystemID=nobody", "remoteSystemID=sae-c&size=7", "remoteSystemID=sae-c&size=99999",
                            "remoteSystemID=sae-c&remoteSystemID=sae-b", "remoteSystemID=sae-c&x=1"}) {
    EXPECT_EQ(key(query).status, 400U) << query;
  }
  for (const char* id : {"12", "zz", "a0a0a0a0-a0a0-a0a0-a0a0-a0a0a0a0a001"}) EXPECT_EQ(by_id(id).status, 400U) << id;
  for (const char* query : {"minentropy=0", "minentropy=12", "minentropy=x", "minentropy=8192", "bits=8"}) {
    EXPECT_EQ(ask(service, {.pattern = "/entropy", .query = query}).status, 400U) << query;
  }
}

TEST_F(SkipTest, APatternStandsForTheKnownSystemsThatHaveItAndEachGetsTheKeyOnce) {
  EXPECT_EQ(key("remoteSystemID=sae-%3F").status, 200U);
  EXPECT_EQ(provider.orders.back().slaves, (std::vector{SaeId("sae-b"), SaeId("sae-c")}));  // not oneself, and not "sae b/ü"
  EXPECT_EQ(key("remoteSystemID=*").status, 200U);
  EXPECT_EQ(provider.orders.back().slaves.size(), 3U);
  EXPECT_EQ(key("remoteSystemID=other-*").status, 400U);
  const std::string id = test::key_id(1).hex();
  EXPECT_EQ(by_id(id, "remoteSystemID=sae-*").status, 200U);
  EXPECT_EQ(provider.fetches.back().master_is, MasterName::pattern);
  EXPECT_EQ(provider.fetches.back().master, SaeId("sae-*"));
  (void)by_id(id, "remoteSystemID=sae-a");
  EXPECT_EQ(provider.fetches.back().master_is, MasterName::exact);
}

TEST_F(SkipTest, AnEntryForManySystemsStandsInTheCapabilitiesAndServesEachByItsOwnName) {
  const SaeRegistry many = *SaeRegistry::make({{.id = SaeId("enc-a-*"), .domain = "a", .kme = "kme-a", .here = true, .pattern = true},
                                               {.id = SaeId("enc-b-*"), .domain = "b", .kme = "kme-b", .here = false, .pattern = true}});
  service = make_service(provider, many);
  const auto names = *json(ask(service, {.pattern = "/capabilities", .sae = "enc-a-1"})).texts("remoteSystemID");
  EXPECT_EQ(names, (std::vector<std::string>{"enc-a-*", "enc-b-*"}));
  EXPECT_EQ(key("remoteSystemID=enc-b-17", "enc-a-1").status, 200U);
  EXPECT_EQ(provider.orders.back().master.sae, SaeId("enc-a-1"));
  EXPECT_EQ(provider.orders.back().slaves, std::vector{SaeId("enc-b-17")});
  EXPECT_EQ(key("remoteSystemID=enc-b-*", "enc-a-1").status, 400U);  // nobody by name
  EXPECT_EQ(key("remoteSystemID=enc-c-1", "enc-a-1").status, 400U);
  EXPECT_EQ(key("remoteSystemID=enc-b-1", "enc-b-17").status, 401U);  // served elsewhere
  EXPECT_EQ(ask(service, {.pattern = "/capabilities", .sae = "enc-a-\n"}).status, 401U);
  EXPECT_EQ(ask(service, {.pattern = "/capabilities", .sae = "enc-a-*"}).status, 401U);  // a pattern is nobody's name
  EXPECT_EQ(ask(service, {.pattern = "/capabilities", .sae = "enc-a-\xff"}).status, 401U);  // no UTF-8: it would spoil the JSON that QKMs tell each other
}

TEST_F(SkipTest, WhoMayShareNoKeysIsNeitherListedNorMeantByAPattern) {
  const SaeRegistry granted = *SaeRegistry::make(
      {{.id = SaeId("sae-a"), .domain = "a", .kme = "kme-a", .here = true, .peer_domains = std::set<std::string>{"b"}},
       {.id = SaeId("sae-a2"), .domain = "a", .kme = "kme-a", .here = true, .peer_domains = std::set<std::string>{}},
       {.id = SaeId("sae-b"), .domain = "b", .kme = "kme-b", .peer_domains = std::set<std::string>{"a"}},
       {.id = SaeId("sae-b2"), .domain = "b", .kme = "kme-b", .peer_domains = std::set<std::string>{}},
       {.id = SaeId("sae-c"), .domain = "c", .kme = "kme-c", .peer_domains = std::set<std::string>{"a"}}});
  service = make_service(provider, granted);
  const auto listed = [&](const char* sae) { return *json(ask(service, {.pattern = "/capabilities", .sae = sae})).texts("remoteSystemID"); };
  EXPECT_EQ(listed("sae-a"), (std::vector<std::string>{"sae-a2", "sae-b"})) << "its own domain, and whom both grants name";
  EXPECT_EQ(listed("sae-a2"), std::vector<std::string>{"sae-a"});
  EXPECT_EQ(key("remoteSystemID=sae-*").status, 200U);
  EXPECT_EQ(provider.orders.back().slaves, (std::vector{SaeId("sae-a2"), SaeId("sae-b")})) << "and the order is not refused for the others";
  EXPECT_EQ(key("remoteSystemID=sae-b*", "sae-a2").status, 400U);
  provider.fails = Error{ErrorCode::denied, "SAEs sae-a and sae-c may share no keys"};
  const auto refused = key("remoteSystemID=sae-c");
  EXPECT_EQ(refused.status, 400U);
  EXPECT_EQ(json(refused).text("message").value(), "SAEs sae-a and sae-c may share no keys") << "no keyId was asked for";
  EXPECT_EQ(json(by_id(test::key_id(1).hex(), "", "sae-a")).text("message").value(), "the keyId is not known");
}

TEST_F(SkipTest, OfMoreSystemsThanCanBeListedTheCapabilitiesSayThatAnyNameMayBeAsked) {
  std::vector<Sae> saes{{.id = SaeId("sae-a"), .domain = "a", .kme = "kme-a", .here = true}};
  for (std::size_t i = 1; i < saes_looked_at_max; ++i) saes.push_back({.id = SaeId("x" + std::to_string(i)), .domain = "b", .kme = "kme-b"});
  const auto listed = [&](std::vector<Sae> all) {
    const SaeRegistry known = *SaeRegistry::make(std::move(all));
    return *wire::Json::parse(render_capabilities(known, SaeId("sae-a")))->texts("remoteSystemID");
  };
  EXPECT_EQ(listed(saes).size(), saes_looked_at_max - 1);
  saes.push_back({.id = SaeId("one more"), .domain = "b", .kme = "kme-b"});
  EXPECT_EQ(listed(saes), std::vector<std::string>{"*"});
}

TEST_F(SkipTest, APatternForTooManySystemsIsRefused) {
  std::vector<Sae> saes{{.id = SaeId("sae-a"), .domain = "a", .kme = "kme-a", .here = true}};
  for (int i = 0; i < 18; ++i) saes.push_back({.id = SaeId("x" + std::to_string(i)), .domain = "b", .kme = "kme-b"});
  const SaeRegistry many = *SaeRegistry::make(std::move(saes));
  service = make_service(provider, many);
  EXPECT_EQ(key("remoteSystemID=x*").status, 400U);
  EXPECT_EQ(key("remoteSystemID=x?").status, 200U);
}

TEST_F(SkipTest, StrangersAndAnEmptyStockAreRefused) {
  EXPECT_EQ(key("remoteSystemID=sae-c", "sae-b").status, 401U);
  EXPECT_EQ(ask(service, {.pattern = "/capabilities", .sae = "nobody"}).status, 401U);
  provider.fails = Error{ErrorCode::exhausted, "too few keys in stock"};
  EXPECT_EQ(key("remoteSystemID=sae-c").status, 503U);
}

}  // namespace
}  // namespace qanat::kme::skip
