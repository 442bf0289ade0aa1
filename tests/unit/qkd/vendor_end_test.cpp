// Keys that two makers' key management entities deliver: both ends have a block or neither has, whatever is lost, whoever restarts, whatever a KME answers.
#include "quantum/qkd/process/vendor_end.hpp"

#include <gtest/gtest.h>

#include <set>

#include "end_process.hpp"
#include "harness.hpp"

namespace qanat::qkd {
namespace {

using test::EndProcess;

KeyId id_of(std::uint64_t n) {
  OctetWriter out;
  out.u64(0);
  out.u64(n);
  return KeyId(out.take());
}

VendorMessage sample_offer() {
  return {.kind = VendorKind::offer, .link = LinkId("a-r"), .block_id = 17, .tag = Bytes(vendor_tag_size, 3), .ids = {id_of(1), id_of(2)}, .reason = {}};
}

TEST(VendorMessageTest, IsReadAsItWasWritten) {
  const auto offer = VendorMessage::read(sample_offer().write());
  ASSERT_TRUE(offer) << offer.error().message;
  EXPECT_EQ(offer->kind, VendorKind::offer);
  EXPECT_EQ(offer->link, LinkId("a-r"));
  EXPECT_EQ(offer->block_id, 17U);
  EXPECT_EQ(offer->tag, Bytes(vendor_tag_size, 3));
  EXPECT_EQ(offer->ids, sample_offer().ids);
  const auto ask = VendorMessage::read(
      VendorMessage{.kind = VendorKind::ask, .link = LinkId("a-r"), .block_id = 5, .wants_run = true, .tag = {}, .ids = {}, .reason = {}}.write());
  ASSERT_TRUE(ask);
  EXPECT_TRUE(ask->wants_run);
  const auto refuse = VendorMessage::read(
      VendorMessage{.kind = VendorKind::refuse, .link = LinkId("a-r"), .block_id = 5, .tag = {}, .ids = {}, .reason = "no\nsuch key"}.write());
  ASSERT_TRUE(refuse);
  EXPECT_EQ(refuse->reason, "no?such key");
}

TEST(VendorMessageTest, CutAndMalformedOnesAreRefused) {
  const Bytes whole = sample_offer().write();
  for (std::size_t size = 0; size < whole.size(); ++size) EXPECT_FALSE(VendorMessage::read(ByteView(whole).first(size))) << size;
  EXPECT_FALSE(VendorMessage::read(Bytes(concat({ByteView(whole), Bytes(1)}))));
  Bytes version = whole;
  version[0] = exchange_version;
  EXPECT_NE(VendorMessage::read(version).error().message.find("another driver"), std::string::npos);
  for (const std::uint8_t kind : std::initializer_list<std::uint8_t>{0, 8}) {
    Bytes other = whole;
    other[1] = kind;
    EXPECT_FALSE(VendorMessage::read(other));
  }
  VendorMessage twice = sample_offer();
  twice.ids = {id_of(1), id_of(2), id_of(1)};
  EXPECT_FALSE(VendorMessage::read(twice.write()));
  VendorMessage none = sample_offer();
  none.ids.clear();
  EXPECT_FALSE(VendorMessage::read(none.write()));
  VendorMessage nothing_to_offer = sample_offer();
  nothing_to_offer.block_id = 0;
  EXPECT_FALSE(VendorMessage::read(nothing_to_offer.write()));
  VendorMessage beyond = sample_offer();
  beyond.block_id = vendor_block_id_max + 1;
  EXPECT_FALSE(VendorMessage::read(beyond.write()));
}

// Computed with Python's hmac and hashlib (HKDF by hand): prover 1, link "a-r", block 17, ids 1 and 2, keys 0x11 … and 0x22 ….
TEST(VendorProofTest, IsTheOneThatOtherSoftwareComputes) {
  Bytes octets(64, 0x11);
  std::fill(octets.begin() + 32, octets.end(), std::uint8_t{0x22});
  const Secret keys = Secret::copy_of(octets);
  EXPECT_EQ(to_hex(vendor_proof(VendorProver::alice, LinkId("a-r"), 17, {id_of(1), id_of(2)}, keys)),
            "ebf5173f3f1b7008937a6bcebb03b024c1abe062ddfe1c0691d463bece8269a2");
}

TEST(VendorProofTest, DependsOnEverythingThatItProves) {
  const Secret keys = Secret::copy_of(Bytes(64, 0x11));
  const Bytes proof = vendor_proof(VendorProver::alice, LinkId("a-r"), 17, {id_of(1), id_of(2)}, keys);
  EXPECT_NE(proof, vendor_proof(VendorProver::bob, LinkId("a-r"), 17, {id_of(1), id_of(2)}, keys));
  EXPECT_NE(proof, vendor_proof(VendorProver::alice, LinkId("a-b"), 17, {id_of(1), id_of(2)}, keys));
  EXPECT_NE(proof, vendor_proof(VendorProver::alice, LinkId("a-r"), 18, {id_of(1), id_of(2)}, keys));
  EXPECT_NE(proof, vendor_proof(VendorProver::alice, LinkId("a-r"), 17, {id_of(2), id_of(1)}, keys));
  EXPECT_NE(proof, vendor_proof(VendorProver::alice, LinkId("a-r"), 17, {id_of(1), id_of(2)}, Secret::copy_of(Bytes(64, 0x12))));
}

TEST(VendorStateTest, SurvivesItsOwnFormAndNoOther) {
  VendorState state{.last_done = 9, .last_committed = 7, .pending = VendorBlock{.block_id = 9, .began_ms = 4, .keys = {}}};
  state.pending->keys = {.ids = {id_of(4), id_of(5)}, .octets = test::secret_of(64, 1)};
  const Secret octets = state.encode();
  const auto read = VendorState::decode(octets.reveal());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->last_done, 9U);
  EXPECT_EQ(read->last_committed, 7U);
  ASSERT_TRUE(read->pending);
  EXPECT_EQ(read->pending->keys.ids, state.pending->keys.ids);
  EXPECT_TRUE(equal_secret(read->pending->keys.octets, state.pending->keys.octets));
  for (std::size_t size = 0; size < octets.size(); ++size) EXPECT_FALSE(VendorState::decode(octets.reveal().first(size))) << size;
  const Secret optics = DurableState::fresh(test::secret_of(2 * one_time_key_size * 8, 2))->encode();
  EXPECT_NE(VendorState::decode(optics.reveal()).error().message.find("another driver"), std::string::npos);
}

/// Two KMEs that share keys, each of which gives a key once.
struct KmePair {
  std::uint64_t next = 1;
  std::size_t number = 3;
  std::set<KeyId> waiting;  // at Bob's
  bool spoils = false;      // Bob's gives other octets

  static Secret octets_of(const std::vector<KeyId>& ids, std::uint64_t salt) {
    Secret out(32 * ids.size());
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const Secret key = test::secret_of(32, std::hash<std::string>()(ids[i].hex()) + salt);
      std::ranges::copy(key.reveal(), out.writable().begin() + static_cast<std::ptrdiff_t>(32 * i));
    }
    return out;
  }
  VendorKeys fresh() {
    VendorKeys out;
    for (std::size_t i = 0; i < number; ++i) out.ids.push_back(id_of(next++));
    waiting.insert(out.ids.begin(), out.ids.end());
    out.octets = octets_of(out.ids, 0);
    return out;
  }
  Result<VendorKeys> by_id(const std::vector<KeyId>& ids) {
    for (const KeyId& id : ids) {
      if (!waiting.contains(id)) return fail(ErrorCode::invalid_argument, "one or more keys specified are not found on KME");
    }
    for (const KeyId& id : ids) waiting.erase(id);
    return VendorKeys{.ids = ids, .octets = octets_of(ids, spoils ? 1 : 0)};
  }
};

class VendorEndTest : public testing::Test {
 protected:
  void SetUp() override {
    restart_alice();
    restart_bob();
  }
  template <class End>
  VendorLedger::Parts reopen(EndProcess<End>& process) {
    process.reopen();
    return {.link = LinkId("a-r"), .records = *process.records, .clock = clock_, .block_stored = [&process] { ++process.blocks_stored; }};
  }
  void restart_alice() {
    alice_.end = std::make_unique<VendorAlice>(reopen(alice_), VendorSource{.fresh = [this](Deadline) { return fresh_(); }, .by_id = {}}, pace_);
    alice_.end->set_run(run_);
  }
  void restart_bob() {
    bob_.end =
        std::make_unique<VendorBob>(reopen(bob_), VendorSource{.fresh = {}, .by_id = [this](const std::vector<KeyId>& ids, Deadline) { return by_id_(ids); }},
                                    pace_, [this](ByteView octets, Deadline) { return line_(octets); });
  }
  void order_run(bool run) {
    run_ = run;
    alice_.end->set_run(run);
  }
  Result<Bytes> answer(ByteView octets) {
    const Deadline now = Deadline::after(std::chrono::milliseconds(0));
    return alice_.end->answer(octets, now, Deadline::after(std::chrono::seconds(10)));
  }
  Result<void> turn() { return bob_.end->turn(Deadline::after(std::chrono::seconds(10))); }
  /// Until Bob has handed on `blocks` more, and Alice is not waiting for him.
  void run_until(std::uint64_t blocks) {
    const std::int64_t before = *bob_.records->backlog();
    order_run(true);
    for (int i = 0; i < 200 && *bob_.records->backlog() < before + static_cast<std::int64_t>(blocks); ++i) (void)turn();
    order_run(false);
  }
  /// The same blocks at both ends, no key in two of them.
  void expect_same_blocks(std::size_t least) {
    const auto mine = alice_.take_all();
    const auto theirs = bob_.take_all();
    EXPECT_GE(mine.size(), least);
    ASSERT_EQ(mine.size(), theirs.size());
    std::set<std::string> keys;
    for (const auto& [id, octets] : mine) {
      ASSERT_TRUE(theirs.contains(id));
      EXPECT_TRUE(equal_secret(octets, theirs.at(id)));
      EXPECT_GT(octets.size(), 0U);
      for (std::size_t at = 0; at < octets.size(); at += 32) EXPECT_TRUE(keys.insert(to_hex(octets.reveal().subspan(at, 32))).second);
    }
  }

  VendorPace pace_{.rest_first = std::chrono::milliseconds(0), .rest_max = std::chrono::milliseconds(0), .fetches_max = 3};
  SystemClock clock_;
  KmePair kmes_;
  bool run_ = false;
  std::function<Result<VendorKeys>()> fresh_ = [this]() -> Result<VendorKeys> { return kmes_.fresh(); };
  std::function<Result<VendorKeys>(const std::vector<KeyId>&)> by_id_ = [this](const std::vector<KeyId>& ids) { return kmes_.by_id(ids); };
  std::function<Result<Bytes>(ByteView)> line_ = [this](ByteView octets) { return answer(octets); };
  EndProcess<VendorAlice> alice_;
  EndProcess<VendorBob> bob_;
};

TEST_F(VendorEndTest, BothEndsKeepTheSameBlocksForTheirQkms) {
  run_until(3);
  EXPECT_EQ(alice_.end->facts().blocks, 3U);
  EXPECT_EQ(bob_.end->facts().blocks, 3U);
  EXPECT_EQ(alice_.blocks_stored, 3);
  EXPECT_TRUE(bob_.end->facts().connected);
  ASSERT_TRUE(bob_.end->facts().last_block);
  EXPECT_EQ(bob_.end->facts().last_block->key_bits, 3U * 256U);
  EXPECT_TRUE(kmes_.waiting.empty());
  expect_same_blocks(3);
}

TEST_F(VendorEndTest, WithoutOrdersNoKeyIsFetched) {
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(turn());
  EXPECT_EQ(kmes_.next, 1U);
  bob_.end->set_run(true);  // either site's order will do
  for (int i = 0; i < 5 && bob_.end->facts().blocks == 0; ++i) ASSERT_TRUE(turn());
  EXPECT_EQ(bob_.end->facts().blocks, 1U);
}

TEST_F(VendorEndTest, KeysNeverTravelBetweenTheEnds) {
  Bytes seen;
  line_ = [&](ByteView octets) {
    append(seen, octets);
    auto reply = answer(octets);
    if (reply) append(seen, *reply);
    return reply;
  };
  run_until(1);
  const auto blocks = alice_.take_all();
  ASSERT_EQ(blocks.size(), 1U);
  const ByteView keys = blocks.begin()->second.reveal();
  for (std::size_t at = 0; at + 8 <= keys.size(); at += 8) EXPECT_TRUE(std::ranges::search(seen, keys.subspan(at, 8)).empty());
}

TEST_F(VendorEndTest, DifferentKeysAreRefusedAtBothEnds) {
  kmes_.spoils = true;
  order_run(true);
  for (int i = 0; i < 3; ++i) (void)turn();
  EXPECT_EQ(alice_.end->facts().failed_blocks, bob_.end->facts().failed_blocks);
  EXPECT_GE(bob_.end->facts().failed_blocks, 1U);
  EXPECT_NE(alice_.end->facts().last_failure.find("different keys"), std::string::npos);
  EXPECT_EQ(*alice_.records->backlog(), 0);
  EXPECT_EQ(*bob_.records->backlog(), 0);
  kmes_.spoils = false;
  run_until(1);
  expect_same_blocks(1);
}

TEST_F(VendorEndTest, AnEndThatOnlyClaimsToHaveTheKeysGetsNothingReleased) {
  order_run(true);
  const auto offered = VendorMessage::read(
      *answer(VendorMessage{.kind = VendorKind::ask, .link = LinkId("a-r"), .block_id = 0, .wants_run = true, .tag = {}, .ids = {}, .reason = {}}.write()));
  ASSERT_TRUE(offered);
  ASSERT_EQ(offered->kind, VendorKind::offer);
  // Alice's own proof, sent back, is none of Bob's.
  const auto decided = VendorMessage::read(
      *answer(VendorMessage{.kind = VendorKind::acknowledge, .link = LinkId("a-r"), .block_id = offered->block_id, .tag = offered->tag, .ids = {}, .reason = {}}
                  .write()));
  ASSERT_TRUE(decided);
  EXPECT_EQ(decided->kind, VendorKind::voided);
  EXPECT_EQ(*alice_.records->backlog(), 0);
}

TEST_F(VendorEndTest, MessagesOfAnotherLinkOrOutOfTurnAreRefused) {
  VendorMessage ask{.kind = VendorKind::ask, .link = LinkId("other"), .block_id = 0, .wants_run = true, .tag = {}, .ids = {}, .reason = {}};
  EXPECT_EQ(answer(ask.write()).error().code, ErrorCode::denied);
  EXPECT_EQ(answer(sample_offer().write()).error().code, ErrorCode::invalid_argument);
  EXPECT_FALSE(answer(Bytes(40, 1)));
  line_ = [](ByteView) -> Result<Bytes> { return sample_offer().write(); };
  EXPECT_EQ(turn().error().code, ErrorCode::conflict);  // an offer of a block id long past is refused, and an offer is no answer to that
  EXPECT_EQ(*bob_.records->backlog(), 0);
}

TEST_F(VendorEndTest, AKmeWithoutKeysLetsTheLinkRestAndComeBack) {
  int calls = 0;
  fresh_ = [&]() -> Result<VendorKeys> {
    ++calls;
    return fail(ErrorCode::unavailable, "the KME answers 503");
  };
  order_run(true);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(turn());
  EXPECT_EQ(calls, 4);
  EXPECT_EQ(alice_.end->facts().last_failure, "the KME answers 503");
  fresh_ = [this]() -> Result<VendorKeys> { return kmes_.fresh(); };
  run_until(1);
  expect_same_blocks(1);
}

TEST_F(VendorEndTest, WhileAliceRestsHerKmeIsLeftAlone) {
  pace_ = {.rest_first = std::chrono::hours(1), .rest_max = std::chrono::hours(2), .fetches_max = 3};
  restart_alice();
  int calls = 0;
  fresh_ = [&]() -> Result<VendorKeys> {
    ++calls;
    return fail(ErrorCode::unavailable, "the KME answers 503");
  };
  order_run(true);
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(turn());
  EXPECT_EQ(calls, 1);
}

TEST_F(VendorEndTest, AnAnswerWithTooFewOctetsIsNoKey) {
  fresh_ = []() -> Result<VendorKeys> { return VendorKeys{.ids = {id_of(1), id_of(2)}, .octets = Secret(32)}; };
  order_run(true);
  EXPECT_TRUE(turn());
  EXPECT_NE(alice_.end->facts().last_failure.find("2 keys in 32 octets"), std::string::npos);
  EXPECT_EQ(*bob_.records->backlog(), 0);
}

TEST_F(VendorEndTest, BobsKmeMayBeAwayForLongAndTheBlockWaits) {
  by_id_ = [](const std::vector<KeyId>&) -> Result<VendorKeys> { return fail(ErrorCode::unavailable, "no connection"); };
  order_run(true);
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(turn());
  EXPECT_EQ(kmes_.next, 1U + kmes_.number);  // one block alone was fetched
  by_id_ = [this](const std::vector<KeyId>& ids) { return kmes_.by_id(ids); };
  run_until(1);
  EXPECT_EQ(alice_.end->facts().failed_blocks, 0U);
  expect_same_blocks(1);
}

TEST_F(VendorEndTest, KeysThatBobsKmeKnowsALittleLaterAreNotLost) {
  int refusals = 2;
  by_id_ = [&](const std::vector<KeyId>& ids) -> Result<VendorKeys> {
    if (refusals-- > 0) return fail(ErrorCode::invalid_argument, "not found on KME");
    return kmes_.by_id(ids);
  };
  run_until(1);
  EXPECT_EQ(bob_.end->facts().failed_blocks, 0U);
  expect_same_blocks(1);
}

TEST_F(VendorEndTest, KeysThatBobsKmeNeverKnowsAreGivenUp) {
  by_id_ = [](const std::vector<KeyId>&) -> Result<VendorKeys> { return fail(ErrorCode::invalid_argument, "not found on KME"); };
  order_run(true);
  for (int i = 0; i < pace_.fetches_max; ++i) (void)turn();
  EXPECT_EQ(alice_.end->facts().failed_blocks, 1U);
  EXPECT_EQ(alice_.end->facts().last_failure, "the other end: not found on KME");
  by_id_ = [this](const std::vector<KeyId>& ids) { return kmes_.by_id(ids); };
  run_until(1);
  expect_same_blocks(1);
}

TEST_F(VendorEndTest, OtherKeysThanTheOfferedOnesAreRefused) {
  by_id_ = [this](const std::vector<KeyId>& ids) -> Result<VendorKeys> {
    auto keys = kmes_.by_id(ids);
    if (keys) std::ranges::reverse(keys->ids);
    return keys;
  };
  order_run(true);
  (void)turn();
  EXPECT_EQ(bob_.end->facts().failed_blocks, 1U);
  EXPECT_EQ(bob_.end->facts().last_failure, "the KME gave other keys");
}

TEST_F(VendorEndTest, ABlockThatWasRefusedIsNeverTakenLater) {
  by_id_ = [](const std::vector<KeyId>&) -> Result<VendorKeys> { return fail(ErrorCode::invalid_argument, "not found on KME"); };
  bool lose_refusals = true;
  line_ = [&](ByteView octets) -> Result<Bytes> {
    if (lose_refusals && VendorMessage::read(octets)->kind == VendorKind::refuse) return fail(ErrorCode::unavailable, "request lost");
    return answer(octets);
  };
  order_run(true);
  for (int i = 0; i < pace_.fetches_max; ++i) (void)turn();
  by_id_ = [this](const std::vector<KeyId>& ids) { return kmes_.by_id(ids); };
  const std::size_t waiting = kmes_.waiting.size();
  restart_bob();
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(turn());
  EXPECT_EQ(kmes_.waiting.size(), waiting);  // Bob does not ask for them again
  lose_refusals = false;
  run_until(1);
  EXPECT_EQ(alice_.end->facts().failed_blocks, 1U);
  expect_same_blocks(1);
}

TEST_F(VendorEndTest, BlockIdsGoOnBehindThoseOfEitherEnd) {
  run_until(2);
  const std::uint64_t last = alice_.end->facts().last_block_id;
  std::filesystem::remove(alice_.directory / "qkd.db");  // Alice is installed anew, with a clock that lags
  std::filesystem::remove(alice_.directory / "qkd.db-wal");
  std::filesystem::remove(alice_.directory / "qkd.db-shm");
  alice_.end.reset();
  alice_.records.reset();
  struct Early final : Clock {
    [[nodiscard]] UnixMs now_ms() const override { return 1000; }
  } early;
  alice_.records = std::move(*Records::open(alice_.directory / "new.db", *alice_.device));
  alice_.end = std::make_unique<VendorAlice>(VendorLedger::Parts{.link = LinkId("a-r"), .records = *alice_.records, .clock = early, .block_stored = [] {}},
                                             VendorSource{.fresh = [this](Deadline) { return fresh_(); }, .by_id = {}}, pace_);
  (void)bob_.take_all();
  run_until(1);
  EXPECT_GT(alice_.end->facts().last_block_id, last);
  expect_same_blocks(1);
  alice_.end.reset();
}

/// What happens at one exchange of the line, tried at each exchange that blocks take.
enum class Mishap : std::uint8_t { request_lost, answer_lost, alice_dies_before, alice_dies_after, bob_dies_before, bob_dies_after, both_die };

class VendorMishapTest : public VendorEndTest, public testing::WithParamInterface<Mishap> {};

TEST_P(VendorMishapTest, AfterItTheEndsAgreeAgain) {
  int at = 0;
  int mishap_at = 0;
  bool bob_restarts = false;
  line_ = [&](ByteView octets) -> Result<Bytes> {
    const bool now = at++ == mishap_at;
    const Bytes request = to_bytes(octets);
    if (!now) return answer(request);
    const Mishap mishap = GetParam();
    bob_restarts = mishap == Mishap::bob_dies_before || mishap == Mishap::bob_dies_after || mishap == Mishap::both_die;
    if (mishap == Mishap::alice_dies_before) restart_alice();
    if (mishap == Mishap::request_lost || mishap == Mishap::alice_dies_before || mishap == Mishap::bob_dies_before)
      return fail(ErrorCode::unavailable, "request lost");
    (void)answer(request);
    if (mishap == Mishap::alice_dies_after || mishap == Mishap::both_die) restart_alice();
    return fail(ErrorCode::unavailable, "answer lost");
  };
  for (mishap_at = 0; mishap_at < 6; ++mishap_at) {
    at = 0;
    order_run(true);
    const std::int64_t before = *bob_.records->backlog();
    for (int i = 0; i < 40 && *bob_.records->backlog() < before + 2; ++i) {
      (void)turn();
      if (std::exchange(bob_restarts, false)) restart_bob();
    }
    EXPECT_EQ(*bob_.records->backlog(), before + 2) << "a mishap at exchange " << mishap_at;
    order_run(false);
  }
  EXPECT_EQ(alice_.end->facts().failed_blocks + bob_.end->facts().failed_blocks, 0U);  // nothing that was fetched is wasted
  expect_same_blocks(12);
}

INSTANTIATE_TEST_SUITE_P(Mishaps, VendorMishapTest,
                         testing::Values(Mishap::request_lost, Mishap::answer_lost, Mishap::alice_dies_before, Mishap::alice_dies_after,
                                         Mishap::bob_dies_before, Mishap::bob_dies_after, Mishap::both_die));

TEST_F(VendorEndTest, BobMayDieBetweenStoringAndSayingSo) {
  order_run(true);
  ASSERT_TRUE(turn());  // stored
  restart_bob();
  ASSERT_TRUE(turn());  // acknowledged
  EXPECT_EQ(bob_.end->facts().blocks, 1U);
  order_run(false);
  expect_same_blocks(1);
}

TEST_F(VendorEndTest, KeysLostBetweenKmeAndEndAreLostAtBothEnds) {
  // Alice dies with keys that she has fetched and not stored …
  fresh_ = [this]() -> Result<VendorKeys> {
    (void)kmes_.fresh();
    return fail(ErrorCode::unavailable, "answer lost");
  };
  order_run(true);
  (void)turn();
  restart_alice();
  fresh_ = [this]() -> Result<VendorKeys> { return kmes_.fresh(); };
  // … and Bob too: his KME has given them and will not again.
  by_id_ = [this](const std::vector<KeyId>& ids) -> Result<VendorKeys> {
    (void)kmes_.by_id(ids);
    return fail(ErrorCode::unavailable, "answer lost");
  };
  EXPECT_FALSE(turn());
  restart_bob();
  by_id_ = [this](const std::vector<KeyId>& ids) { return kmes_.by_id(ids); };
  run_until(1);
  EXPECT_EQ(alice_.end->facts().failed_blocks, 1U);
  expect_same_blocks(1);
}

TEST_F(VendorEndTest, ABlockThatAliceDoesNotHaveIsDestroyedAtBobs) {
  order_run(true);
  ASSERT_TRUE(turn());
  line_ = [](ByteView octets) -> Result<Bytes> {
    const auto said = VendorMessage::read(octets);
    // Alice lost her state: she does not know the block.
    return VendorMessage{.kind = VendorKind::voided, .link = LinkId("a-r"), .block_id = said->block_id, .tag = {}, .ids = {}, .reason = {}}.write();
  };
  ASSERT_TRUE(turn());
  EXPECT_EQ(bob_.end->facts().failed_blocks, 1U);
  EXPECT_EQ(*bob_.records->backlog(), 0);
}

TEST_F(VendorEndTest, AnAnswerAboutAnotherBlockDecidesNothing) {
  order_run(true);
  ASSERT_TRUE(turn());
  for (const VendorKind kind : {VendorKind::released, VendorKind::voided}) {
    line_ = [kind](ByteView octets) -> Result<Bytes> {
      const auto said = VendorMessage::read(octets);
      return VendorMessage{.kind = kind, .link = LinkId("a-r"), .block_id = said->block_id - 1, .tag = {}, .ids = {}, .reason = {}}.write();
    };
    EXPECT_EQ(turn().error().code, ErrorCode::conflict);
  }
  line_ = [this](ByteView octets) { return answer(octets); };
  ASSERT_TRUE(turn());
  EXPECT_EQ(bob_.end->facts().blocks, 1U);
}

}  // namespace
}  // namespace qanat::qkd
