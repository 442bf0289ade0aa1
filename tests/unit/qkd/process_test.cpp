// The two ends as their processes drive them: exchanges over a line that may be cut anywhere, state and blocks on disk.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "end_process.hpp"
#include "harness.hpp"
#include "quantum/qkd/process/alice_end.hpp"
#include "quantum/qkd/process/bob_end.hpp"
#include "quantum/qkd/process/first_key.hpp"
#include "quantum/qkd/session/message.hpp"
#include "temporary_directory.hpp"

namespace qanat::qkd {
namespace {

using test::EndProcess;

// Computed with Python's hashlib; tests/unit/qkm/link_keys_test.cpp holds the QKM to the same value.
TEST(KeyIdTest, IsTheOneThatTheQkmComputes) { EXPECT_EQ(key_id(LinkId("a-r"), 1763819548123, 41).hex(), "cb11edce17e739fbb2739000ce07a654"); }

Exchange sample_exchange() {
  return {.connection = ConnectionId(Bytes(16, 5)),
          .wants_run = true,
          .has_more = false,
          .is_first_key = false,
          .piece = write_frame(MessageType::begin, 1, 0, Bytes(nonce_size), 0)};
}

TEST(ExchangeTest, IsReadAsItWasWritten) {
  const Exchange exchange = sample_exchange();
  const auto read = parse_exchange(write_exchange(exchange));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->connection, exchange.connection);
  EXPECT_TRUE(read->wants_run);
  EXPECT_FALSE(read->has_more);
  EXPECT_EQ(read->piece, exchange.piece);
}

TEST(ExchangeTest, MalformedAndOverlongOnesAreRefused) {
  const Bytes whole = write_exchange(sample_exchange());
  for (std::size_t size = 0; size < exchange_head_size; ++size) EXPECT_FALSE(parse_exchange(ByteView(whole).first(size))) << size;
  Bytes version = whole;
  version[0] = 9;
  EXPECT_FALSE(parse_exchange(version));
  Bytes flag = whole;
  flag[17] = 8;
  EXPECT_FALSE(parse_exchange(flag));
  EXPECT_TRUE(parse_exchange(Bytes(concat({ByteView(whole).first(exchange_head_size), Bytes(exchange_piece_max)}))));
  EXPECT_FALSE(parse_exchange(Bytes(concat({ByteView(whole).first(exchange_head_size), Bytes(exchange_piece_max + 1)}))));
}

TEST(FrameStreamTest, FramesLongerThanAPieceComeOutWhole) {
  const std::vector<Bytes> frames{write_frame(MessageType::begin, 1, 0, Bytes(16, 1), 0), write_frame(MessageType::answer, 1, 1, Bytes(5'000'000, 2), 0),
                                  write_frame(MessageType::question, 1, 2, Bytes(3, 3), 0)};
  FrameOutlet outlet;
  for (const Bytes& frame : frames) outlet.add(frame);
  FrameInlet inlet;
  std::vector<Bytes> out;
  std::size_t pieces = 0;
  while (!outlet.empty()) {
    const Bytes piece = outlet.take();
    ASSERT_LE(piece.size(), exchange_piece_max);
    const auto some = inlet.take(piece);
    ASSERT_TRUE(some);
    out.insert(out.end(), some->begin(), some->end());
    ++pieces;
  }
  EXPECT_EQ(out, frames);
  EXPECT_FALSE(inlet.awaits_more());
  EXPECT_EQ(pieces, 6U);
  EXPECT_FALSE(inlet.take(Bytes(8, 0xff)));  // no frame is as long as that says
}

class ProcessTest : public testing::Test {
 protected:
  void SetUp() override {
    restart_alice();
    restart_bob();
    for (Records* records : {alice_.records.get(), bob_.records.get()}) {
      const auto fresh = DurableState::fresh(test::secret_of(2 * one_time_key_size * 60, test::preshared_seed));
      ASSERT_TRUE(records->commit(fresh->encode(), {}));
    }
  }
  template <class End>
  EndParts parts(EndProcess<End>& process) {
    return {.settings = settings_,
            .records = *process.records,
            .random = *process.random,
            .clock = clock_,
            .suite = &crypto::suite(crypto::SuiteId::intl_hybrid),
            .block_stored = [&process] { ++process.blocks_stored; }};
  }
  void restart_alice() {
    alice_.reopen();
    alice_.end =
        std::make_unique<AliceEnd>(parts(alice_), std::move(*open_simulated_alice(settings_.parameters, test::secret_of(fibre_seed_size, test::fibre_seed))));
  }
  void restart_bob() {
    bob_.reopen();
    bob_.end = std::make_unique<BobEnd>(parts(bob_), std::move(*open_simulated_bob(settings_.parameters, test::secret_of(fibre_seed_size, test::fibre_seed))),
                                        [this](ByteView octets, Deadline) { return line_(octets); });
  }
  Result<Bytes> answer(ByteView octets) { return alice_.end->answer(octets, Deadline::after(std::chrono::milliseconds(0))); }
  Result<void> turn() { return bob_.end->turn(Deadline::after(std::chrono::seconds(10))); }
  /// Turns until each end has handed on `blocks` more, or nothing more happens.
  void run_until(std::uint64_t blocks) {
    alice_.end->set_run(true);
    for (int i = 0; i < 2000 && bob_.end->facts().blocks < blocks; ++i) (void)turn();
    alice_.end->set_run(false);
  }
  void expect_same_blocks(std::size_t least) {
    const auto mine = alice_.take_all();
    const auto theirs = bob_.take_all();
    EXPECT_GE(mine.size(), least);
    ASSERT_EQ(mine.size(), theirs.size());
    for (const auto& [id, keys] : mine) {
      ASSERT_TRUE(theirs.contains(id));
      EXPECT_TRUE(equal_secret(keys, theirs.at(id)));
      EXPECT_EQ(keys.size() % 32, 0U);
      EXPECT_GT(keys.size(), 0U);
    }
  }

  SessionSettings settings_ = test::quick_settings();
  SystemClock clock_;
  std::function<Result<Bytes>(ByteView)> line_ = [this](ByteView octets) { return answer(octets); };
  EndProcess<AliceEnd> alice_;
  EndProcess<BobEnd> bob_;
  bool restart_alice_later_ = false;
};

TEST_F(ProcessTest, BothEndsKeepTheSameBlocksForTheirQkms) {
  run_until(3);
  EXPECT_EQ(alice_.end->facts().blocks, 3U);
  EXPECT_EQ(bob_.end->facts().sessions, 1U);
  EXPECT_EQ(alice_.blocks_stored, 3);
  EXPECT_TRUE(bob_.end->facts().last_block.has_value());
  EXPECT_GT(bob_.end->facts().last_block->rate_bps(), 0.0);
  expect_same_blocks(3);
}

TEST_F(ProcessTest, WithoutOrdersNoBlockIsBegun) {
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(turn());
  EXPECT_EQ(bob_.end->facts().blocks, 0U);
  EXPECT_TRUE(alice_.end->facts().connected);
}

TEST_F(ProcessTest, EitherSitesOrderBeginsABlock) {
  bob_.end->set_run(true);
  for (int i = 0; i < 500 && bob_.end->facts().blocks == 0; ++i) ASSERT_TRUE(turn());
  EXPECT_EQ(bob_.end->facts().blocks, 1U);
}

TEST_F(ProcessTest, BlocksStayUntilTheQkmHasThemAcrossRestarts) {
  run_until(2);
  restart_alice();
  restart_bob();
  EXPECT_EQ(*alice_.records->backlog(), 2);
  const auto first = alice_.records->next_undelivered();
  const auto again = alice_.records->next_undelivered();
  ASSERT_TRUE(first && *first && again && *again);
  EXPECT_EQ((*first)->block_id, (*again)->block_id);
  expect_same_blocks(2);
  EXPECT_EQ(*alice_.records->backlog(), 0);
}

TEST_F(ProcessTest, AnAbsentAliceCostsNoAuthenticationKey) {
  line_ = [](ByteView) -> Result<Bytes> { return fail(ErrorCode::unavailable, "connection refused"); };
  const std::size_t before = (*bob_.records->load_state())->pool.stock(Direction::bob_to_alice);
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(turn());
  EXPECT_EQ((*bob_.records->load_state())->pool.stock(Direction::bob_to_alice), before);
}

TEST_F(ProcessTest, AnExchangeOfAnEarlierConnectionIsRefused) {
  Bytes earlier;
  line_ = [&](ByteView octets) {
    earlier = to_bytes(octets);
    return answer(octets);
  };
  ASSERT_TRUE(turn());
  const Bytes greeting = earlier;
  restart_bob();
  ASSERT_TRUE(turn());
  Exchange stale = *parse_exchange(greeting);
  stale.piece.clear();
  EXPECT_EQ(answer(write_exchange(stale)).error().code, ErrorCode::conflict);
  // The greeting itself, replayed, spends nothing and leaves the present connection as it is.
  EXPECT_TRUE(answer(greeting));
  ASSERT_TRUE(turn());
  EXPECT_EQ(bob_.end->facts().sessions, 1U);
  run_until(1);
  expect_same_blocks(1);
}

class FirstKeyTest : public ProcessTest {
 protected:
  void SetUp() override {
    settings_.first_key = FirstKey::pqc;
    restart_alice();
    restart_bob();
  }
};

TEST_F(FirstKeyTest, EndsWithoutAnyAgreeOnOneAndMakeKeys) {
  run_until(2);
  EXPECT_EQ(bob_.end->facts().blocks, 2U);
  EXPECT_EQ(alice_.end->facts().last_block->report.first_key, FirstKey::pqc);
  expect_same_blocks(2);
}

TEST_F(FirstKeyTest, AnAnswerThatWasLostIsAskedForAgain) {
  bool lose = true;
  line_ = [&](ByteView octets) -> Result<Bytes> {
    auto reply = answer(octets);
    if (parse_exchange(octets)->is_first_key && std::exchange(lose, false)) return fail(ErrorCode::unavailable, "answer lost");
    return reply;
  };
  run_until(1);
  EXPECT_FALSE(lose);
  expect_same_blocks(1);
}

TEST_F(FirstKeyTest, IsNotAgreedAgainOnceABlockWasFinished) {
  run_until(1);
  const auto request = FirstKeyRequest::make(crypto::suite(crypto::SuiteId::intl_hybrid), *bob_.random);
  Exchange again = sample_exchange();
  again.connection = ConnectionId();
  again.is_first_key = true;
  again.piece = request->message();
  EXPECT_EQ(answer(write_exchange(again)).error().code, ErrorCode::denied);
  settings_.first_key = FirstKey::pre_shared;
  EXPECT_EQ(answer(write_exchange(again)).error().code, ErrorCode::denied);
}

TEST(FirstKeyMessageTest, DependsOnLinkAndOnEveryOctetOfTheAnswer) {
  const crypto::Suite& suite = crypto::suite(crypto::SuiteId::intl_hybrid);
  test::SeededRng random(5);
  const auto request = FirstKeyRequest::make(suite, random);
  ASSERT_TRUE(request);
  const auto made = answer_first_key(suite, LinkId("a-r"), request->message(), random);
  ASSERT_TRUE(made);
  EXPECT_TRUE(equal_secret(*request->finish(LinkId("a-r"), made->message), made->preshared));
  EXPECT_FALSE(equal_secret(*request->finish(LinkId("r-b"), made->message), made->preshared));
  Bytes altered = made->message;
  altered.back() ^= 1;
  EXPECT_FALSE(equal_secret(*request->finish(LinkId("a-r"), altered), made->preshared));
  altered.pop_back();
  EXPECT_FALSE(request->finish(LinkId("a-r"), altered));
  EXPECT_FALSE(answer_first_key(suite, LinkId("a-r"), altered, random));
}

/// Cuts the line, and restarts ends, at the n-th exchange, for every n that a block takes: no key is ever at one end alone for good.
class CutTest : public ProcessTest, public testing::WithParamInterface<int> {};

TEST_P(CutTest, AfterALossAnywhereTheEndsAgreeAgain) {
  // Counts what a session and one block take.
  int exchanges = 0;
  line_ = [&](ByteView octets) {
    ++exchanges;
    return answer(octets);
  };
  run_until(1);
  const int per_block = exchanges;
  int at = 0;
  int cut = -1;
  line_ = [&](ByteView octets) -> Result<Bytes> {
    const bool now = at++ == cut;
    if (now && GetParam() == 0) return fail(ErrorCode::unavailable, "request lost");
    auto reply = answer(octets);
    if (now && GetParam() == 1) return fail(ErrorCode::unavailable, "answer lost");
    if (now && GetParam() == 2) restart_alice_later_ = true;
    return reply;
  };
  for (int n = 0; n < per_block; n += 1 + per_block / 12) {
    at = 0;
    cut = n;
    const std::uint64_t before = bob_.end->facts().blocks;
    alice_.end->set_run(true);
    for (int i = 0; i < 400 && bob_.end->facts().blocks < before + 2; ++i) {
      (void)turn();
      if (std::exchange(restart_alice_later_, false)) {
        restart_alice();
        alice_.end->set_run(true);
      }
    }
    EXPECT_GE(bob_.end->facts().blocks, before + 1) << "after a cut at exchange " << n;
  }
  cut = -1;
  (void)turn();
  expect_same_blocks(3);
}

INSTANTIATE_TEST_SUITE_P(Losses, CutTest, testing::Values(0, 1, 2));

}  // namespace
}  // namespace qanat::qkd
