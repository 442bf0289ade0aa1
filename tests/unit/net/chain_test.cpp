// Chained connections: who gets one, what its key depends on, and what is refused.
#include "net/chain.hpp"

#include <gtest/gtest.h>

#include "element.hpp"

namespace qanat::net::test {
namespace {

const Bytes an_identity(16, 0x1d);
Secret extra_of(std::uint8_t octet) { return Secret::copy_of(Bytes(32, octet)); }
Bytes octets_of(const Secret& secret) { return to_bytes(secret.reveal()); }
ChainContext a_context() {
  Bytes identity;
  for (std::uint8_t i = 0; i < 16; ++i) identity.push_back(i);
  return {.identity = identity, .client = Bytes(32, 0xc1), .server = Bytes(32, 0x5e), .policy_epoch = 7};
}

TEST(ChainKeyTest, IsTheKnownAnswer) {
  // tests/vectors/chain/generate.py
  EXPECT_EQ(to_hex(octets_of(chain_key(extra_of(0x11), extra_of(0x22), a_context()))),
            "e5f4b6540fce2849d72b41755f83de074f5d8aa44fa0c416e17cc43efed3339e57f7de099b8c93ca5d23de8b43ab081a");
}

TEST(ChainKeyTest, DependsOnBothSecretsAndOnAllOfTheContext) {
  const Bytes key = octets_of(chain_key(extra_of(1), extra_of(2), a_context()));
  EXPECT_NE(octets_of(chain_key(extra_of(3), extra_of(2), a_context())), key);
  EXPECT_NE(octets_of(chain_key(extra_of(1), extra_of(3), a_context())), key);
  const auto other = [&](auto change) {
    ChainContext context = a_context();
    change(context);
    EXPECT_NE(octets_of(chain_key(extra_of(1), extra_of(2), context)), key);
  };
  other([](ChainContext& context) { context.identity.push_back(0); });
  other([](ChainContext& context) { context.client.back() ^= 1; });
  other([](ChainContext& context) { context.server.back() ^= 1; });
  other([](ChainContext& context) { std::swap(context.client, context.server); });
  other([](ChainContext& context) { ++context.policy_epoch; });
}

class SettableTime final : public Clock {
 public:
  [[nodiscard]] UnixMs now_ms() const override { return now; }
  UnixMs now = 1'000'000;
};

ChainedKey a_key(Bytes identity = an_identity) { return {.identity = std::move(identity), .psk = Secret::copy_of(Bytes(chain_psk_size, 9))}; }

TEST(ChainedKeysTest, AKeyServesOnceAndForATime) {
  SettableTime clock;
  ChainedKeys keys(clock);
  const crypto::Certificate peer = pki().leaf(Kind::kms, "kms-a")->chain.front();
  ASSERT_TRUE(keys.expect(a_key(), peer));
  EXPECT_EQ(keys.expect(a_key(), peer).error().code, ErrorCode::conflict);
  ASSERT_TRUE(keys.find(an_identity));
  EXPECT_TRUE(keys.find(an_identity)) << "whoever only names it does not use it up";
  EXPECT_EQ(keys.find(an_identity)->peer.der(), peer.der());
  EXPECT_TRUE(keys.use(an_identity));
  EXPECT_FALSE(keys.use(an_identity));
  EXPECT_FALSE(keys.find(an_identity));
  ASSERT_TRUE(keys.expect(a_key(), peer));
  clock.now += static_cast<UnixMs>(chain_waiting_for.count());
  EXPECT_FALSE(keys.find(an_identity));
  EXPECT_FALSE(keys.use(an_identity));
}

TEST(ChainedKeysTest, KeysThatAreNoneAndTooManyAreRefused) {
  SettableTime clock;
  ChainedKeys keys(clock);
  const crypto::Certificate peer = pki().leaf(Kind::kms, "kms-a")->chain.front();
  EXPECT_EQ(keys.expect(a_key({}), peer).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(keys.expect(a_key(Bytes(chain_identity_max + 1, 1)), peer).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(keys.expect({.identity = an_identity, .psk = Secret(32)}, peer).error().code, ErrorCode::invalid_argument);
  for (std::size_t i = 0; i < chain_waiting_max; ++i) {
    ASSERT_TRUE(keys.expect(a_key({1, static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i)}), peer));
  }
  EXPECT_EQ(keys.expect(a_key(), peer).error().code, ErrorCode::exhausted);
  clock.now += static_cast<UnixMs>(chain_waiting_for.count());
  EXPECT_TRUE(keys.expect(a_key(), peer)) << "those whose time is over leave their place";
}

/// An element that chains by an extra secret of its own, and clients that know it or another.
class ChainTest : public testing::Test {
 protected:
  static constexpr std::uint8_t extra = 0x77;

  Route chain_route() {
    return {.point = "T-chain", .method = "POST", .path = "/chain", .callers = {Kind::kms}, .anonymous = false, .body_max = 64, .request_type = "text/plain",
            .answer = [this](const Request& request) -> Result<Response> {
              if (!request.peer.exporter) return fail(ErrorCode::invalid_argument, "only over a connection that is not chained itself");
              const Bytes identity = to_bytes(as_text(request.body));
              TRY(keys_.expect({.identity = identity,
                                .psk = chain_key(extra_of(extra), *request.peer.exporter, context_of(identity, *request.peer.certificate, server_->chain.front()))},
                               *request.peer.certificate));
              return text_response("");
            }};
  }
  static Route inner_route() {
    Route out = get_route("/inner", [](const Request& request) -> Result<Response> {
      return text_response(std::string(request.peer.chained ? "chained " : "") + (request.peer.exporter ? "exporter " : "") + request.peer.identity->uri());
    });
    out.chained = true;
    return out;
  }
  static ChainContext context_of(const Bytes& identity, const crypto::Certificate& client, const crypto::Certificate& server) {
    return {.identity = identity, .client = client.fingerprint(crypto::Hash::sha256), .server = server.fingerprint(crypto::Hash::sha256), .policy_epoch = 1};
  }
  /// Says `said` to the server, and proves a key of `proved`.
  ChainNext next(std::string said, std::string proved, std::uint8_t octet) {
    return [this, said, proved, octet](const ChainLink& link, Deadline deadline) -> Result<ChainedKey> {
      ++asked_;
      if (!said.empty()) {
        ASSIGN_OR_RETURN(const Response answer, link.ask(post("/chain", said), deadline));
        if (answer.status != 200) return fail(error_of(answer));
      }
      const Bytes identity = to_bytes(as_bytes(proved));
      return ChainedKey{.identity = identity, .psk = chain_key(extra_of(octet), link.exporter, context_of(identity, client_->chain.front(), link.server))};
    };
  }
  std::unique_ptr<Client> client(ChainNext next, ChainNeed need = ChainNeed::required, std::chrono::milliseconds age_max = Chaining().age_max) {
    auto out = element_.client(client_);
    out->chain({.next = std::move(next), .need = need, .age_max = age_max, .fallen_back = [this](const Error& why) { fallen_back_ = why.message; }});
    return out;
  }

  SystemClock clock_;
  ChainedKeys keys_{clock_};
  std::shared_ptr<const TlsIdentity> server_ = pki().leaf(Kind::qkm, "qkm-a");
  std::shared_ptr<const TlsIdentity> client_ = pki().leaf(Kind::kms, "kms-a");
  Element element_{{.routes = {chain_route(), inner_route(), plain_routes().back()}, .identity = server_, .chained = &keys_}};
  std::string fallen_back_;
  int asked_ = 0;
};

TEST_F(ChainTest, TheConnectionThatFollowsIsTheSamePeersAndTheOneThatServes) {
  const auto kms = client(next("k1", "k1", extra));
  const auto answer = kms->call(get("/inner"), soon());
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 200U);
  EXPECT_EQ(as_text(answer->body), "chained qanat://a/kms/kms-a");
  EXPECT_TRUE(kms->call(get("/inner"), soon()));
  EXPECT_EQ(asked_, 1) << "one key for one connection";
}

TEST_F(ChainTest, WhatIsForChainedConnectionsIsRefusedToOthers) {
  const auto answer = element_.client(client_)->call(get("/inner"), soon());
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 403U);
  EXPECT_TRUE(error_of(*answer).message.contains("over chained connections alone")) << error_of(*answer).message;
  element_.refusals.wait_for("over chained connections alone");
}

TEST_F(ChainTest, WhoeverLacksTheExtraSecretGetsNoConnection) {
  const auto kms = client(next("k1", "k1", extra + 1));
  const auto answer = kms->call(get("/inner"), soon());
  ASSERT_FALSE(answer);
  element_.refusals.wait_for("handshake");
  EXPECT_TRUE(keys_.find(to_bytes(as_bytes("k1")))) << "and burns nothing: who holds the secret still can";
}

TEST_F(ChainTest, AKeyThatTheServerDoesNotKnowIsNoConnection) {
  const auto never_said = client(next("", "k1", extra))->call(get("/inner"), soon());
  ASSERT_FALSE(never_said);
  EXPECT_EQ(never_said.error().code, ErrorCode::unauthenticated);
  EXPECT_TRUE(never_said.error().message.contains("does not know the chained key")) << never_said.error().message;
}

TEST_F(ChainTest, AKeyServesOneConnection) {
  const auto first = client(next("k1", "k1", extra));
  ASSERT_TRUE(first->call(get("/inner"), soon()));
  EXPECT_FALSE(client(next("", "k1", extra))->call(get("/inner"), soon())) << "used up";
}

TEST_F(ChainTest, WhereItIsOnlyPreferredTheConnectionBeforeServesAndThatIsSaid) {
  const auto kms = client([](const ChainLink&, Deadline) -> Result<ChainedKey> { return fail(ErrorCode::unavailable, "no quantum key"); }, ChainNeed::preferred);
  const auto answer = kms->call(get("/who"), soon());
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 200U);
  EXPECT_TRUE(fallen_back_.contains("no quantum key")) << fallen_back_;
  EXPECT_EQ(kms->call(get("/inner"), soon())->status, 403U) << "what needs one is refused";
}

TEST_F(ChainTest, WhenItIsOldItServesNoMoreAndOneUnderAnotherKeyDoes) {
  const auto kms = client(next("k1", "k1", extra), ChainNeed::required, milliseconds(0));
  for (int served = 1; served <= 3; ++served) {
    const auto answer = kms->call(get("/inner"), soon());
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(as_text(answer->body), "chained qanat://a/kms/kms-a");
    EXPECT_EQ(asked_, served) << "however busy it is";
  }
}

TEST_F(ChainTest, AConnectionThatHadToDoWithoutIsFollowedByAChainedOneWhenItIsOld) {
  bool there = false;
  const ChainNext chained = next("k1", "k1", extra);
  const auto sometimes = [&](const ChainLink& link, Deadline deadline) -> Result<ChainedKey> {
    if (!there) return fail(ErrorCode::unavailable, "no quantum key");
    return chained(link, deadline);
  };
  const auto kms = client(sometimes, ChainNeed::preferred, milliseconds(0));
  EXPECT_EQ(kms->call(get("/inner"), soon())->status, 403U);
  there = true;
  EXPECT_EQ(kms->call(get("/inner"), soon())->status, 200U);
}

TEST_F(ChainTest, ItEndsWithItsCertificateAsAnyConnection) {
  const auto kms = client(next("k1", "k1", extra));
  ASSERT_TRUE(kms->call(get("/inner"), soon()));
  element_.server->drop_peers([&](const crypto::Certificate& certificate) { return certificate.der() == client_->chain.front().der(); });
  element_.refusals.wait_for("its certificate is revoked");
}

}  // namespace
}  // namespace qanat::net::test
