#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>
#include <set>

#include "quantum/qkd/reconciliation/ldpc.hpp"
#include "quantum/qkd/reconciliation/ldpc_decoder.hpp"
#include "quantum/qkd/reconciliation/ldpc_frame.hpp"
#include "quantum/qkd/reconciliation/ldpc_rate.hpp"

namespace qanat::qkd {
namespace {

/// Two keys that differ as a noisy channel makes them.
struct Pair {
  Pair(std::size_t bits, double error_rate, std::uint64_t seed) : random(seed), alice((bits + 7) / 8), bob((bits + 7) / 8) {
    for (std::size_t i = 0; i < bits; ++i) {
      const bool bit = (random() & 1U) != 0;
      set(alice, i, bit);
      set(bob, i, bit);
    }
    add_errors(0, bits, error_rate);
    setup = {.method = ReconciliationMethod::ldpc, .key_bits = bits, .error_rate = error_rate, .seed = Bytes(reconciliation_seed_size)};
    for (std::uint8_t& octet : setup.seed) octet = static_cast<std::uint8_t>(random());
  }
  static void set(Secret& key, std::size_t i, bool bit) {
    if (bit) key.writable()[i / 8] |= static_cast<std::uint8_t>(1U << (i % 8));
  }
  void add_errors(std::size_t from, std::size_t to, double rate) {
    for (std::size_t i = from; i < to; ++i) {
      if (static_cast<double>(random() >> 11) * 0x1p-53 >= rate) continue;
      bob.writable()[i / 8] ^= static_cast<std::uint8_t>(1U << (i % 8));
      ++errors;
    }
  }
  std::mt19937_64 random;
  Secret alice;
  Secret bob;
  ReconciliationSetup setup;
  std::size_t errors = 0;
};

struct Outcome {
  bool finished = false;
  bool equal = false;
  std::optional<Error> failure;
  Disclosed disclosed;
  std::uint64_t corrected = 0;
  std::size_t rounds = 0;
};

Outcome reconcile(Pair& pair) {
  Outcome out;
  const auto reference = make_ldpc_reference(pair.setup, pair.alice).value();
  const auto corrector = make_ldpc_corrector(pair.setup, std::move(pair.bob)).value();
  while (true) {
    const auto question = corrector->next();
    if (!question) {
      out.failure = question.error();
      break;
    }
    if (!*question) {
      out.finished = true;
      break;
    }
    EXPECT_LT(++out.rounds, 200U);
    const auto answer = reference->answer(**question);
    if (!answer) {
      out.failure = answer.error();
      break;
    }
    EXPECT_TRUE(corrector->learn(*answer));
    EXPECT_EQ(reference->disclosed(), corrector->disclosed());
    EXPECT_LE(reference->disclosed().by_alice, pair.setup.key_bits);
  }
  out.disclosed = reference->disclosed();
  out.corrected = corrector->corrected();
  out.equal = equal_secret(corrector->take_bits(), pair.alice);
  return out;
}

double efficiency(const Pair& pair, const Outcome& outcome) {
  const auto bits = static_cast<double>(pair.setup.key_bits);
  return static_cast<double>(outcome.disclosed.by_alice) / (bits * entropy_of_error_rate(static_cast<double>(pair.errors) / bits));
}

void expect_corrected(const Pair& pair, const Outcome& outcome) {
  EXPECT_TRUE(outcome.finished) << (outcome.failure ? outcome.failure->message : "");
  EXPECT_TRUE(outcome.equal);
  EXPECT_EQ(outcome.corrected, pair.errors);
}

TEST(LdpcTest, CorrectsEveryErrorAndDisclosesWithinTheTable) {
  struct Row {
    double error_rate;
    double efficiency_max;
  };
  for (const Row row : {Row{0.005, 1.37}, Row{0.01, 1.28}, Row{0.02, 1.25}, Row{0.03, 1.24}, Row{0.05, 1.22}, Row{0.08, 1.21}, Row{0.11, 1.21}}) {
    Pair pair(6 * frame_bits, row.error_rate, 1);
    const Outcome outcome = reconcile(pair);
    expect_corrected(pair, outcome);
    EXPECT_GT(efficiency(pair, outcome), 1.0) << row.error_rate;
    EXPECT_LE(efficiency(pair, outcome), row.efficiency_max) << row.error_rate;
  }
}

TEST(LdpcTest, TooLowAnEstimateIsMadeGoodByRetries) {
  for (const double rate : {0.015, 0.03, 0.075}) {
    Pair pair(4 * frame_bits, rate, 2);
    pair.setup.error_rate = rate / 1.5;
    const Outcome outcome = reconcile(pair);
    expect_corrected(pair, outcome);
    EXPECT_GT(outcome.rounds, 1U);
    EXPECT_LE(efficiency(pair, outcome), 1.45) << rate;
  }
}

TEST(LdpcTest, TooHighAnEstimateCostsParitiesAndNothingElse) {
  for (const double rate : {0.005, 0.02, 0.04}) {
    Pair pair(3 * frame_bits, rate, 3);
    pair.setup.error_rate = 2 * rate;
    expect_corrected(pair, reconcile(pair));
  }
}

TEST(LdpcTest, KeysOfAnySizeComeOutEqual) {
  for (const std::size_t bits : {1U, 7U, 8U, 100U, 1920U, 1921U, 2048U, 3000U, 5001U, 20'000U, 65'535U, 65'537U, 70'000U, 131'071U}) {
    Pair pair(bits, 0.03, bits);
    const Outcome outcome = reconcile(pair);
    SCOPED_TRACE(bits);
    expect_corrected(pair, outcome);
  }
}

TEST(LdpcTest, WhatIsTooShortForACodeIsSentInTheClearAndCountsWhole) {
  Pair pair(frame_bits + 100, 0.02, 4);
  const Outcome outcome = reconcile(pair);
  expect_corrected(pair, outcome);
  Pair alone(frame_bits, 0.02, 4);
  const Outcome full = reconcile(alone);
  EXPECT_GE(outcome.disclosed.by_alice, full.disclosed.by_alice / 2 + 100);
  Pair tiny(100, 0.02, 5);
  EXPECT_EQ(reconcile(tiny).disclosed.by_alice, 100U);
}

TEST(LdpcTest, EqualKeysStayEqual) {
  for (const double estimate : {0.0, 0.02, 0.5}) {
    Pair pair(2 * frame_bits + 4000, 0.0, 6);
    pair.setup.error_rate = estimate;
    const Outcome outcome = reconcile(pair);
    expect_corrected(pair, outcome);
    EXPECT_EQ(outcome.rounds, 1U);
    EXPECT_EQ(outcome.disclosed.by_bob, 3 * ldpc_octet_bits);
  }
}

TEST(LdpcTest, KeysThatHaveNothingInCommonFailCleanly) {
  Pair pair(3 * frame_bits, 0.5, 7);
  pair.setup.error_rate = 0.02;
  const Outcome outcome = reconcile(pair);
  EXPECT_FALSE(outcome.finished);
  ASSERT_TRUE(outcome.failure);
  EXPECT_EQ(outcome.failure->code, ErrorCode::conflict);
}

TEST(LdpcTest, OneRuinedFrameInManyIsDisclosedAndTheBlockSurvives) {
  const std::size_t frames = ldpc_frames_per_clear;
  Pair pair(frames * frame_bits, 0.01, 8);
  pair.add_errors(2 * frame_bits, 3 * frame_bits, 0.5);
  const Outcome outcome = reconcile(pair);
  EXPECT_TRUE(outcome.finished && outcome.equal);
  EXPECT_GE(outcome.disclosed.by_alice, frame_bits);
  EXPECT_LE(outcome.disclosed.by_alice, 3 * frame_bits);
}

TEST(LdpcTest, AFrameWhoseCheckDoesNotFitIsNeverAccepted) {
  Pair pair(frame_bits, 0.01, 9);
  const auto reference = make_ldpc_reference(pair.setup, pair.alice).value();
  const auto corrector = make_ldpc_corrector(pair.setup, std::move(pair.bob)).value();
  bool first = true;
  while (true) {
    const auto question = corrector->next();
    if (!question) {
      EXPECT_EQ(question.error().code, ErrorCode::conflict);
      return;
    }
    ASSERT_TRUE(*question) << "accepted";
    auto answer = reference->answer(**question);
    ASSERT_TRUE(answer);
    if (std::exchange(first, false)) answer->back() ^= 1;
    ASSERT_TRUE(corrector->learn(*answer));
  }
}

TEST(LdpcTest, AliceRefusesQuestionsThatAreNone) {
  Pair pair(2 * frame_bits, 0.02, 10);
  const auto reference = make_ldpc_reference(pair.setup, pair.alice).value();
  const auto refuses = [&](const Bytes& question, ErrorCode code = ErrorCode::invalid_argument) {
    const Disclosed before = reference->disclosed();
    const auto answer = reference->answer(question);
    EXPECT_FALSE(answer);
    if (!answer) EXPECT_EQ(answer.error().code, code);
    EXPECT_EQ(reference->disclosed(), before);
  };
  refuses({});
  refuses({3});
  refuses({ldpc_send, 0});
  refuses({ldpc_more, 1, 1});  // nothing was sent yet
  ASSERT_TRUE(reference->answer(Bytes{ldpc_send}));
  refuses({ldpc_send});
  refuses({ldpc_more});
  refuses({ldpc_more, 1});
  refuses({ldpc_more, 1, 1, 1});
  refuses({ldpc_more, 0, 0});
  refuses({ldpc_more, ldpc_in_the_clear, 0}, ErrorCode::exhausted);
  ASSERT_TRUE(reference->answer(Bytes{ldpc_more, 2, 0}));
  refuses({ldpc_more, 1, 1});  // the second frame is done
  for (int turn = 0; turn < 3; ++turn) (void)reference->answer(Bytes{ldpc_more, 250});
  EXPECT_LE(reference->disclosed().by_alice, 2 * frame_bits);
  refuses({ldpc_more, 254});  // more than the code has
}

TEST(LdpcTest, BobRefusesAnswersThatAreNoneAndIsUnchangedByThem) {
  Pair pair(frame_bits + 9000, 0.02, 11);
  const auto reference = make_ldpc_reference(pair.setup, pair.alice).value();
  const auto corrector = make_ldpc_corrector(pair.setup, std::move(pair.bob)).value();
  EXPECT_FALSE(corrector->learn({}));  // nothing was asked
  const auto question = corrector->next();
  ASSERT_TRUE(question && *question);
  const Bytes answer = reference->answer(**question).value();
  const auto refused = [&](const Bytes& octets) {
    ASSERT_TRUE(corrector->next());
    EXPECT_FALSE(corrector->learn(octets));
    EXPECT_EQ(corrector->disclosed(), Disclosed{});
  };
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{4}, std::size_t{5}, answer.size() / 2, answer.size() - 1})
    refused(Bytes(answer.begin(), answer.begin() + static_cast<std::ptrdiff_t>(size)));
  Bytes altered = answer;
  altered.push_back(0);
  refused(altered);
  altered = answer;
  altered[0] = ldpc_more;
  refused(altered);
  for (const std::size_t at : {std::size_t{1}, std::size_t{3}}) {
    altered = answer;
    altered[at] = 0xff;  // rows
    refused(altered);
  }
  ASSERT_TRUE(corrector->next());
  EXPECT_TRUE(corrector->learn(answer));
  EXPECT_FALSE(corrector->learn(answer));
}

TEST(LdpcTest, SetupsOutOfRangeAreRefused) {
  Pair pair(1000, 0.02, 12);
  for (const double rate : {-0.1, 0.6, std::nan("")}) {
    ReconciliationSetup setup = pair.setup;
    setup.error_rate = rate;
    EXPECT_FALSE(make_ldpc_reference(setup, pair.alice));
  }
  ReconciliationSetup setup = pair.setup;
  setup.key_bits = 1001;
  EXPECT_FALSE(make_ldpc_reference(setup, pair.alice));
  setup.key_bits = 0;
  EXPECT_FALSE(make_ldpc_corrector(setup, Secret()));
  setup = pair.setup;
  setup.seed.pop_back();
  EXPECT_FALSE(make_ldpc_corrector(setup, pair.bob.duplicate()));
}

TEST(LdpcCodeTest, HasNoCycleOfLengthFourWhereFramesAreFull) {
  for (const std::size_t rows : {36U, 50U, 88U, 150U, 300U}) {
    const LdpcCode code(ldpc_columns_max, rows);
    const std::vector<LdpcRow> all = code.rows(rows);
    std::size_t cycles = 0;
    for (std::size_t a = 0; a < rows; ++a) {
      for (std::size_t b = a + 1; b < rows; ++b) {
        std::set<unsigned> differences;
        std::size_t shared = 0;
        for (const LdpcEdge& edge : all[a]) {
          const auto other = std::ranges::find(all[b], edge.column, &LdpcEdge::column);
          if (other == all[b].end()) continue;
          ++shared;
          differences.insert((edge.shift + circulant_bits - other->shift) % circulant_bits);
        }
        cycles += shared - differences.size();
      }
    }
    EXPECT_EQ(cycles, 0U) << rows;
  }
}

TEST(LdpcCodeTest, IsTheCodeThatTheOtherEndBuilds) {
  // FNV-1a over every edge after every extension, as first built: another value means that older ends no longer understand us.
  std::uint64_t sum = 0xcbf29ce484222325U;
  for (const auto& [columns, rows] : {std::pair{512U, 88U}, std::pair{512U, 31U}, std::pair{77U, 20U}}) {
    const LdpcCode code(columns, rows);
    for (const LdpcRow& row : code.rows(code.total_rows()))
      for (const LdpcEdge& edge : row) sum = (sum ^ (std::uint64_t{edge.column} << 8 | edge.shift)) * 0x100000001b3U;
  }
  EXPECT_EQ(sum, 8328347110507982951U);
}

TEST(LdpcCodeTest, AnySizeCanBeMadeAndHasAColumnInARowOnce) {
  for (const std::size_t columns : {16U, 17U, 100U, 255U, 256U, 257U, 512U}) {
    for (const std::size_t rows : {LdpcCode::rows_min(columns), LdpcCode::rows_max(columns)}) {
      const LdpcPlan plan(columns, rows);  // can be made for whatever the other end may name
      EXPECT_GE(plan.step_count(), 1U);
      const LdpcCode& code = plan.code();
      for (const LdpcRow& row : code.rows(code.total_rows())) {
        std::set<std::uint16_t> seen;
        for (const LdpcEdge& edge : row) EXPECT_TRUE(seen.insert(edge.column).second);
        EXPECT_GE(row.size(), 2U);
      }
    }
  }
}

TEST(LdpcCodeTest, EveryExtensionHalvesARowWhoseParitiesAreKnown) {
  const LdpcCode code(ldpc_columns_max, 60);
  std::mt19937_64 random(13);
  std::vector<Circulant> frame(ldpc_columns_max);
  for (Circulant& word : frame) word = {random(), random()};
  std::vector<LdpcRow> before = code.rows(60);
  for (std::size_t row = 60; row < code.total_rows(); ++row) {
    const std::vector<LdpcRow> after = code.rows(row + 1);
    const std::size_t parent = code.parent(row);
    Circulant sum = code.parities(row, frame);
    const Circulant rest = row_parities(after[parent], frame);
    for (std::size_t half = 0; half < 2; ++half) sum[half] ^= rest[half];
    EXPECT_EQ(sum, row_parities(before[parent], frame));
    EXPECT_EQ(after[parent].size() + after[row].size(), before[parent].size());
    before = after;
  }
  EXPECT_GT(code.total_rows(), 180U);
}

TEST(LdpcDecoderTest, EveryKernelComputesTheSame) {
  // Where the processor has the portable path only, both decoders are that: then this says that a decoding depends on nothing that went before.
  std::mt19937_64 random(14);
  LdpcDecoder portable(LdpcKernel::portable);
  LdpcDecoder dispatched;
  struct Case {
    std::size_t columns;
    std::size_t base;
    std::size_t rows;
    double error_rate;
  };
  for (const Case one : {Case{512, 90, 90, 0.02}, Case{512, 80, 80, 0.02}, Case{100, 30, 37, 0.03}, Case{33, 20, 20, 0.08}, Case{16, 4, 4, 0.01}}) {
    const LdpcPlan plan(one.columns, one.base);
    const LdpcGraph graph(plan, one.rows);
    const std::size_t known_from = one.columns * circulant_bits - 50;
    std::vector<Circulant> errors(one.columns);
    for (std::size_t i = 0; i < known_from; ++i)
      if (static_cast<double>(random() >> 11) * 0x1p-53 < one.error_rate) errors[i / circulant_bits][i / 64 % 2] |= std::uint64_t{1} << (i % 64);
    std::vector<Circulant> difference;
    for (const LdpcRow& row : graph.shape()) difference.push_back(row_parities(row, errors));
    std::vector<Circulant> first(one.columns);
    std::vector<Circulant> second(one.columns);
    const LdpcDecoding a = portable.decode(graph, difference, known_from, first);
    const LdpcDecoding b = dispatched.decode(graph, difference, known_from, second);
    EXPECT_EQ(a.solved, b.solved);
    EXPECT_EQ(a.iterations, b.iterations);
    EXPECT_EQ(first, second);
    for (std::size_t row = 0; a.solved && row < difference.size(); ++row) EXPECT_EQ(row_parities(graph.shape()[row], first), difference[row]);
    if (one.rows == 90) EXPECT_EQ(first, errors);
  }
}

TEST(LdpcDecoderTest, TheParitiesThatDifferShowTheErrorRate) {
  const LdpcPlan plan(512, 90);
  const LdpcGraph graph(plan, 90);
  std::mt19937_64 random(15);
  for (const double rate : {0.01, 0.02, 0.04}) {
    std::vector<Circulant> errors(512);
    for (std::size_t i = 0; i < frame_bits; ++i)
      if (static_cast<double>(random() >> 11) * 0x1p-53 < rate) errors[i / circulant_bits][i / 64 % 2] |= std::uint64_t{1} << (i % 64);
    std::size_t odd = 0;
    for (const LdpcRow& row : graph.shape()) {
      const Circulant parities = row_parities(row, errors);
      odd += static_cast<std::size_t>(std::popcount(parities[0]) + std::popcount(parities[1]));
    }
    EXPECT_NEAR(graph.error_rate(odd), rate, 0.2 * rate);
  }
  EXPECT_LT(graph.error_rate(0), 1e-6);
}

TEST(LdpcCheckTest, TellsFramesApartThatDifferInOneBit) {
  const Bytes seed(reconciliation_seed_size, 0x5a);
  const LdpcCheck check(seed);
  std::set<std::uint32_t> seen;
  std::vector<Circulant> frame(20);
  seen.insert(check.of(frame));
  for (std::size_t i = 0; i < 20 * circulant_bits; ++i) {
    frame[i / circulant_bits][i / 64 % 2] ^= std::uint64_t{1} << (i % 64);
    EXPECT_TRUE(seen.insert(check.of(frame)).second);
    frame[i / circulant_bits][i / 64 % 2] ^= std::uint64_t{1} << (i % 64);
  }
  EXPECT_NE(check.of(std::vector<Circulant>(2, {1, 1})), LdpcCheck(Bytes(reconciliation_seed_size, 0x5b)).of(std::vector<Circulant>(2, {1, 1})));
}

}  // namespace
}  // namespace qanat::qkd
