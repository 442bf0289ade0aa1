#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "crypto/kdf.hpp"
#include "harness.hpp"
#include "quantum/qkd/reconciliation/verification.hpp"
#include "quantum/qkd/session/assessment.hpp"
#include "quantum/qkd/session/loss.hpp"
#include "quantum/qkd/session/message.hpp"
#include "sanitized.hpp"

namespace qanat::qkd {
namespace {

using test::Link;

BoundInput bound_input_of(const BlockReport& report) {
  const auto real = [](const std::array<std::uint64_t, intensity_count>& counts) {
    return IntensityCounts{static_cast<double>(counts[0]), static_cast<double>(counts[1]), static_cast<double>(counts[2])};
  };
  return {.bound = report.bound,
          .mu = report.mu,
          .p = report.p,
          .key_basis_probability = report.key_basis_probability,
          .pulses = static_cast<double>(report.gates),
          .n_key = real(report.key_counts),
          .m_key = real(report.key_errors),
          .n_check = real(report.check_counts),
          .m_check = real(report.check_errors),
          .lambda_EC = report.leak_charged,
          .eps_sec = report.eps_sec,
          .eps_cor = report.eps_cor};
}

TEST(SessionTest, BothEndsDeliverTheSameBlocksAndReports) {
  Link link(test::quick_settings());
  link.connect();
  link.run();
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(link.alice->idle());
    link.begin_block();
    link.run();
  }
  EXPECT_TRUE(link.ends_agree());
  ASSERT_GE(link.alice_store.delivered.size(), 4U);
  const KeyBlock& block = link.alice_store.delivered.begin()->second;
  EXPECT_EQ(block.report.bound, Bound::lim_2014);
  EXPECT_EQ(block.report.reconciliation, ReconciliationMethod::cascade);
  EXPECT_GE(block.report.n_sift, 6000U);
  EXPECT_EQ(block.report.leak_charged, static_cast<double>(block.report.disclosed.by_alice + block.report.disclosed.by_bob) + verification_leak_bits);
  EXPECT_EQ(block.report.key_counts[0] + block.report.key_counts[1] + block.report.key_counts[2], block.report.n_sift);
  EXPECT_GT(block.report.key_errors[0] + block.report.key_errors[1] + block.report.key_errors[2], 0U);
  EXPECT_EQ(block.report.agreement.size(), agreement_size);
  EXPECT_EQ(block.report.authentication_bits_spent, 768U);
  EXPECT_EQ(block.report.length, key_length(bound_input_of(block.report))->bits()) << "observed: what the bound makes of the report's own counts";
  EXPECT_EQ(block.bit_count + block.report.authentication_bits_refilled, block.report.length);
  EXPECT_EQ(block.bits.size(), (block.bit_count + 7) / 8);
  EXPECT_GT(block.report.simulated_time_s, 0.0);
  EXPECT_NEAR(loss_db(test::quick_settings(), block.report).value(), -10.0 * std::log10(test::quick_settings().parameters.transmittance()), 0.5);
}

TEST(SessionTest, OneWayErrorCorrectionMakesTheSameKeysAtBothEnds) {
  Link link(test::quick_settings(ReconciliationMethod::ldpc));
  link.connect();
  link.run();
  for (int i = 0; i < 3; ++i) {
    link.begin_block();
    link.run();
  }
  EXPECT_TRUE(link.ends_agree());
  ASSERT_GE(link.alice_store.delivered.size(), 2U);
  const BlockReport& report = link.alice_store.delivered.begin()->second.report;
  EXPECT_EQ(report.reconciliation, ReconciliationMethod::ldpc);
  EXPECT_EQ(report.leak_model, LeakModel::one_way);
  EXPECT_EQ(report.leak_charged, static_cast<double>(report.disclosed.by_alice) + verification_leak_bits);
}

TEST(SessionTest, OneDecoyLinksAreAssessedByWiesemannAndNeedTheKeysErrors) {
  SessionSettings settings = test::quick_settings();
  settings.parameters.intensity = {0.5, 0.15, 0.0};
  settings.parameters.intensity_probability = {0.6, 0.4, 0.0};
  settings.block_size = 20'000;
  ASSERT_TRUE(settings.validate());
  Link link(settings);
  link.connect();
  link.run();
  link.begin_block();
  link.run();
  ASSERT_EQ(link.alice_store.delivered.size(), 1U) << (link.bob_store.failures.empty() ? "" : link.bob_store.failures[0].error.message);
  const BlockReport& report = link.alice_store.delivered.begin()->second.report;
  EXPECT_EQ(report.bound, Bound::wiesemann_2026);
  EXPECT_EQ(report.key_counts[2] + report.key_errors[2], 0U);
  EXPECT_GT(report.key_errors[0], 0U);
  EXPECT_GT(report.key_errors[1], 0U);
  EXPECT_TRUE(link.ends_agree());
}

TEST(SessionTest, FixedLengthsComeFromThresholdsThatStandInTheReport) {
  SessionSettings settings = test::quick_settings();
  settings.block_size = 40'000;
  settings.length_rule = SessionSettings{}.length_rule;
  ASSERT_TRUE(settings.validate());
  Link link(settings);
  link.connect();
  link.run();
  for (int i = 0; i < 2; ++i) {
    link.begin_block();
    link.run();
  }
  ASSERT_EQ(link.alice_store.delivered.size(), 2U) << (link.bob_store.failures.empty() ? "" : link.bob_store.failures[0].error.message);
  EXPECT_TRUE(link.ends_agree());
  const BlockReport& first = link.alice_store.delivered.begin()->second.report;
  const BlockReport& second = std::next(link.alice_store.delivered.begin())->second.report;
  EXPECT_EQ(first.length_rule, LengthRule::fixed);
  EXPECT_EQ(first.thresholds.size(), thresholds_digest_size);
  const auto ladder = settings.acceptance_ladder();
  ASSERT_TRUE(ladder);
  for (const BlockReport* report : {&first, &second}) {
    const AcceptanceThresholds& rung = ladder->at(report->rung);
    EXPECT_EQ(report->length, fixed_length(rung)->bits()) << "not one bit more than was agreed";
    EXPECT_LE(report->leak_charged, rung.ranges.lambda_EC);
    EXPECT_EQ(report->thresholds, crypto::digest(crypto::Hash::sha256, encode(rung)));
    EXPECT_TRUE(accept(rung, bound_input_of(*report)));
    EXPECT_TRUE(report->rung == 0 || !accept(ladder->at(report->rung - 1U), bound_input_of(*report))) << "the best rung that it passes";
  }
  EXPECT_NE(first.n_sift, second.n_sift);
}

TEST(SessionTest, OrdinaryBlocksOfOrdinaryLinksPassTheThresholdsOfTheDefault) {
  for (const double distance_km : {5.0, 50.0}) {
    SessionSettings settings;  // the defaults
    settings.link = LinkId("a-r");
    settings.parameters.distance_km = distance_km;
    Link link(settings);
    link.connect();
    link.run();
    constexpr std::size_t blocks = 4;
    for (std::size_t i = 0; i < blocks; ++i) {
      link.begin_block();
      link.run();
    }
    ASSERT_EQ(link.alice_store.delivered.size(), blocks) << (link.bob_store.failures.empty() ? "" : link.bob_store.failures[0].error.message);
    EXPECT_TRUE(link.ends_agree());
    for (const auto& [id, block] : link.alice_store.delivered) {
      EXPECT_EQ(block.report.length_rule, LengthRule::fixed);
      EXPECT_LE(block.report.rung, 1U);
      EXPECT_GT(block.report.length, 8000U);
    }
  }
}

TEST(SessionTest, BlocksDifferFromEachOtherAndAreNotConstant) {
  Link link(test::quick_settings());
  link.connect();
  link.run();
  for (int i = 0; i < 3; ++i) {
    link.begin_block();
    link.run();
  }
  std::set<std::string> first_octets;
  int ones = 0;
  int bits = 0;
  for (const auto& [id, block] : link.alice_store.delivered) {
    first_octets.insert(to_hex(block.bits.reveal().first(16)));
    for (const std::uint8_t octet : block.bits.reveal().first(block.bit_count / 8)) ones += std::popcount(octet);
    bits += static_cast<int>(block.bit_count / 8 * 8);
  }
  EXPECT_EQ(first_octets.size(), link.alice_store.delivered.size());
  EXPECT_NEAR(static_cast<double>(ones) / bits, 0.5, 0.1);
}

TEST(SessionTest, PoolsStayAlignedAndRefillFromTheYield) {
  SessionSettings settings = test::quick_settings();
  settings.authentication_target = 41;  // above what is left after the handshake
  Link link(settings);
  link.connect();
  link.run();
  link.begin_block();
  link.run();
  ASSERT_EQ(link.alice_store.delivered.size(), 1U);
  EXPECT_GT(link.alice_store.delivered.begin()->second.report.authentication_bits_refilled, 0U);
  const DurableState alice = std::move(*DurableState::decode(link.alice_store.state.reveal()));
  const DurableState bob = std::move(*DurableState::decode(link.bob_store.state.reveal()));
  for (const Direction direction : {Direction::alice_to_bob, Direction::bob_to_alice}) {
    EXPECT_EQ(alice.pool.end(direction), bob.pool.end(direction));
    EXPECT_EQ(alice.pool.stock(direction), bob.pool.stock(direction));
    EXPECT_GT(alice.pool.end(direction), 40U);
    for (std::uint64_t at = alice.pool.end(direction) - alice.pool.stock(direction); at < alice.pool.end(direction); ++at) {
      EXPECT_TRUE(equal_secret(**alice.pool.expected(direction, at), **bob.pool.expected(direction, at)));
    }
  }
}

/// For each message of a block in turn: the connection is cut there and both processes restart from their stores.
class CutSessionTest : public testing::TestWithParam<ReconciliationMethod> {};

TEST_P(CutSessionTest, EndsAgreeAfterACutAtEveryMessage) {
  Link uncut(test::quick_settings(GetParam()));
  uncut.connect();
  uncut.run();
  uncut.begin_block();
  uncut.run();
  const std::size_t messages = uncut.moved;
  ASSERT_EQ(uncut.alice_store.delivered.size(), 1U);
  ASSERT_GT(messages, 8U);
  std::size_t completed_later = 0;
  std::size_t dropped = 0;
  for (std::size_t cut = 0; cut < messages; ++cut) {
    if (cut % ::qanat::test::case_step != 0 && cut + 4 < messages) continue;
    Link link(test::quick_settings(GetParam()));
    link.connect();
    bool begun = false;
    for (std::size_t i = 0; i < cut && link.move_one(); ++i) {
      if (!begun && link.alice->idle()) {
        link.begin_block();
        begun = true;
      }
    }
    const bool alice_had_released = !link.alice_store.delivered.empty();
    ASSERT_FALSE(!alice_had_released && !link.bob_store.delivered.empty()) << "Bob released first, cut " << cut;
    const std::size_t bob_before = link.bob_store.delivered.size();
    link.connect();
    link.run();
    ASSERT_TRUE(link.alice_store.ended.empty() && link.bob_store.ended.empty()) << cut;
    ASSERT_TRUE(link.ends_agree()) << "after message " << cut;
    ASSERT_EQ(link.alice_store.delivered.size(), alice_had_released ? 1U : 0U);
    completed_later += link.bob_store.delivered.size() - bob_before;
    dropped += link.bob_store.dropped.size();
    link.begin_block();
    link.run();
    ASSERT_TRUE(link.ends_agree()) << "block after cut " << cut;
    ASSERT_EQ(link.alice_store.delivered.size() + link.alice_store.failures.size(), alice_had_released ? 2U : 1U) << cut;
  }
  EXPECT_EQ(completed_later, 1U);  // the confirmation was lost
  EXPECT_EQ(dropped, 1U);          // the acknowledgement was lost
}

INSTANTIATE_TEST_SUITE_P(Methods, CutSessionTest, testing::Values(ReconciliationMethod::cascade, ReconciliationMethod::ldpc), test::method_name);

/// kill -9 of both ends at arbitrary messages, restarts from the stores.
TEST(SessionTest, NoOneTimeKeyIsUsedTwiceAcrossCrashes) {
  Link link(test::quick_settings());
  std::set<std::pair<bool, std::uint64_t>> used;
  const auto watch = [&used](test::InFlight& flight, std::deque<test::InFlight>&) {
    const auto frame = parse_frame(flight.frame);
    if (frame && is_tagged(frame->type)) EXPECT_TRUE(used.emplace(flight.to == test::Side::alice, frame->key_position).second);
    return true;
  };
  test::SeededRng random(3);
  for (int round = 0; round < 8; ++round) {
    link.connect();
    bool begun = false;
    const std::uint64_t limit = random.below(160);
    for (std::uint64_t i = 0; i < limit && link.move_one(watch); ++i) {
      if (!begun && link.alice->idle()) {
        link.begin_block();
        begun = true;
      }
    }
  }
  EXPECT_GT(used.size(), 12U);
  EXPECT_TRUE(link.no_block_differs());
}

TEST(SessionTest, AnInterceptedLinkYieldsNothingAndSaysWhy) {
  SessionSettings settings = test::quick_settings();
  settings.parameters.eavesdropper = {.attack = Attack::intercept_resend, .share = 1.0};
  Link link(settings);
  link.connect();
  link.run();
  link.begin_block();
  link.run();
  EXPECT_TRUE(link.alice_store.delivered.empty());
  EXPECT_TRUE(link.bob_store.delivered.empty());
  ASSERT_EQ(link.bob_store.failures.size(), 1U);
  ASSERT_EQ(link.alice_store.failures.size(), 1U);
  EXPECT_NE(link.bob_store.failures[0].error.message.find("error rate 0.2"), std::string::npos);
  EXPECT_NE(link.alice_store.failures[0].error.message.find("error rate 0.2"), std::string::npos);
  EXPECT_TRUE(link.alice->idle());
  EXPECT_TRUE(link.bob->idle());
}

TEST(SessionTest, ErrorsOfTheKeyBasisAloneAreTooManyToo) {
  const SessionSettings settings = test::quick_settings();
  const SiftedBlock block{.block_id = 1,
                          .key = {},
                          .key_bits = 6400,
                          .marks = {},
                          .key_counts = {3000, 3398, 2},
                          .check = {.detections = {1300, 1500, 1}, .errors = {3, 4, 0}},
                          .gates = 1'200'000};
  EXPECT_TRUE(assess(settings, block, {.disclosed = {}, .errors = {10, 20, 0}}));
  const auto refused = assess(settings, block, {.disclosed = {}, .errors = {400, 400, 0}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::denied);
  EXPECT_NE(refused.error().message.find("key basis"), std::string::npos) << refused.error().message;
}

TEST(SessionTest, ABlockWithoutSecretBitsYieldsNothingAndSaysWhy) {
  SessionSettings settings = test::quick_settings();
  settings.eps_sec = 1e-10;
  settings.block_size = 1000;
  Link link(settings);
  link.connect();
  link.run();
  link.begin_block();
  link.run();
  EXPECT_TRUE(link.alice_store.delivered.empty());
  ASSERT_EQ(link.alice_store.failures.size(), 1U);
  ASSERT_EQ(link.bob_store.failures.size(), 1U);
  EXPECT_NE(link.bob_store.failures[0].error.message.find("no secret bit is left"), std::string::npos);
}

TEST(SessionTest, StopsAtTheReserveOfAuthenticationKeys) {
  SessionSettings settings = test::quick_settings();
  settings.block_size = 500;  // yields nothing, so nothing refills
  settings.authentication_reserve = 39;
  settings.authentication_target = 40;
  Link link(settings);
  link.connect();
  link.run();
  link.begin_block();
  ASSERT_EQ(link.alice_store.failures.size(), 1U);
  EXPECT_EQ(link.alice_store.failures[0].error.code, ErrorCode::exhausted);
  EXPECT_TRUE(link.network.empty());
}

TEST(SessionTest, EndsWithDifferentSettingsOrKeysDoNotWorkTogether) {
  Link link(test::quick_settings());
  link.bob_store.state = DurableState::fresh(test::secret_of(64 * 40, 999))->encode();
  link.connect();
  link.run();
  ASSERT_EQ(link.alice_store.ended.size(), 1U);
  EXPECT_EQ(link.alice_store.ended[0].code, ErrorCode::denied);
  EXPECT_EQ(link.bob_store.ended.size(), 1U);

  SessionSettings other = test::quick_settings();
  other.eps_sec = 0.04;
  EXPECT_NE(other.fingerprint(), test::quick_settings().fingerprint());
  SessionSettings elsewhere = test::quick_settings();
  elsewhere.link = LinkId("r-b");
  for (const auto& [bobs, why] : {std::pair{other, "the ends have different settings"}, {elsewhere, "the other end serves another link"}}) {
    Link apart(test::quick_settings(), bobs);
    apart.connect();
    apart.run();
    ASSERT_EQ(apart.alice_store.ended.size(), 1U) << why;
    EXPECT_EQ(apart.alice_store.ended[0].code, ErrorCode::denied);
    EXPECT_NE(apart.alice_store.ended[0].message.find(why), std::string::npos) << apart.alice_store.ended[0].message;
    EXPECT_FALSE(apart.bob->idle());
  }
}

/// The states of both ends as they are stored, for what no run of theirs leaves behind.
template <class Change>
void change_state(test::Store& store, Change change) {
  DurableState state = std::move(*DurableState::decode(store.state.reveal()));
  change(state);
  store.state = state.encode();
}

TEST(SessionTest, EndsThatRememberDifferentBlocksDoNotWorkTogether) {
  Link link(test::quick_settings());
  change_state(link.alice_store, [](DurableState& state) { state.last_committed = state.last_started = 5; });
  link.connect();
  link.run();
  ASSERT_EQ(link.alice_store.ended.size(), 1U);
  EXPECT_EQ(link.alice_store.ended[0].code, ErrorCode::conflict);
  EXPECT_TRUE(link.alice_store.ended[0].message.starts_with("handshake: ")) << "it is Alice who says so: " << link.alice_store.ended[0].message;
  EXPECT_FALSE(link.bob->idle());
}

TEST(SessionTest, ANumberThatEitherEndHasSeenIsNotUsedAgain) {
  Link link(test::quick_settings());
  change_state(link.bob_store, [](DurableState& state) { state.last_started = 41; });
  link.connect();
  link.run();
  link.begin_block();
  link.run();
  ASSERT_EQ(link.alice_store.delivered.size(), 1U);
  EXPECT_EQ(link.alice_store.delivered.begin()->first, 42U);
  EXPECT_TRUE(link.ends_agree());
}

TEST(SessionTest, TheReserveOfEachDirectionIsKept) {
  SessionSettings settings = test::quick_settings();
  settings.authentication_reserve = 28;
  settings.authentication_target = 40;
  Link link(settings);
  for (test::Store* store : {&link.alice_store, &link.bob_store}) {
    change_state(*store, [](DurableState& state) {
      for (int i = 0; i < 10; ++i) ASSERT_TRUE(state.pool.claim(Direction::alice_to_bob, TagPurpose::handshake, 0));
    });
  }
  link.connect();
  link.run();
  ASSERT_TRUE(link.alice->idle());
  link.begin_block();  // two keys of Alice's, one of Bob's: hers would go below the reserve
  ASSERT_EQ(link.alice_store.failures.size(), 1U);
  EXPECT_EQ(link.alice_store.failures[0].error.code, ErrorCode::exhausted);
  EXPECT_TRUE(link.network.empty());
}

/// The first `clicks` of them, and the rest.
std::pair<Detections, Detections> split(const Detections& whole, std::size_t clicks) {
  std::pair<Detections, Detections> out{whole, whole};
  for (Detections* part : {&out.first, &out.second}) part->clicks = {};
  std::size_t checks = 0;
  for (std::size_t i = 0; i < whole.clicks.indices.size(); ++i) {
    Announcement& part = i < clicks ? out.first.clicks : out.second.clicks;
    part.indices.push_back(whole.clicks.indices[i]);
    part.bases.push_back(whole.clicks.bases[i]);
    if (whole.clicks.bases[i] == Basis::check_z) part.check_bits.push_back(whole.clicks.check_bits[checks++]);
  }
  return out;
}

TEST(SessionTest, ChunksThatDoNotFitTogetherEndTheSessionBeforeTheyAreJudged) {
  using Change = std::function<void(Detections & second, const Detections& first)>;
  const std::vector<Change> changes{[](Detections&, const Detections&) {}, [](Detections& d, const Detections&) { d.nonce[0] ^= 1; },
                                    [](Detections& d, const Detections&) { ++d.gates; }, [](Detections& d, const Detections&) { ++d.total; },
                                    [](Detections& d, const Detections& first) { d.clicks.indices.front() = first.clicks.indices.back(); }};
  for (std::size_t i = 0; i < changes.size(); ++i) {
    Link link(test::quick_settings());
    link.connect();
    link.run();
    link.begin_block();
    bool is_split = false;
    link.run([&](test::InFlight& flight, std::deque<test::InFlight>& network) {
      const auto frame = parse_frame(flight.frame);
      if (flight.to == test::Side::bob) return !is_split;  // he would wonder at Alice's answer
      if (!frame || frame->type != MessageType::detections || is_split) return true;
      auto [first, second] = split(Detections::read(frame->body).value(), 1000);
      changes[i](second, first);
      flight.frame = write_frame(MessageType::detections, frame->block_id, frame->sequence, first.write(), 0);
      network.push_back({.to = test::Side::alice, .frame = write_frame(MessageType::detections, frame->block_id, frame->sequence + 1, second.write(), 0)});
      is_split = true;
      return true;
    });
    ASSERT_TRUE(is_split);
    EXPECT_EQ(link.alice_store.ended.size(), i == 0 ? 0U : 1U) << "change " << i;
    for (const Error& error : link.alice_store.ended) EXPECT_TRUE(error.message.starts_with("sifting: ")) << error.message;
  }
}

TEST(SessionTest, AMessageOfAnotherBlockEndsTheSession) {
  Link link(test::quick_settings());
  link.connect();
  link.run();
  link.begin_block();
  link.run([](test::InFlight& flight, std::deque<test::InFlight>&) {
    const auto frame = parse_frame(flight.frame);
    if (frame && frame->type == MessageType::detections) flight.frame = write_frame(frame->type, frame->block_id + 1, frame->sequence, frame->body, 0);
    return true;
  });
  ASSERT_EQ(link.alice_store.ended.size(), 1U);
  EXPECT_EQ(link.alice_store.ended[0], (Error{ErrorCode::conflict, "qkd session: message of another block"}));
}

TEST(SessionTest, ARestoredBackupOfOneEndIsNoticed) {
  Link link(test::quick_settings());
  const Secret backup = link.alice_store.state.duplicate();
  link.connect();
  link.run();
  link.begin_block();
  link.run();
  ASSERT_EQ(link.alice_store.delivered.size(), 1U);
  link.alice_store.state = backup.duplicate();
  link.connect();
  link.run();
  EXPECT_FALSE(link.alice->idle());
  EXPECT_EQ(link.alice_store.ended.size(), 1U);
}

TEST(SettingsTest, TheDefaultIsTheLengthThatTheProofsCoverAndItSharesTheFailureProbability) {
  SessionSettings settings;
  settings.link = LinkId("a-r");
  EXPECT_EQ(settings.length_rule, LengthRule::fixed);
  const auto ladder = settings.acceptance_ladder();
  ASSERT_TRUE(ladder) << ladder.error().message;
  ASSERT_GE(ladder->size(), 2U);
  double spent = 0.0;
  std::uint64_t last = settings.block_size;
  for (const AcceptanceThresholds& rung : *ladder) {
    spent += rung.ranges.eps_sec;
    const std::uint64_t length = fixed_length(rung)->bits();
    EXPECT_LT(length, last);  // a block takes the first that it passes, so the best stands first
    last = length;
  }
  EXPECT_LE(spent, settings.eps_sec * (1.0 + 1e-12));
  EXPECT_GT(fixed_length(ladder->front())->bits(), 10'000U);
}

TEST(SettingsTest, RefusesWhatCannotWork) {
  const auto refused = [](auto change) {
    SessionSettings settings = test::quick_settings();
    change(settings);
    return !settings.validate();
  };
  EXPECT_TRUE(test::quick_settings().validate());
  EXPECT_TRUE(refused([](SessionSettings& s) { s.link = LinkId(""); }));
  EXPECT_TRUE(refused([](SessionSettings& s) { s.block_size = 10; }));
  EXPECT_TRUE(refused([](SessionSettings& s) { s.eps_sec = 0.0; }));
  EXPECT_TRUE(refused([](SessionSettings& s) { s.eps_cor = 1e-40; }));
  EXPECT_TRUE(refused([](SessionSettings& s) { s.qber_max = 0.6; }));
  EXPECT_TRUE(refused([](SessionSettings& s) { s.bound = Bound::wiesemann_2026; }));  // two decoys are sent
  EXPECT_TRUE(refused([](SessionSettings& s) { s.block_size = block_size_max + 1; }));
  // What sifting brings beyond it must fit as well.
  EXPECT_TRUE(refused([](SessionSettings& s) { s.block_size = block_size_max; }));
  EXPECT_FALSE(refused([](SessionSettings& s) { s.block_size = 134'000'000; }));
  EXPECT_TRUE(refused([](SessionSettings& s) { s.authentication_reserve = 100; }));
}

TEST(KeyBlockTest, GoesOutInPiecesOfWholeKeysWithIdsThatBothEndsCompute) {
  const KeyBlock small{.block_id = 3, .bits = test::secret_of(100, 1), .bit_count = 800, .report = {}};
  const auto one = in_pieces(small);
  ASSERT_EQ(one.size(), 1U);
  EXPECT_EQ(one[0].block_id, 3U);
  EXPECT_EQ(one[0].bit_count, 768U);
  EXPECT_TRUE(equal(one[0].bits.reveal(), small.bits.reveal().first(96)));
  EXPECT_NE(key_id(LinkId("a-r"), 3, 2), key_id(LinkId("a-r"), 4, 2));
  EXPECT_NE(key_id(LinkId("a-r"), 3, 2), key_id(LinkId("r-b"), 3, 2));
  // printf 'qanat qkd key id\0\3a-r\0\0\0\0\0\0\0\3\0\0\0\2' | sha256sum
  EXPECT_EQ(key_id(LinkId("a-r"), 3, 2).hex(), "14f730b868d7fb19ee76842826ccff55");

  const KeyBlock large{.block_id = 10, .bits = test::secret_of(piece_bits_max / 8 + 100, 2), .bit_count = piece_bits_max + 800, .report = {}};
  const auto two = in_pieces(large);
  ASSERT_EQ(two.size(), 2U);
  EXPECT_EQ(two[0].bit_count, piece_bits_max);
  EXPECT_EQ(two[1].block_id, 11U);
  EXPECT_TRUE(equal(two[1].bits.reveal(), large.bits.reveal().subspan(piece_bits_max / 8, 96)));
}

TEST(KeyBlockTest, BlocksOfALinkAreFarEnoughApartForTheirPieces) {
  for (const std::size_t size : {std::size_t{100'000}, std::size_t{10'000'000}}) {
    SessionSettings settings = test::quick_settings();
    settings.block_size = size;
    // No block yields more than it has clicks.
    const std::size_t most = clicks_needed(size, settings.parameters.key_basis_probability);
    EXPECT_GE(settings.ids_per_block() * piece_bits_max, most);
  }
}

TEST(DemoBlockTest, TheDemoLinksYieldKeyInTime) {
  for (const double distance_km : {10.0, 50.0}) {
    SessionSettings settings;
    settings.link = LinkId("a-r");
    settings.parameters.distance_km = distance_km;
    Link link(settings);
    link.connect();
    link.run();
    const auto began = std::chrono::steady_clock::now();
    link.begin_block();
    link.run();
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began).count();
    ASSERT_TRUE(link.ends_agree());
    ASSERT_EQ(link.alice_store.delivered.size(), 1U) << (link.alice_store.failures.empty() ? "" : link.alice_store.failures[0].error.message);
    const KeyBlock& block = link.alice_store.delivered.begin()->second;
    const BlockReport& report = block.report;
    RecordProperty("l_" + std::to_string(static_cast<int>(distance_km)), std::to_string(report.length));
    std::printf(
        "%g km: l %llu of n_key %llu, qber %.4f/%.4f, disclosed %llu, phase error %.4f, refill %llu, simulated %.3f s, both sides %lld ms, %zu messages\n",
        distance_km, static_cast<unsigned long long>(report.length), static_cast<unsigned long long>(report.n_sift), report.qber_key, report.qber_check,
        static_cast<unsigned long long>(report.disclosed.by_alice), report.phase_error, static_cast<unsigned long long>(report.authentication_bits_refilled),
        report.simulated_time_s, static_cast<long long>(took), link.moved);
    EXPECT_GT(block.bit_count, 256U);
  }
}

}  // namespace
}  // namespace qanat::qkd
