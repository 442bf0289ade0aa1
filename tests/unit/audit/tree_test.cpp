// The log with its tiles and checkpoints on the disk, and the auditor over them.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <thread>

#include "audit/auditor.hpp"
#include "audit/checkpoints.hpp"
#include "file_size_limit.hpp"
#include "temporary_directory.hpp"

namespace qanat::audit {
namespace {

constexpr std::string_view kms_uri = "qanat://a/kms/kms-a";

class StandingClock final : public Clock {
 public:
  [[nodiscard]] UnixMs now_ms() const override { return 1'700'000'000'000; }
};

class TreeOnDiskTest : public testing::Test {
 protected:
  [[nodiscard]] std::filesystem::path file() const { return directory_ / "audit.jsonl"; }
  [[nodiscard]] std::filesystem::path folder() const { return directory_ / "audit"; }
  [[nodiscard]] Result<std::unique_ptr<Log>> try_open() const { return Log::open(file(), std::string(kms_uri), clock_); }
  [[nodiscard]] std::unique_ptr<Log> open() const {
    auto log = try_open();
    EXPECT_TRUE(log) << log.error().message;
    return log ? std::move(*log) : nullptr;
  }
  static void add(Log& log, std::size_t records) {
    for (std::size_t i = 0; i < records; ++i) {
      ASSERT_TRUE(log.append(
          {.action = "key.destroyed", .outcome = Outcome::success, .subject = kms_uri, .object = std::to_string(i), .reason = {}, .request_id = {}}));
    }
  }
  [[nodiscard]] static CheckpointSigner copy_of(const crypto::LoneSigner& ml_dsa, const crypto::LoneSigner& sm2) {
    return {origin_of(kms_uri), crypto::LoneSigner::from_secret(crypto::LoneScheme::ml_dsa_44, ml_dsa.secret()).value(),
            crypto::LoneSigner::from_secret(crypto::LoneScheme::sm2, sm2.secret()).value()};
  }
  [[nodiscard]] CheckpointSigner signer() const { return copy_of(ml_dsa_, sm2_); }
  /// `records` more and a checkpoint over everything.
  void grow(std::size_t records) {
    const auto log = open();
    ASSERT_TRUE(log);
    const auto checkpoints = Checkpoints::open(*log, signer(), clock_, *rng_);
    ASSERT_TRUE(checkpoints) << checkpoints.error().message;
    add(*log, records);
    const auto made = (*checkpoints)->make();
    ASSERT_TRUE(made) << made.error().message;
  }
  [[nodiscard]] static std::string content(const std::filesystem::path& path) {
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  static void replace(const std::filesystem::path& path, std::string_view octets) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary | std::ios::trunc) << octets;
  }
  [[nodiscard]] Checkpoint checkpoint() const { return parse_checkpoint(parse_note(content(folder() / "checkpoint")).value().text).value(); }
  /// A whole chain over other records, as one who controls the element can write it: every hash of the chain fits.
  void rewrite(std::size_t records, std::string_view changed) const {
    std::filesystem::remove(file());
    std::filesystem::create_directories(directory_ / "other");
    const auto other = Log::open(directory_ / "other/audit.jsonl", std::string(kms_uri), clock_).value();
    add(*other, records - 1);
    ASSERT_TRUE(other->append({.action = changed, .outcome = Outcome::success, .subject = {}, .object = {}, .reason = {}, .request_id = {}}));
    std::filesystem::copy_file(directory_ / "other/audit.jsonl", file());
    std::filesystem::remove_all(directory_ / "other");
  }
  [[nodiscard]] std::vector<std::string> findings(const AuditSources& sources = {}) const {
    auto report = audit_log(directory_ / "", sources);
    EXPECT_TRUE(report) << report.error().message;
    std::vector<std::string> out = report->findings;
    // The statement needs a certificate: statement_test.cpp has it.
    std::erase_if(out, [](const std::string& one) { return one.contains("no statement"); });
    return out;
  }
  static void expect_finding(const std::vector<std::string>& findings, std::string_view text) {
    EXPECT_TRUE(std::ranges::any_of(findings, [&](const std::string& one) { return one.contains(text); }))
        << text << " is not among " << findings.size() << " findings";
  }

  test::TemporaryDirectory directory_;
  StandingClock clock_;
  std::unique_ptr<crypto::Rng> rng_ = crypto::open_rng().value();
  crypto::LoneSigner ml_dsa_ = crypto::LoneSigner::generate(crypto::LoneScheme::ml_dsa_44, *rng_).value();
  crypto::LoneSigner sm2_ = crypto::LoneSigner::generate(crypto::LoneScheme::sm2, *rng_).value();
};

TEST_F(TreeOnDiskTest, TilesAndCheckpointStandBesideTheLines) {
  grow(600);
  EXPECT_EQ(checkpoint().head.size, 600U);
  EXPECT_EQ(checkpoint().origin, "a/kms/kms-a");
  for (const char* tile : {"tile/0/000", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2"}) EXPECT_TRUE(std::filesystem::exists(folder() / tile)) << tile;
  EXPECT_FALSE(std::filesystem::exists(folder() / "tile/0/000.p")) << "a full tile takes the place of its partial ones";
  LeafTree tree;
  std::ifstream in(file());
  for (std::string line; std::getline(in, line);) tree.append(leaf_hash(line));
  EXPECT_EQ(root_at(600, tree.reader()).value(), checkpoint().head.root);
  EXPECT_TRUE(findings().empty());
}

TEST_F(TreeOnDiskTest, TheTreeGoesOnAcrossReopening) {
  for (const std::size_t records : {1U, 255U, 1U, 300U, 0U}) grow(records);
  EXPECT_EQ(checkpoint().head.size, 557U);
  EXPECT_TRUE(findings().empty());
}

TEST_F(TreeOnDiskTest, NoCheckpointIsMadeWhereNothingWasAppended) {
  const auto log = open();
  const auto checkpoints = Checkpoints::open(*log, signer(), clock_, *rng_).value();
  ASSERT_TRUE(checkpoints->make());
  EXPECT_FALSE(std::filesystem::exists(folder() / "checkpoint"));
  add(*log, 1);
  ASSERT_TRUE(checkpoints->make());
  const std::string first = content(folder() / "checkpoint");
  ASSERT_TRUE(checkpoints->make());
  EXPECT_EQ(content(folder() / "checkpoint"), first);
}

TEST_F(TreeOnDiskTest, PublishedTilesProveThatTheTreeOnlyGrew) {
  const auto log = open();
  add(*log, 300);
  const TreeHead old = log->publish().value();
  add(*log, 400);
  const TreeHead head = log->publish().value();
  EXPECT_TRUE(verify_consistency(old, prove_consistency(old.size, head.size, log->published(head.size)).value(), head));
}

TEST_F(TreeOnDiskTest, WhatACrashLeftOutIsMadeFromTheLines) {
  grow(600);
  const std::string tile = content(folder() / "tile/0/001");
  for (const char* lost : {"tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2"}) std::filesystem::remove(folder() / lost);
  replace(folder() / "tile/0/001.new", "half a ti");  // a write that was cut off
  ASSERT_TRUE(open());
  EXPECT_EQ(content(folder() / "tile/0/001"), tile);
  EXPECT_TRUE(std::filesystem::exists(folder() / "tile/0/002.p/88"));
  EXPECT_TRUE(std::filesystem::exists(folder() / "tile/1/000.p/2"));
  std::filesystem::remove_all(folder());
  ASSERT_TRUE(open());
  EXPECT_EQ(content(folder() / "tile/0/001"), tile) << "a log from before there were tiles";
  EXPECT_FALSE(content(file()).contains("tile_rebuilt")) << "missing tiles are nothing to report";
}

TEST_F(TreeOnDiskTest, ATileThatDoesNotFitTheLinesIsMadeAnewAndRecorded) {
  grow(600);
  const std::string tile = content(folder() / "tile/0/001");
  std::string wrong = tile;
  wrong[100] = static_cast<char>(wrong[100] ^ 1);
  replace(folder() / "tile/0/001", wrong);
  expect_finding(findings(), "tile/0/001 does not fit the lines");
  ASSERT_TRUE(open());
  EXPECT_EQ(content(folder() / "tile/0/001"), tile);
  EXPECT_TRUE(content(file()).contains(R"("action":"audit.tile_rebuilt","outcome":"failure","subject":"","object":"tile/0/001")"));
}

TEST_F(TreeOnDiskTest, ARewrittenLogIsFoundThoughItsChainFits) {
  grow(20);
  rewrite(20, "other");
  ASSERT_TRUE(verify(file())) << "the chain of hashes alone does not find it";
  expect_finding(findings(), "was made over other lines than 1 to 20");
  const auto opened = try_open();
  ASSERT_FALSE(opened);
  EXPECT_TRUE(opened.error().message.contains("are not those that the checkpoint was made over")) << opened.error().message;
}

TEST_F(TreeOnDiskTest, AChangedRemovedOrInsertedLineIsFound) {
  grow(20);
  const std::string lines = content(file());
  const auto nth = [&](int n) {
    std::size_t at = 0;
    while (n-- > 0) at = lines.find('\n', at) + 1;
    return at;
  };
  std::string changed = lines;
  changed[changed.find(R"("object":"7")") + 10] = '8';
  replace(file(), changed);
  expect_finding(findings(), "line 8: was altered");
  std::string removed = lines;
  removed.erase(nth(4), nth(5) - nth(4));
  replace(file(), removed);
  expect_finding(findings(), "line 5: carries number 6");
  std::string inserted = lines;
  inserted.insert(nth(5), lines.substr(nth(4), nth(5) - nth(4)));
  replace(file(), inserted);
  expect_finding(findings(), "line 6: carries number 5");
  replace(file(), lines);
  EXPECT_TRUE(findings().empty());
}

TEST_F(TreeOnDiskTest, ALogThatLostItsEndIsNotOpenedAndIsFound) {
  grow(20);
  const std::string lines = content(file());
  std::size_t at = 0;
  for (int i = 0; i < 15; ++i) at = lines.find('\n', at) + 1;
  replace(file(), lines.substr(0, at));
  ASSERT_TRUE(verify(file())) << "the chain of hashes alone does not find it";
  expect_finding(findings(), "was made over 20 lines and the log holds 15");
  EXPECT_FALSE(try_open());
  std::filesystem::remove(folder() / "checkpoint");
  const auto opened = try_open();
  ASSERT_FALSE(opened) << "the tiles still say how many there were";
  EXPECT_TRUE(opened.error().message.contains("lines are gone")) << opened.error().message;
}

TEST_F(TreeOnDiskTest, ALogWithoutItsCheckpointIsNotWhole) {
  grow(20);
  std::filesystem::remove(folder() / "checkpoint");
  expect_finding(findings(), "no checkpoint");
}

TEST_F(TreeOnDiskTest, ACheckpointThatIsNoneOrAnothersIsRefused) {
  grow(20);
  const std::string own = content(folder() / "checkpoint");
  replace(folder() / "checkpoint", "nothing");
  EXPECT_FALSE(try_open());
  replace(folder() / "checkpoint", "a/kms/kms-b" + own.substr(own.find('\n')));
  const auto log = open();
  EXPECT_EQ(Checkpoints::open(*log, signer(), clock_, *rng_).error().code, ErrorCode::denied);
}

TEST_F(TreeOnDiskTest, ACheckpointWhoseSignatureDoesNotHoldIsRefused) {
  grow(20);
  Note note = parse_note(content(folder() / "checkpoint")).value();
  note.signatures[1].signature.back() ^= 1U;
  replace(folder() / "checkpoint", note_text(note));
  const auto log = open();
  const auto checkpoints = Checkpoints::open(*log, signer(), clock_, *rng_);
  ASSERT_FALSE(checkpoints);
  EXPECT_EQ(checkpoints.error().code, ErrorCode::denied);
}

TEST_F(TreeOnDiskTest, WhoReplacesTheKeysBeginsAnewAndThatIsOnRecord) {
  grow(20);
  const auto log = open();
  const auto checkpoints = Checkpoints::open(*log, CheckpointSigner::generate(origin_of(kms_uri), *rng_).value(), clock_, *rng_);
  ASSERT_TRUE(checkpoints) << checkpoints.error().message;
  EXPECT_TRUE(content(file()).contains("audit.keys_changed"));
  ASSERT_TRUE((*checkpoints)->make());
  EXPECT_EQ(checkpoint().head.size, 21U);
}

TEST_F(TreeOnDiskTest, ACheckpointIsMadeByItselfWhenSomethingWasAppended) {
  const auto log = open();
  const auto checkpoints = Checkpoints::open(*log, signer(), clock_, *rng_).value();
  checkpoints->start(std::chrono::milliseconds(10), [](const Error& error) { ADD_FAILURE() << error.message; });
  add(*log, 5);
  const Deadline deadline = Deadline::after(std::chrono::seconds(20));
  while (checkpoints->latest().head.size < 5 && !deadline.passed()) std::this_thread::yield();
  EXPECT_EQ(checkpoints->latest().head.size, 5U);
  add(*log, 5);
  checkpoints->stop();
  EXPECT_EQ(checkpoint().head.size, 10U) << "the last one is made when it ends";
}

TEST_F(TreeOnDiskTest, FurtherSignaturesStandUnderTheCheckpointThatTheyAreOver) {
  const auto log = open();
  const auto checkpoints = Checkpoints::open(*log, signer(), clock_, *rng_).value();
  add(*log, 5);
  ASSERT_TRUE(checkpoints->make());
  const CheckpointSigner witness = CheckpointSigner::generate("core/iam/iam", *rng_).value();
  const auto cosignatures = witness.sign(checkpoint(), 1, *rng_);
  ASSERT_TRUE(checkpoints->add_signatures(5, cosignatures));
  EXPECT_TRUE(verify_signatures(witness.keys(), checkpoint(), parse_note(content(folder() / "checkpoint")).value()));
  EXPECT_TRUE(verify_signatures(signer().keys(), checkpoint(), parse_note(content(folder() / "checkpoint")).value()));
  EXPECT_EQ(checkpoints->add_signatures(4, cosignatures).error().code, ErrorCode::conflict);
}

TEST_F(TreeOnDiskTest, ACheckpointThatFindsNoRoomRefusesEveryFurtherAction) {
  const auto log = open();
  const auto checkpoints = Checkpoints::open(*log, signer(), clock_, *rng_).value();
  add(*log, 1);
  std::string told;
  {
    const test::FileSizeLimit full(2000);  // the line and the tile fit, a checkpoint of 3.5 kB does not
    const auto made = checkpoints->make();
    ASSERT_FALSE(made);
    told = made.error().message;
    EXPECT_TRUE(told.contains("checkpoint")) << told;
  }
  const Result<void> refused = log->append({.action = "after", .outcome = Outcome::success, .subject = {}, .object = {}, .reason = {}, .request_id = {}});
  ASSERT_FALSE(refused) << "there is room again, but the log must be opened again first";
  EXPECT_EQ(refused.error().message, told) << "and it says why";
  EXPECT_FALSE(std::filesystem::exists(folder() / "checkpoint"));
}

TEST_F(TreeOnDiskTest, ATileThatFindsNoRoomRefusesEveryFurtherActionAndTheThreadSaysSo) {
  const auto log = open();
  const auto checkpoints = Checkpoints::open(*log, signer(), clock_, *rng_).value();
  replace(folder() / "tile", "a file where a folder belongs");
  add(*log, 3);
  std::atomic<bool> told = false;
  checkpoints->start(std::chrono::milliseconds(10), [&](const Error&) { told = true; });
  const Deadline deadline = Deadline::after(std::chrono::seconds(20));
  while (!told && !deadline.passed()) std::this_thread::yield();
  EXPECT_TRUE(told);
  EXPECT_FALSE(log->append({.action = "after", .outcome = Outcome::success, .subject = {}, .object = {}, .reason = {}, .request_id = {}}));
  EXPECT_EQ(verify(file()).value_or(0), 3U);
}

TEST_F(TreeOnDiskTest, ThreadsThatAppendWhileCheckpointsAreMadeLoseNothing) {
  const auto log = open();
  const auto checkpoints = Checkpoints::open(*log, signer(), clock_, *rng_).value();
  checkpoints->start(std::chrono::milliseconds(10), [](const Error& error) { ADD_FAILURE() << error.message; });
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) threads.emplace_back([&] { add(*log, 200); });
  }
  checkpoints->stop();
  EXPECT_EQ(checkpoint().head.size, 800U);
  EXPECT_TRUE(findings().empty());
}

TEST_F(TreeOnDiskTest, ProofsOfRecordsAndOfGrowthHold) {
  grow(20);
  const Checkpoint old = checkpoint();
  replace(directory_ / "old", content(folder() / "checkpoint"));
  grow(13);
  LeafTree tree;
  std::ifstream in(file());
  for (std::string line; std::getline(in, line);) tree.append(leaf_hash(line));
  ProvableLog log{.tree = std::move(tree), .lines = {}, .checkpoint = checkpoint(), .note = parse_note(content(folder() / "checkpoint")).value()};
  std::ifstream again(file());
  for (std::string line; std::getline(again, line);) log.lines.push_back(line);
  const InclusionProof proof = prove_record(log, 7).value();
  EXPECT_TRUE(as_text(*proof.extra).contains(R"({"n":7,)"));
  EXPECT_TRUE(verify_inclusion(leaf_hash(as_text(*proof.extra)), proof.index, proof.hashes, checkpoint().head));
  EXPECT_FALSE(prove_record(log, 0));
  EXPECT_FALSE(prove_record(log, 34));
  const ConsistencyProof growth = prove_since(log, old.head.size).value();
  EXPECT_TRUE(verify_consistency(old.head, growth.hashes, checkpoint().head));
}

TEST_F(TreeOnDiskTest, AnOldPartIsNoLog) { EXPECT_EQ(audit_log(directory_ / "nothing", {}).error().code, ErrorCode::not_found); }

}  // namespace
}  // namespace qanat::audit
