#include "points/kms_policy.hpp"

#include <gtest/gtest.h>

namespace qanat::points {
namespace {

using wire::Json;

TEST(KmsPolicyTest, IsReadAsItWasWritten) {
  const KmsPolicy whole{.version = 7,
                        .epoch = 2,
                        .wk_lifetime_ms = 30'000,
                        .quantum_paths = 2,
                        .quantum_shares = 1,
                        .quantum_reserve = 100,
                        .pqc_fallback = false,
                        .history = false,
                        .pool_low = 10,
                        .pool_high = 20};
  EXPECT_EQ(read_kms_policy(to_json(whole)).value(), whole);
  const KmsPolicy empty{.version = 1, .epoch = 1};
  EXPECT_EQ(to_json(empty).dump(), R"({"version":1,"epoch":1})");
  EXPECT_EQ(read_kms_policy(to_json(empty)).value(), empty);
  EXPECT_EQ(read_kms_policy_order(Json::parse(R"({"version":1})").value(), 1).value(), empty);
}

TEST(KmsPolicyTest, WhatIsUnknownOrOutOfBoundsIsRefused) {
  for (const std::string_view text :
       {R"({"epoch":1})", R"({"version":1})", R"({"version":0,"epoch":1})", R"({"version":1,"epoch":4294967296})", R"({"version":1,"epoch":1,"more":1})",
        R"({"version":1,"epoch":1,"wk_lifetime_ms":0})", R"({"version":1,"epoch":1,"quantum_paths":5})", R"({"version":1,"epoch":1,"quantum_shares":0})",
        R"({"version":1,"epoch":1,"quantum_reserve":-1})", R"({"version":1,"epoch":1,"pqc_fallback":1})", R"({"version":1,"epoch":1,"history":"none"})", R"({"version":1,"epoch":1,"pool_low":1})",
        R"({"version":1,"epoch":1,"pool_low":3,"pool_high":2})"}) {
    const auto read = read_kms_policy(Json::parse(text).value());
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().code, ErrorCode::invalid_argument) << text;
  }
  EXPECT_FALSE(read_kms_policy_order(Json::parse(R"({"version":1,"epoch":1})").value(), 1)) << "the epoch is the network's, not the operator's";
}

TEST(KmsPolicyTest, StateIsReadAsItWasWrittenAndStrictly) {
  const KmsState state{.policy = 3,
                       .epoch = 1,
                       .working_keys = {{"generated", 1}, {"destroyed", 5}},
                       .quantum = NamedCounts{{"b", 40}},
                       .stocks = {{"b", 9}},
                       .delivered_per_minute = 12,
                       .history_keys = 4};
  EXPECT_EQ(read_kms_state(to_json(state)).value(), state);
  KmsState unknown = state;
  unknown.quantum.reset();
  EXPECT_EQ(read_kms_state(to_json(unknown)).value(), unknown);
  KmsState none_kept = state;
  none_kept.history_keys = 0;
  EXPECT_FALSE(to_json(none_kept).dump().contains("history_keys"));
  EXPECT_EQ(read_kms_state(to_json(none_kept)).value(), none_kept);
  KmsState negative = state;
  negative.stocks = {{"b", -1}};
  EXPECT_FALSE(read_kms_state(to_json(negative)));
  KmsState long_name = state;
  long_name.stocks = {{std::string(65, 'b'), 1}};
  EXPECT_FALSE(read_kms_state(to_json(long_name)));
  KmsState many = state;
  for (int i = 0; i < 256; ++i) many.stocks.emplace_back("d" + std::to_string(i), 1);
  EXPECT_FALSE(read_kms_state(to_json(many)));
  EXPECT_FALSE(read_kms_state(Json::object()));
}

}  // namespace
}  // namespace qanat::points
