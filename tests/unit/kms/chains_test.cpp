// Another KMS asks for its next connection (Km-2): the quantum key that it names is fetched from this domain's QKM, once, and is the one that was named.
#include "services/kms/kma/chains.hpp"

#include <array>
#include <atomic>
#include <barrier>
#include <map>
#include <set>
#include <thread>

#include "crypto/kdf.hpp"
#include "kms_core.hpp"
#include "net/client.hpp"
#include "services/kms/kma/agreement.hpp"
#include "services/kms/schema.hpp"

namespace qanat::kms {
namespace {

using test::refusal;

const Identity chains_far = identity("qanat://b/kms/kms-b");
const Identity chains_qkm = identity("qanat://a/qkm/qkm-a");

class KmsChainsTest : public testing::Test {
 protected:
  KmsChainsTest()
      : far_(network_.credentials(chains_far)),
        qkm_(network_, chains_qkm, {{Endpoint::km3_fetch, [this](const net::Request& request) { return keys(request); }},
                                    {Endpoint::km3_take, [this](const net::Request& request) { return taken(request); }},
                                    {Endpoint::km3_status, [this](const net::Request&) { return status(); }}}),
        far_kms_(network_, chains_far,
                 {{Endpoint::km2_chain,
                   [this](const net::Request&) -> Result<net::Response> {
                     ++far_asked_;
                     return net::Response{.status = 204, .content_type = "", .body = {}};
                   }},
                  {Endpoint::km2_confirm,
                   [](const net::Request&) -> Result<net::Response> { return net::Response{.status = 204, .content_type = "", .body = {}}; }}}),
        node_(open_kms_node(network_, {&qkm_, &far_kms_}, [](const crypto::Certificate&, Deadline) -> Result<void> { return {}; })),
        senders_(*node_) {
    open();
  }
  /// Begins anew under the settings.
  void open() {
    chains_.reset();
    agreement_ = std::make_unique<Agreement>(*node_, *store_, ledger_, senders_, trace_, errands_, settings_, must(crypto::SiteKey::read(site_key_)));
    chains_ = std::make_unique<Chains>(*node_, settings_, *agreement_, must(crypto::SiteKey::read(site_key_)));
  }
  /// The QKM's answer: the keys that were asked for, or those of answers_.
  Result<net::Response> keys(const net::Request& request) {
    const wire::Json asked = must(wire::Json::parse(request.body));
    std::vector<KeyId> ids = answers_;
    for (const wire::Json& id : must(asked.array("key_ids"))) {
      fetched_.push_back(must(KeyId::parse_hex(must(id.as_text()))));
      if (answers_.empty()) ids.push_back(fetched_.back());
    }
    const auto site_key = must(crypto::SiteKey::read(site_key_));
    wire::Json out = wire::Json::array();
    for (const KeyId& id : ids) {
      const Bytes wrapped = site_key.wrap(concat({as_bytes("km-3"), id.view()}), quantum_key(), network_.rng());
      out.push(wire::Json::object({{"key_id", id.hex()}, {"key", wire::to_base64(wrapped)}}));
    }
    return node::json_response(wire::Json::object({{"keys", std::move(out)}}));
  }
  /// Another key each time.
  Result<net::Response> taken(const net::Request&) {
    const std::lock_guard lock(mutex_);
    taken_.push_back(root());
    const Bytes wrapped = must(crypto::SiteKey::read(site_key_)).wrap(concat({as_bytes("km-3"), taken_.back().view()}), quantum_key(), network_.rng());
    const wire::Json key = wire::Json::object({{"path_id", std::string(2 * PathId::size, '1')},
                                               {"key_id", taken_.back().hex()},
                                               {"key", wire::to_base64(wrapped)},
                                               {"grade", "qkd"},
                                               {"relays", 1}});
    return node::json_response(wire::Json::object({{"keys", wire::Json::array({key})}}));
  }
  Result<net::Response> status() const {
    const wire::Json peer = wire::Json::object({{"domain", "b"}, {"stock", stock_.load()}});
    return node::json_response(wire::Json::object({{"peers", wire::Json::array({peer})}}));
  }
  /// Connects to a KMS of domain b, one of whose front ends answers: by whether it takes the root that is named.
  Result<net::ChainedKey> connect(const std::string& name, const std::function<bool(const KeyId&)>& takes) {
    if (taken_.empty()) must(ask(root()));  // so that the QKM is connected to: a root is waited for half a second alone
    return next_to(name, takes);
  }
  Result<net::ChainedKey> next_to(const std::string& name, const std::function<bool(const KeyId&)>& takes) {
    const Secret exporter = Secret::copy_of(Bytes(net::chain_exporter_size, 9));
    const net::ChainLink link{.exporter = exporter, .server = far_.messages->ml_dsa, .ask = [&](const net::Call& call, Deadline) -> Result<net::Response> {
                                const wire::Json asked = must(wire::Json::parse(call.body));
                                const bool known = takes(must(KeyId::parse_hex(must(asked.text("key_id")))));
                                return net::Response{.status = known ? 204U : 404U, .content_type = "", .body = {}};
                              }};
    return chains_->next_to_kms(name, "b", link, test::soon());
  }
  /// kms-b asks, by a connection that its certificate authenticated.
  Result<net::Response> ask(const KeyId& root, std::size_t salt = 16) {
    net::Request request = test::json_request(
        chains_far, wire::Json::object({{"session", network_.rng().id<SidWk>().hex()}, {"key_id", root.hex()}, {"salt", to_hex(network_.rng().bytes(salt))}}));
    request.peer.certificate = far_.messages->ml_dsa;
    request.peer.exporter = std::make_shared<const Secret>(Secret::copy_of(Bytes(net::chain_exporter_size, 9)));
    return chains_->answer(request);
  }
  /// What kms-b has from its own QKM makes of an identity (docs/protocol/chain.md).
  static Secret extra_for(ByteView identity) {
    const Secret prk = crypto::hkdf_extract(crypto::Hash::sha384, ByteView(), quantum_key());
    return crypto::hkdf_expand(crypto::Hash::sha384, prk, {as_bytes("QFCI-v2 chain root"), identity}, 32);
  }
  static Secret quantum_key() { return Secret::copy_of(Bytes(32, 7)); }
  static net::Call call_of(Endpoint endpoint, ByteView body) {
    const points::EndpointRow& row = points::row(endpoint);
    return {.method = std::string(row.method),
            .path = std::string(row.path),
            .query = "",
            .content_type = std::string(row.request_type),
            .body = body,
            .request_id = "0123456789abcdef"};
  }
  KeyId root() { return network_.rng().id<KeyId>(); }

  test::TrustedNetwork network_;
  test::TemporaryDirectory folder_;
  const std::filesystem::path site_key_ = write_site_key(folder_ / "");
  KmsSettings settings_;
  std::vector<KeyId> answers_;
  std::vector<KeyId> fetched_;
  std::mutex mutex_;
  std::vector<KeyId> taken_;  // under mutex_, while connections are made
  std::atomic<std::int64_t> stock_ = 0;  // as the QKM says
  node::Credentials far_;
  Double qkm_;
  std::atomic<int> far_asked_ = 0;
  Double far_kms_;  // takes every root, and chains nothing
  std::unique_ptr<node::Node> node_;
  node::SenderDirectory senders_;
  node::StepTrace trace_{network_.state_of(kms_id)};
  Errands errands_;  // not started
  std::unique_ptr<store::Store> store_ = must(store::Store::open(folder_ / "kms.db", migrations));
  Ledger ledger_{node_->device()};
  std::unique_ptr<Agreement> agreement_;
  std::unique_ptr<Chains> chains_;
};

TEST_F(KmsChainsTest, ARootIsFetchedOnceAndServesUnderItsOwnNameAlone) {
  const KeyId one = root();
  const KeyId other = root();
  EXPECT_EQ(must(ask(one)).status, 204);
  EXPECT_EQ(must(ask(one)).status, 204);
  EXPECT_EQ(fetched_, std::vector<KeyId>{one}) << "was kept";
  EXPECT_EQ(must(ask(other)).status, 204);
  EXPECT_EQ(fetched_, (std::vector<KeyId>{one, other}));
}

TEST_F(KmsChainsTest, TheNextConnectionIsUnderWhatTheRootGivesForItsIdentityAlone) {
  bool chained = false;
  must(node_->serve({{Endpoint::km2_chain, [this](const net::Request& request) { return chains_->answer(request); }},
                     {Endpoint::km2_confirm, [&chained](const net::Request& request) -> Result<net::Response> {
                        chained = request.peer.chained;
                        return net::Response{.status = 204, .content_type = "", .body = {}};
                      }}}));
  const KeyId named = root();
  const auto next = [&](const net::ChainLink& link, Deadline deadline) -> Result<net::ChainedKey> {
    const Bytes salt = network_.rng().bytes(16);
    const std::string question = wire::Json::object({{"session", network_.rng().id<SidWk>().hex()}, {"key_id", named.hex()}, {"salt", to_hex(salt)}}).dump();
    ASSIGN_OR_RETURN(const net::Response answer, link.ask(call_of(Endpoint::km2_chain, as_bytes(question)), deadline));
    EXPECT_EQ(answer.status, 204U);
    const Bytes identity = concat({named.view(), salt});
    const net::ChainContext context{.identity = identity,
                                    .client = far_.tls->chain.front().fingerprint(crypto::Hash::sha256),
                                    .server = link.server.fingerprint(crypto::Hash::sha256),
                                    .policy_epoch = node_->settings().policy_epoch};
    return net::ChainedKey{.identity = identity, .psk = net::chain_key(extra_for(identity), link.exporter, context)};
  };
  const auto far =
      net::Client::create({.host = "127.0.0.1", .port = node_->port(), .expected = kms_id}, far_.tls, must(node::read_trust(network_.trust())), {});
  far->chain({.next = next, .need = net::ChainNeed::required});
  const Bytes body{1};
  EXPECT_EQ(must(far->call(call_of(Endpoint::km2_confirm, body), test::soon())).status, 204U);
  EXPECT_TRUE(chained);
  node_->stop();
}

TEST_F(KmsChainsTest, AKmsOfTwoFrontEndsTakesOneRootForEachHoweverOftenTheyChange) {
  // Each fetches a key that the other has not fetched, as from their QKM, which gives it once.
  std::array<std::set<KeyId>, 2> fetched;
  for (std::size_t i = 0; i < 8; ++i) {
    std::set<KeyId>& own = fetched.at(i % 2);
    const std::set<KeyId>& others = fetched.at(1 - i % 2);
    must(connect("kms-b", [&](const KeyId& named) {
      if (!others.contains(named)) own.insert(named);
      return own.contains(named);
    }));
  }
  EXPECT_EQ(taken_.size(), 2U);
}

TEST_F(KmsChainsTest, AKmsThatSaysThatItKnowsNoRootDrainsNoStock) {
  must(connect("kms-b", [](const KeyId&) { return true; }));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(refusal(connect("kms-b", [](const KeyId&) { return false; })), i == 0 ? ErrorCode::not_found : ErrorCode::unavailable);
  EXPECT_EQ(taken_.size(), 2U);
  must(connect("kms-b", [&](const KeyId& named) { return named == taken_.front(); }));
  EXPECT_EQ(taken_.size(), 2U) << "the root that it knows again serves";
}

TEST_F(KmsChainsTest, ARootServesForItsTimeAlone) {
  const auto knows = [](const KeyId&) { return true; };
  for (int i = 0; i < 3; ++i) must(connect("kms-b", knows));
  EXPECT_EQ(taken_.size(), 1U);
  settings_.chain_refresh = std::chrono::milliseconds(0);
  for (int i = 0; i < 3; ++i) must(connect("kms-b2", knows));
  EXPECT_EQ(taken_.size(), 4U) << "each was over when it was taken";
}

TEST_F(KmsChainsTest, ConnectionsThatAreInUseAreRefreshedAsTheSettingsHaveIt) {
  settings_.km3_chain.reset();
  must(ask(root()));  // so that the QKM is connected to
  const Bytes body{1};
  for (const std::chrono::milliseconds refresh : {KmsSettings().chain_refresh, std::chrono::milliseconds(0)}) {
    settings_.chain_refresh = refresh;
    open();
    chains_->begin();
    taken_.clear();
    far_asked_ = 0;
    for (int i = 0; i < 3; ++i) must(node_->call(Endpoint::km2_confirm, "kms-b", body, test::soon(), node_->new_request_id()));
    EXPECT_EQ(far_asked_, refresh.count() == 0 ? 3 : 1);
    EXPECT_EQ(taken_.size(), refresh.count() == 0 ? 3U : 1U);
  }
}

TEST_F(KmsChainsTest, ConnectionsOfOneMomentComeUnderOneRoot) {
  must(ask(root()));  // so that the QKM is connected to
  std::atomic<int> connected = 0;
  std::barrier together(4);
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        together.arrive_and_wait();
        connected += next_to("kms-b", [](const KeyId&) { return true; }) ? 1 : 0;
      });
    }
  }
  EXPECT_EQ(connected, 4);
  EXPECT_EQ(taken_.size(), 1U);
}

TEST_F(KmsChainsTest, OfTheStockThatIsKeptARootIsTakenWhereChainsAreRequiredAlone) {
  const auto knows = [](const KeyId&) { return true; };
  settings_.policy.quantum_reserve = 10;
  open();
  stock_ = 10;
  EXPECT_EQ(refusal(connect("kms-b", knows)), ErrorCode::exhausted);
  EXPECT_EQ(taken_.size(), 0U);
  EXPECT_TRUE(test::audited(network_.state_of(kms_id), "chains, domain b"));
  EXPECT_TRUE(test::audited(network_.state_of(kms_id), "what is left of the stock is for those who demand it"));
  settings_.km2_chain = net::ChainNeed::required;
  open();
  must(connect("kms-b", knows));
  EXPECT_EQ(taken_.size(), 1U) << "without it no call that demands quantum keys would come to that domain";
  settings_.km2_chain = net::ChainNeed::preferred;
  open();
  stock_ = 11;
  must(connect("kms-b", knows));
  EXPECT_EQ(taken_.size(), 2U);
}

TEST_F(KmsChainsTest, ForADomainThatNoQuantumKeyLeadsToNoRootIsTaken) {
  settings_.policy.no_quantum_with = {"b"};
  for (const net::ChainNeed need : {net::ChainNeed::preferred, net::ChainNeed::required}) {
    settings_.km2_chain = need;
    open();
    const auto refused = connect("kms-b", [](const KeyId&) { return true; });
    EXPECT_EQ(refusal(refused), ErrorCode::unavailable);
    EXPECT_TRUE(refused.error().message.contains("the other domain has no quantum keys")) << refused.error().message;
  }
  EXPECT_EQ(taken_.size(), 0U);
}

TEST_F(KmsChainsTest, TwoKmssOfOneDomainHaveTheirOwnRoots) {
  std::map<std::string, std::set<KeyId>> named;
  for (int i = 0; i < 4; ++i) {
    const std::string name = i % 2 == 0 ? "kms-b" : "kms-b2";
    must(connect(name, [&](const KeyId& id) {
      named[name].insert(id);
      return true;
    }));
  }
  EXPECT_EQ(taken_.size(), 2U);
  EXPECT_EQ(named["kms-b"], std::set<KeyId>{taken_.at(0)});
  EXPECT_EQ(named["kms-b2"], std::set<KeyId>{taken_.at(1)});
}

TEST_F(KmsChainsTest, AQuantumKeyThatIsNotTheOneThatWasNamedIsNoRoot) {
  const KeyId named = root();
  answers_ = {root()};
  EXPECT_EQ(refusal(ask(named)), ErrorCode::internal) << "another";
  answers_ = {named, root()};
  EXPECT_EQ(refusal(ask(named)), ErrorCode::unavailable) << "and another one";
  answers_ = {named};
  EXPECT_EQ(must(ask(named)).status, 204);
}

TEST_F(KmsChainsTest, AQuestionThatIsNoneFetchesNoKey) {
  EXPECT_EQ(refusal(ask(root(), 15)), ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(ask(root(), 17)), ErrorCode::invalid_argument);
  EXPECT_TRUE(fetched_.empty());
}

}  // namespace
}  // namespace qanat::kms
