// Requests of ACME before they come to a resource: directory, nonces, signatures (RFC 8555 §6, §7.1, §7.2).
#include "acme_fixture.hpp"

namespace qanat::cas {
namespace {

TEST(AcmeNonceTest, IsGoodOnceAndForTheProcessThatGaveIt) {
  const auto rng = must(crypto::open_rng());
  Nonces nonces(*rng);
  const std::string nonce = nonces.give();
  Nonces after_restart(*rng);
  static_cast<void>(after_restart.give());
  EXPECT_FALSE(after_restart.spend(nonce)) << "a restart leaves none of them good";
  EXPECT_TRUE(nonces.spend(nonce));
  EXPECT_FALSE(nonces.spend(nonce));
  const std::string fresh = nonces.give();
  for (const std::size_t at : {std::size_t{0}, fresh.size() - 1}) {  // in its number, in its tag
    std::string changed = fresh;
    changed[at] = changed[at] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(nonces.spend(changed)) << at;
  }
  for (const std::string_view other : {"", "AAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "=", "\xff"}) EXPECT_FALSE(nonces.spend(other));
}

TEST(AcmeNonceTest, TheOldestEndWhenTooManyAreOutstanding) {
  const auto rng = must(crypto::open_rng());
  Nonces nonces(*rng, 4);
  const std::string first = nonces.give();
  const std::string second = nonces.give();
  EXPECT_TRUE(nonces.spend(second));
  const std::string third = nonces.give();
  static_cast<void>(nonces.give());
  const std::string fifth = nonces.give();
  EXPECT_FALSE(nonces.spend(first)) << "the fifth has its place";
  EXPECT_TRUE(nonces.spend(third));
  EXPECT_TRUE(nonces.spend(fifth));
  EXPECT_FALSE(nonces.spend(second));
  EXPECT_FALSE(nonces.spend(fifth));
}

class AcmeTest : public AcmeFixture {};

TEST_F(AcmeTest, DirectoryNamesEveryResourceUnderTheListenersUrl) {
  settings_.terms = "https://acme.test/terms";
  settings_.website = "https://acme.test/";
  restart();
  const AcmeReply reply = call("GET", "/acme/directory", "", {});
  EXPECT_EQ(reply.status, 200U);
  EXPECT_EQ(reply.content_type, "application/json");
  for (const std::string_view resource : {"newNonce", "newAccount", "newOrder", "revokeCert", "keyChange", "renewalInfo"}) {
    EXPECT_TRUE(reply.text(resource).starts_with(acme_base + "/acme/")) << resource;
  }
  const wire::Json meta = must(reply.json().object("meta"));
  EXPECT_TRUE(must(meta.boolean("externalAccountRequired")));
  EXPECT_EQ(must(meta.text("termsOfService")), settings_.terms);
  EXPECT_EQ(must(meta.text("website")), settings_.website);
  EXPECT_FALSE(must(meta.object("profiles")).names().empty());
}

TEST_F(AcmeTest, NewNonceGivesADifferentOneEachTime) {
  const AcmeReply head = call("HEAD", "/acme/new-nonce", "", {});
  const AcmeReply get_one = call("GET", "/acme/new-nonce", "", {});
  EXPECT_EQ(head.status, 200U);
  EXPECT_EQ(get_one.status, 204U);
  EXPECT_TRUE(head.body.empty() && get_one.body.empty());
  EXPECT_NE(head.field("Replay-Nonce"), get_one.field("Replay-Nonce"));
  EXPECT_EQ(head.field("Link"), "<https://acme.test/acme/directory>;rel=\"index\"");
}

TEST_F(AcmeTest, PathsThatAreNotServedAreProblemsWithANonce) {
  const AcmeReply reply = call("GET", "/acme/new-account", "", {});
  EXPECT_EQ(reply.status, 404U);
  EXPECT_EQ(reply.problem(), "malformed");
  EXPECT_EQ(must(reply.json().integer("status")), 404);
}

class AcmeSignatureTest : public AcmeFixture, public testing::WithParamInterface<JoseAlgorithm> {};

TEST_P(AcmeSignatureTest, EveryAlgorithmServesAsAnAccountsKey) {
  const Client client = register_client(GetParam());
  EXPECT_EQ(get(client, client.path()).status, 200U);
  const AcmeReply spoiled = post_as(client.signer, client.path(), "", {.kid = client.url, .spoiled = true});
  EXPECT_EQ(spoiled.status, 400U);
  EXPECT_EQ(spoiled.problem(), "malformed");
  EXPECT_EQ(post_as(JoseSigner(GetParam()), client.path(), "", {.kid = client.url}).problem(), "malformed") << "another key";
  ASSERT_EQ(desk_.refusals.size(), 2U) << "of someone who named an account";
  EXPECT_EQ(desk_.refusals.front().first, "r-1");
}

INSTANTIATE_TEST_SUITE_P(All, AcmeSignatureTest, testing::ValuesIn(crypto::all_jose_algorithms), [](const auto& info) {
  std::string out(name(info.param));
  std::erase(out, '-');
  return out;
});

class AcmeRefusalTest : public AcmeFixture {
 protected:
  AcmeReply said(const Said& what) {
    Said all = what;
    if (!all.kid && !all.jwk) all.kid = client_.url;
    return post_as(client_.signer, client_.path(), "", all);
  }
  const Client client_ = register_client();
};

TEST_F(AcmeRefusalTest, ANonceThatWasUsedOrIsNotOurs) {
  const std::string used = nonce();
  EXPECT_EQ(said({.nonce = used}).status, 200U);
  const AcmeReply again = said({.nonce = used});
  expect(again, 400, "badNonce");
  EXPECT_EQ(said({.nonce = again.field("Replay-Nonce")}).status, 200U) << "with the nonce of the refusal the client goes on (RFC 8555 §6.5)";
  expect(said({.nonce = wire::to_base64url(Bytes(24))}), 400, "badNonce");
  expect(said({.nonce = ""}), 400, "badNonce");
  expect(said({.nonce = "not base64url!"}), 400, "malformed");
  const std::string before = nonce();
  restart();
  expect(said({.nonce = before}), 400, "badNonce");
}

TEST_F(AcmeRefusalTest, ABadSignatureSpendsTheNonce) {
  const std::string fresh = nonce();
  expect(said({.nonce = fresh, .spoiled = true}), 400, "malformed");
  expect(said({.nonce = fresh}), 400, "badNonce");
}

TEST_F(AcmeRefusalTest, AUrlThatIsNotWhereItWasSent) {
  expect(said({.url = acme_base + "/acme/new-order"}), 403, "unauthorized");
  expect(said({.url = "http://acme.test" + client_.path()}), 403, "unauthorized");
  expect(said({.url = client_.url + "?a"}), 403, "unauthorized");
}

TEST_F(AcmeRefusalTest, AnotherContentType) {
  expect(said({.content_type = "application/json"}), 415, "malformed");
  expect(said({.content_type = ""}), 415, "malformed");
  EXPECT_EQ(said({.content_type = "application/jose+json; charset=utf-8"}).status, 200U);
}

TEST_F(AcmeRefusalTest, AnAlgorithmThatIsNotTakenSaysWhichAre) {
  for (const std::string algorithm : {"none", "HS256", "RS512", "EdDSA"}) {
    const AcmeReply reply = said({.algorithm = algorithm});
    expect(reply, 400, "badSignatureAlgorithm");
    EXPECT_EQ(must(reply.json().texts("algorithms")), (std::vector<std::string>{"ES256", "ES384", "RS256", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87"}));
  }
  expect(said({.algorithm = "RS256"}), 400, "badSignatureAlgorithm");
  const JoseSigner other(JoseAlgorithm::es256);
  expect(post_as(other, "/acme/new-account", "{}", {.algorithm = "ES384", .jwk = other.jwk()}), 400, "badSignatureAlgorithm");
}

TEST_F(AcmeRefusalTest, KidAndJwkAreNotMixedUp) {
  expect(said({.kid = client_.url, .jwk = client_.signer.jwk()}), 400, "malformed");
  expect(said({.jwk = client_.signer.jwk()}), 400, "malformed");
  expect(post_as(client_.signer, "/acme/new-account", "{}", {.kid = client_.url}), 400, "malformed");
  expect(post_as(client_.signer, client_.path(), "", {}), 400, "malformed");
}

TEST_F(AcmeRefusalTest, AnAccountThatIsNotThere) {
  expect(said({.kid = acme_base + "/acme/acct/" + std::string(32, '0')}), 400, "accountDoesNotExist");
  expect(said({.kid = client_.path()}), 400, "accountDoesNotExist");
  expect(said({.kid = "\xd0\xba"}), 400, "accountDoesNotExist");
}

TEST_F(AcmeRefusalTest, AKeyThatIsNotTaken) {
  const JoseSigner weak(JoseAlgorithm::rs256, 1024);
  expect(post_by_key(weak, "/acme/new-account", "{}"), 400, "badPublicKey");
  expect(post_as(client_.signer, "/acme/new-account", "{}", {.jwk = wire::Json::object({{"kty", "OKP"}})}), 400, "badPublicKey");
  expect(post_as(client_.signer, "/acme/new-account", "{}", {.jwk = wire::Json::object({{"kty", "EC"}})}), 400, "malformed");
}

TEST_F(AcmeRefusalTest, BodiesThatAreNoJws) {
  for (const std::string_view body : {"", "{", "[]", "{}", "\xff\xfe", R"({"protected":"AA","payload":"","signature":""})"}) {
    expect(call("POST", "/acme/new-order", "application/jose+json", to_bytes(body)), 400, "malformed");
  }
}

TEST_F(AcmeRefusalTest, TextOfTheClientComesBackHarmless) {
  const AcmeReply reply = said({.algorithm = std::string(31, 'a') + "\xd0\xba<script>"});
  expect(reply, 400, "badSignatureAlgorithm");
  EXPECT_TRUE(std::ranges::all_of(reply.text("detail"), [](char c) { return c >= ' ' && c <= '~'; }));
}

TEST_F(AcmeRefusalTest, PayloadsThatAreNoObjects) {
  for (const std::string_view payload : {"", "[]", "1", "{", "\"\""}) expect(post(client_, "/acme/new-order", payload), 400, "malformed");
}

}  // namespace
}  // namespace qanat::cas
