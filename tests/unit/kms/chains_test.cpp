// Another KMS asks for its next connection (Km-2): the quantum key that it names is fetched from this domain's QKM, once, and is the one that was named.
#include "services/kms/kma/chains.hpp"

#include "kms_core.hpp"

namespace qanat::kms {
namespace {

using test::refusal;

const Identity chains_far = identity("qanat://b/kms/kms-b");
const Identity chains_qkm = identity("qanat://a/qkm/qkm-a");

class KmsChainsTest : public testing::Test {
 protected:
  KmsChainsTest()
      : far_(network_.credentials(chains_far)),
        qkm_(network_, chains_qkm, {{Endpoint::km3_fetch, [this](const net::Request& request) { return keys(request); }}}),
        node_(open_kms_node(network_, {&qkm_}, [](const crypto::Certificate&, Deadline) -> Result<void> { return {}; })),
        chains_(*node_, settings_, must(crypto::SiteKey::read(site_key_))) {}
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
      const Bytes wrapped = site_key.wrap(concat({as_bytes("km-3"), id.view()}), Secret::copy_of(Bytes(32, 7)), network_.rng());
      out.push(wire::Json::object({{"key_id", id.hex()}, {"key", wire::to_base64(wrapped)}}));
    }
    return node::json_response(wire::Json::object({{"keys", std::move(out)}}));
  }
  /// kms-b asks, by a connection that its certificate authenticated.
  Result<net::Response> ask(const KeyId& root, std::size_t salt = 16) {
    net::Request request = test::json_request(
        chains_far, wire::Json::object({{"session", network_.rng().id<SidWk>().hex()}, {"key_id", root.hex()}, {"salt", to_hex(network_.rng().bytes(salt))}}));
    request.peer.certificate = far_.messages->ml_dsa;
    request.peer.exporter = std::make_shared<const Secret>(Secret::copy_of(Bytes(net::chain_exporter_size, 9)));
    return chains_.answer(request);
  }
  KeyId root() { return network_.rng().id<KeyId>(); }

  test::TrustedNetwork network_;
  test::TemporaryDirectory folder_;
  const std::filesystem::path site_key_ = write_site_key(folder_ / "");
  KmsSettings settings_;
  std::vector<KeyId> answers_;
  std::vector<KeyId> fetched_;
  node::Credentials far_;
  Double qkm_;
  std::unique_ptr<node::Node> node_;
  Chains chains_;
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
