// The KMS's side of the archive of keys: what it keeps up by itself, what is on record of it, and what operators are told.
#include "services/kms/kma/history_desk.hpp"

#include "kms_core.hpp"
#include "services/kms/kma/incarnation.hpp"
#include "services/kms/schema.hpp"
#include "store_kinds.hpp"

namespace qanat::kms {
namespace {

using wire::Json;

class HistoryDeskTest : public testing::Test {
 protected:
  /// A key that was destroyed long ago.
  SidWk finished() {
    const auto sid_wk = network_.rng().id<SidWk>();
    must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
      TRY(ledger_.add(transaction, {.sid_wk = sid_wk,
                                    .leg = wire::Role::caller,
                                    .sid_call = network_.rng().id<SidCall>(),
                                    .uid = Uid("alice"),
                                    .wk = Secret(32),
                                    .assurance = wire::Assurance::pqc,
                                    .th9 = Bytes(32),
                                    .peer_uid = Uid("bob"),
                                    .peer_number = Number("+8613900000002"),
                                    .peer_kms = ElementName("kms-b"),
                                    .peer_fps = {},
                                    .expires_ms = 5000,
                                    .terms = {}}));
      TRY(ledger_.destroy(transaction, sid_wk, wire::Role::caller, {.by = "alice", .why = "acknowledged", .at_ms = 4000}));
      return {};
    }));
    return sid_wk;
  }
  Result<Json> ask(const Json& question) {
    ASSIGN_OR_RETURN(const net::Response answer, desk_.answer(test::request_from(identity("qanat://core/operator/operator"), to_bytes(question.dump()))));
    return Json::parse(answer.body);
  }
  [[nodiscard]] std::filesystem::path files() const { return network_.state_of(kms_id) / "archive"; }
  [[nodiscard]] bool on_record(std::string_view text) const { return test::audited(network_.state_of(kms_id), text); }

  test::TemporaryDirectory folder_;
  test::TrustedNetwork network_;
  std::unique_ptr<node::Node> node_ = network_.open_node(kms_id, {});
  std::unique_ptr<store::Store> store_ = must(store::Store::open(folder_ / "kms.db", migrations));
  Ledger ledger_{node_->device()};
  KmsSettings settings_;
  HistoryDesk desk_{*node_, *store_, ledger_, settings_};
};

TEST_F(HistoryDeskTest, ASegmentThatIsClosedIsOnRecordWithItsDigestAndHealthSaysHowManyKeysThereAre) {
  (void)finished();
  must(desk_.keep_up());
  EXPECT_FALSE(on_record("kp.archive.closed")) << "it grows";
  must(store_->transact([](store::Transaction& transaction) { return begin_life(transaction, 6000, 6000, NewLife::restored); }));
  (void)finished();
  must(desk_.keep_up());
  EXPECT_TRUE(on_record("kp.archive.closed"));
  const auto segments = must(must(ask(Json::object({{"after", 0}}))).array("segments"));
  ASSERT_EQ(segments.size(), 2U);
  EXPECT_EQ(must(segments[0].text("file")), "keys-0-1.jsonl");
  EXPECT_EQ(must(segments[1].text("file")), "keys-1-2.jsonl");
  EXPECT_EQ(must(segments[1].text("previous")), must(segments[0].text("sha256")));
  EXPECT_TRUE(on_record("SHA-256 " + must(segments[0].text("sha256"))));
  EXPECT_EQ(must(must(ask(Json::object({{"after", 1}}))).array("segments")).size(), 1U);
  Json health = Json::object();
  desk_.describe(health);
  const Json archive = must(health.object("archive"));
  EXPECT_EQ(must(archive.integer("keys")), 2);
  EXPECT_EQ(must(archive.integer("segments")), 2);
  EXPECT_EQ(must(must(health.object("working_keys")).integer("destroyed")), 0);
}

TEST_F(HistoryDeskTest, TellsWhatWasWrittenOfASessionAndThatAFileIsElsewhereOrAnother) {
  const SidWk sid_wk = finished();
  const Json question = Json::object({{"sid_wk", sid_wk.hex()}});
  EXPECT_EQ(test::refusal(ask(question)), ErrorCode::not_found) << "it is in the database";
  must(desk_.keep_up());
  const auto found = must(must(ask(question)).array("keys"));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(must(must(found.front().object("key")).text("sid_wk")), sid_wk.hex());
  EXPECT_TRUE(on_record("x-5.archive"));

  const std::filesystem::path file = files() / "keys-0-1.jsonl";
  std::filesystem::rename(file, folder_ / "taken away");
  const auto elsewhere = must(must(ask(question)).array("keys"));
  ASSERT_EQ(elsewhere.size(), 1U);
  EXPECT_FALSE(elsewhere.front().has("key"));
  EXPECT_EQ(must(elsewhere.front().text("file")), "keys-0-1.jsonl");

  std::ofstream(file) << std::string(static_cast<std::size_t>(must(elsewhere.front().integer("place"))), ' ') << R"({"sid_wk":"00","leg":"caller"})"
                      << "\n";
  const auto other = ask(question);
  EXPECT_EQ(test::refusal(other), ErrorCode::internal);
  EXPECT_TRUE(other.error().message.contains("keys-0-1.jsonl: has another key at octet")) << other.error().message;
}

TEST_F(HistoryDeskTest, AfterAFailureItWaits) {
  const auto in_database = [this] {
    Json health = Json::object();
    desk_.describe(health);
    return must(must(health.object("working_keys")).integer("destroyed"));
  };
  (void)finished();
  must(desk_.keep_up());
  EXPECT_EQ(in_database(), 0);
  const std::filesystem::path file = files() / "keys-0-1.jsonl";
  std::filesystem::rename(file, folder_ / "taken away");
  (void)finished();
  EXPECT_EQ(test::refusal(desk_.keep_up()), ErrorCode::internal);
  std::filesystem::rename(folder_ / "taken away", file);
  must(desk_.keep_up());
  EXPECT_EQ(in_database(), 1) << "is not tried again at once";
  HistoryDesk begun_anew(*node_, *store_, ledger_, settings_);
  must(begun_anew.keep_up());
  EXPECT_EQ(in_database(), 0);
}

TEST_F(HistoryDeskTest, AsksForOneThingAtATime) {
  for (const Json& wrong : {Json::object(), Json::object({{"after", 0}, {"sid_wk", std::string(32, '0')}}), Json::object({{"after", -1}}),
                            Json::object({{"after", "0"}}), Json::object({{"sid_wk", "00"}}), Json::object({{"after", 0}, {"until", 5}})}) {
    EXPECT_EQ(test::refusal(ask(wrong)), ErrorCode::invalid_argument) << wrong.dump();
  }
}

}  // namespace
}  // namespace qanat::kms
