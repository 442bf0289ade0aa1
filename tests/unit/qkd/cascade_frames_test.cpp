#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "harness.hpp"
#include "quantum/qkd/reconciliation/cascade_ends.hpp"
#include "quantum/qkd/reconciliation/cascade_search.hpp"

namespace qanat::qkd {
namespace {

constexpr std::size_t rounds_enough = 50'000;

double entropy(double p) { return p <= 0 || p >= 1 ? 0 : -p * std::log2(p) - (1 - p) * std::log2(1 - p); }

Secret random_key(std::size_t bits, test::SeededRng& random) {
  Secret key = random.secret((bits + 7) / 8);
  if (bits % 8 != 0) key.writable().back() &= static_cast<std::uint8_t>((1U << (bits % 8)) - 1);
  return key;
}

void flip_bit(Secret& key, std::size_t bit) { key.writable()[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8)); }

/// Independent errors; how many there are.
std::size_t disturb(Secret& key, std::size_t bits, double rate, test::SeededRng& random) {
  std::size_t errors = 0;
  for (std::size_t i = 0; i < bits; ++i) {
    if (static_cast<double>(random.word() >> 11) * 0x1p-53 >= rate) continue;
    flip_bit(key, i);
    ++errors;
  }
  return errors;
}

struct Outcome {
  std::optional<Error> error;
  bool equal = false;
  Disclosed alice;
  Disclosed bob;
  std::uint64_t corrected = 0;
  std::size_t rounds = 0;
  std::vector<Bytes> messages;
};

ReconciliationSetup setup_for(std::size_t bits, double rate, std::uint64_t seed) {
  return {.method = ReconciliationMethod::cascade, .key_bits = bits, .error_rate = rate, .seed = test::SeededRng(seed).bytes(reconciliation_seed_size)};
}

Outcome converse(ReconciliationReference& reference, ReconciliationCorrector& corrector, const Secret& alice) {
  Outcome out;
  while (!out.error) {
    auto question = corrector.next();
    if (!question) {
      out.error = question.error();
      break;
    }
    if (!*question) break;
    EXPECT_LT(++out.rounds, rounds_enough);
    auto answer = reference.answer(**question);
    out.messages.push_back(**question);
    if (!answer) {
      out.error = answer.error();
      break;
    }
    out.messages.push_back(*answer);
    if (const auto learnt = corrector.learn(*answer); !learnt) out.error = learnt.error();
  }
  out.alice = reference.disclosed();
  out.bob = corrector.disclosed();
  out.corrected = corrector.corrected();
  out.equal = equal_secret(corrector.take_bits(), alice);
  return out;
}

Outcome reconcile(const ReconciliationSetup& setup, const Secret& alice, Secret bob) {
  const auto reference = make_reference(setup, alice);
  auto corrector = make_corrector(setup, std::move(bob));
  EXPECT_TRUE(reference && corrector);
  return converse(**reference, **corrector, alice);
}

/// Keys of `bits` bits that differ at `rate`; both ends expect `guess`.
Outcome reconcile(std::size_t bits, double rate, double guess, std::uint64_t seed, double* efficiency = nullptr) {
  test::SeededRng random(seed);
  const Secret alice = random_key(bits, random);
  Secret bob = alice.duplicate();
  const std::size_t errors = disturb(bob, bits, rate, random);
  Outcome out = reconcile(setup_for(bits, guess, seed), alice, std::move(bob));
  EXPECT_EQ(out.alice, out.bob);
  EXPECT_EQ(out.alice.by_alice, out.alice.by_bob);
  EXPECT_LE(out.alice.by_alice, bits);
  if (!out.error) EXPECT_EQ(out.corrected, errors);
  if (efficiency != nullptr)
    *efficiency = static_cast<double>(out.alice.by_alice) / (static_cast<double>(bits) * entropy(static_cast<double>(errors) / static_cast<double>(bits)));
  return out;
}

TEST(CascadeFramesTest, EndsWithEqualKeysAtTheStatedEfficiency) {
  struct Bound {
    double rate;
    double efficiency;
  };
  for (const Bound& bound :
       {Bound{0.005, 1.05}, Bound{0.01, 1.045}, Bound{0.02, 1.045}, Bound{0.03, 1.045}, Bound{0.05, 1.05}, Bound{0.08, 1.065}, Bound{0.11, 1.07}}) {
    double efficiency = 0;
    const Outcome outcome = reconcile(16 * frame_bits, bound.rate, bound.rate, 1, &efficiency);
    EXPECT_FALSE(outcome.error);
    EXPECT_TRUE(outcome.equal) << bound.rate;
    EXPECT_GE(efficiency, 1.0) << bound.rate;
    EXPECT_LE(efficiency, bound.efficiency) << bound.rate;
  }
}

TEST(CascadeFramesTest, ReachesTheAimAtTwoPerCent) {
  double efficiency = 0;
  EXPECT_TRUE(reconcile(64 * frame_bits, 0.02, 0.02, 2, &efficiency).equal);
  EXPECT_LE(efficiency, 1.04);
}

TEST(CascadeFramesTest, SurvivesWrongEstimates) {
  for (const double guess : {0.01, 0.02, 0.05}) {
    for (const double factor : {0.3, 0.5, 1.5, 2.0}) EXPECT_TRUE(reconcile(2 * frame_bits, factor * guess, guess, 3).equal) << guess << " " << factor;
  }
  EXPECT_TRUE(reconcile(frame_bits, 0.02, 0.0, 4).equal);
  EXPECT_TRUE(reconcile(frame_bits, 0.02, 1.0, 4).equal);
}

TEST(CascadeFramesTest, WorksForEveryLengthOfTheLastFrame) {
  for (const std::size_t bits : {2U, 3U, 100U, 1024U, 1025U, 1088U, 4095U, 4096U, 5000U, 65'535U, 65'536U, 65'537U, 65'600U, 131'071U, 200'003U}) {
    for (const double rate : {0.02, 0.08}) {
      const Outcome outcome = reconcile(bits, rate, rate, bits);
      EXPECT_FALSE(outcome.error) << bits;
      EXPECT_TRUE(outcome.equal) << bits << " " << rate;
    }
  }
}

TEST(CascadeFramesTest, LeavesEqualKeysAsTheyAre) {
  for (const std::size_t bits : {std::size_t{50}, std::size_t{70'000}, 3 * frame_bits}) {
    const Outcome outcome = reconcile(bits, 0.0, 0.02, 5);
    EXPECT_TRUE(outcome.equal);
    EXPECT_EQ(outcome.corrected, 0U);
  }
}

TEST(CascadeFramesTest, FindsASingleError) {
  test::SeededRng random(6);
  for (const std::size_t bit : {std::size_t{0}, std::size_t{65'535}, std::size_t{65'536}, std::size_t{99'999}}) {
    const Secret alice = random_key(100'000, random);
    Secret bob = alice.duplicate();
    flip_bit(bob, bit);
    const Outcome outcome = reconcile(setup_for(100'000, 0.005, bit), alice, std::move(bob));
    EXPECT_TRUE(outcome.equal) << bit;
    EXPECT_EQ(outcome.corrected, 1U);
  }
}

TEST(CascadeFramesTest, SpreadsBurstsAndPairs) {
  test::SeededRng random(7);
  const std::size_t bits = 8 * frame_bits;
  const Secret alice = random_key(bits, random);
  Secret bob = alice.duplicate();
  std::size_t errors = 0;
  for (std::size_t at = 500; at + 2000 < bits; at += 40'000) {
    for (std::size_t i = 0; i < 1200; ++i) {
      if (random.word() % 2 == 0) continue;
      flip_bit(bob, at + i);
      ++errors;
    }
  }
  for (std::size_t at = 20'000; at + 300 < bits; at += 500) {  // afterpulses
    for (const std::size_t distance : {0U, 1U, 64U, 128U}) flip_bit(bob, at + distance);
    errors += 4;
  }
  const double rate = static_cast<double>(errors) / static_cast<double>(bits);
  const Outcome outcome = reconcile(setup_for(bits, rate, 7), alice, std::move(bob));
  EXPECT_TRUE(outcome.equal);
  // As for independent errors: the interleaver has taken the bursts apart.
  EXPECT_LE(static_cast<double>(outcome.alice.by_alice), 1.07 * static_cast<double>(bits) * entropy(rate));
}

TEST(CascadeFramesTest, FailsCleanlyWhenTheKeysHaveNothingInCommon) {
  for (const std::size_t bits : {std::size_t{2000}, 2 * frame_bits}) {
    test::SeededRng random(8);
    const Secret alice = random_key(bits, random);
    const Outcome outcome = reconcile(setup_for(bits, 0.11, 8), alice, random_key(bits, random));
    ASSERT_TRUE(outcome.error);
    EXPECT_TRUE(outcome.error->code == ErrorCode::conflict || outcome.error->code == ErrorCode::exhausted);
    EXPECT_LE(outcome.alice.by_alice, bits);
  }
}

TEST(CascadeFramesTest, EndsWhateverIsAnswered) {
  test::SeededRng random(9);
  for (const std::size_t bits : {std::size_t{1500}, std::size_t{4000}, frame_bits + 70}) {
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
      const ReconciliationSetup setup = setup_for(bits, 0.05, seed);
      auto corrector = make_corrector(setup, random_key(bits, random));
      const Secret other = random_key(bits, random);
      auto reference = make_reference(setup, other);
      ASSERT_TRUE(corrector && reference);
      for (std::size_t rounds = 0;; ++rounds) {
        ASSERT_LT(rounds, rounds_enough);
        auto question = (*corrector)->next();
        if (!question || !*question) break;
        auto answer = (*reference)->answer(**question);
        if (!answer) break;
        // A random bit of each answer is false: the differences that Bob sees contradict one another.
        if (!answer->empty()) (*answer)[random.below(answer->size())] ^= static_cast<std::uint8_t>(1U << random.below(8));
        if (!(*corrector)->learn(*answer)) break;
      }
    }
  }
}

TEST(CascadeFramesTest, RefusesForeignAnswers) {
  test::SeededRng random(10);
  const std::size_t bits = 70'000;
  const Secret alice = random_key(bits, random);
  const ReconciliationSetup setup = setup_for(bits, 0.02, 10);
  const auto reference = make_reference(setup, alice);
  ASSERT_TRUE(reference);
  for (int turn = 0; turn < 3; ++turn) {
    auto corrector = make_corrector(setup, random_key(bits, random));
    ASSERT_TRUE(corrector);
    EXPECT_EQ((*corrector)->learn(Bytes(10)).error().code, ErrorCode::invalid_argument);  // nothing was asked
    ASSERT_TRUE(*(*corrector)->next());
    EXPECT_EQ((*corrector)->next().error().code, ErrorCode::conflict);  // an answer is due
    Bytes answer(bits / 32 / 8 + 100);
    if (turn == 1) answer.clear();
    if (turn == 2) answer.resize(bits / 32 / 8);
    EXPECT_EQ((*corrector)->learn(answer).error().code, ErrorCode::invalid_argument);
    EXPECT_FALSE((*corrector)->next());
  }
}

TEST(CascadeFramesTest, AliceRefusesMalformedQuestions) {
  test::SeededRng random(11);
  const std::size_t bits = 100'000;
  const Secret alice = random_key(bits, random);
  Secret bob = alice.duplicate();
  disturb(bob, bits, 0.02, random);
  const ReconciliationSetup setup = setup_for(bits, 0.02, 11);
  std::vector<Bytes> questions;
  const Outcome outcome = reconcile(setup, alice, std::move(bob));
  ASSERT_TRUE(outcome.equal);
  for (std::size_t i = 0; i < outcome.messages.size(); i += 2) questions.push_back(outcome.messages[i]);
  ASSERT_GT(questions.size(), 20U);
  // The conversation up to some question, and then that question altered.
  for (const std::size_t spoilt : {std::size_t{0}, std::size_t{1}, std::size_t{3}, std::size_t{7}, std::size_t{12}, questions.size() - 1}) {
    for (int how = 0; how < 4; ++how) {
      const auto reference = make_reference(setup, alice);
      ASSERT_TRUE(reference);
      for (std::size_t i = 0; i < spoilt; ++i) ASSERT_TRUE((*reference)->answer(questions[i]));
      Bytes question = questions[spoilt];
      if (how == 0) question.pop_back();
      if (how == 1) question.push_back(0);
      if (how == 2) question[0] ^= 1;
      if (how == 3) question.clear();
      const auto answer = (*reference)->answer(question);
      ASSERT_FALSE(answer) << spoilt << " " << how;
      EXPECT_EQ(answer.error().code, ErrorCode::invalid_argument);
      EXPECT_FALSE((*reference)->answer(questions[spoilt]));  // what is broken stays broken
    }
  }
}

TEST(CascadeFramesTest, AliceTellsNoMoreParitiesThanTheKeyHasBits) {
  test::SeededRng random(12);
  const std::size_t bits = 1100;
  const Secret alice = random_key(bits, random);
  const auto reference = make_reference(setup_for(bits, 0.02, 12), alice);
  ASSERT_TRUE(reference);
  const auto tops = (*reference)->answer(Bytes{1});
  ASSERT_TRUE(tops);
  // Every block is said to differ, and always on the left.
  std::optional<Error> error;
  for (std::size_t octets = tops->size(); !error && octets < bits;) {
    Bytes question{2};
    question.resize(1 + octets, 0xff);
    const std::uint64_t told = (*reference)->disclosed().by_alice;
    auto answer = (*reference)->answer(question);
    if (!answer) {
      error = answer.error();
      EXPECT_EQ((*reference)->disclosed().by_alice, told);
      break;
    }
    octets = answer->size();
  }
  ASSERT_TRUE(error);
  EXPECT_LE((*reference)->disclosed().by_alice, bits);
}

TEST(CascadeFramesTest, EndsForAllProcessorsSayTheSame) {
  test::SeededRng random(13);
  for (const std::size_t bits : {std::size_t{5000}, std::size_t{65'537}, 3 * frame_bits + 777}) {
    const Secret alice = random_key(bits, random);
    Secret bob = alice.duplicate();
    disturb(bob, bits, 0.03, random);
    const ReconciliationSetup setup = setup_for(bits, 0.03, bits);
    std::array<Outcome, 2> outcomes;
    const std::array<const cascade::Ends*, 2> ends{&cascade::ends(), &cascade::portable_ends()};  // the fastest and the slowest of this processor
    for (std::size_t i = 0; i < 2; ++i) {
      const auto reference = ends.at(i)->reference(setup, alice);
      const auto corrector = ends.at(1 - i)->corrector(setup, bob.duplicate());
      outcomes.at(i) = converse(*reference, *corrector, alice);
      EXPECT_TRUE(outcomes.at(i).equal);
    }
    EXPECT_EQ(outcomes[0].messages, outcomes[1].messages);
  }
}

TEST(CascadeFramesTest, RefusesSetupsThatNoKeyHas) {
  test::SeededRng random(14);
  const Secret key = random_key(2000, random);
  const ReconciliationSetup good = setup_for(2000, 0.02, 1);
  EXPECT_TRUE(make_reference(good, key));
  const auto refused = [&](auto change) {
    ReconciliationSetup setup = good;
    change(setup);
    return !make_reference(setup, key) && !make_corrector(setup, key.duplicate());
  };
  EXPECT_TRUE(refused([](auto& setup) { setup.key_bits = 1; }));
  EXPECT_TRUE(refused([](auto& setup) { setup.key_bits = 2001; }));
  EXPECT_TRUE(refused([](auto& setup) { setup.key_bits = reconciliation_bits_max + 1; }));
  EXPECT_TRUE(refused([](auto& setup) { setup.seed.pop_back(); }));
  EXPECT_TRUE(refused([](auto& setup) { setup.error_rate = std::nan(""); }));
  EXPECT_TRUE(refused([](auto& setup) { setup.error_rate = -0.1; }));
  EXPECT_TRUE(refused([](auto& setup) { setup.method = ReconciliationMethod{}; }));
}

/// What a search tree says of every node, kept in the plainest way.
struct PlainTree {
  std::vector<bool> odd = std::vector<bool>(cascade::leaf_first);
  std::vector<bool> known = std::vector<bool>(cascade::leaf_first);

  /// The nodes above a bit up to its block, the lowest first.
  static std::vector<cascade::Node> above(cascade::Node leaf, unsigned exponent) {
    std::vector<cascade::Node> nodes;
    for (unsigned level = 0; level < exponent; ++level) nodes.push_back(leaf = cascade::parent(leaf));
    return nodes;
  }
  void settle_search(cascade::Node leaf, unsigned exponent) {
    bool searched = true;
    cascade::Node below = 0;
    for (const cascade::Node node : above(leaf, exponent)) {
      if (searched && below != 0) odd[below < 128 ? below ^ 1U : below ^ 64U] = false;
      searched = searched && !known[node];
      odd[node] = !searched && !odd[node];
      known[node] = known[node] || searched;
      below = node;
    }
  }
  cascade::Node flip_above(cascade::Node leaf, unsigned exponent) {
    const std::vector<cascade::Node> nodes = above(leaf, exponent);
    for (const cascade::Node node : nodes) odd[node] = !odd[node];
    if (known[nodes.front()]) return 0;
    std::size_t piece = 0;
    while (piece + 1 < nodes.size() && !known[nodes[piece + 1]]) ++piece;
    return odd[nodes[piece]] ? nodes[piece] : 0;
  }
};

TEST(CascadeFramesTest, TreesBySubtreesSayWhatPlainOnesSay) {
  test::SeededRng random(16);
  for (const unsigned exponent : {3U, 5U, 8U, 10U, 12U, 13U}) {
    std::vector<std::uint64_t> parities(cascade::frame_words);
    for (std::uint64_t& word : parities) word = random.word();
    parities[0] &= ~std::uint64_t{1};
    const std::vector<std::uint64_t> nothing(cascade::frame_words);
    std::vector<std::uint64_t> memory(cascade::SearchTree::words);
    std::vector<std::uint64_t> alice_memory(cascade::ParityTree::words);
    cascade::SearchTree tree(memory.data());
    cascade::ParityTree alice(alice_memory.data());
    tree.fill(cascade::kernels(), parities.data(), nothing.data());
    alice.fill(cascade::portable_kernels(), parities.data());
    std::vector<std::uint64_t> same(cascade::SearchTree::words, ~std::uint64_t{0});
    cascade::SearchTree(same.data()).fill(cascade::portable_kernels(), parities.data());
    ASSERT_EQ(same, memory);
    PlainTree plain;
    for (cascade::Node node = 1; node < cascade::leaf_first; ++node) {
      plain.odd[node] = cascade::tree_bit(parities.data(), node);
      ASSERT_EQ(alice.parity(node), plain.odd[node]) << node;
    }
    for (int i = 0; i < 3000; ++i) {
      const auto leaf = static_cast<cascade::Node>(cascade::leaf_first + random.below(frame_bits));
      const cascade::Node place = (leaf - cascade::leaf_first) >> 6;
      const std::vector<cascade::Node> nodes = PlainTree::above(leaf, exponent);
      if (random.word() % 2 == 0) {
        ASSERT_EQ(tree.flip_above(place, leaf & 63U, exponent), plain.flip_above(leaf, exponent)) << exponent;
      } else {
        if (std::ranges::none_of(nodes, [&](cascade::Node node) { return plain.known[node]; })) {
          plain.known[nodes.back()] = true;
          tree.set_known_below(nodes.back());
        }
        tree.settle_search(place, leaf & 63U, exponent);
        plain.settle_search(leaf, exponent);
      }
      // Along the way down what a search takes along is what the tree says.
      const cascade::Node from = nodes[random.below(nodes.size())];
      if (from < cascade::subtree_roots || from >= cascade::last_level_first) continue;
      ASSERT_EQ(tree.searchable(from), plain.odd[from] && !plain.known[from]);
      cascade::Search search{.parities = tree.below(from), .node = static_cast<std::uint16_t>(from)};
      cascade::Node node = from;
      for (unsigned level = 0; level < cascade::levels_below && node < cascade::last_level_first; ++level) {
        const bool right = random.word() % 2 == 0;
        ASSERT_EQ(cascade::left_parities(&search, 1) != 0, plain.odd[cascade::left_child(node)]);
        node = right ? cascade::right_sibling(cascade::left_child(node)) : cascade::left_child(node);
        cascade::walk(&search, 1, right ? 0 : 1);
        ASSERT_EQ(search.below(search.at), node);
      }
    }
    for (cascade::Node node = 1; node < cascade::leaf_first; ++node) {
      ASSERT_EQ(tree.parity(node), plain.odd[node]) << exponent << " " << node;
      ASSERT_EQ(tree.known_below(node), plain.known[node]) << exponent << " " << node;
    }
  }
}

TEST(CascadeFramesTest, ParitiesOfTheKeyAreTheSameOnBothPaths) {
  test::SeededRng random(17);
  std::vector<std::uint64_t> words(cascade::frame_words);
  std::vector<std::uint64_t> subsets(cascade::frame_words + cascade::key_confirmations);
  for (std::uint64_t& word : words) word = random.word();
  for (std::uint64_t& word : subsets) word = random.word();
  std::uint32_t expected = 0;
  for (std::uint32_t i = 0; i < cascade::key_confirmations; ++i)
    expected |= (cascade::portable_kernels().subset_parity(words.data(), subsets.data() + i, cascade::frame_words) ? 1U : 0U) << i;
  EXPECT_EQ(cascade::kernels().window_parities(words.data(), subsets.data()), expected);
  EXPECT_EQ(cascade::portable_kernels().window_parities(words.data(), subsets.data()), expected);
}

TEST(CascadeFramesTest, TheInterleaverIsAPermutationWithAnInverse) {
  test::SeededRng random(15);
  for (const std::size_t bits : {std::size_t{1030}, std::size_t{4096}, std::size_t{40'000}, 2 * frame_bits}) {
    const Secret key = random_key(bits, random);
    std::vector<std::uint64_t> frames((bits + frame_bits - 1) / frame_bits * cascade::frame_words);
    std::vector<std::uint64_t> portable(frames.size());
    cascade::spread_key(cascade::kernels(), key.reveal(), bits, frames);
    cascade::spread_key(cascade::portable_kernels(), key.reveal(), bits, portable);
    EXPECT_EQ(frames, portable);
    Secret back((bits + 7) / 8);
    cascade::gather_key(cascade::kernels(), frames, bits, back.writable());
    EXPECT_TRUE(equal_secret(back, key));
  }
}

}  // namespace
}  // namespace qanat::qkd
