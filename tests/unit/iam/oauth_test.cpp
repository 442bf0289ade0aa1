// OAuth 2.0 over IAM's own listener: machines with certificates of a CA of their own.
#include "services/iam/web/oauth.hpp"

#include "crypto/foreign_issue.hpp"
#include "iam_under_test.hpp"
#include "net/foreign_client.hpp"
#include "wire/base64.hpp"

namespace qanat::iam {
namespace {

std::string text_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class OAuthTest : public IamUnderTest {
 protected:
  OAuthTest() {
    must(crypto::make_foreign_root(root_, "test root", crypto::ForeignKey::ecdsa_p256));
    must(crypto::make_foreign_leaf(server_, {.common_name = "iam", .uris = {}, .dns = {"localhost"}, .addresses = {"127.0.0.1"}},
                                   crypto::ForeignKey::ecdsa_p256, root_));
    IamSettings settings;
    settings.web.listener =
        net::ForeignSettings{.address = "127.0.0.1",
                             .port = 0,
                             .tls = {.chains = {{.certificate = server_.certificate, .key = server_.key}}, .roots = root_.certificate, .crls = {}},
                             .limits = {}};
    open_service(settings);
    billing_ = machine("billing");
    stranger_ = machine("stranger");
    add("billing", "application", thumbprint("billing"), "a");
  }

  crypto::PemFiles files(const std::string& name) { return {.certificate = folder_ / (name + ".pem"), .key = folder_ / (name + ".key")}; }
  std::unique_ptr<net::ForeignClient> machine(const std::string& name) {
    must(crypto::make_foreign_leaf(files(name), {.common_name = name, .uris = {}, .dns = {}, .addresses = {}}, crypto::ForeignKey::ecdsa_p256, root_));
    return must(
        net::ForeignClient::create({.chains = {{.certificate = files(name).certificate, .key = files(name).key}}, .roots = root_.certificate, .crls = {}}));
  }
  Bytes thumbprint(const std::string& name) { return must(crypto::pem_thumbprint(text_of(files(name).certificate))); }
  net::Response post(net::ForeignClient& client, const std::string& path, std::string_view form, std::string_view type = "application/x-www-form-urlencoded") {
    const auto url = must(net::ForeignUrl::parse("https://127.0.0.1:" + std::to_string(service_->web_port()) + path));
    return must(client.call("POST", url, type, as_bytes(form), test::soon()));
  }
  Json issued(const std::string& more = "") {
    const net::Response response = post(*billing_, "/oauth2/token", "grant_type=client_credentials&audience=kms-a" + more);
    EXPECT_EQ(response.status, 200U) << as_text(response.body);
    return must(Json::parse(response.body));
  }

  test::TemporaryDirectory folder_;
  const crypto::PemFiles root_ = files("root");
  const crypto::PemFiles server_ = files("server");
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
  EXPECT_EQ(claims.holder, thumbprint("billing"));
  EXPECT_TRUE(audited("oauth.token"));
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
  json_of(identities(core_operator, R"({"op":"suspend","uid":"billing"})"));
  EXPECT_EQ(post(*billing_, "/oauth2/token", "grant_type=client_credentials&audience=kms-a").status, 401U);
  EXPECT_TRUE(audited("'billing' is suspended"));
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
  EXPECT_EQ(post(*billing_, "/oauth2/token", "grant_type=client_credentials&audience=kms-a", "Application/X-WWW-Form-Urlencoded;charset=UTF-8").status, 200U);
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
  add("gateway", "application", thumbprint("gateway"), "a");
  json_of(privileges(core_administrator, R"({"op":"define","role":{"name":"resource-server","permissions":[{"action":"token.check"}]}})"));
  json_of(privileges(core_administrator, R"({"op":"give","subject":"gateway","role":"resource-server"})"));
  const auto gateway = must(net::ForeignClient::create(
      {.chains = {{.certificate = files("gateway").certificate, .key = files("gateway").key}}, .roots = root_.certificate, .crls = {}}));
  EXPECT_EQ(as_text(post(*gateway, "/oauth2/introspect", "token=" + token).body), R"({"active":false})") << "a token for somebody else";
  const std::string own = must(must(Json::parse(post(*billing_, "/oauth2/token", "grant_type=client_credentials&audience=gateway").body)).text("access_token"));
  const Json told = must(Json::parse(post(*gateway, "/oauth2/introspect", "token=" + own).body));
  EXPECT_TRUE(must(told.boolean("active")));
  EXPECT_TRUE(audited("billing " + to_hex(must(wire::from_base64url(must(told.text("jti"))))))) << "which token was asked about";
  json_of(privileges(core_administrator, R"({"op":"revoke","subject":"billing"})"));
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
