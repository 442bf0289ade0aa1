// Revocation (RFC 8555 §7.6) and renewal information (RFC 9773).
#include "acme_fixture.hpp"

namespace qanat::cas {
namespace {

class AcmeRevocationTest : public AcmeFixture {
 protected:
  static std::string payload(ByteView certificate, std::optional<int> reason = {}) {
    wire::Json out = wire::Json::object({{"certificate", wire::to_base64url(certificate)}});
    if (reason) out.set("reason", *reason);
    return out.dump();
  }
  AcmeReply revoke(const Client& client, ByteView certificate, std::optional<int> reason = {}) {
    return post(client, "/acme/revoke-cert", payload(certificate, reason));
  }
  static crypto::SubjectCertificate parsed(ByteView der) { return must(crypto::SubjectCertificate::parse(der)); }
  static std::string id_of(ByteView der) { return certificate_id_text(parsed(der).issuer_key_id(), parsed(der).serial()); }
  AcmeReply info(const std::string& id) { return call("GET", "/acme/renewal-info/" + id, "", {}); }

  const Client client_ = register_client();
  const JoseSigner key_{JoseAlgorithm::es256};
  const Bytes leaf_ = certificates_in(obtain(client_, {"a.example"}, key_)).front();
};

TEST_F(AcmeRevocationTest, ByTheAccountThatOrderedIt) {
  const AcmeReply reply = revoke(client_, leaf_, 4);
  EXPECT_EQ(reply.status, 200U) << reply.body;
  EXPECT_TRUE(reply.body.empty());
  ASSERT_EQ(desk_.revocations.size(), 1U);
  EXPECT_EQ(desk_.revocations.begin()->first, to_hex(parsed(leaf_).serial()));
  EXPECT_EQ(desk_.revocations.begin()->second.first, 4);
  EXPECT_TRUE(desk_.revocations.begin()->second.second.starts_with("acme account "));
  expect(revoke(client_, leaf_), 400, "alreadyRevoked");
}

TEST_F(AcmeRevocationTest, ByTheKeyOfTheCertificateWhateverItsKind) {
  for (const JoseAlgorithm algorithm : crypto::all_jose_algorithms) {
    const JoseSigner key(algorithm);
    const Bytes leaf = certificates_in(obtain(client_, {"a.example"}, key)).front();
    expect(post_by_key(JoseSigner(algorithm), "/acme/revoke-cert", payload(leaf)), 403, "unauthorized");
    EXPECT_EQ(desk_.refusals.empty(), true) << "a stranger names no registration";
    const AcmeReply reply = post_by_key(key, "/acme/revoke-cert", payload(leaf, 1));
    EXPECT_EQ(reply.status, 200U) << reply.body;
    EXPECT_EQ(desk_.revocations.at(to_hex(parsed(leaf).serial())).first, 1);
    expect(post_by_key(key, "/acme/revoke-cert", payload(leaf)), 400, "alreadyRevoked");
    desk_.refusals.clear();
  }
}

TEST_F(AcmeRevocationTest, ByAnAccountWithAuthorizationsForAllItsNames) {
  const Client other = register_client(JoseAlgorithm::es256, "r-1");
  expect(revoke(other, leaf_), 403, "unauthorized");
  open_order(other, {"b.example"});
  expect(revoke(other, leaf_), 403, "unauthorized");
  open_order(other, {"a.example"});
  EXPECT_EQ(revoke(other, leaf_).status, 200U);
}

TEST_F(AcmeRevocationTest, NotByAuthorizationsWhereTheCertificateHasNamesOfOtherKinds) {
  crypto::AskedNames names{.common_name = "a.example", .dns = {"a.example"}};
  const Bytes dns_alone = desk_.issue("r-1", parsed(leaf_).key(), names);
  EXPECT_EQ(revoke(client_, dns_alone).status, 200U);
  names.uris = {"urn:box:7"};
  expect(revoke(client_, desk_.issue("r-1", parsed(leaf_).key(), names)), 403, "unauthorized");
  EXPECT_EQ(desk_.revocations.size(), 1U);
}

TEST_F(AcmeRevocationTest, NotByAnAccountOfAnotherRegistration) {
  const Client other = register_client(JoseAlgorithm::es256, "r-2");
  open_order(other, {"c.example"});
  expect(revoke(other, leaf_), 403, "unauthorized");
  EXPECT_TRUE(desk_.revocations.empty());
  ASSERT_FALSE(desk_.refusals.empty());
  EXPECT_EQ(desk_.refusals.back().first, "r-2");
}

TEST_F(AcmeRevocationTest, NotOfACertificateThatIsNotOurs) {
  Bytes changed = leaf_;
  changed.back() ^= 1U;
  expect(revoke(client_, changed), 404, "malformed");
  desk_.issued.clear();
  expect(revoke(client_, leaf_), 404, "malformed");
  expect(revoke(client_, to_bytes("no certificate")), 400, "malformed");
  expect(post(client_, "/acme/revoke-cert", "{}"), 400, "malformed");
  expect(post(client_, "/acme/revoke-cert", ""), 400, "malformed");
}

TEST_F(AcmeRevocationTest, ReasonsThatAHolderCannotGiveAreRefused) {
  for (const int reason : {-1, 2, 6, 7, 8, 10, 11}) expect(revoke(client_, leaf_, reason), 400, "badRevocationReason");
  EXPECT_TRUE(desk_.revocations.empty());
}

TEST_F(AcmeRevocationTest, WorksWhenTheRegistrationIsOver) {
  desk_.registrations.clear();
  EXPECT_EQ(post_by_key(key_, "/acme/revoke-cert", payload(leaf_)).status, 200U);
}

TEST_F(AcmeRevocationTest, RenewalIsSuggestedInTheLastThird) {
  const AcmeReply reply = info(id_of(leaf_));
  ASSERT_EQ(reply.status, 200U) << reply.body;
  EXPECT_EQ(reply.content_type, "application/json");
  const wire::Json window = must(reply.json().object("suggestedWindow"));
  const UnixMs life = parsed(leaf_).not_after() - parsed(leaf_).not_before();
  EXPECT_EQ(must(window.text("start")), date_time(parsed(leaf_).not_before() + life / 3 * 2));
  EXPECT_LT(must(window.text("start")), must(window.text("end")));
  EXPECT_LT(must(window.text("end")), date_time(parsed(leaf_).not_after()));
  EXPECT_EQ(reply.field("Retry-After"), "21600");
}

TEST_F(AcmeRevocationTest, RenewalIsSuggestedAtOnceForWhatIsRevoked) {
  revoke(client_, leaf_);
  const wire::Json window = must(info(id_of(leaf_)).json().object("suggestedWindow"));
  EXPECT_LT(must(window.text("end")), date_time(SystemClock().now_ms()));
  EXPECT_LT(must(window.text("start")), must(window.text("end")));
}

TEST_F(AcmeRevocationTest, RenewalInfoIsForOurCertificatesAlone) {
  const std::string issuer = wire::to_base64url(parsed(leaf_).issuer_key_id());
  const std::string serial = wire::to_base64url(parsed(leaf_).serial());
  expect(info(issuer + ".AQID"), 404, "malformed");
  expect(info("AQID." + serial), 404, "malformed");
  for (const std::string& id : {std::string("x"), issuer, issuer + '.', '.' + serial, issuer + ".====", issuer + '.' + serial + ".A", std::string(300, 'A')})
    expect(info(id), 400, "malformed");
}

}  // namespace
}  // namespace qanat::cas
