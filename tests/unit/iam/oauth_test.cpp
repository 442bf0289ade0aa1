// OAuth 2.0 over IAM's own listener: machines with certificates of a CA of their own.
#include "services/iam/web/oauth.hpp"

#include "crypto/foreign_issue.hpp"
#include "net/foreign_client.hpp"
#include "services/iam/service.hpp"
#include "trusted_network.hpp"
#include "wire/base64.hpp"

namespace qanat::iam {
namespace {

using points::Endpoint;
using test::identity;
using test::json_of;
using test::must;
using test::refusal;
using wire::Json;

const Identity oauth_iam = identity("qanat://core/iam/iam");
const Identity oauth_operator = identity("qanat://core/operator/operator");
const Identity oauth_administrator = identity("qanat://core/operator/administrator");

std::string text_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class OAuthTest : public testing::Test {
 protected:
  OAuthTest() : node_(network_.open_node(oauth_iam, {})) {
    must(crypto::make_foreign_root(root_, "test root", crypto::ForeignKey::ecdsa_p256));
    must(crypto::make_foreign_leaf(server_, {.common_name = "iam", .uris = {}, .dns = {"localhost"}, .addresses = {"127.0.0.1"}}, crypto::ForeignKey::ecdsa_p256, root_));
    IamSettings settings;
    settings.web.listener = net::ForeignSettings{.address = "127.0.0.1",
                                                 .port = 0,
                                                 .tls = {.chains = {{.certificate = server_.certificate, .key = server_.key}}, .roots = root_.certificate, .crls = {}},
                                                 .limits = {}};
    service_ = must(IamService::open(*node_, settings, [](Endpoint, const std::string&, const Json&) -> Result<void> { return {}; }));
    billing_ = machine("billing");
    stranger_ = machine("stranger");
    const std::string thumbprint = to_hex(must(crypto::pem_thumbprint(text_of(folder_ / "billing.pem"))));
    json_of(administer(Endpoint::x5_identity, oauth_operator, R"({"op":"create","identity":{"uid":"billing","class":"application","domain":"a","certificates":[")" + thumbprint + R"("]}})"));
  }
  ~OAuthTest() override { service_->stop(); }

  crypto::PemFiles files(const std::string& name) { return {.certificate = folder_ / (name + ".pem"), .key = folder_ / (name + ".key")}; }
  std::unique_ptr<net::ForeignClient> machine(const std::string& name) {
    must(crypto::make_foreign_leaf(files(name), {.common_name = name, .uris = {}, .dns = {}, .addresses = {}}, crypto::ForeignKey::ecdsa_p256, root_));
    return must(net::ForeignClient::create({.chains = {{.certificate = files(name).certificate, .key = files(name).key}}, .roots = root_.certificate, .crls = {}}));
  }
  Result<net::Response> administer(Endpoint endpoint, const Identity& caller, std::string_view body) {
    return test::handler_of(service_->handlers(), endpoint)(test::request_from(caller, to_bytes(body), network_.credentials(caller).tls->chain.front()));
  }
  net::Response post(net::ForeignClient& client, const std::string& path, std::string_view form, std::string_view type = "application/x-www-form-urlencoded") {
    const auto url = must(net::ForeignUrl::parse("https://127.0.0.1:" + std::to_string(service_->web_port()) + path));
    return must(client.call("POST", url, type, as_bytes(form), test::soon()));
  }
  Json issued(const std::string& more = "") {
    const net::Response response = post(*billing_, "/oauth2/token", "grant_type=client_credentials&audience=kms-a" + more);
    EXPECT_EQ(response.status, 200U) << as_text(response.body);
    return must(Json::parse(response.body));
  }

  test::TrustedNetwork network_;
  test::TemporaryDirectory folder_;
  const crypto::PemFiles root_ = files("root");
  const crypto::PemFiles server_ = files("server");
  std::unique_ptr<node::Node> node_;
  std::unique_ptr<IamService> service_;
  std::unique_ptr<net::ForeignClient> billing_;
  std::unique_ptr<net::ForeignClient> stranger_;
};

TEST_F(OAuthTest, AMachineGetsATokenBoundToItsCertificate) {
  const Json answer = issued("&scope=identity.self+token.issue");
  EXPECT_EQ(must(answer.text("token_type")), "Bearer");
  EXPECT_EQ(must(answer.text("scope")), "identity.self token.issue");
  const auto url = must(net::ForeignUrl::parse("https://127.0.0.1:" + std::to_string(service_->web_port()) + "/oauth2/jwks"));
  const net::Response keys = must(billing_->call("GET", url, "", {}, test::soon()));
  const auto claims = must(wire::open_jwt(must(answer.text("access_token")), must(wire::TokenKeys::parse(must(Json::parse(keys.body))))));
  EXPECT_EQ(claims.subject, "billing");
  EXPECT_EQ(claims.holder, must(crypto::pem_thumbprint(text_of(folder_ / "billing.pem"))));
  EXPECT_TRUE(test::audited(network_.state_of(oauth_iam), "oauth.token"));
}

TEST_F(OAuthTest, TheAlgorithmIsWhatTheClientCanOrAsksFor) {
  for (const char* algorithm : {"ML-DSA-44", "ES256"}) {
    const std::string token = must(issued(std::string("&token_alg=") + algorithm).text("access_token"));
    EXPECT_EQ(must(must(wire::parse_jws(token)).header.text("alg")), algorithm);
  }
  EXPECT_EQ(post(*billing_, "/oauth2/token", "grant_type=client_credentials&audience=kms-a&token_alg=none").status, 400U);
}

TEST_F(OAuthTest, WhoIsNoRegisteredClientGetsNothing) {
  const net::Response unknown = post(*stranger_, "/oauth2/token", "grant_type=client_credentials&audience=kms-a");
  EXPECT_EQ(unknown.status, 401U);
  EXPECT_EQ(must(must(Json::parse(unknown.body)).text("error")), "invalid_client");
  EXPECT_EQ(post(*stranger_, "/oauth2/token", "grant_type=client_credentials&audience=kms-a&client_id=billing").status, 401U);
  EXPECT_EQ(post(*billing_, "/oauth2/token", "grant_type=client_credentials&audience=kms-a&client_id=other").status, 401U);
  json_of(administer(Endpoint::x5_identity, oauth_operator, R"({"op":"suspend","uid":"billing"})"));
  EXPECT_EQ(post(*billing_, "/oauth2/token", "grant_type=client_credentials&audience=kms-a").status, 401U);
  EXPECT_TRUE(test::audited(network_.state_of(oauth_iam), "'billing' is suspended"));
}

TEST_F(OAuthTest, RequestsAreReadStrictlyAndErrorsAreThoseOfTheStandard) {
  const auto error = [&](std::string_view form, std::string_view type = "application/x-www-form-urlencoded") {
    return must(must(Json::parse(post(*billing_, "/oauth2/token", form, type).body)).text("error"));
  };
  EXPECT_EQ(error("grant_type=password&audience=kms-a"), "unsupported_grant_type");
  EXPECT_EQ(error("grant_type=client_credentials"), "invalid_request");
  EXPECT_EQ(error("grant_type=client_credentials&audience=kms-a&scope=grant.give"), "invalid_scope");
  EXPECT_EQ(error("grant_type=client_credentials&grant_type=client_credentials&audience=kms-a"), "invalid_request");
  EXPECT_EQ(error("grant_type=client_credentials&audience=kms-a&scope=%zz"), "invalid_request");
  EXPECT_EQ(error("grant_type=client_credentials&audience=kms-a", "application/json"), "invalid_request");
  EXPECT_EQ(error("grant_type=client_credentials&audience=kms-a", "application/x-www-form-urlencoded2"), "invalid_request");
  EXPECT_EQ(post(*billing_, "/oauth2/token", "grant_type=client_credentials&audience=kms-a", "Application/X-WWW-Form-Urlencoded ; charset=UTF-8").status, 200U);
}

TEST(OAuthErrorTest, SaysOnlyWhatTheStandardLetsADescriptionSay) {
  const auto [name, why] = oauth_words({ErrorCode::denied, "invalid_scope: there is no action 'é\"\\\n~'"});
  EXPECT_EQ(name, "invalid_scope");
  EXPECT_EQ(why, "there is no action '?????~'");
  EXPECT_EQ(oauth_words({ErrorCode::unauthenticated, "no client has registered this certificate"}).first, "invalid_client");
  EXPECT_EQ(oauth_words({ErrorCode::internal, "iam.db: disk I/O error"}).second, "internal error") << "nobody's business outside";
}

TEST_F(OAuthTest, IntrospectionAnswersWhoMayAskAndIsTheAudience) {
  const std::string token = must(issued().text("access_token"));
  EXPECT_EQ(post(*billing_, "/oauth2/introspect", "token=" + token).status, 400U) << "a machine has no token.check";
  machine("gateway");
  const std::string thumbprint = to_hex(must(crypto::pem_thumbprint(text_of(folder_ / "gateway.pem"))));
  json_of(administer(Endpoint::x5_identity, oauth_operator, R"({"op":"create","identity":{"uid":"gateway","class":"application","domain":"a","certificates":[")" + thumbprint + R"("]}})"));
  json_of(administer(Endpoint::x5_privilege, oauth_administrator, R"({"op":"define","role":{"name":"resource-server","permissions":[{"action":"token.check"}]}})"));
  json_of(administer(Endpoint::x5_privilege, oauth_administrator, R"({"op":"give","subject":"gateway","role":"resource-server"})"));
  const auto gateway = must(net::ForeignClient::create({.chains = {{.certificate = files("gateway").certificate, .key = files("gateway").key}}, .roots = root_.certificate, .crls = {}}));
  EXPECT_EQ(as_text(post(*gateway, "/oauth2/introspect", "token=" + token).body), R"({"active":false})") << "a token for somebody else";
  const std::string own = must(must(Json::parse(post(*billing_, "/oauth2/token", "grant_type=client_credentials&audience=gateway").body)).text("access_token"));
  const Json told = must(Json::parse(post(*gateway, "/oauth2/introspect", "token=" + own).body));
  EXPECT_TRUE(must(told.boolean("active")));
  EXPECT_TRUE(test::audited(network_.state_of(oauth_iam), "billing " + to_hex(must(wire::from_base64url(must(told.text("jti"))))))) << "which token was asked about";
  json_of(administer(Endpoint::x5_privilege, oauth_administrator, R"({"op":"revoke","subject":"billing"})"));
  EXPECT_EQ(as_text(post(*gateway, "/oauth2/introspect", "token=" + own).body), R"({"active":false})") << "its epoch is over";
}

TEST(FormTest, IsReadStrictly) {
  const auto read = must(read_form("a=1+2&b=%E7%8E%8B&c="));
  EXPECT_EQ(read.at("a"), "1 2");
  EXPECT_EQ(read.at("b"), "王");
  EXPECT_EQ(read.at("c"), "");
  for (const char* text : {"a", "a=%1", "a=%ff", "a=1&a=2", "a=%00"}) EXPECT_FALSE(read_form(text)) << text;
  EXPECT_FALSE(read_form(std::string(form_octets_max + 1, 'a')));
}

}  // namespace
}  // namespace qanat::iam
