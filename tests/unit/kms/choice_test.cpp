// What a working key is made of: every combination of inputs against rules that are written out a second time, and each reason by name.
#include "services/kms/kma/choice.hpp"

#include <gtest/gtest.h>

#include <set>

namespace qanat::kms {
namespace {

using wire::Assurance;

constexpr std::array levels{Assurance::local_rng, Assurance::pqc, Assurance::one_qkd_path, Assurance::disjoint_qkd_paths};

template <class Work>
void for_each_situation(Work&& work) {
  for (const bool same : {false, true})
    for (const bool ephemeral : {false, true})
      for (const Assurance demanded : levels)
        for (const Assurance granted : levels)
          for (const std::int64_t paths : {1, 3})
            for (const bool fallback : {false, true})
              for (const bool undemanded : {false, true})
                for (const std::int64_t reserve : {0, 10})
                  for (const bool qkm : {false, true})
                    for (const bool peer : {false, true})
                      for (const std::optional<std::int64_t> stock : {std::optional<std::int64_t>{}, std::optional<std::int64_t>{11}, std::optional<std::int64_t>{12}})
                        for (const bool separate : {false, true})
                          for (const bool key : {false, true})
                            work(Situation{.same_domain = same,
                                           .ephemeral = ephemeral,
                                           .demanded = demanded,
                                           .granted = granted,
                                           .policy = {.paths = paths, .shares = 2, .pqc_fallback = fallback, .quantum_undemanded = undemanded, .quantum_reserve = reserve},
                                           .live = {.qkm = qkm, .peer_has_quantum = peer, .stock = stock, .separate_paths = separate, .quantum_key = key}});
}

/// What a key of this choice rests on.
Assurance worth(const Choice& choice) {
  if (choice.source == Source::local_rng) return Assurance::local_rng;
  if (choice.source == Source::pqc) return Assurance::pqc;
  return choice.paths > 1 ? Assurance::disjoint_qkd_paths : Assurance::one_qkd_path;
}

TEST(ChoiceTest, IsNeverWorthLessThanIsDemandedNorMoreThanIsGranted) {
  std::size_t situations = 0;
  for_each_situation([&](const Situation& at) {
    ++situations;
    const Choice choice = choose(at);
    if (choice.source == Source::none) return;
    ASSERT_GE(worth(choice), at.demanded) << describe(choice);
    if (choice.source == Source::quantum_and_pqc) {
      ASSERT_LE(worth(choice), at.granted) << describe(choice);
      ASSERT_TRUE(at.live.qkm && at.live.peer_has_quantum && at.live.quantum_key) << describe(choice);
      ASSERT_TRUE(choice.paths == 1 || at.live.separate_paths) << describe(choice);
      ASSERT_EQ(choice.shares, choice.paths > 1 ? choice.paths : at.policy.shares);
    }
  });
  EXPECT_EQ(situations, 2U * 2 * 4 * 4 * 2 * 2 * 2 * 2 * 2 * 2 * 3 * 2 * 2);
}

TEST(ChoiceTest, LocalRngIsForOneDomainAloneAndPqcAloneOnlyWherePolicyAllows) {
  for_each_situation([&](const Situation& at) {
    const Choice choice = choose(at);
    if (at.same_domain) {
      ASSERT_EQ(choice.source, at.demanded == Assurance::local_rng ? Source::local_rng : Source::none);
    } else {
      ASSERT_NE(choice.source, Source::local_rng);
    }
    if (choice.source == Source::pqc) ASSERT_TRUE(at.policy.pqc_fallback);
    if (choice.because == Because::no_fallback) ASSERT_FALSE(at.policy.pqc_fallback);
    ASSERT_EQ(choice.source == Source::none, choice.because == Because::no_fallback || choice.because == Because::demand_not_met);
    if (choice.source != Source::none) ASSERT_EQ(choice.encapsulation, at.ephemeral ? Encapsulation::series : Encapsulation::parallel);
  });
}

TEST(ChoiceTest, QuantumKeysAreTakenWheneverTheyMayBeAndOnlyThen) {
  for_each_situation([&](const Situation& at) {
    if (at.same_domain) return;
    const bool demanded = at.demanded >= Assurance::one_qkd_path;
    const std::int64_t takes = at.policy.paths > 1 ? at.policy.paths : at.policy.shares;
    const bool kept = at.live.stock && *at.live.stock - takes < at.policy.quantum_reserve;
    const bool possible = at.granted >= Assurance::one_qkd_path && at.live.qkm && at.live.peer_has_quantum && at.live.quantum_key;
    const bool may = possible && (demanded || (at.policy.quantum_undemanded && !kept));
    const bool split = at.policy.paths > 1 && at.granted == Assurance::disjoint_qkd_paths && at.live.separate_paths;
    const bool enough = at.demanded <= Assurance::one_qkd_path || split;
    const Choice choice = choose(at);
    ASSERT_EQ(choice.source == Source::quantum_and_pqc, may && enough) << describe(choice);
    if (may && enough) ASSERT_EQ(choice.paths, split ? at.policy.paths : 1);
    if (!may) ASSERT_EQ(choice.source == Source::pqc, at.policy.pqc_fallback && at.demanded <= Assurance::pqc) << describe(choice);
  });
}

TEST(ChoiceTest, WhatIsLearntByTryingEndsInAChoiceThatNeedsNoKeyOrInARefusal) {
  for_each_situation([&](const Situation& begun) {
    Situation at = begun;
    int tries = 0;
    for (Choice choice = choose(at); choice.source == Source::quantum_and_pqc; choice = choose(at)) {
      ASSERT_LE(++tries, 2) << describe(choice);
      (choice.paths > 1 ? at.live.separate_paths : at.live.quantum_key) = false;
    }
  });
}

TEST(ChoiceTest, WherePolicyDemandsEphemeralKeysATerminalWithoutThemGetsNoneAndForOthersNothingIsDifferent) {
  for_each_situation([&](const Situation& at) {
    Situation strict = at;
    strict.policy.ephemeral_keys = EphemeralKeys::required;
    ASSERT_EQ(choose(strict), at.ephemeral ? choose(at) : (Choice{.source = Source::none, .because = Because::no_ephemeral_keys}));
  });
  for (const EphemeralKeys policy : {EphemeralKeys::as_the_terminal_can, EphemeralKeys::required}) {
    EXPECT_EQ(encapsulation_for(true, policy), Encapsulation::series);
  }
  EXPECT_EQ(encapsulation_for(false, EphemeralKeys::as_the_terminal_can), Encapsulation::parallel);
  EXPECT_FALSE(encapsulation_for(false, EphemeralKeys::required));
}

TEST(ChoiceTest, EveryReasonIsGivenSomewhereAndHasAText) {
  std::set<Because> given;
  for_each_situation([&](const Situation& at) {
    given.insert(choose(at).because);
    Situation strict = at;
    strict.policy.ephemeral_keys = EphemeralKeys::required;
    given.insert(choose(strict).because);
  });
  std::set<std::string_view> texts;
  for (int i = 0; i <= static_cast<int>(Because::no_fallback); ++i) {
    EXPECT_TRUE(given.contains(static_cast<Because>(i))) << text(static_cast<Because>(i));
    texts.insert(text(static_cast<Because>(i)));
  }
  EXPECT_EQ(texts.size(), given.size());
  EXPECT_FALSE(texts.contains("?"));
}

TEST(ChoiceTest, SaysInWordsWhatWasChosenAndWhy) {
  Situation at;
  at.policy.paths = 2;
  EXPECT_EQ(describe(choose(at)), "2 quantum keys over 2 paths and PQC: over separate paths, as policy asks; delivered in series");
  at.live.separate_paths = false;
  EXPECT_EQ(describe(choose(at)), "1 quantum key over 1 path and PQC: no keys over separate paths now; delivered in series");
  at.granted = Assurance::one_qkd_path;
  EXPECT_EQ(describe(choose(at)), "1 quantum key over 1 path and PQC: the grant reaches to one path; delivered in series");
  at.live.quantum_key = false;
  at.ephemeral = false;
  EXPECT_EQ(describe(choose(at)), "PQC alone: no quantum key now; delivered in parallel");
  at.policy.pqc_fallback = false;
  EXPECT_EQ(describe(choose(at)), "refused: no quantum key, and policy allows no fallback");
  at.policy.ephemeral_keys = EphemeralKeys::required;
  EXPECT_EQ(describe(choose(at)), "refused: the terminal brings no ephemeral keys, which policy demands of this traffic");
  EXPECT_EQ(describe(choose({.same_domain = true, .policy = {}, .live = {}})), "local RNG: both numbers are served here; delivered in series");
}

TEST(ChoiceTest, StockThatIsKeptForThoseWhoDemandItIsGivenToThem) {
  Situation at;
  at.policy.quantum_reserve = 10;
  at.live.stock = 10;
  EXPECT_EQ(choose(at).because, Because::stock_is_kept);
  at.demanded = Assurance::one_qkd_path;
  EXPECT_EQ(choose(at).source, Source::quantum_and_pqc);
  at.demanded = Assurance::local_rng;
  at.live.stock = 11;
  EXPECT_EQ(choose(at).source, Source::quantum_and_pqc) << "ten are left after it";
  at.live.stock.reset();
  EXPECT_EQ(choose(at).source, Source::quantum_and_pqc) << "what is not known is tried";
}

TEST(ChoiceTest, StockIsKeptFromKeysOverSeveralPathsAllTogether) {
  Situation at;
  at.policy.paths = 3;
  at.policy.quantum_reserve = 10;
  at.live.stock = 12;
  EXPECT_EQ(choose(at).because, Because::stock_is_kept) << "two of the three would be";
  at.live.stock = 13;
  EXPECT_EQ(choose(at).shares, 3);
}

TEST(ChoiceTest, WhoeverTakesQuantumKeysTakesThemInWholeLotsAndLeavesWhatIsKept) {
  const auto room = [](std::int64_t stock, Demand demand) {
    return room_for({.keys = 2, .lots = 3, .demand = demand, .reserve = 10}, {.stock = stock}).value_or(0);
  };
  EXPECT_EQ(room(9, Demand::wished), 0);
  EXPECT_EQ(room(11, Demand::wished), 0);
  EXPECT_EQ(room(12, Demand::wished), 1);
  EXPECT_EQ(room(15, Demand::wished), 2);
  EXPECT_EQ(room(99, Demand::wished), 3);
  for (const std::int64_t stock : {0, 9, 99}) EXPECT_EQ(room(stock, Demand::strict), 3) << "it is kept for these";
  EXPECT_EQ(room_for({.reserve = 10}, {.stock = 10}).error(), Because::stock_is_kept);
  EXPECT_EQ(room_for({.reserve = 10}, {.stock = {}}).value_or(0), 1) << "what is not known is tried";
  for (const Demand demand : {Demand::wished, Demand::strict}) {
    EXPECT_EQ(room_for({.demand = demand}, {.qkm = false, .stock = {}}).error(), Because::no_qkm);
    EXPECT_EQ(room_for({.demand = demand}, {.peer_has_quantum = false, .stock = {}}).error(), Because::peer_has_no_quantum);
  }
}

}  // namespace
}  // namespace qanat::kms
