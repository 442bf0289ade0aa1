#include <gtest/gtest.h>

#include "harness.hpp"
#include "quantum/qkd/session/message.hpp"

namespace qanat::qkd {
namespace {

Detections sample_detections() {
  return {.nonce = Bytes(nonce_size, 1),
          .total = 9,
          .gates = 1'000'000,
          .clicks = {.indices = {0, 5, 300, 70'000}, .bases = {Basis::key_x, Basis::check_z, Basis::key_x, Basis::check_z}, .check_bits = {1, 0}}};
}

Bytes sample_hello() {
  return Hello{.link = "a-r",
               .settings_fingerprint = Bytes(fingerprint_size, 3),
               .nonce = Bytes(nonce_size, 4),
               .last_started = 7,
               .last_committed = 5,
               .prepared = 6,
               .end_alice_to_bob = 100,
               .end_bob_to_alice = 101}
      .write();
}

Reconciled sample_reconciled() { return {.disclosed = {.by_alice = 900, .by_bob = 800}, .errors = {5, 7, 0}}; }

TEST(MessageTest, FrameHasTheBytesThatItsHeaderSays) {
  const Bytes frame = write_frame(MessageType::begin, 0x0102, 3, Bytes{0xaa}, 0);
  EXPECT_EQ(to_hex(frame),
            "0000000f"
            "04"
            "02"
            "0000000000000102"
            "00000003"
            "aa");
  const Bytes tagged = write_frame(MessageType::ack, 1, 0, {}, 9);
  EXPECT_EQ(to_hex(tagged),
            "00000026"
            "04"
            "09"
            "0000000000000001"
            "00000000"
            "0000000000000009");
}

TEST(MessageTest, DetectionsComeBackAsWritten) {
  const Detections written = sample_detections();
  const auto read = Detections::read(written.write());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->clicks.indices, written.clicks.indices);
  EXPECT_EQ(read->clicks.bases, written.clicks.bases);
  EXPECT_EQ(read->clicks.check_bits, written.clicks.check_bits);
  EXPECT_EQ(read->total, 9U);
  EXPECT_EQ(read->gates, 1'000'000U);
}

TEST(MessageTest, VerdictsCorrectionsAndHellosComeBackAsWritten) {
  const VerdictMessage verdict{.verdict = {.marks = {0, 1, 3, 2, 0}, .check_bits = {1, 0}}, .seed = Bytes(32, 9)};
  const auto read_verdict = VerdictMessage::read(verdict.write(), 5);
  ASSERT_TRUE(read_verdict);
  EXPECT_EQ(read_verdict->verdict.marks, verdict.verdict.marks);
  EXPECT_EQ(read_verdict->seed, verdict.seed);
  const auto reconciled = Reconciled::read(sample_reconciled().write());
  ASSERT_TRUE(reconciled);
  EXPECT_EQ(reconciled->disclosed, sample_reconciled().disclosed);
  EXPECT_EQ(reconciled->errors, sample_reconciled().errors);
  const auto hello = Hello::read(sample_hello());
  ASSERT_TRUE(hello);
  EXPECT_EQ(hello->prepared, 6U);
  EXPECT_EQ(hello->end_bob_to_alice, 101U);
}

TEST(MessageTest, EveryTruncationAndEveryAdditionIsRefused) {
  const auto refuses = [](const Bytes& whole, const auto& parse) {
    ASSERT_TRUE(parse(whole));
    for (std::size_t size = 0; size < whole.size(); ++size)
      EXPECT_FALSE(parse(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)))) << size;
    Bytes longer = whole;
    longer.push_back(0);
    EXPECT_FALSE(parse(longer));
  };
  refuses(sample_hello(), [](const Bytes& body) { return Hello::read(body).has_value(); });
  refuses(sample_detections().write(), [](const Bytes& body) { return Detections::read(body).has_value(); });
  refuses(sample_reconciled().write(), [](const Bytes& body) { return Reconciled::read(body).has_value(); });
  refuses(Reason{.code = ErrorCode::denied, .text = "no"}.write(), [](const Bytes& body) { return Reason::read(body).has_value(); });
  refuses(write_frame(MessageType::begin, 1, 2, Bytes(16), 0), [](const Bytes& frame) { return parse_frame(frame).has_value(); });
}

TEST(MessageTest, RefusesCountsBeyondTheirBounds) {
  Detections far = sample_detections();
  far.gates = 60'000;  // before the last click
  EXPECT_FALSE(Detections::read(far.write()));
  Detections twice = sample_detections();
  twice.clicks.indices = {0, 5, 5, 6};
  EXPECT_FALSE(Detections::read(twice.write()));
  Reconciled beyond = sample_reconciled();
  beyond.errors[2] = reconciliation_bits_max + 1;
  EXPECT_FALSE(Reconciled::read(beyond.write()));
  EXPECT_FALSE(frame_size(Bytes{0xff, 0xff, 0xff, 0xff}));
  EXPECT_FALSE(frame_size(Bytes{0, 0, 0, 1}));
  EXPECT_FALSE(*frame_size(Bytes{0, 0}));
}

TEST(MessageTest, ReasonsAreReducedToPrintableText) {
  const auto reason = Reason::read(Reason{.code = ErrorCode::denied, .text = "a\x1b[31m\nb"}.write());
  ASSERT_TRUE(reason);
  EXPECT_EQ(reason->text, "a?[31m?b");
}

TEST(DurableStateTest, ComesBackAsWrittenAndRefusesTruncation) {
  DurableState state = std::move(*DurableState::fresh(test::secret_of(640, 1)));
  state.last_started = 9;
  state.last_committed = 7;
  BlockReport report;
  report.length = 1000;
  report.bound = Bound::rusca_2018;
  report.reconciliation = ReconciliationMethod::ldpc;
  report.agreement = Bytes(agreement_size, 7);
  state.prepared = PreparedBlock{.block_id = 8, .output = test::secret_of(125, 2), .refill_alice_to_bob = 1, .refill_bob_to_alice = 2, .report = report};
  const Secret stored = state.encode();
  const auto again = DurableState::decode(stored.reveal());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->last_committed, 7U);
  ASSERT_TRUE(again->prepared);
  EXPECT_TRUE(equal_secret(again->prepared->output, state.prepared->output));
  EXPECT_EQ(again->prepared->report, report);
  for (std::size_t size = 0; size < stored.size(); ++size) EXPECT_FALSE(DurableState::decode(stored.reveal().first(size)));
}

}  // namespace
}  // namespace qanat::qkd
