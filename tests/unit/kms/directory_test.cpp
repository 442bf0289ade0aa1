// Ma-2 at the KMS: CMSP's directory, fetched, checked, kept.
#include "kms_directory.hpp"
#include "services/kms/schema.hpp"
#include "store_kinds.hpp"

namespace qanat::kms {
namespace {

class KeptDirectoryTest : public testing::Test {
 protected:
  KeptDirectoryTest()
      : cmsp_(network_),
        node_(open_kms_node(network_, {&cmsp_.element()}, [](const crypto::Certificate&, Deadline) -> Result<void> { return {}; })),
        senders_(*node_) {
    reopen();
  }
  /// As after a restart.
  void reopen() {
    directory_.reset();
    store_.reset();
    store_ = must(open_database(*node_));
    directory_ = std::make_unique<Directory>(*node_, *store_, senders_, 120'000);
  }
  Result<bool> fetch() { return directory_->fetch(test::soon()); }
  Result<Directory::Located> locate(const Number& caller, const Number& called, UnixMs now = SystemClock().now_ms()) {
    return directory_->locate(caller, called, now);
  }
  bool on_record(std::string_view text) { return test::audited(network_.state_of(kms_id), text); }
  static CmspOfDirectories::Pages two_pages() { return {{listed(number_of_alice, "alice", "kms-a")}, {listed(number_of_bob, "bob", "kms-b")}}; }

  test::TrustedNetwork network_;
  CmspOfDirectories cmsp_;
  std::unique_ptr<node::Node> node_;
  node::SenderDirectory senders_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<Directory> directory_;
};

TEST_F(KeptDirectoryTest, ALaterOneIsTakenWholeRecordedAndOutlivesARestart) {
  EXPECT_FALSE(must(fetch())) << "there is none";
  EXPECT_EQ(cmsp_.asked, "after=0");
  EXPECT_EQ(test::refusal(locate(number_of_alice, number_of_bob)), ErrorCode::unavailable);
  const auto head = cmsp_.offer(7, two_pages());
  EXPECT_TRUE(must(fetch()));
  EXPECT_EQ(cmsp_.pages_given, 2);
  EXPECT_TRUE(on_record("2 numbers until " + std::to_string(head.message.not_after_ms)));
  EXPECT_FALSE(must(fetch())) << "the same again";
  EXPECT_EQ(cmsp_.asked, "after=7");
  reopen();
  const auto found = must(locate(number_of_alice, number_of_bob));
  EXPECT_EQ(found.caller.uid, Uid("alice"));
  EXPECT_EQ(found.caller.kms, ElementName("kms-a"));
  EXPECT_EQ(found.called.uid, Uid("bob"));
  EXPECT_EQ(found.called.kms, ElementName("kms-b"));
  EXPECT_EQ(found.epoch, 7);
  EXPECT_EQ(found.hash, head.hash);
  wire::Json health = wire::Json::object();
  directory_->describe(health);
  EXPECT_EQ(must(must(health.object("directory")).integer("numbers")), 2);
}

TEST_F(KeptDirectoryTest, NeverGoesBackAlsoAfterARestart) {
  cmsp_.offer(7, two_pages());
  ASSERT_TRUE(must(fetch()));
  reopen();
  cmsp_.offer(6, {{listed(number_of_alice, "mallory", "kms-a")}});
  EXPECT_EQ(test::refusal(fetch()), ErrorCode::denied);
  EXPECT_TRUE(on_record("directory 6: is earlier than 7, which is kept"));
  cmsp_.offer(7, {{listed(number_of_alice, "mallory", "kms-a")}});
  EXPECT_EQ(test::refusal(fetch()), ErrorCode::denied);
  EXPECT_TRUE(on_record("directory 7: is not what was taken under that epoch"));
  EXPECT_EQ(must(locate(number_of_alice, number_of_bob)).caller.uid, Uid("alice"));
}

TEST_F(KeptDirectoryTest, WhatIsNotCmspsIsRefused) {
  const node::Credentials stranger = network_.credentials(identity("qanat://core/cmsp/other"));
  const auto foreign = cmsp_.sign(1, two_pages(), {}, *stranger.messages);
  cmsp_.give_envelope(node::enclose(*stranger.messages, foreign.octets));
  EXPECT_EQ(test::refusal(fetch()), ErrorCode::denied) << "another element's signature";
  cmsp_.give_envelope(node::enclose(cmsp_.signer(), foreign.octets));
  EXPECT_EQ(test::refusal(fetch()), ErrorCode::denied) << "under CMSP's certificates";
  Bytes altered = cmsp_.sign(1, two_pages(), {}, cmsp_.signer()).octets;
  altered[wire::header_size + 7] ^= 2;  // in the epoch
  cmsp_.give_envelope(node::enclose(cmsp_.signer(), altered));
  EXPECT_EQ(test::refusal(fetch()), ErrorCode::denied);
  cmsp_.offer(1, two_pages(), [&](wire::Directory& head) { head.fps = stranger.messages->fps; });
  EXPECT_EQ(test::refusal(fetch()), ErrorCode::denied) << "names other certificates";
  cmsp_.give_envelope(node::enclose(cmsp_.signer(), cmsp_.sign(1, two_pages(), {}, cmsp_.signer(), 2).octets));
  EXPECT_EQ(test::refusal(fetch()), ErrorCode::denied);
  EXPECT_TRUE(on_record("policy epoch 2 is not in force"));
  cmsp_.give_envelope(to_bytes("garbage"));
  EXPECT_EQ(test::refusal(fetch()), ErrorCode::invalid_argument);
  EXPECT_EQ(cmsp_.pages_given, 0);
  EXPECT_EQ(test::refusal(locate(number_of_alice, number_of_bob)), ErrorCode::unavailable);
}

TEST_F(KeptDirectoryTest, CountsInItsTimeAlone) {
  const UnixMs now = SystemClock().now_ms();
  cmsp_.offer(1, two_pages(), [&](wire::Directory& head) { head.not_after_ms = now - 1; head.not_before_ms = now - 1000; });
  EXPECT_EQ(test::refusal(fetch()), ErrorCode::denied);
  EXPECT_TRUE(on_record("directory 1: has expired"));
  cmsp_.offer(2, two_pages(), [&](wire::Directory& head) { head.not_before_ms = now + 600'000; });
  EXPECT_EQ(test::refusal(fetch()), ErrorCode::denied);
  cmsp_.offer(now + 600'000, two_pages());
  EXPECT_EQ(test::refusal(fetch()), ErrorCode::denied) << "it would keep all later ones out";
  EXPECT_TRUE(on_record("is of a time to come"));
  const auto head = cmsp_.offer(3, two_pages());
  ASSERT_TRUE(must(fetch()));
  const auto early = locate(number_of_alice, number_of_bob, head.message.not_before_ms - 1);
  EXPECT_EQ(test::refusal(early), ErrorCode::unavailable);
  EXPECT_EQ(early.error().message, "directory 3: is not valid yet");
  const auto late = locate(number_of_alice, number_of_bob, head.message.not_after_ms);
  EXPECT_EQ(test::refusal(late), ErrorCode::unavailable);
  EXPECT_EQ(late.error().message, "directory 3: has expired");
  EXPECT_TRUE(locate(number_of_alice, number_of_bob, head.message.not_after_ms - 1));
}

TEST_F(KeptDirectoryTest, NumbersThatItDoesNotHaveAreUnknown) {
  cmsp_.offer(1, two_pages());
  ASSERT_TRUE(must(fetch()));
  for (const char* number : {"+8613", "+86138000000010", "+8613900000001", "+999"}) {
    const auto found = locate(number_of_alice, Number(number));
    EXPECT_EQ(test::refusal(found), ErrorCode::not_found) << number;
    EXPECT_EQ(found.error().message, "directory 1: does not have " + std::string(number));
    EXPECT_EQ(test::refusal(locate(Number(number), number_of_bob)), ErrorCode::not_found) << number;
  }
  cmsp_.offer(2, {});
  ASSERT_TRUE(must(fetch())) << "nobody may call";
  EXPECT_EQ(test::refusal(locate(number_of_alice, number_of_bob)), ErrorCode::not_found);
}

TEST_F(KeptDirectoryTest, PagesAreThoseThatCmspSigned) {
  cmsp_.offer(1, two_pages());
  cmsp_.spoil_pages();
  EXPECT_FALSE(fetch());
  EXPECT_EQ(test::refusal(locate(number_of_alice, number_of_bob)), ErrorCode::unavailable) << "nothing is taken in part";
  cmsp_.offer(2, two_pages());
  ASSERT_TRUE(must(fetch()));
  // Another page that CMSP signed once, in the place of the one that it signs now: by the database's hand.
  const auto other = must(wire::frame(network_.suite(), 1, wire::DirectoryPage{.entries = {listed(number_of_alice, "mallory", "kms-a")}}));
  must(store_->transact([&](store::Transaction& transaction) {
    return transaction.run("UPDATE directory_page SET octets = ? WHERE place = 0", {ByteView(other.octets)});
  }));
  const auto found = locate(number_of_alice, number_of_bob);
  EXPECT_EQ(test::refusal(found), ErrorCode::internal);
  EXPECT_EQ(found.error().message, "directory 2: page 0 is not what CMSP signed");
}

TEST_F(KeptDirectoryTest, PagesThatAreHereAreNotFetchedAgain) {
  cmsp_.offer(1, two_pages());
  ASSERT_TRUE(must(fetch()));
  cmsp_.offer(2, {two_pages()[0], {listed(number_of_bob, "bob", "kms-c")}});
  ASSERT_TRUE(must(fetch()));
  EXPECT_EQ(cmsp_.pages_given, 3);
  EXPECT_EQ(must(locate(number_of_alice, number_of_bob)).called.kms, ElementName("kms-c"));
  std::int64_t pages = 0;
  must(store_->transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT count(*) FROM directory_page", {}, [&](const store::Row& row) { pages = row.integer(0); });
  }));
  EXPECT_EQ(pages, 2) << "those of the former one are gone";
}

TEST_F(KeptDirectoryTest, SilenceIsThisKmssOwnFinding) {
  const auto answered = directory_->check_silence(test::soon(), "0123456789abcdef");
  EXPECT_EQ(test::refusal(answered), ErrorCode::unavailable);
  EXPECT_TRUE(answered.error().message.contains("CMSP answers kms-a")) << answered.error().message;
  const auto in_haste = directory_->check_silence(Deadline::after(std::chrono::milliseconds(1)), "0123456789abcdef");
  EXPECT_EQ(test::refusal(in_haste), ErrorCode::deadline_exceeded) << "who is given no time to answer is not silent";
  cmsp_.fall_silent();
  EXPECT_TRUE(directory_->check_silence(test::soon(), "0123456789abcdef"));
  EXPECT_TRUE(is_silence(ErrorCode::unavailable) && is_silence(ErrorCode::deadline_exceeded));
  EXPECT_FALSE(is_silence(ErrorCode::unauthenticated)) << "somebody is there, and not CMSP";
  EXPECT_FALSE(is_silence(ErrorCode::denied));
}

class DirectoryStoresTest : public testing::TestWithParam<test::StoreKind> {
 protected:
  test::TrustedNetwork network_;
  test::TemporaryDirectory folder_;
  CmspOfDirectories cmsp_{network_};
  std::unique_ptr<node::Node> node_ = open_kms_node(network_, {&cmsp_.element()}, [](const crypto::Certificate&, Deadline) -> Result<void> { return {}; });
  node::SenderDirectory senders_{*node_};
  test::TestStores stores_{GetParam()};
  std::unique_ptr<store::Store> store_ = must(stores_.open(folder_ / "kms.db", migrations));
  Directory directory_{*node_, *store_, senders_, 120'000};
};
INSTANTIATE_TEST_SUITE_P(Stores, DirectoryStoresTest, test::every_store_kind, test::name_of);

TEST_P(DirectoryStoresTest, OneFollowsTheOtherAndEveryNumberIsFoundInItsPage) {
  CmspOfDirectories::Pages pages;
  std::vector<Number> numbers;
  numbers.reserve(15);
  for (int page = 0; page < 3; ++page) {
    auto& entries = pages.emplace_back();
    entries.reserve(5);
    for (int i = 0; i < 5; ++i) {
      numbers.emplace_back("+861" + std::to_string(page) + std::to_string(i) + "0");
      entries.push_back(listed(numbers.back(), "somebody", "kms-b"));
    }
  }
  cmsp_.offer(1, pages);
  ASSERT_TRUE(must(directory_.fetch(test::soon())));
  pages[1][2].kms = ElementName("kms-c");
  cmsp_.offer(2, pages);
  ASSERT_TRUE(must(directory_.fetch(test::soon())));
  EXPECT_EQ(cmsp_.pages_given, 4);
  EXPECT_FALSE(must(directory_.fetch(test::soon())));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const auto found = must(directory_.locate(numbers[i], numbers.front(), SystemClock().now_ms()));
    EXPECT_EQ(found.caller.kms, ElementName(i == 7 ? "kms-c" : "kms-b")) << numbers[i].text();
    EXPECT_EQ(found.epoch, 2);
  }
  EXPECT_EQ(test::refusal(directory_.locate(Number("+861005"), numbers.front(), SystemClock().now_ms())), ErrorCode::not_found);
  cmsp_.offer(1, pages);
  EXPECT_EQ(test::refusal(directory_.fetch(test::soon())), ErrorCode::denied);
}

}  // namespace
}  // namespace qanat::kms
