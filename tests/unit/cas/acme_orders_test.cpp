// Orders, authorisations, certificates: RFC 8555 §7.4, §7.5, RFC 9773 §5.
#include "acme_fixture.hpp"

namespace qanat::cas {
namespace {

/// As long as it lives, the desk answers every order so.
class DeskFailure {
 public:
  DeskFailure(TestDesk& desk, ErrorCode code) : desk_(desk) { desk_.order_fails = Error{code, "as the test wants it"}; }
  ~DeskFailure() { desk_.order_fails.reset(); }
  DeskFailure(const DeskFailure&) = delete;
  DeskFailure& operator=(const DeskFailure&) = delete;

 private:
  TestDesk& desk_;
};

class AcmeOrderTest : public AcmeFixture {
 protected:
  AcmeReply new_order(const std::vector<std::string>& names) { return post(client_, "/acme/new-order", order_payload(names)); }
  AcmeReply order_with(std::string_view member, const wire::Json& value, const std::vector<std::string>& names = {"a.example"}) {
    wire::Json payload = must(wire::Json::parse(order_payload(names)));
    payload.set(member, value);
    return post(client_, "/acme/new-order", payload.dump());
  }
  std::string names_of(const AcmeReply& order) {
    std::string out;
    for (const wire::Json& identifier : must(order.json().array("identifiers"))) out += must(identifier.text("value")) + ' ';
    return out;
  }
  static std::string error_of(const AcmeReply& order) { return must(must(order.json().object("error")).text("type")); }

  const Client client_ = register_client();
  const JoseSigner key_{JoseAlgorithm::es256};
};

TEST_F(AcmeOrderTest, IsReadyAtOnceWithValidAuthorizations) {
  const AcmeReply made = new_order({"B.example", "a.example", "a.Example"});
  EXPECT_EQ(made.status, 201U);
  EXPECT_EQ(made.text("status"), "ready");
  EXPECT_EQ(names_of(made), "a.example b.example ");
  EXPECT_EQ(made.text("finalize"), made.field("Location") + "/finalize");
  EXPECT_FALSE(made.json().has("certificate"));
  EXPECT_FALSE(made.text("expires").empty());
  for (const std::string& url : must(made.json().texts("authorizations"))) {
    const AcmeReply authorization = get(client_, path_in(url));
    EXPECT_EQ(authorization.text("status"), "valid");
    EXPECT_EQ(must(must(authorization.json().object("identifier")).text("type")), "dns");
    EXPECT_TRUE(must(authorization.json().array("challenges")).empty());
    EXPECT_FALSE(authorization.json().has("wildcard"));
  }
  EXPECT_EQ(get(client_, path_in(made.field("Location"))).body, made.body);
  EXPECT_EQ(must(new_order({"a.example"}).json().texts("authorizations")).front(), must(made.json().texts("authorizations")).front()) << "one for each name";
}

TEST_F(AcmeOrderTest, AWildcardThatTheRegistrationHasIsAuthorizedAsSuch) {
  const AcmeReply made = new_order({"*.example"});
  EXPECT_EQ(made.status, 201U);
  const AcmeReply authorization = get(client_, path_in(must(made.json().texts("authorizations")).front()));
  EXPECT_EQ(must(must(authorization.json().object("identifier")).text("value")), "example");
  EXPECT_TRUE(must(authorization.json().boolean("wildcard")));
}

TEST_F(AcmeOrderTest, ForNamesOutsideTheRegistrationIsRejectedNameByName) {
  const AcmeReply reply = new_order({"a.example", "x.example", "c.example"});
  expect(reply, 403, "rejectedIdentifier");
  const std::vector<wire::Json> subproblems = must(reply.json().array("subproblems"));
  ASSERT_EQ(subproblems.size(), 2U);
  EXPECT_EQ(must(subproblems[0].text("type")), "urn:ietf:params:acme:error:rejectedIdentifier");
  EXPECT_EQ(must(must(subproblems[0].object("identifier")).text("value")), "c.example");
  ASSERT_FALSE(desk_.refusals.empty());
  EXPECT_EQ(desk_.refusals.back().first, "r-1");
}

TEST_F(AcmeOrderTest, ForWhatIsNoDnsNameIsRefused) {
  const auto with = [&](const wire::Json& identifiers) { return post(client_, "/acme/new-order", wire::Json::object({{"identifiers", identifiers}}).dump()); };
  const AcmeReply address = with(wire::Json::array({wire::Json::object({{"type", "ip"}, {"value", "192.0.2.1"}})}));
  expect(address, 400, "unsupportedIdentifier");
  EXPECT_EQ(must(address.json().array("subproblems")).size(), 1U);
  for (const std::string& name : {"", ".", "a..b", "-a", "a-", "a b", "a_b", "*", "*.*.example", "a.*.example", "192.0.2.1", "\xd1\x8f.example"})
    expect(new_order({name}), 400, "malformed");
  expect(new_order({std::string(64, 'a')}), 400, "malformed");
  std::string long_name = "a";
  while (long_name.size() <= 253) long_name += ".a";
  expect(new_order({long_name}), 400, "malformed");
  expect(with(wire::Json::array()), 400, "malformed");
  expect(with("a.example"), 400, "malformed");
  expect(with(wire::Json::array({"a.example"})), 400, "malformed");
  expect(new_order(std::vector<std::string>(101, "a.example")), 400, "malformed");
}

TEST_F(AcmeOrderTest, TimesAreNotForClientsToChoose) {
  expect(order_with("notBefore", "2026-01-01T00:00:00Z"), 400, "malformed");
  expect(order_with("notAfter", "2026-01-01T00:00:00Z"), 400, "malformed");
}

TEST_F(AcmeOrderTest, ProfileIsTheRegistrations) {
  const AcmeReply made = order_with("profile", "server");
  EXPECT_EQ(made.status, 201U);
  EXPECT_EQ(made.text("profile"), "server");
  expect(order_with("profile", "operator"), 400, "invalidProfile");
  expect(order_with("profile", std::string(65, 'a')), 400, "malformed");
}

TEST_F(AcmeOrderTest, GivesTheCertificateForTheKeyOfTheRequest) {
  const AcmeReply made = new_order({"a.example", "b.example"});
  const Bytes csr = key_.request("", {"b.example", "a.example"});
  const AcmeReply done = finalize(client_, path_in(made.field("Location")), csr);
  EXPECT_EQ(done.status, 200U);
  EXPECT_EQ(done.text("status"), "valid") << done.body;
  EXPECT_EQ(done.field("Location"), made.field("Location"));
  const AcmeReply chain = get(client_, path_in(done.text("certificate")));
  EXPECT_EQ(chain.content_type, "application/pem-certificate-chain");
  EXPECT_EQ(chain.all("Link"),
            (std::vector<std::string>{"<http://status.test/ca/classical.cer>;rel=\"up\"", "<https://acme.test/acme/directory>;rel=\"index\""}));
  const std::vector<Bytes> certificates = certificates_in(chain.body);
  ASSERT_EQ(certificates.size(), 2U);
  const auto leaf = must(crypto::SubjectCertificate::parse(certificates[0]));
  EXPECT_TRUE(leaf.signed_by(must(crypto::Certificate::parse(certificates[1]))));
  EXPECT_EQ(leaf.key(), must(crypto::SubjectRequest::parse(csr)).key());
  EXPECT_EQ(leaf.names().common_name, "b.example") << "the first DNS name where the request has no common name";
  EXPECT_EQ(leaf.names().dns, (std::vector<std::string>{"b.example", "a.example"}));
  ASSERT_EQ(desk_.orders.size(), 1U);
  EXPECT_EQ(desk_.orders.front().protocol, Protocol::acme);
  EXPECT_EQ(desk_.orders.front().reference, "r-1");
  EXPECT_EQ(desk_.orders.front().possession, Possession::proved);
  EXPECT_EQ(desk_.orders.front().request_hash.size(), 32U);
}

TEST_F(AcmeOrderTest, KeepsTheCommonNameOfTheRequest) {
  obtain(client_, {"a.example", "b.example"}, key_);
  const std::string order = open_order(client_, {"a.example", "b.example"});
  EXPECT_EQ(finalize(client_, order, key_.request("B.example", {"a.example"})).text("status"), "valid") << "a common name counts as a name (§7.4)";
  EXPECT_EQ(desk_.orders.back().names.common_name, "b.example");
  EXPECT_EQ(desk_.orders.back().names.dns, (std::vector<std::string>{"a.example", "b.example"}));
  const std::string other = open_order(client_, {"a.example"});
  EXPECT_EQ(finalize(client_, other, key_.request("a.example", {})).text("status"), "valid");
}

TEST_F(AcmeOrderTest, EveryKindOfKeyIsCertified) {
  for (const JoseAlgorithm algorithm : crypto::all_jose_algorithms) {
    const JoseSigner key(algorithm);
    const auto certificates = certificates_in(obtain(client_, {"a.example"}, key));
    ASSERT_EQ(certificates.size(), 2U);
    EXPECT_TRUE(must(crypto::SubjectCertificate::parse(certificates[0])).signed_by(must(crypto::Certificate::parse(certificates[1]))));
  }
}

TEST_F(AcmeOrderTest, RequestsThatDoNotFitAreBadAndTheOrderStaysReady) {
  const std::string order = open_order(client_, {"a.example", "b.example"});
  const auto bad = [&](ByteView csr) { expect(finalize(client_, order, csr), 400, "badCSR"); };
  bad(key_.request("", {"a.example"}));
  bad(key_.request("", {"a.example", "b.example", "*.example"}));
  bad(key_.request("c.example", {"a.example", "b.example"}));
  bad(key_.request("my box", {"a.example", "b.example"}));
  bad(key_.request("", {"a.example", "b.example"}, "URI:https://a.example/"));
  bad(key_.request("", {"a.example", "b.example"}, "IP:192.0.2.1"));
  bad(key_.request("", {}));
  bad(to_bytes("no DER"));
  Bytes spoiled = key_.request("", {"a.example", "b.example"});
  spoiled.back() ^= 1U;
  bad(spoiled);
  bad(client_.signer.request("", {"a.example", "b.example"}));
  bad(JoseSigner(JoseAlgorithm::rs256, 1024).request("", {"a.example", "b.example"}));
  expect(post(client_, order + "/finalize", R"({"csr":"===="})"), 400, "badCSR");
  expect(post(client_, order + "/finalize", R"({"csr":""})"), 400, "badCSR");
  expect(post(client_, order + "/finalize", "{}"), 400, "malformed");
  EXPECT_TRUE(desk_.orders.empty());
  EXPECT_EQ(get(client_, order).text("status"), "ready");
  EXPECT_EQ(finalize(client_, order, key_.request("", {"a.example", "b.example"})).text("status"), "valid");
}

TEST_F(AcmeOrderTest, TheSameRequestAgainGetsTheSameCertificateAndAnotherNone) {
  const std::string order = open_order(client_, {"a.example"});
  const Bytes csr = key_.request("", {"a.example"});
  const AcmeReply first = finalize(client_, order, csr);
  const AcmeReply second = finalize(client_, order, csr);
  EXPECT_EQ(second.body, first.body);
  EXPECT_EQ(desk_.issued.size(), 1U);
  expect(finalize(client_, order, JoseSigner(JoseAlgorithm::es256).request("", {"a.example"})), 403, "orderNotReady");
}

TEST_F(AcmeOrderTest, WhatTheDeskDeniesEndsTheOrderAndSaysWhy) {
  const std::string order = open_order(client_, {"a.example"});
  const Client other = register_client(JoseAlgorithm::es256, "r-2");
  const std::string others = open_order(other, {"c.example"});
  desk_.waits = true;
  const AcmeReply waiting = finalize(client_, order, key_.request("", {"a.example"}));
  EXPECT_EQ(waiting.text("status"), "processing");
  EXPECT_EQ(waiting.field("Retry-After"), "30");
  desk_.rejected.insert(desk_.tickets.begin()->first);
  const AcmeReply over = get(client_, order);
  EXPECT_EQ(over.status, 200U);
  EXPECT_EQ(over.text("status"), "invalid");
  EXPECT_EQ(error_of(over), "urn:ietf:params:acme:error:unauthorized");
  expect(finalize(client_, order, key_.request("", {"a.example"})), 403, "orderNotReady");
  expect(get(client_, "/acme/cert/" + order.substr(order.rfind('/') + 1)), 404, "malformed");
  EXPECT_EQ(get(other, others).text("status"), "ready");
}

TEST_F(AcmeOrderTest, WaitsForApprovalAcrossARestart) {
  desk_.waits = true;
  const std::string order = open_order(client_, {"a.example"});
  EXPECT_EQ(finalize(client_, order, key_.request("", {"a.example"})).text("status"), "processing");
  restart();
  EXPECT_EQ(get(client_, order).text("status"), "processing");
  desk_.waits = false;
  const AcmeReply done = get(client_, order);
  EXPECT_EQ(done.text("status"), "valid");
  EXPECT_EQ(get(client_, path_in(done.text("certificate"))).status, 200U);
  EXPECT_EQ(desk_.orders.size(), 1U);
  EXPECT_EQ(desk_.issued.size(), 1U);
}

TEST_F(AcmeOrderTest, WhoComesAgainWithTheSameKeyWaitsForTheSameApproval) {
  desk_.waits = true;
  const std::string first = open_order(client_, {"a.example"});
  finalize(client_, first, key_.request("", {"a.example"}));
  const std::string second = open_order(client_, {"a.example"});
  EXPECT_EQ(finalize(client_, second, key_.request("", {"a.example"})).text("status"), "processing");
  const std::string other_key = open_order(client_, {"a.example"});
  finalize(client_, other_key, JoseSigner(JoseAlgorithm::es256).request("", {"a.example"}));
  const std::string other_names = open_order(client_, {"b.example"});
  finalize(client_, other_names, key_.request("", {"b.example"}));
  EXPECT_EQ(desk_.tickets.size(), 3U);
  desk_.waits = false;
  EXPECT_EQ(get(client_, second).text("status"), "valid");
  EXPECT_EQ(get(client_, first).text("status"), "valid");
  EXPECT_EQ(desk_.issued.size(), 1U);
  const auto pem = [&](const std::string& order) { return get(client_, "/acme/cert/" + order.substr(order.rfind('/') + 1)).body; };
  EXPECT_EQ(pem(first), pem(second));
}

TEST_F(AcmeOrderTest, GoesOnWhereTheDeskDidNotAnswerOrTheProcessDied) {
  const std::string order = open_order(client_, {"a.example"});
  const Bytes csr = key_.request("", {"a.example"});
  // As kill -9 after the request was stored leaves it: nothing is issued yet.
  const AcmeReply first = [&] {
    const DeskFailure failure(desk_, ErrorCode::unavailable);
    return finalize(client_, order, csr);
  }();
  EXPECT_EQ(first.status, 200U);
  EXPECT_EQ(first.text("status"), "processing");
  EXPECT_FALSE(first.field("Retry-After").empty());
  restart();
  const AcmeReply polled = get(client_, order);
  EXPECT_EQ(polled.text("status"), "valid");
  ASSERT_EQ(desk_.orders.size(), 2U);
  EXPECT_EQ(desk_.orders[0].request_hash, desk_.orders[1].request_hash) << "so that the desk gives one certificate, wherever the process died";
  EXPECT_EQ(desk_.issued.size(), 1U);
}

TEST_F(AcmeOrderTest, WhatTheDeskFindsUnfitCanBeTriedWithAnotherRequest) {
  const std::string order = open_order(client_, {"a.example"});
  {
    const DeskFailure failure(desk_, ErrorCode::invalid_argument);
    expect(finalize(client_, order, key_.request("", {"a.example"})), 400, "badCSR");
  }
  EXPECT_EQ(get(client_, order).text("status"), "ready");
  EXPECT_EQ(finalize(client_, order, JoseSigner(JoseAlgorithm::es384).request("", {"a.example"})).text("status"), "valid");
  ASSERT_EQ(desk_.orders.size(), 2U);
  EXPECT_NE(desk_.orders[0].request_hash, desk_.orders[1].request_hash) << "it is another request";
  EXPECT_TRUE(desk_.refusals.empty()) << "the desk has it on record";
}

TEST_F(AcmeOrderTest, AnInternalFailureLeavesTheRequestToBeAskedAgain) {
  const std::string order = open_order(client_, {"a.example"});
  {
    const DeskFailure failure(desk_, ErrorCode::internal);
    expect(finalize(client_, order, key_.request("", {"a.example"})), 500, "serverInternal");
  }
  EXPECT_EQ(get(client_, order).text("status"), "valid");
}

TEST_F(AcmeOrderTest, ARegistrationThatIsOverOrdersNothing) {
  const std::string order = open_order(client_, {"a.example"});
  desk_.registrations.erase("r-1");
  expect(new_order({"a.example"}), 403, "unauthorized");
  expect(finalize(client_, order, key_.request("", {"a.example"})), 403, "unauthorized");
  EXPECT_TRUE(desk_.orders.empty());
}

TEST_F(AcmeOrderTest, IsOfAHolderWhereTheAccountHoldsACertificate) {
  const Bytes first = certificates_in(obtain(client_, {"a.example"}, key_)).front();
  EXPECT_TRUE(desk_.orders.back().renews.empty()) << "by the registration's secret";
  const Bytes second = certificates_in(obtain(client_, {"a.example"}, key_)).front();
  EXPECT_EQ(desk_.orders.back().renews, first);
  const Client other = register_client();
  obtain(other, {"a.example"}, JoseSigner(JoseAlgorithm::es256));
  EXPECT_TRUE(desk_.orders.back().renews.empty()) << "it is the account's that counts";
  desk_.over.insert("r-1");
  obtain(client_, {"b.example"}, key_);
  EXPECT_FALSE(desk_.orders.back().renews.empty()) << "holders renew when the secret's time is over";
  const auto serial_of = [](const Bytes& der) { return to_hex(must(crypto::SubjectCertificate::parse(der)).serial()); };
  for (const auto& [serial, issued] : desk_.issued) desk_.revocations.emplace(serial, std::pair(0, ""));
  expect(new_order({"a.example"}), 403, "unauthorized");
  desk_.over.clear();
  desk_.revocations.erase(serial_of(second));
  obtain(client_, {"a.example"}, key_);
  EXPECT_EQ(desk_.orders.back().renews, second) << "one that is revoked is nobody's standing";
}

TEST_F(AcmeOrderTest, ACertificateOfAnotherRegistrationIsNoStanding) {
  obtain(client_, {"a.example"}, key_);
  for (auto& [serial, issued] : desk_.issued) issued.reference = "r-2";
  obtain(client_, {"a.example"}, key_);
  EXPECT_TRUE(desk_.orders.back().renews.empty());
}

TEST_F(AcmeOrderTest, IsNotBegunOnceAnAuthorizationOfItHasExpired) {
  AcmeRecords records(*store_, *rng_);
  const UnixMs now = clock_.now_ms();
  AcmeOrder order;
  order.account = "a";
  order.reference = "r-1";
  order.names = {{.dns = "a.example", .authorization = {}}};
  order.made = now;
  order.expires = now + acme_day;
  const std::string id = must(records.open_order(std::move(order), now + 1000, {})).id;
  const Finalization asked{.csr = {1}, .asked_hash = {2}, .request_hash = {3}};
  const auto late = records.begin(id, asked, now + acme_day, now + 1000);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::conflict);
  must(records.begin(id, asked, now + acme_day, now + 999));
}

TEST_F(AcmeOrderTest, ExpiresIfItIsNotFinalized) {
  const std::string order = open_order(client_, {"a.example"});
  clock_.ahead = 7 * acme_day + 1000;
  const AcmeReply late = get(client_, order);
  EXPECT_EQ(late.text("status"), "invalid");
  EXPECT_EQ(error_of(late), "urn:ietf:params:acme:error:malformed");
  expect(finalize(client_, order, key_.request("", {"a.example"})), 403, "orderNotReady");
  const std::string next = open_order(client_, {"a.example"});
  must(acme_->keep_house(clock_.now_ms()));
  expect(get(client_, order), 404, "malformed");
  EXPECT_EQ(get(client_, next).text("status"), "ready");
}

TEST_F(AcmeOrderTest, HowManyEverHaveExpiredAllGo) {
  const UnixMs now = clock_.now_ms();
  must(store_->transact([&](store::Transaction& transaction) -> Result<bool> {
    for (int i = 0; i < 2500; ++i) {
      TRY(
          transaction.run("INSERT INTO acme_order (id, account, reference, status, profile, replaces, made_ms, expires_ms) "
                          "VALUES (?, 'a', 'r', 'ready', '', '', 0, ?)",
                          {std::string_view(std::to_string(i)), store::column(now - 1)}));
    }
    return true;
  }));
  for (int i = 0; i < 3; ++i) must(acme_->keep_house(now));
  std::int64_t left = -1;
  must(store_->transact([&](store::Transaction& transaction) -> Result<bool> {
    TRY(transaction.query("SELECT count(*) FROM acme_order", {}, [&](const store::Row& row) { left = row.integer(0); }));
    return true;
  }));
  EXPECT_EQ(left, 0);
}

TEST_F(AcmeOrderTest, IsKeptWithItsCertificateUntilThatEnds) {
  desk_.lifetime = 60 * acme_day;
  const std::string order = open_order(client_, {"a.example"});
  const std::string certificate = path_in(finalize(client_, order, key_.request("", {"a.example"})).text("certificate"));
  for (const auto& [days, status] : {std::pair(59, 200U), std::pair(61, 404U)}) {
    clock_.ahead = static_cast<UnixMs>(days) * acme_day;
    must(acme_->keep_house(clock_.now_ms()));
    EXPECT_EQ(get(client_, certificate).status, status) << days;
  }
}

TEST_F(AcmeOrderTest, IsNobodyElses) {
  const std::string order = open_order(client_, {"a.example"});
  const std::string authorization = path_in(must(get(client_, order).json().texts("authorizations")).front());
  const std::string certificate = path_in(finalize(client_, order, key_.request("", {"a.example"})).text("certificate"));
  const Client other = register_client(JoseAlgorithm::es256, "r-1");
  for (const std::string& path : {order, authorization, certificate}) expect(get(other, path), 404, "malformed");
  expect(finalize(other, order, key_.request("", {"a.example"})), 404, "malformed");
  expect(post(other, authorization, R"({"status":"deactivated"})"), 404, "malformed");
  expect(get(client_, "/acme/order/" + std::string(32, '0')), 404, "malformed");
  expect(post(client_, order, "{}"), 400, "malformed");
  expect(post(client_, certificate, "{}"), 400, "malformed");
}

TEST_F(AcmeOrderTest, ADeactivatedAuthorizationEndsTheOrdersThatNeedIt) {
  const std::string order = open_order(client_, {"a.example", "b.example"});
  const std::string authorization = path_in(must(get(client_, order).json().texts("authorizations")).front());
  expect(post(client_, authorization, R"({"status":"valid"})"), 400, "malformed");
  EXPECT_EQ(post(client_, authorization, R"({"status":"deactivated"})").text("status"), "deactivated");
  EXPECT_EQ(recorded_.back(), "acme.authorization_deactivated r-1");
  EXPECT_EQ(get(client_, authorization).text("status"), "deactivated");
  EXPECT_EQ(get(client_, order).text("status"), "invalid");
  expect(finalize(client_, order, key_.request("", {"a.example", "b.example"})), 403, "orderNotReady");
  const AcmeReply next = new_order({"a.example"});
  EXPECT_NE(path_in(must(next.json().texts("authorizations")).front()), authorization) << "the registration still allows the name";
}

TEST_F(AcmeOrderTest, TooManyWithinAnHourOrKeptAreRefused) {
  settings_.bounds.orders_per_hour = 3;
  settings_.bounds.orders_per_registration = 5;
  restart();
  for (int i = 0; i < 3; ++i) open_order(client_, {"a.example"});
  const AcmeReply fourth = new_order({"a.example"});
  expect(fourth, 429, "rateLimited");
  EXPECT_FALSE(fourth.field("Retry-After").empty());
  clock_.ahead = 3'601'000;
  for (int i = 0; i < 2; ++i) open_order(client_, {"a.example"});
  const AcmeReply kept = new_order({"a.example"});
  expect(kept, 429, "rateLimited");
  EXPECT_TRUE(kept.text("detail").contains("kept"));
}

TEST_F(AcmeOrderTest, ReplacesACertificateOfTheSameAccountOnce) {
  const auto id_of = [&](const std::string& pem) {
    const auto leaf = must(crypto::SubjectCertificate::parse(certificates_in(pem).front()));
    return certificate_id_text(leaf.issuer_key_id(), leaf.serial());
  };
  const std::string id = id_of(obtain(client_, {"a.example"}, key_));
  const AcmeReply made = order_with("replaces", id);
  EXPECT_EQ(made.status, 201U);
  EXPECT_EQ(made.text("replaces"), id);
  EXPECT_EQ(order_with("replaces", id).status, 201U) << "as long as none is finalized";
  EXPECT_EQ(finalize(client_, path_in(made.field("Location")), key_.request("", {"a.example"})).text("status"), "valid");
  expect(order_with("replaces", id), 409, "alreadyReplaced");

  const Client other = register_client();
  const std::string others = id_of(obtain(other, {"a.example"}, JoseSigner(JoseAlgorithm::es256)));
  expect(order_with("replaces", others), 400, "malformed");
  expect(order_with("replaces", certificate_id_text(Bytes{1, 2, 3}, parse_certificate_id(id)->serial)), 400, "malformed");
  expect(order_with("replaces", id, {"b.example"}), 400, "malformed");
  expect(order_with("replaces", "AAAA.AAAA"), 400, "malformed");
  expect(order_with("replaces", "no"), 400, "malformed");
  expect(order_with("replaces", std::string(200, 'A')), 400, "malformed");
}

}  // namespace
}  // namespace qanat::cas
