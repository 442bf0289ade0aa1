// SAEs in the register: applications with a home KMS, their quotas and grants, and what a KMS hears of them.
#include "iam_under_test.hpp"

namespace qanat::iam {
namespace {

const Identity sae_kms = identity("qanat://a/kms/kms-a");
const Identity sae_other_kms = identity("qanat://b/kms/kms-b");

class SaesTest : public IamUnderTest {
 protected:
  SaesTest() : IamUnderTest({sae_kms, sae_other_kms}) {
    IamSettings settings;
    settings.founders.elements = {sae_kms, sae_other_kms};
    IamUnderTest::open_service(settings, [this](Endpoint endpoint, const std::string& destination, const Json& body) -> Result<void> {
      letters_.push_back(destination + " " + std::string(points::row(endpoint).path) + " " + body.text("subject").value_or(""));
      return {};
    });
  }
  Json create(const std::string& uid, const std::string& more = "") {
    return json_of(identities(core_operator, R"({"op":"create","identity":{"uid":")" + uid +
                                                 R"(","class":"application","domain":"a","home_kms":"kms-a")" + more + "}}"));
  }
  ErrorCode refused(const std::string& members) {
    return refusal(identities(core_operator, R"({"op":"create","identity":{"uid":"x","domain":"a",)" + members + "}}"));
  }
  Json list(const std::string& body = R"({"op":"saes"})") { return json_of(call(Endpoint::id1_record, sae_kms, object(body))); }
  bool told(const std::string& letter) {
    EXPECT_TRUE(must(service_->outbox().deliver()));
    return std::ranges::find(letters_, letter) != letters_.end();
  }

  std::vector<std::string> letters_;
};

TEST_F(SaesTest, AKmsHearsOfEverySaeThatMayHaveKeys) {
  create("enc1", R"(,"keys_per_second":5,"keys_per_day":1000,"peer_domains":["c","b"])");
  create("enc2");
  add("plain", "application", {}, "a");
  const Json all = list();
  const auto saes = must(all.array("saes"));
  ASSERT_EQ(saes.size(), 2U) << "an application without a home KMS is none";
  EXPECT_EQ(saes[0].dump(), R"({"uid":"enc1","domain":"a","home_kms":"kms-a","keys_per_second":5,"keys_per_day":1000,"peer_domains":["b","c"]})");
  EXPECT_EQ(saes[1].dump(), R"({"uid":"enc2","domain":"a","home_kms":"kms-a"})");
  EXPECT_TRUE(must(json_of(call(Endpoint::id1_record, sae_other_kms, object(R"({"op":"saes"})"))).array("saes")).size() == 2) << "another domain's KMS too";
  const std::string digest = must(all.text("digest"));
  EXPECT_TRUE(must(list(R"({"op":"saes","known":")" + digest + "\"}").boolean("same")));
  EXPECT_EQ(must(list(R"({"op":"saes","after":"enc1"})").array("saes")).size(), 1U);
}

TEST_F(SaesTest, WhatChangesOfAnSaeChangesTheDigestAndIsTold) {
  std::string before = must(list().text("digest"));
  const auto is_another = [&] {
    const std::string now = must(list().text("digest"));
    return std::exchange(before, now) != now;
  };
  create("enc1");
  EXPECT_TRUE(is_another());
  EXPECT_TRUE(told("kms-a /pm/1/revoked enc1"));
  EXPECT_TRUE(told("kms-b /pm/1/revoked enc1"));
  letters_.clear();
  json_of(identities(core_operator, R"({"op":"change","uid":"enc1","version":1,"set":{"keys_per_day":7,"peer_domains":["*"]}})"));
  EXPECT_TRUE(is_another());
  EXPECT_TRUE(told("kms-b /pm/1/revoked enc1"));
  json_of(identities(core_operator, R"({"op":"suspend","uid":"enc1"})"));
  EXPECT_TRUE(is_another());
  EXPECT_TRUE(must(list().array("saes")).empty()) << "suspended";
  json_of(identities(core_operator, R"({"op":"resume","uid":"enc1"})"));
  EXPECT_TRUE(is_another());
  EXPECT_EQ(must(must(list().array("saes")).at(0).integer("keys_per_day")), 7);
  json_of(identities(core_operator, R"({"op":"delete","uid":"enc1","version":4})"));
  EXPECT_TRUE(is_another());
  create("enc1");
  EXPECT_TRUE(is_another()) << "and back again is not what it was";
}

TEST_F(SaesTest, QuotasAndGrantsAreReadStrictly) {
  const std::string sae = R"("class":"application","home_kms":"kms-a",)";
  EXPECT_EQ(refused(sae + R"("keys_per_second":-1)"), ErrorCode::invalid_argument);
  EXPECT_EQ(refused(sae + R"("keys_per_second":1000001)"), ErrorCode::invalid_argument);
  EXPECT_EQ(refused(sae + R"("keys_per_day":"many")"), ErrorCode::invalid_argument);
  EXPECT_EQ(refused(sae + R"("peer_domains":["B"])"), ErrorCode::invalid_argument);
  EXPECT_EQ(refused(sae + R"("peer_domains":["b","b"])"), ErrorCode::invalid_argument);
  EXPECT_EQ(refused(sae + R"("peer_domains":["*","b"])"), ErrorCode::invalid_argument);
  EXPECT_EQ(refused(R"("class":"application","keys_per_day":5)"), ErrorCode::invalid_argument) << "no home KMS";
  EXPECT_EQ(refused(R"("class":"person","home_kms":"kms-a")"), ErrorCode::invalid_argument);
  EXPECT_EQ(refused(R"("class":"person","peer_domains":["b"])"), ErrorCode::invalid_argument);
}

TEST_F(SaesTest, ARecordIsWrittenAndReadAgainAsTheSame) {
  const Json made = create("enc1", R"(,"keys_per_second":5,"peer_domains":["b"])");
  const auto read = read_identity(made);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_TRUE(read->is_sae());
  EXPECT_EQ(read->sae, (SaeRules{.keys_per_second = 5, .keys_per_day = 0, .peer_domains = {"b"}}));
  const auto lines = read_lines(to_line(*read));
  ASSERT_TRUE(lines) << lines.error().message;
  EXPECT_TRUE(lines->front().says_the_same(*read));
}

TEST_F(SaesTest, TheListIsForKmss) {
  EXPECT_EQ(refusal(call(Endpoint::id1_record, sae_kms, object(R"({"op":"saes","secret":1})"))), ErrorCode::invalid_argument);
  add("A", "person", {}, "a");
  EXPECT_FALSE(call(Endpoint::id1_record, identity("qanat://a/kms/kms-x"), object(R"({"op":"saes"})"))) << "one that IAM does not know";
}

}  // namespace
}  // namespace qanat::iam
