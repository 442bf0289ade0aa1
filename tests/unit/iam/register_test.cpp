// The register of identities over a real database: versions, the same request twice, epochs, import and look-up.
#include "services/iam/idm/register.hpp"

#include "services/iam/schema.hpp"
#include "trusted_network.hpp"

namespace qanat::iam {
namespace {

using test::must;
using test::refusal;

class RegisterTest : public testing::Test {
 protected:
  static IdentityRecord person(const char* uid) {
    IdentityRecord out;
    out.uid = Uid(uid);
    out.of = IdentityClass::person;
    out.domain = "a";
    out.user_name = uid;
    out.name = "Wang Li";
    return out;
  }
  static IdentityRecord terminal(const char* uid, const char* number) {
    IdentityRecord out;
    out.uid = Uid(uid);
    out.of = IdentityClass::terminal;
    out.domain = "a";
    out.uri = Identity{.domain = "a", .kind = Kind::app1, .name = uid};
    out.number = Number(number);
    out.home_kms = ElementName("kms-a");
    return out;
  }
  static wire::Json json(const char* text) { return must(wire::Json::parse(std::string_view(text))); }

  test::TemporaryDirectory folder_;
  std::unique_ptr<store::Store> store_ = must(store::Store::open(folder_ / "iam.db", migrations));
  std::vector<std::pair<std::string, std::int64_t>> ended_;
  IdentityRegister identities_{*store_, [this](store::Transaction&, const std::string& subject, std::int64_t epoch) -> Result<void> {
                                 ended_.emplace_back(subject, epoch);
                                 return {};
                               }};
};

TEST_F(RegisterTest, WhatIsCreatedIsFoundByUidNumberUriAndCertificate) {
  IdentityRecord wanted = terminal("A", "+8655110000001");
  wanted.certificates = {Bytes(32, 5)};
  const IdentityRecord made = must(identities_.create(wanted, 1000));
  EXPECT_EQ(made.version, 1);
  EXPECT_EQ(must(identities_.find(Uid("A"))), made);
  EXPECT_EQ(must(identities_.find(Number("+8655110000001"))), made);
  EXPECT_EQ(must(identities_.find(test::identity("qanat://a/app1/A"))), made);
  EXPECT_EQ(must(identities_.find_by_certificate(Bytes(32, 5))), made);
  EXPECT_EQ(refusal(identities_.find(Uid("B"))), ErrorCode::not_found);
  EXPECT_EQ(refusal(identities_.find_by_certificate(Bytes(32, 6))), ErrorCode::not_found);
}

TEST_F(RegisterTest, OfWhatIsShownTheOldestIsForgottenWhenThereIsNoRoom) {
  must(identities_.create(terminal("A", "+8655110000001"), 1000));
  must(identities_.create(terminal("C", "+8655110000003"), 1000));
  const auto shown = [](std::uint8_t which) { return Bytes(32, which); };
  must(identities_.note_certificate(Uid("C"), shown(200)));
  for (std::uint8_t which = 1; which <= certificates_max + 2; ++which) must(identities_.note_certificate(Uid("A"), shown(which)));
  must(identities_.note_certificate(Uid("A"), shown(certificates_max)));
  EXPECT_EQ(must(identities_.find(Uid("A"))).certificates.size(), certificates_max);
  for (const std::uint8_t gone : {std::uint8_t{1}, std::uint8_t{2}}) EXPECT_EQ(refusal(identities_.find_by_certificate(shown(gone))), ErrorCode::not_found);
  for (const std::uint8_t kept : {std::uint8_t{3}, static_cast<std::uint8_t>(certificates_max + 2)})
    EXPECT_EQ(must(identities_.find_by_certificate(shown(kept))).uid, Uid("A"));
  // Another's stays the other's.
  must(identities_.note_certificate(Uid("A"), shown(200)));
  EXPECT_EQ(must(identities_.find_by_certificate(shown(200))).uid, Uid("C"));
}

TEST_F(RegisterTest, TheSameCreationAgainIsTheSameAnswerAndAnotherOfTheNameIsRefused) {
  const IdentityRecord made = must(identities_.create(person("wang"), 1000));
  EXPECT_EQ(must(identities_.create(person("wang"), 2000)), made);
  IdentityRecord other = person("wang");
  other.name = "Wang Wei";
  EXPECT_EQ(refusal(identities_.create(other, 2000)), ErrorCode::conflict);
  must(identities_.create(terminal("A", "+8655110000001"), 1000));
  EXPECT_EQ(refusal(identities_.create(terminal("B", "+8655110000001"), 1000)), ErrorCode::conflict);
  IdentityRecord thief = terminal("C", "+8655110000003");
  thief.certificates = {Bytes(32, 5)};
  must(identities_.create(thief, 1000));
  IdentityRecord second = terminal("D", "+8655110000004");
  second.certificates = {Bytes(32, 5)};
  EXPECT_EQ(refusal(identities_.create(second, 1000)), ErrorCode::conflict) << "a certificate has one owner";
}

TEST_F(RegisterTest, AChangeNeedsTheVersionThatItWasMadeFrom) {
  must(identities_.create(person("wang"), 1000));
  const IdentityRecord changed = must(identities_.change(Uid("wang"), 1, json(R"({"mail":"w@a.example"})"), 2000));
  EXPECT_EQ(changed.version, 2);
  EXPECT_EQ(changed.changed_ms, 2000U);
  EXPECT_EQ(refusal(identities_.change(Uid("wang"), 1, json(R"({"mail":"x@a.example"})"), 3000)), ErrorCode::conflict);
  EXPECT_EQ(must(identities_.change(Uid("wang"), 1, json(R"({"mail":"w@a.example"})"), 3000)), changed) << "the answer was lost, the change was made";
  EXPECT_EQ(must(identities_.change(Uid("wang"), 2, json(R"({"mail":"w@a.example"})"), 3000)), changed) << "nothing to change";
  EXPECT_EQ(refusal(identities_.change(Uid("wang"), 2, json(R"({"status":"suspended"})"), 3000)), ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(identities_.change(Uid("wang"), 2, json(R"({"home_kms":"kms-a"})"), 3000)), ErrorCode::invalid_argument) << "a person has none";
  EXPECT_TRUE(ended_.empty());
}

TEST_F(RegisterTest, ARecordTakesThePlaceOfTheVersionThatItWasMadeFromAlone) {
  IdentityRecord wanted = must(identities_.create(person("wang"), 1000));
  wanted.mail = "w@a.example";
  const IdentityRecord put = must(identities_.put(1, wanted, 2000));
  EXPECT_EQ(put.version, 2);
  EXPECT_EQ(put.mail, "w@a.example");
  EXPECT_EQ(must(identities_.put(1, wanted, 3000)), put) << "the same again";
  wanted.mail = "x@a.example";
  EXPECT_EQ(refusal(identities_.put(1, wanted, 3000)), ErrorCode::conflict);
  EXPECT_EQ(must(identities_.find(Uid("wang"))), put);
  EXPECT_EQ(refusal(identities_.put(1, person("li"), 3000)), ErrorCode::not_found);
  wanted.standing = Standing::suspended;
  EXPECT_EQ(must(identities_.put(2, wanted, 3000)).epoch, 1);
  EXPECT_EQ(ended_.back(), (std::pair<std::string, std::int64_t>{"wang", 1}));
}

TEST_F(RegisterTest, SuspendingEndsTheEpochOnceAndResumingDoesNot) {
  must(identities_.create(person("wang"), 1000));
  const IdentityRecord suspended = must(identities_.set_standing(Uid("wang"), 1, Standing::suspended, 2000));
  EXPECT_EQ(suspended.standing, Standing::suspended);
  EXPECT_EQ(suspended.epoch, 1);
  EXPECT_EQ(must(identities_.set_standing(Uid("wang"), 1, Standing::suspended, 3000)), suspended);
  EXPECT_EQ(refusal(identities_.set_standing(Uid("wang"), 1, Standing::active, 3000)), ErrorCode::conflict);
  EXPECT_EQ(must(identities_.set_standing(Uid("wang"), {}, Standing::active, 3000)).epoch, 1);
  EXPECT_EQ(must(identities_.end_epoch(Uid("wang"))), 2);
  EXPECT_EQ(ended_, (std::vector<std::pair<std::string, std::int64_t>>{{"wang", 1}, {"wang", 2}}));
}

TEST_F(RegisterTest, TheEpochOfAWholeClassEndsAtOnce) {
  must(identities_.create(person("wang"), 1000));
  must(identities_.create(terminal("A", "+8655110000001"), 1000));
  must(identities_.create(terminal("B", "+8655110000002"), 1000));
  const auto end = [&](const std::string& subject) {
    must(store_->transact([&](store::Transaction& transaction) { return identities_.end_epochs(transaction, subject); }));
  };
  end("class:terminal");
  EXPECT_EQ(must(identities_.find(Uid("A"))).epoch, 1);
  EXPECT_EQ(must(identities_.find(Uid("B"))).epoch, 1);
  EXPECT_EQ(must(identities_.find(Uid("wang"))).epoch, 0);
  end("B");
  end("nobody");
  EXPECT_EQ(ended_, (std::vector<std::pair<std::string, std::int64_t>>{{"class:terminal", 0}, {"B", 2}}));
}

TEST_F(RegisterTest, AFailureOfWhatFollowsUndoesTheSuspension) {
  IdentityRegister failing(*store_,
                           [](store::Transaction&, const std::string&, std::int64_t) -> Result<void> { return fail(ErrorCode::internal, "disk full"); });
  must(failing.create(person("wang"), 1000));
  EXPECT_EQ(refusal(failing.set_standing(Uid("wang"), {}, Standing::suspended, 2000)), ErrorCode::internal);
  EXPECT_EQ(must(identities_.find(Uid("wang"))).standing, Standing::active);
}

TEST_F(RegisterTest, WhoComesBackUnderADeletedUidIsBehindWhatWas) {
  must(identities_.create(person("wang"), 1000));
  must(identities_.end_epoch(Uid("wang")));
  EXPECT_EQ(refusal(identities_.remove(Uid("wang"), 2, 2000)), ErrorCode::conflict);
  must(identities_.remove(Uid("wang"), 1, 2000));
  must(identities_.remove(Uid("wang"), 1, 2000));
  EXPECT_EQ(refusal(identities_.remove(Uid("wang"), 3, 2000)), ErrorCode::not_found);
  EXPECT_EQ(refusal(identities_.find(Uid("wang"))), ErrorCode::not_found);
  const IdentityRecord again = must(identities_.create(person("wang"), 3000));
  EXPECT_EQ(again.version, 2);
  EXPECT_EQ(again.epoch, 2) << "a token of before is of an epoch that is over";
  EXPECT_EQ(ended_.back(), (std::pair<std::string, std::int64_t>{"wang", 2}));
}

TEST_F(RegisterTest, AnExportComesBackByImportAndAgainChangesNothing) {
  must(identities_.create(person("wang"), 1000));
  must(identities_.create(terminal("A", "+8655110000001"), 1000));
  std::string lines;
  for (const IdentityRecord& one : must(identities_.list({}, "", 10))) lines += to_line(one);
  const auto records = must(read_lines(lines));
  EXPECT_EQ(must(identities_.import(records, 2000)), 0);
  must(identities_.remove(Uid("wang"), 1, 3000));
  EXPECT_EQ(must(identities_.import(records, 4000)), 1);
  EXPECT_EQ(must(identities_.import(records, 4000)), 0);
}

TEST_F(RegisterTest, AnImportIsAllOrNothing) {
  must(identities_.create(terminal("A", "+8655110000001"), 1000));
  EXPECT_EQ(refusal(identities_.import({person("wang"), terminal("B", "+8655110000001")}, 2000)), ErrorCode::conflict);
  EXPECT_EQ(refusal(identities_.find(Uid("wang"))), ErrorCode::not_found);
  IdentityRecord suspended = terminal("A", "+8655110000001");
  suspended.standing = Standing::suspended;
  EXPECT_EQ(must(identities_.import({suspended}, 2000)), 1);
  EXPECT_EQ(ended_.size(), 1U) << "an import that suspends ends the epoch";
}

TEST_F(RegisterTest, TheListGoesByPagesAndFilters) {
  for (const char* uid : {"d", "b", "c", "a"}) must(identities_.create(person(uid), 1000));
  must(identities_.create(terminal("T", "+8655110000001"), 1000));
  const auto uids = [&](const IdentityFilter& filter, const std::string& after, std::int64_t limit) {
    std::string out;
    for (const IdentityRecord& one : must(identities_.list(filter, after, limit))) out += one.uid.text();
    return out;
  };
  EXPECT_EQ(uids({.of = IdentityClass::person}, "", 2), "ab");
  EXPECT_EQ(uids({.of = IdentityClass::person}, "b", 9), "cd");
  EXPECT_EQ(uids({.of = IdentityClass::terminal}, "", 9), "T");
  EXPECT_EQ(uids({.domain = "z"}, "", 9), "");
}

TEST(IdentityRecordTest, IsReadStrictlyAndEachClassHasItsMembers) {
  const auto refused = [](const char* text) {
    const auto json = wire::Json::parse(std::string_view(text));
    return !json || !read_identity(*json);
  };
  EXPECT_FALSE(refused(R"({"uid":"w","class":"person","domain":"a","name":"王力"})"));
  EXPECT_TRUE(refused(R"({"uid":"w","class":"robot","domain":"a"})"));
  EXPECT_TRUE(refused(R"({"uid":"w","class":"person","domain":"a","secret":"x"})"));
  EXPECT_TRUE(refused(R"({"uid":"w w","class":"person","domain":"a"})"));
  EXPECT_TRUE(refused(R"({"uid":"w","class":"person","domain":"A"})"));
  EXPECT_TRUE(refused(R"({"uid":"w","class":"person","domain":"a","name":"line\nbreak"})"));
  EXPECT_TRUE(refused(R"({"uid":"T","class":"terminal","domain":"a"})")) << "no number, KMS and uri";
  EXPECT_TRUE(refused(R"({"uid":"T","class":"terminal","domain":"a","number":"+86123","home_kms":"kms-a","uri":"qanat://b/app1/T"})"));
  EXPECT_TRUE(refused(R"({"uid":"T","class":"terminal","domain":"a","number":"+86123","home_kms":"kms-a","uri":"qanat://a/kms/T"})"));
  EXPECT_TRUE(refused(R"({"uid":"p","class":"person","domain":"a","uri":"qanat://a/kms/p"})")) << "a person has no element's certificate";
  EXPECT_TRUE(refused(R"({"uid":"p","class":"person","domain":"a","certificates":["abcd"]})"));
}

TEST(ImportLinesTest, AFailureNamesItsLine) {
  const auto failed = read_lines("{\"uid\":\"a\",\"class\":\"person\",\"domain\":\"a\"}\n\nnot json\n");
  ASSERT_FALSE(failed);
  EXPECT_TRUE(failed.error().message.starts_with("line 3")) << failed.error().message;
  EXPECT_EQ(must(read_lines("{\"uid\":\"a\",\"class\":\"person\",\"domain\":\"a\"}\r\n")).size(), 1U);
  EXPECT_FALSE(read_lines(std::string(import_line_max + 1, ' ') + "\n"));
}

TEST(MigrationTest, SubscribersOfTheFirstSchemaAreTerminalsOfTheSecond) {
  test::TemporaryDirectory folder;
  {
    const auto old = must(store::Store::open(folder / "iam.db", std::span(migrations).first(1)));
    must(old->transact([](store::Transaction& transaction) {
      return transaction.run("INSERT INTO subscriber (uid, number, home_kms, domain, device, status, sealed_secret, used_for, created_ms) VALUES "
                             "('A', '+86123', 'kms-a', 'a', 'app1', 'suspended', x'01', x'02', 7)",
                             {});
    }));
  }
  const auto store = must(store::Store::open(folder / "iam.db", migrations));
  IdentityRegister identities(*store, [](store::Transaction&, const std::string&, std::int64_t) -> Result<void> { return {}; });
  const IdentityRecord found = must(identities.find(Uid("A")));
  EXPECT_EQ(found.of, IdentityClass::terminal);
  EXPECT_EQ(found.uri->uri(), "qanat://a/app1/A");
  EXPECT_EQ(found.standing, Standing::suspended);
  EXPECT_EQ(found.created_ms, 7U);
}

}  // namespace
}  // namespace qanat::iam
