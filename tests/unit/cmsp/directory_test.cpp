// What CMSP gives the KMSs for the time in which it does not answer.
#include "services/cmsp/cam/directory.hpp"

#include "node/senders.hpp"
#include "services/cmsp/schema.hpp"
#include "services/cmsp/service.hpp"
#include "trusted_network.hpp"
#include "wire/qfc2.hpp"

namespace qanat::cmsp {
namespace {

using points::Endpoint;
using test::json_of;
using test::json_request;
using test::must;
using test::refusal;
using test::request_from;

const Identity giver = test::identity("qanat://core/cmsp/cmsp");
const Identity taker_a = test::identity("qanat://a/kms/kms-a");
const Identity taker_b = test::identity("qanat://b/kms/kms-b");
const Identity directory_operator = test::identity("qanat://core/operator/op");

class CmspDirectoryTest : public testing::Test {
 protected:
  CmspDirectoryTest() : node_(network_.open_node(giver, {taker_a, taker_b})) { reopen(); }
  void reopen() {
    service_.reset();
    service_ = must(CmspService::open(*node_, [](const ElementName&, ByteView, const net::Request&) -> Result<void> { return {}; }));
  }
  Result<net::Response> call(Endpoint endpoint, const net::Request& request) { return test::handler_of(service_->handlers(), endpoint)(request); }
  void account(const char* number, const char* uid, const char* kms, const char* service) {
    const wire::Json body = wire::Json::object({{"number", number}, {"uid", uid}, {"kms", kms}, {"service", service}});
    json_of(call(Endpoint::x5_account, json_request(directory_operator, body)));
  }
  void registered(const Identity& at, const char* number, const char* uid) {
    json_of(call(Endpoint::ma2_register, json_request(at, wire::Json::object({{"uid", uid}, {"number", number}}))));
  }
  void open_account(const char* number, const char* uid, const Identity& kms) {
    account(number, uid, kms.name.c_str(), "open");
    registered(kms, number, uid);
  }
  Result<net::Response> ask(Endpoint endpoint, const std::string& query, const Identity& who = taker_a) {
    net::Request request = request_from(who, {});
    request.query = query;
    return call(endpoint, request);
  }
  Result<net::Response> ask(const std::string& query, const Identity& who = taker_a) { return ask(Endpoint::ma2_directory, query, who); }
  wire::Framed<wire::Directory> opened(ByteView octets) { return opened(octets, *node_); }
  wire::Framed<wire::Directory> opened(ByteView octets, node::Node& by) {
    const wire::Envelope envelope = must(wire::parse_envelope(octets, wire::message_size_max));
    const auto own = by.signer();
    EXPECT_EQ(envelope.classical, own->classical.der());
    auto head = must(wire::parse<wire::Directory>(envelope.message));
    test::must(wire::verify(head, must(crypto::Verifier::from_key(network_.suite(), own->signer.verifying_key())), own->fps));
    EXPECT_EQ(head.message.fps, own->fps);
    return head;
  }
  std::vector<wire::DirectoryEntry> entries(const wire::Directory& head) {
    std::vector<wire::DirectoryEntry> out;
    for (const Bytes& hash : head.pages) {
      const auto page = must(wire::parse<wire::DirectoryPage>(must(ask(Endpoint::ma2_directory_page, "hash=" + to_hex(hash))).body));
      EXPECT_EQ(page.hash, hash);
      out.insert(out.end(), page.message.entries.begin(), page.message.entries.end());
    }
    return out;
  }

  test::TrustedNetwork network_;
  std::unique_ptr<node::Node> node_;
  std::unique_ptr<CmspService> service_;
};

TEST_F(CmspDirectoryTest, HasWhoMayCallAndBeCalledSignedForADay) {
  open_account("+8613900000002", "bob", taker_b);
  open_account("+8613800000001", "alice", taker_a);
  account("+8613800000003", "carol", "kms-a", "closed");
  registered(taker_a, "+8613800000003", "carol");
  account("+8613800000004", "dave", "kms-a", "open");  // never registered
  const auto head = opened(must(ask("after=0")).body);
  EXPECT_EQ(head.message.not_after_ms - head.message.not_before_ms, wire::directory_life_max_ms);
  EXPECT_EQ(head.message.entries, 2U);
  EXPECT_EQ(entries(head.message), (std::vector<wire::DirectoryEntry>{{.number = Number("+8613800000001"), .uid = Uid("alice"), .kms = ElementName("kms-a")},
                                                                       {.number = Number("+8613900000002"), .uid = Uid("bob"), .kms = ElementName("kms-b")}}));
  EXPECT_TRUE(test::audited(network_.state_of(giver), "2 numbers, digest " + to_hex(head.hash)));
  EXPECT_EQ(must(ask("after=" + std::to_string(head.message.epoch))).status, 204U) << "the KMS has it";
  EXPECT_EQ(must(ask("")).status, 204U) << "a KMS asks whether CMSP is there";
}

TEST_F(CmspDirectoryTest, AChangeIsInTheNextOneWhichIsLater) {
  open_account("+8613800000001", "alice", taker_a);
  const auto first = opened(must(ask("after=0")).body);
  account("+8613800000001", "alice", "kms-a", "closed");
  const Deadline until = Deadline::after(std::chrono::seconds(20));
  net::Response answer;
  do {
    answer = must(ask("after=" + std::to_string(first.message.epoch)));
  } while (answer.status == 204 && !until.passed());
  ASSERT_EQ(answer.status, 200U);
  const auto second = opened(answer.body);
  EXPECT_GT(second.message.epoch, first.message.epoch);
  EXPECT_EQ(second.message.entries, 0U);
  EXPECT_TRUE(second.message.pages.empty());
  EXPECT_EQ(refusal(ask(Endpoint::ma2_directory_page, "hash=" + to_hex(first.message.pages[0]))), ErrorCode::not_found) << "of the former one";
}

TEST_F(CmspDirectoryTest, AfterARestartItIsLaterThanBefore) {
  open_account("+8613800000001", "alice", taker_a);
  const auto before = opened(must(ask("after=0")).body);
  const SystemClock clock;
  while (clock.now_ms() <= before.message.epoch) {
  }
  reopen();
  const auto after = opened(must(ask("after=" + std::to_string(before.message.epoch))).body);
  EXPECT_GT(after.message.epoch, before.message.epoch);
  EXPECT_EQ(after.message.pages, before.message.pages) << "which no KMS has to fetch again";
}

TEST_F(CmspDirectoryTest, OthersThanTheNetworksKmssAndOtherQuestionsAreRefused) {
  const Identity stranger = test::identity("qanat://evil/kms/kms-a");
  EXPECT_EQ(refusal(ask("after=0", stranger)), ErrorCode::denied);
  EXPECT_EQ(refusal(ask("", stranger)), ErrorCode::denied);
  EXPECT_EQ(refusal(ask(Endpoint::ma2_directory_page, "hash=" + std::string(64, '0'), stranger)), ErrorCode::denied);
  for (const char* query : {"after=", "after=-1", "after=1x", "before=1"}) EXPECT_EQ(refusal(ask(query)), ErrorCode::invalid_argument) << query;
  for (const std::string& query : {std::string(), std::string("hash="), "hash=" + std::string(62, '0'), "hash=" + std::string(64, 'g'), std::string(64, '0')})
    EXPECT_EQ(refusal(ask(Endpoint::ma2_directory_page, query)), ErrorCode::invalid_argument) << query;
  EXPECT_EQ(refusal(ask(Endpoint::ma2_directory_page, "hash=" + std::string(64, '0'))), ErrorCode::not_found);
  EXPECT_TRUE(test::audited(network_.state_of(giver), "is no KMS of this network"));
}

TEST_F(CmspDirectoryTest, ManyNumbersAreInPagesThatFollowEachOther) {
  constexpr std::int64_t many = 4000;
  test::TemporaryDirectory folder;
  const auto store = must(store::Store::open(folder / "cmsp.db", migrations));
  must(store->transact([&](store::Transaction& transaction) -> Result<void> {
    for (std::int64_t i = 0; i < many; ++i) {
      const std::string number = "+86" + std::to_string(13800000000 + i);
      const std::string uid = std::to_string(i) + std::string(50, 'u');
      TRY(transaction.run("INSERT INTO account (number, uid, kms, service) VALUES (?, ?, 'kms-a', 'open')", {std::string_view(number), std::string_view(uid)}));
      TRY(transaction.run("INSERT INTO registration (number, kms, registered_ms) VALUES (?, 'kms-a', 1)", {std::string_view(number)}));
    }
    return {};
  }));
  Accounts accounts(*store);
  Directory directory(*node_, accounts);
  net::Request request = request_from(taker_a, {});
  request.query = "after=0";
  const auto head = opened(must(directory.give(request)).body);
  EXPECT_EQ(head.message.entries, static_cast<std::uint64_t>(many));
  EXPECT_GT(head.message.pages.size(), 1U);
  Number last;
  std::int64_t seen = 0;
  for (const Bytes& hash : head.message.pages) {
    request.query = "hash=" + to_hex(hash);
    const auto page = must(wire::parse<wire::DirectoryPage>(must(directory.page(request)).body));
    EXPECT_LE(page.header.body_len, wire::body_size_max);
    EXPECT_GT(page.message.entries.front().number, last);
    last = page.message.entries.back().number;
    seen += std::ssize(page.message.entries);
  }
  EXPECT_EQ(seen, many);
}

}  // namespace
}  // namespace qanat::cmsp
