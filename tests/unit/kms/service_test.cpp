// The KMS as a whole, as far as it goes without other elements.
#include "services/kms/service.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "kms_core.hpp"
#include "services/kms/kim/successions.hpp"

namespace qanat::kms {
namespace {

const Identity kms_a = identity("qanat://a/kms/kms-a");
const Identity terminal_a = identity("qanat://a/app1/A");

class KmsServiceTest : public testing::Test {
 protected:
  KmsSettings settings() {
    const std::filesystem::path site_key = folder_ / "site.key";
    std::ofstream(site_key) << std::string(64, 'a');
    std::filesystem::permissions(site_key, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    KmsSettings out;
    out.site_key = site_key;
    return out;
  }
  test::TemporaryDirectory folder_;
};

TEST_F(KmsServiceTest, ProfileV1IsRefusedUnlessItIsSwitchedOn) {
  test::TrustedNetwork network;
  const auto node = network.open_node(kms_a, {});
  const auto service = must(KmsService::open(*node, settings()));
  const auto answer = test::handler_of(service->handlers(), Endpoint::km1_application_v1)(test::request_from(terminal_a, to_bytes("anything")));
  EXPECT_EQ(test::refusal(answer), ErrorCode::denied);
  EXPECT_EQ(answer.error().message, "profile v1 is off");
  EXPECT_TRUE(test::audited(network.state_of(kms_a), "profile v1 is off"));
  EXPECT_TRUE(test::audited(network.state_of(kms_a), terminal_a.uri()));
}

TEST_F(KmsServiceTest, ProfileV1SwitchedOnReadsTheMessage) {
  test::TrustedNetwork network;
  const auto node = network.open_node(kms_a, {});
  KmsSettings with_v1 = settings();
  with_v1.profile_v1 = true;
  const auto service = must(KmsService::open(*node, std::move(with_v1)));
  const auto answer = test::handler_of(service->handlers(), Endpoint::km1_application_v1)(test::request_from(terminal_a, to_bytes("anything")));
  EXPECT_EQ(test::refusal(answer), ErrorCode::invalid_argument);
  EXPECT_TRUE(test::audited(network.state_of(kms_a), "km-1.application_v1"));
}

TEST_F(KmsServiceTest, ThereIsNoProfileV1InTheInternationalSuite) {
  test::TrustedNetwork network(crypto::SuiteId::intl_hybrid);
  const auto node = network.open_node(kms_a, {});
  EXPECT_TRUE(KmsService::open(*node, settings()));
  KmsSettings with_v1 = settings();
  with_v1.profile_v1 = true;
  const auto service = KmsService::open(*node, std::move(with_v1));
  EXPECT_EQ(test::refusal(service), ErrorCode::invalid_argument);
  EXPECT_NE(service.error().message.find("kms.profile_v1"), std::string::npos) << service.error().message;
}

TEST_F(KmsServiceTest, TerminalLearnsWhatFollowedTheCertificatesThatItKeepsTo) {
  test::TrustedNetwork network;
  const auto node = network.open_node_without_credentials(kms_a, {});
  node::Credentials second = network.credentials(kms_a);
  const node::Credentials first = network.credentials(kms_a);
  const auto link = must(wire::make_succession(network.suite(), first.messages->fps, second.messages->classical.der(), second.messages->ml_dsa.der(),
                                               first.messages->signer, network.rng()));
  second.successions = std::make_shared<const std::vector<wire::Succession>>(std::vector{link});
  node->use_credentials(second, [](const crypto::Certificate&, Deadline) -> Result<void> { return {}; });
  const auto service = must(KmsService::open(*node, settings()));
  const auto ask = [&](const std::string& query) -> Result<std::vector<wire::Succession>> {
    net::Request request = test::request_from(terminal_a, {});
    request.query = query;
    ASSIGN_OR_RETURN(const net::Response answer, test::handler_of(service->handlers(), Endpoint::km1_certificates)(request));
    return wire::parse_successions(network.suite(), answer.body);
  };
  EXPECT_EQ(must(ask("since=" + to_hex(first.messages->fps.pq))), std::vector{link});
  EXPECT_TRUE(must(ask("since=" + to_hex(second.messages->fps.pq))).empty());
  EXPECT_EQ(test::refusal(ask("since=" + to_hex(Bytes(network.suite().digest, 7)))), ErrorCode::not_found);
  const std::string kept = "kms=" + to_hex(first.messages->fps.pq);
  for (const std::string_view query : {"", "since=", "since=00", "since=zz", kept.c_str()})
    EXPECT_EQ(test::refusal(ask(std::string(query))), ErrorCode::invalid_argument) << query;
}

TEST_F(KmsServiceTest, DeliveryThatTheTerminalCouldNotCheckIsRefusedBeforeAKeyIsSpent) {
  test::TrustedNetwork network;
  const auto node = network.open_node(kms_a, {});
  const std::shared_ptr<const node::MessageSigner> own = node->signer();
  net::Request request = test::request_from(terminal_a, {});
  EXPECT_TRUE(check_kept(request, *own)) << "a terminal that does not say";
  request.query = "kms=" + to_hex(own->fps.pq);
  EXPECT_TRUE(check_kept(request, *own));
  request.query = "kms=" + to_hex(own->fps.classical);
  EXPECT_EQ(test::refusal(check_kept(request, *own)), ErrorCode::unavailable) << "worth another attempt";
  request.query = "kms=00";
  EXPECT_EQ(test::refusal(check_kept(request, *own)), ErrorCode::invalid_argument);
}

std::string serial_of(const node::Node& node) { return to_hex(node.credentials().tls->chain.front().serial()); }

TEST_F(KmsServiceTest, AfterARenewalItsPeersAndItsCallersSeeTheNewCertificate) {
  test::TrustedNetwork network;
  const Identity iam_id = identity("qanat://core/iam/iam");
  Double iam(network, iam_id, {{Endpoint::id1_subscriber, [](const net::Request& request) -> Result<net::Response> {
                                  return node::json_response(wire::Json::object({{"serial", to_hex(request.peer.certificate->serial())}}));
                                }}});
  const auto node = open_kms_node(network, {&iam}, [](const crypto::Certificate&, Deadline) -> Result<void> { return {}; });
  node->renew_by([&](Deadline) -> Result<node::Credentials> { return network.credentials(kms_a); });
  must(node->serve({}));
  const auto seen_by_peer = [&] {
    const wire::Json question = wire::Json::object({{"uid", "A"}});
    return must(must(node->call_json(Endpoint::id1_subscriber, "iam", question, test::soon(), node->new_request_id())).text("serial"));
  };
  const auto caller = network.credentials(iam_id).tls;
  const auto trust = must(node::read_trust(network.trust()));
  const auto seen_by_caller = [&] {
    std::string out;
    const auto client = net::Client::create({.host = "127.0.0.1", .port = node->port(), .expected = kms_a}, caller, trust,
                                            [&](const crypto::Certificate& shown, Deadline) -> Result<void> {
                                              out = to_hex(shown.serial());
                                              return {};
                                            });
    static_cast<void>(client->call({.method = "GET", .path = "/", .query = "", .content_type = "", .body = {}, .request_id = ""}, test::soon()));
    return out;
  };
  const std::string former = serial_of(*node);
  EXPECT_EQ(seen_by_peer(), former);
  EXPECT_EQ(seen_by_caller(), former);
  must(node->renew(test::soon()));
  EXPECT_NE(serial_of(*node), former);
  EXPECT_EQ(seen_by_peer(), serial_of(*node));
  EXPECT_EQ(seen_by_caller(), serial_of(*node));
}

TEST_F(KmsServiceTest, AfterARenewalItAsksForStatusWithTheNewCertificate) {
  test::TrustedNetwork network;
  std::mutex mutex;
  std::string seen;
  Double cas(network, identity("qanat://core/cas/cas"), {{Endpoint::cq1_status, [&](const net::Request& request) -> Result<net::Response> {
                                                            const std::lock_guard lock(mutex);
                                                            seen = to_hex(request.peer.certificate->serial());
                                                            return fail(ErrorCode::unavailable, "no status");
                                                          }}});
  node::Settings settings = open_kms_node(network, {&cas}, {})->settings();
  const auto node = must(node::Node::open(std::move(settings)));
  must(node->install_credentials(network.credentials(kms_a)));
  node->renew_by([&](Deadline) -> Result<node::Credentials> { return network.credentials(kms_a); });
  const auto seen_by_cas = [&] {
    EXPECT_EQ(test::refusal(node->check_status(node->credentials().tls->chain.front(), test::soon())), ErrorCode::unavailable);
    const std::lock_guard lock(mutex);
    return seen;
  };
  const std::string former = serial_of(*node);
  EXPECT_EQ(seen_by_cas(), former);
  must(node->renew(test::soon()));
  EXPECT_NE(serial_of(*node), former);
  EXPECT_EQ(seen_by_cas(), serial_of(*node));
}

TEST_F(KmsServiceTest, NoQuantumKeysAreDrawnAheadForADomainThatNoCallTakesThemFor) {
  test::TrustedNetwork network;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> drawn_for;
  Double qkm(network, identity("qanat://a/qkm/qkm-a"), {{Endpoint::km3_take, [&](const net::Request& request) -> Result<net::Response> {
                                                           ASSIGN_OR_RETURN(const wire::Json asked, wire::Json::parse(request.body));
                                                           ASSIGN_OR_RETURN(const std::string domain, asked.text("peer_domain"));
                                                           {
                                                             const std::lock_guard lock(mutex);
                                                             drawn_for.push_back(domain);
                                                           }
                                                           changed.notify_all();
                                                           return fail(ErrorCode::unavailable, "no keys");
                                                         }}});
  const Double kms_b(network, identity("qanat://b/kms/kms-b"), {});
  const Double kms_c(network, identity("qanat://c/kms/kms-c"), {});
  const auto node = open_kms_node(network, {&qkm, &kms_b, &kms_c}, [](const crypto::Certificate&, Deadline) -> Result<void> { return {}; });
  KmsSettings with_pool = settings();
  with_pool.quantum_pool_low = 1;
  with_pool.quantum_pool_high = 1;
  with_pool.policy.no_quantum_with = {"b"};
  with_pool.km3_chain.reset();
  const auto service = must(KmsService::open(*node, std::move(with_pool)));
  service->start();
  {
    std::unique_lock lock(mutex);
    EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(20), [&] { return std::ranges::count(drawn_for, "c") > 0; }));
    EXPECT_EQ(std::ranges::count(drawn_for, "b"), 0) << "which comes before the other";
  }
  service->stop();
}

TEST_F(KmsServiceTest, ThePoolLeavesTheStockThatIsKeptAtTheQkm) {
  test::TrustedNetwork network;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::pair<std::string, std::int64_t>> drawn;
  const auto take = [&](const net::Request& request) -> Result<net::Response> {
    ASSIGN_OR_RETURN(const wire::Json asked, wire::Json::parse(request.body));
    ASSIGN_OR_RETURN(const std::string domain, asked.text("peer_domain"));
    ASSIGN_OR_RETURN(const std::int64_t count, asked.integer("count", 0, 64));
    {
      const std::lock_guard lock(mutex);
      drawn.emplace_back(domain, count);
    }
    changed.notify_all();
    return fail(ErrorCode::unavailable, "no keys");
  };
  const auto status = [](const net::Request&) -> Result<net::Response> {
    const wire::Json kept = wire::Json::object({{"domain", "b"}, {"stock", 11}});
    const wire::Json more = wire::Json::object({{"domain", "c"}, {"stock", 15}});
    return node::json_response(wire::Json::object({{"peers", wire::Json::array({kept, more})}}));
  };
  Double qkm(network, identity("qanat://a/qkm/qkm-a"), {{Endpoint::km3_take, take}, {Endpoint::km3_status, status}});
  const Double kms_b(network, identity("qanat://b/kms/kms-b"), {});
  const Double kms_c(network, identity("qanat://c/kms/kms-c"), {});
  const auto node = open_kms_node(network, {&qkm, &kms_b, &kms_c}, [](const crypto::Certificate&, Deadline) -> Result<void> { return {}; });
  KmsSettings with_pool = settings();
  with_pool.quantum_pool_low = 4;
  with_pool.quantum_pool_high = 4;
  with_pool.quantum_shares = 2;
  with_pool.policy.quantum_reserve = 10;
  with_pool.km3_chain.reset();
  const auto service = must(KmsService::open(*node, std::move(with_pool)));
  must(node->call(Endpoint::km3_status, "qkm-a", {}, test::soon(), node->new_request_id()));  // so that the QKM is connected to
  service->start();
  {
    std::unique_lock lock(mutex);
    ASSERT_TRUE(changed.wait_for(lock, std::chrono::seconds(20), [&] { return !drawn.empty(); }));
    EXPECT_EQ(drawn.front(), std::pair(std::string("c"), std::int64_t{4})) << "of the five that are not kept, what makes whole lots; b comes before it";
  }
  service->stop();
  EXPECT_TRUE(test::audited(network.state_of(kms_a), "pool, domain b"));
  EXPECT_TRUE(test::audited(network.state_of(kms_a), "what is left of the stock is for those who demand it"));
}

TEST_F(KmsServiceTest, DoesNotOpenWithoutItsSiteKey) {
  test::TrustedNetwork network;
  const auto node = network.open_node(kms_a, {});
  KmsSettings without = settings();
  without.site_key = folder_ / "none.key";
  EXPECT_FALSE(KmsService::open(*node, std::move(without)));
}

}  // namespace
}  // namespace qanat::kms
