// Accounts: RFC 8555 §7.3.
#include <fstream>

#include "acme_fixture.hpp"
#include "node/log.hpp"

namespace qanat::cas {
namespace {

class AcmeAccountTest : public AcmeFixture {
 protected:
  AcmeReply new_account(const JoseSigner& signer, std::string_view payload) { return post_by_key(signer, "/acme/new-account", payload); }
  AcmeReply change_key(const Client& client, const JoseSigner& next) {
    const wire::Json header = wire::Json::object({{"alg", crypto::name(next.algorithm())}, {"jwk", next.jwk()}, {"url", acme_base + "/acme/key-change"}});
    const wire::Json content = wire::Json::object({{"account", client.url}, {"oldKey", client.signer.jwk()}});
    return post(client, "/acme/key-change", next.jws(header, content.dump()).dump());
  }
  /// A payload with this binding.
  static std::string with(const wire::Json& binding) { return wire::Json::object({{"externalAccountBinding", binding}}).dump(); }

  const JoseSigner signer_{JoseAlgorithm::es256};
};

TEST_F(AcmeAccountTest, IsMadeForWhoHasTheSecretOfARegistration) {
  const AcmeReply reply = new_account(signer_, account_payload(signer_));
  EXPECT_EQ(reply.status, 201U);
  EXPECT_TRUE(reply.field("Location").starts_with(acme_base + "/acme/acct/"));
  EXPECT_EQ(reply.text("status"), "valid");
  EXPECT_EQ(must(reply.json().texts("contact")), std::vector<std::string>{"mailto:ops@a.example"});
  EXPECT_EQ(reply.text("orders"), reply.field("Location") + "/orders");
  EXPECT_EQ(recorded_, std::vector<std::string>{"acme.account r-1"});
  EXPECT_TRUE(desk_.refusals.empty());
}

TEST_F(AcmeAccountTest, IsTheSameForTheSameKey) {
  const AcmeReply made = new_account(signer_, account_payload(signer_));
  for (const std::string_view payload : {"{}", R"({"onlyReturnExisting":true})"}) {
    const AcmeReply found = new_account(signer_, payload);
    EXPECT_EQ(found.status, 200U);
    EXPECT_EQ(found.field("Location"), made.field("Location"));
  }
  restart();
  EXPECT_EQ(new_account(signer_, R"({"onlyReturnExisting":true})").field("Location"), made.field("Location"));
}

TEST_F(AcmeAccountTest, IsNotMadeWhereOnlyAnExistingOneIsWanted) { expect(new_account(signer_, R"({"onlyReturnExisting":true})"), 400, "accountDoesNotExist"); }

TEST_F(AcmeAccountTest, IsNotMadeWithoutBinding) { expect(new_account(signer_, "{}"), 403, "externalAccountRequired"); }

TEST_F(AcmeAccountTest, IsNotMadeWithAWrongMacOrAnUnknownRegistrationAndBothSoundTheSame) {
  const AcmeReply wrong = new_account(signer_, with(binding(signer_, "r-1", desk_.secrets.at("r-2"))));
  expect(wrong, 403, "unauthorized");
  ASSERT_EQ(desk_.refusals.size(), 1U);
  EXPECT_EQ(desk_.refusals.front().first, "r-1");
  const AcmeReply unknown = new_account(signer_, with(binding(signer_, "r-9", desk_.secrets.at("r-2"))));
  expect(unknown, 403, "unauthorized");
  EXPECT_EQ(unknown.text("detail"), wrong.text("detail"));
  expect(new_account(signer_, with(binding(signer_, "\xd0\xba", desk_.secrets.at("r-2")))), 403, "unauthorized");
  EXPECT_TRUE(recorded_.empty());
}

TEST_F(AcmeAccountTest, IsNotMadeWithABindingForAnotherKeyOrUrl) {
  const JoseSigner other(JoseAlgorithm::es256);
  expect(new_account(signer_, with(binding(other, "r-1", desk_.secrets.at("r-1")))), 400, "malformed");
  const auto mac = [&](const wire::Json& header) {
    const std::string head = wire::to_base64url(as_bytes(header.dump()));
    const std::string payload = wire::to_base64url(as_bytes(signer_.jwk().dump()));
    const Bytes tag = crypto::hmac(crypto::Hash::sha256, desk_.secrets.at("r-1"), {as_bytes(head + '.' + payload)});
    return with(wire::Json::object({{"protected", head}, {"payload", payload}, {"signature", wire::to_base64url(tag)}}));
  };
  const std::string url = acme_base + "/acme/new-account";
  EXPECT_EQ(new_account(JoseSigner(JoseAlgorithm::es384), mac(wire::Json::object({{"alg", "HS256"}, {"kid", "r-1"}, {"url", url}}))).problem(), "malformed");
  expect(new_account(signer_, mac(wire::Json::object({{"alg", "HS256"}, {"kid", "r-1"}, {"url", url + "s"}}))), 400, "malformed");
  expect(new_account(signer_, mac(wire::Json::object({{"alg", "HS512"}, {"kid", "r-1"}, {"url", url}}))), 400, "malformed");
  expect(new_account(signer_, mac(wire::Json::object({{"alg", "ES256"}, {"kid", "r-1"}, {"url", url}}))), 400, "malformed");
  expect(new_account(signer_, mac(wire::Json::object({{"alg", "HS256"}, {"kid", "r-1"}, {"nonce", "AA"}, {"url", url}}))), 400, "malformed");
  expect(new_account(signer_, mac(wire::Json::object({{"alg", "HS256"}, {"url", url}}))), 400, "malformed");
  EXPECT_EQ(new_account(signer_, mac(wire::Json::object({{"alg", "HS256"}, {"kid", "r-1"}, {"url", url}}))).status, 201U)
      << "what was changed each time was wrong";
}

TEST_F(AcmeAccountTest, TermsMustBeAgreedToWhereThereAreSome) {
  settings_.terms = "https://acme.test/terms";
  restart();
  const AcmeReply refused = new_account(signer_, with(binding(signer_, "r-1", desk_.secrets.at("r-1"))));
  expect(refused, 403, "userActionRequired");
  EXPECT_EQ(refused.all("Link").front(), "<https://acme.test/terms>;rel=\"terms-of-service\"");
  const AcmeReply made = new_account(signer_, account_payload(signer_));
  EXPECT_EQ(made.status, 201U);
  EXPECT_TRUE(must(made.json().boolean("termsOfServiceAgreed")));
}

TEST_F(AcmeAccountTest, ContactsAreMailAddresses) {
  const auto with_contact = [&](const wire::Json& contact) { return new_account(signer_, wire::Json::object({{"contact", contact}}).dump()); };
  expect(with_contact(wire::Json::array({"tel:+86"})), 400, "unsupportedContact");
  for (const std::string_view address : {"mailto:", "mailto:a", "mailto:a@", "mailto:a@b,c@d", "mailto:a@b?cc=x", "mailto:a b@c", "mailto:a@b@c"}) {
    expect(with_contact(wire::Json::array({address})), 400, "invalidContact");
  }
  expect(with_contact(wire::Json::array({"mailto:" + std::string(400, 'a') + "@b"})), 400, "invalidContact");
  expect(with_contact(wire::Json::array(std::vector<wire::Json>(9, "mailto:a@b"))), 400, "invalidContact");
  expect(with_contact("mailto:a@b"), 400, "malformed");
}

TEST_F(AcmeAccountTest, IsNotMadeIfItCannotBeRecorded) {
  ASSERT_TRUE(node::open_log(directory_ / "", "test", node::LogLevel::error));
  record_fails_ = true;
  const AcmeReply reply = new_account(signer_, account_payload(signer_));
  expect(reply, 500, "serverInternal");
  EXPECT_FALSE(reply.body.contains("disk")) << "what goes wrong inside is not for the peer";
  std::ifstream log(directory_ / "test.log");
  const std::string logged{std::istreambuf_iterator<char>(log), {}};
  EXPECT_TRUE(logged.contains("newAccount") && logged.contains("0123456789abcdef") && logged.contains("the disk is full")) << logged;
  record_fails_ = false;
  expect(new_account(signer_, R"({"onlyReturnExisting":true})"), 400, "accountDoesNotExist");
}

TEST_F(AcmeAccountTest, ARegistrationHasNotMoreAccountsThanItMay) {
  settings_.bounds.accounts_per_registration = 2;
  restart();
  register_client();
  register_client();
  const AcmeReply third = new_account(signer_, account_payload(signer_));
  expect(third, 429, "rateLimited");
  EXPECT_FALSE(third.field("Retry-After").empty());
  register_client(JoseAlgorithm::es256, "r-2");
}

TEST_F(AcmeAccountTest, ContactsCanBeChanged) {
  const Client client = register_client();
  const AcmeReply changed = post(client, client.path(), R"({"contact":["mailto:new@a.example"],"orders":"ignored","unknown":1})");
  EXPECT_EQ(changed.status, 200U);
  EXPECT_EQ(must(get(client, client.path()).json().texts("contact")), std::vector<std::string>{"mailto:new@a.example"});
  EXPECT_EQ(recorded_.back(), "acme.account_contacts r-1");
  expect(post(client, client.path(), R"({"contact":["tel:1"]})"), 400, "unsupportedContact");
}

TEST_F(AcmeAccountTest, IsNobodyElses) {
  const Client client = register_client();
  const Client other = register_client(JoseAlgorithm::es256, "r-2");
  expect(get(other, client.path()), 403, "unauthorized");
  expect(get(other, client.path() + "/orders"), 403, "unauthorized");
  expect(post(other, client.path(), R"({"status":"deactivated"})"), 403, "unauthorized");
}

TEST_F(AcmeAccountTest, IsDeactivatedForGood) {
  const Client client = register_client();
  const std::string order = open_order(client, {"a.example"});
  expect(post(client, client.path(), R"({"status":"revoked"})"), 400, "malformed");
  const AcmeReply reply = post(client, client.path(), R"({"status":"deactivated"})");
  EXPECT_EQ(reply.status, 200U);
  EXPECT_EQ(reply.text("status"), "deactivated");
  EXPECT_EQ(recorded_.back(), "acme.account_deactivated r-1");
  expect(get(client, client.path()), 401, "unauthorized");
  expect(get(client, order), 401, "unauthorized");
  EXPECT_EQ(must(AcmeRecords(*store_, *rng_).order(order.substr(order.rfind('/') + 1)))->status, OrderStatus::invalid);
  expect(post(client, "/acme/new-order", order_payload({"a.example"})), 401, "unauthorized");
  expect(new_account(client.signer, account_payload(client.signer)), 403, "unauthorized");
}

TEST_F(AcmeAccountTest, WhatCannotBeRecordedIsNotDone) {
  const Client client = register_client();
  const std::string authorization = path_in(must(get(client, open_order(client, {"a.example"})).json().texts("authorizations")).front());
  record_fails_ = true;
  expect(post(client, client.path(), R"({"contact":["mailto:new@a.example"]})"), 500, "serverInternal");
  expect(post(client, authorization, R"({"status":"deactivated"})"), 500, "serverInternal");
  expect(post(client, client.path(), R"({"status":"deactivated"})"), 500, "serverInternal");
  expect(change_key(client, JoseSigner(JoseAlgorithm::es256)), 500, "serverInternal");
  record_fails_ = false;
  const AcmeReply account = get(client, client.path());
  EXPECT_EQ(account.text("status"), "valid") << account.body;
  EXPECT_EQ(must(account.json().texts("contact")), std::vector<std::string>{"mailto:ops@a.example"});
  EXPECT_EQ(get(client, authorization).text("status"), "valid");
}

TEST_F(AcmeAccountTest, KeyIsChangedByBothKeys) {
  const Client client = register_client();
  const JoseSigner next(JoseAlgorithm::ml_dsa_65);
  const AcmeReply reply = change_key(client, next);
  EXPECT_EQ(reply.status, 200U) << reply.body;
  EXPECT_EQ(recorded_.back(), "acme.key_change r-1");
  expect(get(client, client.path()), 400, "badSignatureAlgorithm");
  EXPECT_EQ(post_as(next, client.path(), "", {.kid = client.url}).status, 200U);
  EXPECT_EQ(new_account(next, "{}").field("Location"), client.url);
  expect(new_account(client.signer, R"({"onlyReturnExisting":true})"), 400, "accountDoesNotExist");
}

TEST_F(AcmeAccountTest, KeyChangesThatDoNotFitAreRefused) {
  const Client client = register_client();
  const Client other = register_client(JoseAlgorithm::es256, "r-2");
  const JoseSigner next(JoseAlgorithm::es256);
  const std::string url = acme_base + "/acme/key-change";
  const auto change = [&](const JoseSigner& signer, const wire::Json& header, const wire::Json& content) {
    return post(client, "/acme/key-change", signer.jws(header, content.dump()).dump());
  };
  const auto header = [&](const JoseSigner& signer) { return wire::Json::object({{"alg", "ES256"}, {"jwk", signer.jwk()}, {"url", url}}); };
  const wire::Json content = wire::Json::object({{"account", client.url}, {"oldKey", client.signer.jwk()}});
  const AcmeReply taken = change(other.signer, header(other.signer), content);
  expect(taken, 409, "malformed");
  EXPECT_EQ(taken.field("Location"), other.url);
  expect(change(client.signer, header(client.signer), content), 409, "malformed");
  expect(change(next, header(JoseSigner(JoseAlgorithm::es256)), content), 400, "malformed");
  expect(change(next, header(next), wire::Json::object({{"account", other.url}, {"oldKey", client.signer.jwk()}})), 400, "malformed");
  expect(change(next, header(next), wire::Json::object({{"account", client.url}, {"oldKey", next.jwk()}})), 400, "malformed");
  expect(change(next, header(next), wire::Json::object({{"account", client.url}})), 400, "malformed");
  expect(change(next, wire::Json::object({{"alg", "ES256"}, {"jwk", next.jwk()}, {"url", url + "s"}}), content), 400, "malformed");
  expect(change(next, wire::Json::object({{"alg", "ES256"}, {"nonce", nonce()}, {"jwk", next.jwk()}, {"url", url}}), content), 400, "malformed");
  expect(change(next, wire::Json::object({{"alg", "ES256"}, {"kid", client.url}, {"url", url}}), content), 400, "malformed");
  expect(change(next, wire::Json::object({{"alg", "RS256"}, {"jwk", next.jwk()}, {"url", url}}), content), 400, "badSignatureAlgorithm");
  expect(post(client, "/acme/key-change", "{}"), 400, "malformed");
  EXPECT_EQ(get(client, client.path()).status, 200U) << "the old key is still the account's";
}

TEST_F(AcmeAccountTest, OrdersAreListedInPages) {
  settings_.bounds.orders_per_hour = 1000;
  restart();
  const Client client = register_client();
  std::set<std::string> made;
  for (int i = 0; i < 103; ++i) made.insert(acme_base + open_order(client, {"a.example"}));
  std::set<std::string> listed;
  std::string path = client.path() + "/orders";
  int pages = 0;
  while (!path.empty()) {
    const AcmeReply reply = get(client, path);
    ASSERT_EQ(reply.status, 200U) << reply.body;
    for (const std::string& url : must(reply.json().texts("orders"))) EXPECT_TRUE(listed.insert(url).second);
    path.clear();
    for (const std::string& link : reply.all("Link")) {
      if (link.ends_with(";rel=\"next\"")) path = path_in(link.substr(1, link.find('>') - 1));
    }
    ++pages;
  }
  EXPECT_EQ(pages, 2);
  EXPECT_EQ(listed, made);
  expect(get(client, client.path() + "/orders?page=2"), 400, "malformed");
  expect(post(client, client.path() + "/orders", "{}"), 400, "malformed");
}

}  // namespace
}  // namespace qanat::cas
