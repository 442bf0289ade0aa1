// Which SAEs a KMS serves: what IAM says, for as long as it counts, and no longer than until IAM says otherwise.
#include "services/kms/sae/sae_directory.hpp"

#include "kms_saes.hpp"

namespace qanat::kms {
namespace {

using kme::SaeId;
using wire::Json;

class SaeDirectoryTest : public testing::Test {
 protected:
  SaeDirectoryTest()
      : directory_({.domain = "a", .kms = "kms-a", .refresh = std::chrono::seconds(1), .lifetime = std::chrono::seconds(600)}, clock_,
                   {.ask = [this](const Json& body, Deadline) { return answer(body); },
                    .changed = [this](std::size_t saes, std::string_view) -> Result<void> {
                      if (audit_broken_) return fail(ErrorCode::internal, "disk full");
                      told_.push_back(saes);
                      return {};
                    }}) {}

  static Json entry(const std::string& uid, const std::string& domain, const std::string& more = "") {
    return *Json::parse(R"({"uid":")" + uid + R"(","domain":")" + domain + R"(","home_kms":"kms-)" + domain + "\"" + more + "}");
  }
  Result<Json> answer(const Json& body) {
    asked_.push_back(body.dump());
    if (while_asked_) while_asked_();
    if (away_) return fail(ErrorCode::unavailable, "away");
    const std::string digest = std::to_string(digest_);
    if (body.text("known").value_or("") == digest) return Json::object({{"digest", digest}, {"same", true}});
    const std::string after = body.text("after").value_or("");
    Json list = Json::array();
    std::string next;
    for (const Json& one : saes_) {
      const std::string uid = one.text("uid").value_or("");
      if (uid <= after || !next.empty()) continue;
      list.push(one);
      if (list.as_array()->size() == page_) next = uid;
    }
    Json out = Json::object({{"digest", digest}, {"same", false}, {"saes", list}});
    if (!next.empty()) out.set("next", next);
    return out;
  }
  Result<void> refresh() { return directory_.refresh(qanat::test::soon()); }
  bool knows(const char* name) { return directory_.registry().find(SaeId(name)) != nullptr; }

  sites::SettableClock clock_;
  std::vector<Json> saes_{entry("one", "a", R"(,"keys_per_second":5,"keys_per_day":9,"peer_domains":["b"])"), entry("two", "b", R"(,"peer_domains":["*"])")};
  int digest_ = 1;
  std::size_t page_ = 100;
  bool away_ = false;
  bool audit_broken_ = false;
  std::function<void()> while_asked_;
  std::vector<std::string> asked_;
  std::vector<std::size_t> told_;
  SaeDirectory directory_;
};

TEST_F(SaeDirectoryTest, TakesWhatIamSays) {
  ASSERT_TRUE(refresh());
  const auto one = directory_.registry().find(SaeId("one"));
  ASSERT_TRUE(one);
  EXPECT_TRUE(one->here);
  EXPECT_EQ(one->kme, "kms-a");
  EXPECT_EQ(one->keys_per_second, 5U);
  EXPECT_EQ(one->keys_per_day, 9U);
  EXPECT_TRUE(one->may_share_with("b"));
  EXPECT_FALSE(one->may_share_with("c"));
  const auto two = directory_.registry().find(SaeId("two"));
  ASSERT_TRUE(two);
  EXPECT_FALSE(two->here) << "another KMS's";
  EXPECT_TRUE(two->may_share_with("c")) << "'*'";
  EXPECT_EQ(told_, std::vector<std::size_t>{2});
}

TEST_F(SaeDirectoryTest, WithoutAGrantAnSaeSharesWithItsOwnDomainAlone) {
  saes_ = {entry("one", "a")};
  ASSERT_TRUE(refresh());
  EXPECT_TRUE(directory_.registry().find(SaeId("one"))->may_share_with("a"));
  EXPECT_FALSE(directory_.registry().find(SaeId("one"))->may_share_with("b"));
}

TEST_F(SaeDirectoryTest, AsksForWhatItDoesNotHaveAndReadsEveryPage) {
  page_ = 1;
  ASSERT_TRUE(refresh());
  EXPECT_TRUE(knows("one") && knows("two"));
  ASSERT_TRUE(refresh());
  EXPECT_EQ(asked_.back(), R"({"op":"saes","known":"1"})");
  EXPECT_EQ(told_.size(), 1U) << "nothing has changed";
}

TEST_F(SaeDirectoryTest, AListThatChangesWhileItIsReadIsReadAgain) {
  page_ = 1;
  int rounds = 0;
  while_asked_ = [&] {
    if (++rounds == 2) digest_ = 2;
  };
  ASSERT_TRUE(refresh());
  EXPECT_TRUE(knows("one") && knows("two"));
  while_asked_ = [&] { ++digest_; };
  directory_.changed("class:application");
  const auto endless = refresh();
  ASSERT_FALSE(endless);
  EXPECT_EQ(endless.error().code, ErrorCode::unavailable);
}

TEST_F(SaeDirectoryTest, WhoIsChangedIsServedNoLongerUntilIamHasSaidWhatItIs) {
  ASSERT_TRUE(refresh());
  directory_.changed("one");
  EXPECT_FALSE(knows("one"));
  EXPECT_TRUE(knows("two"));
  ASSERT_TRUE(refresh());
  EXPECT_TRUE(knows("one"));
  directory_.changed("class:application");
  EXPECT_FALSE(knows("one") || knows("two"));
}

TEST_F(SaeDirectoryTest, AListFromBeforeTheChangeDoesNotCount) {
  ASSERT_TRUE(refresh());
  bool first = true;
  digest_ = 2;
  while_asked_ = [&] {
    if (!std::exchange(first, false)) return;
    directory_.changed("one");  // after IAM has made its answer
    saes_.erase(saes_.begin());
    digest_ = 3;
  };
  // The double answers with the list as it then is; the first answer is thrown away all the same.
  ASSERT_TRUE(refresh());
  EXPECT_FALSE(knows("one"));
  EXPECT_EQ(asked_.size(), 3U) << "asked once more";
}

TEST_F(SaeDirectoryTest, WithoutIamNobodyIsServedForEver) {
  ASSERT_TRUE(refresh());
  away_ = true;
  EXPECT_FALSE(refresh());
  clock_.advance(600'000);
  directory_.look_at_clock();
  EXPECT_TRUE(knows("one")) << "it counts for so long";
  clock_.advance(1);
  directory_.look_at_clock();
  EXPECT_FALSE(knows("one"));
  EXPECT_EQ(told_.back(), 0U);
  away_ = false;
  ASSERT_TRUE(refresh());
  EXPECT_TRUE(knows("one"));
}

TEST_F(SaeDirectoryTest, WhatMakesNoSenseIsRefusedAndTheListStays) {
  ASSERT_TRUE(refresh());
  digest_ = 2;
  saes_ = {entry("one", "a"), entry("one", "a")};
  EXPECT_FALSE(refresh()) << "a name twice";
  saes_ = {entry("no name!", "a")};
  EXPECT_FALSE(refresh());
  saes_ = {entry("x", "a", R"(,"keys_per_day":-1)")};
  EXPECT_FALSE(refresh());
  EXPECT_TRUE(knows("one") && knows("two"));
}

TEST_F(SaeDirectoryTest, AListThatCannotBeRecordedIsNotInForce) {
  audit_broken_ = true;
  EXPECT_FALSE(refresh());
  EXPECT_FALSE(knows("one"));
}

TEST_F(SaeDirectoryTest, AsksByItselfWhenItIsToldOfAChange) {
  directory_.start();
  const Deadline deadline = Deadline::after(std::chrono::seconds(20));
  while (!knows("one") && !deadline.passed()) std::this_thread::yield();
  EXPECT_TRUE(knows("one"));
  directory_.changed("one");
  while (!knows("one") && !deadline.passed()) std::this_thread::yield();
  EXPECT_TRUE(knows("one"));
  directory_.stop();
}

}  // namespace
}  // namespace qanat::kms
