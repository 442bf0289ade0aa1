// Who may use a key, what for, until when, how often, and on what it must rest.
#include "services/kms/kma/key_policy.hpp"

#include <gtest/gtest.h>

#include <set>

namespace qanat::kms {
namespace {

using wire::Assurance;

constexpr UnixMs sample_end_ms = 1'700'000'000'000;
const KeyPolicy sample_policy{.holder = Uid("alice"), .not_after_ms = sample_end_ms, .terms = {.traffic = Traffic::message, .level_min = Assurance::pqc, .deliveries_max = 2}};
const KeyUse sample_use{.by = Uid("alice"), .traffic = Traffic::message, .now_ms = sample_end_ms - 1};
const KeyCondition sample_condition{.rests_on = Assurance::pqc, .deliveries = 1};

TEST(KeyPolicyTest, AllowsWhatBreaksNoRuleUpToTheLastMomentAndTheLastUse) { EXPECT_EQ(may(sample_policy, sample_use, sample_condition), Verdict::allowed); }

TEST(KeyPolicyTest, EachRuleRefusesByItself) {
  KeyUse other = sample_use;
  other.by = Uid("bob");
  EXPECT_EQ(may(sample_policy, other, sample_condition), Verdict::another_holder);
  other = sample_use;
  other.traffic = Traffic::voice;
  EXPECT_EQ(may(sample_policy, other, sample_condition), Verdict::another_use);
  other = sample_use;
  other.now_ms = sample_end_ms;
  EXPECT_EQ(may(sample_policy, other, sample_condition), Verdict::past_its_time);
  EXPECT_EQ(may(sample_policy, sample_use, {.rests_on = Assurance::pqc, .deliveries = 2}), Verdict::used_up);
  EXPECT_EQ(may(sample_policy, sample_use, {.rests_on = Assurance::local_rng, .deliveries = 0}), Verdict::rests_on_too_little);
  EXPECT_EQ(may(sample_policy, sample_use, {.rests_on = Assurance::disjoint_qkd_paths, .deliveries = 0}), Verdict::allowed) << "more than is demanded";
}

TEST(KeyPolicyTest, EveryFieldIsInWhatTheKeyIsBoundTo) {
  std::set<Bytes> encodings{canonical(sample_policy)};
  KeyPolicy other = sample_policy;
  other.holder = Uid("alicf");
  encodings.insert(canonical(other));
  other = sample_policy;
  other.not_after_ms += 1;
  encodings.insert(canonical(other));
  other = sample_policy;
  other.terms.traffic = Traffic::voice;
  encodings.insert(canonical(other));
  other = sample_policy;
  other.terms.level_min = Assurance::local_rng;
  encodings.insert(canonical(other));
  other = sample_policy;
  other.terms.deliveries_max = 3;
  encodings.insert(canonical(other));
  EXPECT_EQ(encodings.size(), 6U);
  EXPECT_EQ(to_hex(canonical(sample_policy)), "01010202" "0000018bcfe56800" "616c696365");
}

TEST(KeyPolicyTest, TrafficFollowsFromTheKindOfElementAlone) {
  EXPECT_EQ(traffic_of(Kind::app1), Traffic::voice);
  EXPECT_EQ(traffic_of(Kind::app2), Traffic::message);
  EXPECT_EQ(traffic_of(Kind::app3), Traffic::cloud);
  EXPECT_EQ(traffic_of(Kind::dev1), Traffic::gateway);
  EXPECT_EQ(traffic_of(Kind::dev2), Traffic::device);
  for (const Kind kind : all_kinds) EXPECT_EQ(traffic_of(kind).has_value(), apps.has(kind)) << name(kind);
  for (const Traffic traffic : all_traffic) EXPECT_EQ(traffic_from_name(name(traffic)), traffic);
  EXPECT_FALSE(traffic_from_name("Voice"));
}

}  // namespace
}  // namespace qanat::kms
