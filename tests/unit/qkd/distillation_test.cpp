// What the ends check before a block is released, without the channel that would hide it: each of these differences reaches them only if the error correction
// erred, or an end counts otherwise than the other. None may end in two keys under one id.
#include "quantum/qkd/session/distillation.hpp"

#include "harness.hpp"

namespace qanat::qkd {
namespace {

constexpr std::size_t key_bits = 6400;
constexpr std::size_t flipped_every = 200;  // Bob's errors: 0.5 %

class DistillationTest : public testing::TestWithParam<ReconciliationMethod> {
 protected:
  /// The sifted key of Alice; with errors it is Bob's.
  [[nodiscard]] SiftedBlock sifted(std::size_t bits, bool with_errors = false) const {
    Secret key = test::secret_of(bits / 8, 5);
    for (std::size_t i = 0; with_errors && i < bits; i += flipped_every) key.writable()[i / 8] ^= static_cast<std::uint8_t>(1U << (i % 8));
    const std::uint64_t decoys = bits / 2;
    Bytes decoy(bits / 8, 0x55);  // every other bit; no vacuum
    return {.block_id = 1,
            .key = std::move(key),
            .key_bits = bits,
            .marks = {.decoy = std::move(decoy), .vacuum = Bytes(bits / 8)},
            .key_counts = {bits - decoys, decoys, 0},
            .check = {.detections = {bits / 5, bits / 5, 1}, .errors = {3, 4, 0}},
            .gates = 190 * bits};
  }
  [[nodiscard]] std::size_t bits() const { return GetParam() == ReconciliationMethod::ldpc ? 4 * key_bits : key_bits; }

  /// Runs the error correction. `other`, if any, hears every question as Alice does, and its answers go nowhere.
  Reconciled reconcile(AliceDistillation& alice, BobDistillation& bob, AliceDistillation* other = nullptr) {
    const auto seed = alice.start();
    EXPECT_TRUE(seed);
    if (other != nullptr) EXPECT_EQ(*other->start(), *seed);
    const auto started = bob.start(*seed);
    EXPECT_TRUE(started) << started.error().message;
    while (true) {
      const auto out = bob.ask();
      if (!out || out->type == MessageType::reconciled) return out ? Reconciled::read(out->body).value() : Reconciled();
      const auto answer = alice.answer(out->body);
      if (other != nullptr) EXPECT_TRUE(other->answer(out->body));
      if (!answer || !bob.learn(*answer)) return {};
    }
  }

  const SessionSettings settings_ = test::quick_settings(GetParam());
  test::SeededRng random_{9};
  ToeplitzHasher hasher_;
  AliceDistillation alice_{settings_, sifted(bits()), random_, hasher_};
  BobDistillation bob_{settings_, sifted(bits(), true), hasher_};
};

TEST_P(DistillationTest, BothEndsMakeTheSameKeyOfTheSameLength) {
  auto closing = alice_.close(reconcile(alice_, bob_), {.alice_to_bob = 1, .bob_to_alice = 1});
  ASSERT_TRUE(closing) << closing.error().message;
  const auto prepared = bob_.finish(closing->message);
  ASSERT_TRUE(prepared) << prepared.error().message;
  EXPECT_TRUE(equal_secret(prepared->output, closing->block.output));
  EXPECT_EQ(prepared->report, closing->block.report);
  EXPECT_GT(prepared->report.length, 0U);
}

TEST_P(DistillationTest, AnErrorThatTheCorrectionLeftIsFoundAndNothingIsReleased) {
  for (const std::size_t bit : {std::size_t{0}, std::size_t{1001}, bits() - 1}) {
    SiftedBlock wrong = sifted(bits());
    wrong.key.writable()[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    test::SeededRng random{9};
    test::SeededRng same{9};
    AliceDistillation answering(settings_, sifted(bits()), random, hasher_);
    AliceDistillation closing(settings_, std::move(wrong), same, hasher_);  // her key is not the one that Bob was corrected to
    BobDistillation bob(settings_, sifted(bits(), true), hasher_);
    const auto close = closing.close(reconcile(answering, bob, &closing), {});
    ASSERT_TRUE(close) << close.error().message;
    const auto refused = bob.finish(close->message);
    ASSERT_FALSE(refused) << "bit " << bit;
    EXPECT_EQ(refused.error().code, ErrorCode::denied);
    EXPECT_EQ(refused.error().message, "verification: the corrected keys differ");
  }
}

TEST_P(DistillationTest, EndsThatCountedDifferentDisclosuresMakeNoKey) {
  Reconciled reconciled = reconcile(alice_, bob_);
  ASSERT_GT(reconciled.disclosed.by_alice, 0U);
  --reconciled.disclosed.by_alice;
  const auto refused = alice_.close(reconciled, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::conflict);
}

TEST_P(DistillationTest, AClosingThatDoesNotFollowFromTheBlockIsRefused) {
  const std::vector<std::pair<std::string, std::function<void(Close&)>>> changes{
      {"a bit more than the bound", [](Close& close) { ++close.length; }},
      {"another report", [](Close& close) { close.agreement[0] ^= 1; }},
      {"more taken off the yield than it has",
       [](Close& close) { close.refill_bob_to_alice = static_cast<std::uint32_t>(close.length / one_time_key_bits) + 1; }},
  };
  for (const auto& [what, change] : changes) {
    test::SeededRng random{9};
    AliceDistillation alice(settings_, sifted(bits()), random, hasher_);
    BobDistillation bob(settings_, sifted(bits(), true), hasher_);
    auto closing = alice.close(reconcile(alice, bob), {});
    ASSERT_TRUE(closing) << closing.error().message;
    change(closing->message);
    const auto refused = bob.finish(closing->message);
    ASSERT_FALSE(refused) << what;
    EXPECT_EQ(refused.error().code, ErrorCode::conflict) << what;
  }
}

INSTANTIATE_TEST_SUITE_P(Methods, DistillationTest, testing::Values(ReconciliationMethod::cascade, ReconciliationMethod::ldpc), test::method_name);

}  // namespace
}  // namespace qanat::qkd
