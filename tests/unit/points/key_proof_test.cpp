// What is proved of a key: how it adds up, what meets a demand, and that it reads as it was written.
#include "points/key_proof.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <limits>

namespace qanat::points {
namespace {

constexpr KeyProof finite{.bounds = 8, .photons = 2, .eps = 1e-9};
constexpr KeyProof vendor{.bounds = 2, .photons = 4, .eps = 1.0};

TEST(KeyProofTest, ABlocksProofIsWhatItsQkdNames) {
  const KeyProof block = KeyProof::of_block("wiesemann-2026", 1e-9, 1e-15, true);
  EXPECT_EQ(block.bounds, 8);
  EXPECT_EQ(block.photons, 2);
  EXPECT_DOUBLE_EQ(block.eps, 1e-9 + 1e-15) << "correctness and secrecy together";
  EXPECT_EQ(block.grade(), "finite");
  EXPECT_EQ(KeyProof::of_block("lim-2014", 1e-9, 1e-15, false).photons, 8) << "measured";
}

TEST(KeyProofTest, WhatIsNotProvedOfAFiniteBlockHasEpsOne) {
  EXPECT_EQ(KeyProof::of_block("gllp", 1e-9, 1e-15, false).eps, 1.0) << "asymptotic: no claim for a block";
  EXPECT_EQ(KeyProof::of_block("gllp", 1e-9, 1e-15, false).grade(), "asymptotic");
  EXPECT_EQ(KeyProof::of_block("vendor: ETSI GS QKD 014", std::nullopt, std::nullopt, false), vendor);
  EXPECT_EQ(KeyProof::of_block("", 1e-9, 1e-15, false).grade(), "none");
  EXPECT_EQ(KeyProof::of_block("a bound of tomorrow", 1e-9, 1e-15, false).eps, 1.0);
  EXPECT_EQ(KeyProof::of_block("vendor", 1e-9, 1e-15, false).grade(), "none") << "that is no bound's name";
  for (const auto& [sec, cor] : {std::pair{0.0, 1e-15}, {-1e-9, 1e-15}, {1e-9, -1.0}, {0.6, 0.6}, {std::numeric_limits<double>::quiet_NaN(), 1e-15}}) {
    EXPECT_EQ(KeyProof::of_block("lim-2014", sec, cor, false).eps, 1.0) << sec << " " << cor;
  }
  EXPECT_EQ(KeyProof::of_block("lim-2014", 1e-9, std::nullopt, false).eps, 1.0) << "half of it is not all";
}

TEST(KeyProofTest, OverARelayEpsAddsAndTheWeakestGradeWins) {
  const KeyProof two = together(finite, {.bounds = 32, .photons = 8, .eps = 3e-9});
  EXPECT_EQ(two.bounds, 8 | 32);
  EXPECT_EQ(two.photons, 2 | 8);
  EXPECT_DOUBLE_EQ(two.eps, 4e-9);
  EXPECT_EQ(two.grade(), "finite");
  const KeyProof three = together(two, vendor);
  EXPECT_EQ(three.grade(), "vendor");
  EXPECT_EQ(three.eps, 1.0) << "never more than certain";
  EXPECT_EQ(together(three, KeyProof()).grade(), "none");
}

TEST(KeyProofTest, OfTwoStatementsAboutTheSameKeysTheWeakerCounts) {
  const KeyProof out = weaker(finite, {.bounds = 8, .photons = 8, .eps = 3e-9});
  EXPECT_EQ(out.eps, 3e-9) << "not their sum";
  EXPECT_EQ(out.photons, 2 | 8);
  EXPECT_EQ(weaker(out, finite), out);
}

TEST(KeyProofTest, ADemandIsMetByNothingWorse) {
  const ProofDemand demand{.bounds = *bounds_demanded("one-decoy-finite"), .photons = photons_all, .eps_max = 1e-9};
  EXPECT_TRUE(demand.is_met_by(finite));
  EXPECT_FALSE(demand.is_met_by({.bounds = 8, .photons = 2, .eps = 1.1e-9}));
  EXPECT_FALSE(demand.is_met_by({.bounds = 8 | 32, .photons = 2, .eps = 1e-9})) << "one hop's bound is another";
  EXPECT_FALSE(demand.is_met_by(vendor));
  EXPECT_FALSE(demand.is_met_by(KeyProof()));
  EXPECT_FALSE((ProofDemand{.photons = *photons_demanded("real")}.is_met_by(finite))) << "simulated";
  EXPECT_TRUE((ProofDemand{.photons = *photons_demanded("real")}.is_met_by(vendor)));
  EXPECT_TRUE(ProofDemand().is_any() && ProofDemand().is_met_by(KeyProof()));
}

TEST(KeyProofTest, DemandsHaveNamesAndUnknownOnesAreRefused) {
  EXPECT_EQ(*bounds_demanded("finite"), bounds_finite);
  EXPECT_EQ(*bounds_demanded("lim-2014"), 32);
  EXPECT_EQ(*bounds_demanded("any"), bounds_all);
  EXPECT_FALSE(bounds_demanded("best"));
  EXPECT_FALSE(photons_demanded("simulated")) << "nobody demands that";
}

TEST(KeyProofTest, ADemandIsReadByItsNamesAndWhatIsAbsentIsNotDemanded) {
  const auto read = [](const char* text) { return read_named_demand(*wire::Json::parse(std::string_view(text))); };
  EXPECT_EQ(*read("{}"), ProofDemand());
  EXPECT_EQ(*read(R"({"bound":"finite","photons":"measured","eps_max":1e-9,"way":"centralised"})"), (ProofDemand{.bounds = bounds_finite, .photons = 8, .eps_max = 1e-9}));
  for (const char* text : {R"({"bound":"best"})", R"({"photons":"simulated"})", R"({"eps_max":0})", R"({"eps_max":1.1})", R"({"eps_max":"1e-9"})", R"({"bound":null})"}) {
    EXPECT_FALSE(read(text)) << text;
  }
}

TEST(KeyProofTest, TwoDemandsTogetherAreMetByWhatMeetsBoth) {
  const ProofDemand one{.bounds = 8 | 16, .photons = 8, .eps_max = 1e-9};
  const ProofDemand other{.bounds = 16 | 32, .photons = 8 | 4, .eps_max = 1e-10};
  EXPECT_EQ(one.and_also(other), (ProofDemand{.bounds = 16, .photons = 8, .eps_max = 1e-10}));
  EXPECT_EQ(other.and_also(one), one.and_also(other));
  EXPECT_EQ(one.and_also({}), one);
  EXPECT_FALSE((ProofDemand{.bounds = 8}.and_also({.bounds = 32}).is_met_by(finite))) << "they exclude each other";
}

TEST(KeyProofTest, OctetsAndJsonSayTheSameToTheLastBit) {
  for (const double eps : {1e-9, 1.0 / 3.0, 5e-324, 1.0, 1e-9 + 1e-15}) {
    const KeyProof proof{.bounds = 8 | 2, .photons = 2 | 4, .eps = eps};
    const Bytes octets = octets_of(proof);
    ASSERT_EQ(octets.size(), proof_size);
    wire::Reader in(octets);
    EXPECT_EQ(*read_proof(in, "proof"), proof);
    EXPECT_EQ(*read_proof(*wire::Json::parse(write(proof).dump())), proof) << write(proof).dump();
  }
  const ProofDemand demand{.bounds = 24, .photons = 8, .eps_max = 1e-9};
  EXPECT_EQ(*read_demand(*wire::Json::parse(write(demand).dump())), demand);
}

// binary64 of 1e-9 by Python's struct.pack(">d", 1e-9).
TEST(KeyProofTest, KnownOctets) { EXPECT_EQ(to_hex(octets_of(finite)), "08023e112e0be826d695"); }

TEST(KeyProofTest, WhatIsNoProofIsRefused) {
  const auto with = [](std::uint8_t bounds, std::uint8_t photons, double eps) {
    wire::Writer out;
    out.u8(bounds);
    out.u8(photons);
    out.u64(std::bit_cast<std::uint64_t>(eps));
    const Bytes octets = *std::move(out).finish();
    wire::Reader in(octets);
    return read_proof(in, "proof").has_value();
  };
  EXPECT_TRUE(with(8, 2, 1e-9));
  EXPECT_FALSE(with(0, 2, 1e-9));
  EXPECT_FALSE(with(64, 2, 1e-9));
  EXPECT_FALSE(with(8, 0, 1e-9));
  EXPECT_FALSE(with(8, 16, 1e-9));
  for (const double eps : {0.0, -0.0, -1e-9, 1.0000001, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_FALSE(with(8, 2, eps)) << eps;
  }
  for (const char* text : {R"({"bounds":[],"eps":1e-9,"photons":["measured"]})", R"({"bounds":["best"],"eps":1e-9,"photons":["measured"]})",
                           R"({"bounds":["gllp"],"eps":2,"photons":["measured"]})", R"({"bounds":["gllp"],"eps":1,"photons":["measured"],"more":1})"}) {
    EXPECT_FALSE(read_proof(*wire::Json::parse(std::string_view(text)))) << text;
  }
}

}  // namespace
}  // namespace qanat::points
