// The authorisation code grant: what a browser is sent back with, what the code is good for, and every way in which it is not.
#include "iam_under_test.hpp"
#include "services/iam/schema.hpp"

namespace qanat::iam {
namespace {

const std::string back = "https://console.example/back?x=1";
const std::string verifier_text = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";  // RFC 7636 appendix B
const std::string challenge_text = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

class CodeGrantTest : public IamUnderTest {
 protected:
  CodeGrantTest() {
    open_service();
    add("console", "application");
    add("wang", "person", wang_);
    add("li", "person", li_);
    json_of(privileges(core_administrator,
                      R"({"op":"client","client":"console","redirect_uris":["https://console.example/back?x=1","http://127.0.0.1:8080/back"]})"));
    json_of(
        privileges(core_administrator, R"({"op":"define","role":{"name":"viewer","permissions":[{"action":"identity.read"},{"action":"identity.self"}]}})"));
    json_of(privileges(core_administrator, R"({"op":"give","subject":"wang","role":"viewer"})"));
  }
  void open_service() {
    IamSettings settings;
    settings.web.url = "https://iam.example:8443";
    IamUnderTest::open_service(settings);
  }

  using Fields = std::map<std::string, std::string>;
  static Fields good_question() {
    return {{"response_type", "code"}, {"client_id", "console"},           {"redirect_uri", back},           {"scope", "identity.read"},
            {"state", "s t&1"},        {"code_challenge", challenge_text}, {"code_challenge_method", "S256"}};
  }
  static std::string form_of(const Fields& fields) {
    std::string out;
    for (const auto& [name, value] : fields) out += (out.empty() ? "" : "&") + form_encoded(name, value);
    return out;
  }
  WebAnswer authorize(const Fields& fields, const Bytes& certificate) { return service_->oauth().authorize(web_caller(certificate), form_of(fields)); }
  /// What the browser brings back: the query behind the redirect URI, or nothing if it is not sent back.
  static Fields brought_back(const WebAnswer& answer) {
    if (answer.status != 303) return {};
    EXPECT_TRUE(answer.body.is_null());
    const std::string& to = answer.fields.front().second;
    EXPECT_TRUE(to.starts_with(back + "&")) << to;
    return must(read_form(to.substr(back.size() + 1)));
  }
  std::string code(const Bytes& certificate, const std::string& scope = "identity.read") {
    Fields question = good_question();
    question["scope"] = scope;
    const Fields got = brought_back(authorize(question, certificate));
    EXPECT_TRUE(got.contains("code"));
    return got.contains("code") ? got.at("code") : "";
  }
  static Fields good_exchange(const std::string& code) {
    return {{"grant_type", "authorization_code"}, {"client_id", "console"}, {"redirect_uri", back}, {"code", code}, {"code_verifier", verifier_text}};
  }
  WebAnswer exchange(const Fields& fields, const Bytes& certificate) { return service_->oauth().token(web_caller(certificate), form_of(fields)); }
  static std::string error_in(const WebAnswer& answer) { return answer.body.text("error").value_or("none"); }
  Result<wire::AccessClaims> claims_of(const WebAnswer& answer) {
    const auto keys = must(wire::TokenKeys::parse(service_->oauth().jwks().body));
    return wire::open_jwt(must(answer.body.text("access_token")), keys);
  }
  /// Whether the token counts at a service of IAM's own.
  bool is_active(const WebAnswer& answer) {
    Scim scim = service_->scim();
    return scim.list({.caller = web_caller(wang_),
                      .token = must(answer.body.text("access_token")),
                      .id = {},
                      .query = {},
                      .if_match = {},
                      .if_none_match = {},
                      .body = {}})
               .status == 200;
  }

  const Bytes wang_ = Bytes(32, 1);
  const Bytes li_ = Bytes(32, 2);
};

TEST_F(CodeGrantTest, APersonGetsATokenBoundToTheCertificateThatSaidWhoItIs) {
  const Fields got = brought_back(authorize(good_question(), wang_));
  EXPECT_EQ(got.at("state"), "s t&1");
  EXPECT_EQ(got.at("iss"), "https://iam.example:8443");
  EXPECT_TRUE(audited("console identity.read"));
  EXPECT_FALSE(audited(got.at("code"))) << "a code is no text for a record";
  const WebAnswer answer = exchange(good_exchange(got.at("code")), wang_);
  ASSERT_EQ(answer.status, 200U) << answer.body.dump();
  EXPECT_EQ(must(answer.body.text("scope")), "identity.read");
  EXPECT_FALSE(answer.body.has("refresh_token"));
  const auto claims = must(claims_of(answer));
  EXPECT_EQ(claims.issuer, "https://iam.example:8443");
  EXPECT_EQ(claims.subject, "wang");
  EXPECT_EQ(claims.client, "console");
  EXPECT_EQ(claims.audience, "iam");
  EXPECT_EQ(claims.holder, wang_);
  EXPECT_TRUE(is_active(answer));
}

TEST_F(CodeGrantTest, ACodeThatComesASecondTimeGetsNothingAndVoidsWhatItGot) {
  const std::string one = code(wang_);
  const WebAnswer answer = exchange(good_exchange(one), wang_);
  const WebAnswer other = exchange(good_exchange(code(wang_)), wang_);
  ASSERT_TRUE(is_active(answer));
  const WebAnswer again = exchange(good_exchange(one), wang_);
  EXPECT_EQ(error_in(again), "invalid_grant");
  EXPECT_FALSE(is_active(answer));
  EXPECT_TRUE(is_active(other)) << "others are others";
  open_service();
  EXPECT_FALSE(is_active(answer)) << "also after a restart";
  EXPECT_EQ(error_in(exchange(good_exchange(one), wang_)), "invalid_grant");
  EXPECT_TRUE(audited("the code was used before"));
}

TEST_F(CodeGrantTest, ACodeIsGoodForItsClientRedirectUriVerifierAndCertificateAlone) {
  add("console2", "application");
  json_of(privileges(core_administrator, R"({"op":"client","client":"console2","redirect_uris":["https://console.example/back?x=1"]})"));
  const auto refused = [&](const std::string& member, const std::string& value, const Bytes& certificate) {
    const std::string one = code(wang_);
    Fields fields = good_exchange(one);
    fields[member] = value;
    const std::string error = error_in(exchange(fields, certificate));
    EXPECT_EQ(error_in(exchange(good_exchange(one), wang_)), "invalid_grant") << member << ": one attempt";
    return error;
  };
  EXPECT_EQ(refused("client_id", "console2", wang_), "invalid_grant");
  EXPECT_EQ(refused("redirect_uri", "http://127.0.0.1:8080/back", wang_), "invalid_grant");
  EXPECT_EQ(refused("code_verifier", std::string(43, 'a'), wang_), "invalid_grant");
  EXPECT_EQ(refused("client_id", "console", li_), "invalid_grant");
  EXPECT_TRUE(audited("with another certificate"));
  EXPECT_EQ(error_in(exchange(good_exchange(std::string(43, 'x')), wang_)), "invalid_grant");
}

TEST_F(CodeGrantTest, AMalformedExchangeSpendsNothing) {
  const std::string one = code(wang_);
  const auto error = [&](const std::string& member, const std::string& value) {
    Fields fields = good_exchange(one);
    fields[member] = value;
    const WebAnswer answer = exchange(fields, wang_);
    EXPECT_EQ(answer.status, error_in(answer) == "invalid_client" ? 401U : 400U);
    return error_in(answer);
  };
  EXPECT_EQ(error("code_verifier", std::string(42, 'a')), "invalid_request");
  EXPECT_EQ(error("code_verifier", std::string(129, 'a')), "invalid_request");
  EXPECT_EQ(error("code_verifier", std::string(42, 'a') + "+"), "invalid_request");
  EXPECT_EQ(error("code_verifier", ""), "invalid_request");
  EXPECT_EQ(error("code", ""), "invalid_request");
  EXPECT_EQ(error("redirect_uri", ""), "invalid_request");
  EXPECT_EQ(error("client_id", "nobody"), "invalid_client");
  EXPECT_EQ(error("grant_type", "refresh_token"), "unsupported_grant_type");
  EXPECT_EQ(exchange(good_exchange(one), wang_).status, 200U);
}

TEST_F(CodeGrantTest, NothingIsSentToWhereNobodyHasSaidThatItMayBe) {
  for (const auto& [member, value] : {std::pair<std::string, std::string>{"redirect_uri", "https://console.example/back"},
                                      {"redirect_uri", "https://console.example/back?x=1&y=2"},
                                      {"redirect_uri", "https://evil.example/"},
                                      {"redirect_uri", ""},
                                      {"client_id", "nobody"},
                                      {"client_id", ""},
                                      {"client_id", "wang"}}) {
    Fields fields = good_question();
    fields[member] = value;
    const WebAnswer answer = authorize(fields, wang_);
    EXPECT_EQ(answer.status, 400U) << member << "=" << value;
    EXPECT_TRUE(answer.fields.empty()) << "no address to go to";
  }
  EXPECT_EQ(service_->oauth().authorize(web_caller(wang_), "client_id=console&client_id=console").status, 400U);
  json_of(identities(core_operator, R"({"op":"suspend","uid":"console"})"));
  EXPECT_EQ(error_in(authorize(good_question(), wang_)), "unauthorized_client");
  json_of(identities(core_operator, R"({"op":"resume","uid":"console"})"));
  json_of(privileges(core_administrator, R"({"op":"unclient","client":"console"})"));
  EXPECT_EQ(error_in(authorize(good_question(), wang_)), "invalid_client");
}

TEST_F(CodeGrantTest, WhatIsWrongOtherwiseIsToldToTheClientInTheStandardsWords) {
  const auto error = [&](const std::string& member, const std::string& value, const Bytes& certificate) {
    Fields fields = good_question();
    fields[member] = value;
    const Fields got = brought_back(authorize(fields, certificate));
    EXPECT_FALSE(got.contains("code"));
    EXPECT_TRUE(got.contains("error_description"));
    EXPECT_EQ(got.at("iss"), "https://iam.example:8443");
    return got.at("error");
  };
  EXPECT_EQ(error("response_type", "token", wang_), "unsupported_response_type");
  EXPECT_EQ(error("response_mode", "fragment", wang_), "invalid_request");
  EXPECT_EQ(error("code_challenge_method", "plain", wang_), "invalid_request");
  EXPECT_EQ(error("code_challenge_method", "", wang_), "invalid_request") << "absent means plain";
  EXPECT_EQ(error("code_challenge", "", wang_), "invalid_request");
  EXPECT_EQ(error("code_challenge", "short", wang_), "invalid_request");
  EXPECT_EQ(error("state", std::string(1025, 's'), wang_), "invalid_request");
  EXPECT_EQ(error("scope", "", wang_), "invalid_scope");
  EXPECT_EQ(error("scope", "grant.give", wang_), "invalid_scope") << "not granted";
  EXPECT_EQ(error("scope", "no.action", wang_), "invalid_scope");
  EXPECT_EQ(error("scope", "identity.read", li_), "invalid_scope") << "li has no role";
  EXPECT_EQ(error("audience", "no such", wang_), "invalid_request");
  EXPECT_EQ(error("state", "s", Bytes(32, 9)), "access_denied") << "nobody's certificate";
  EXPECT_EQ(error("state", "s", {}), "access_denied") << "no certificate";
  add("robot", "application", Bytes(32, 3));
  EXPECT_EQ(error("state", "s", Bytes(32, 3)), "access_denied") << "no person";
  json_of(identities(core_operator, R"({"op":"suspend","uid":"wang"})"));
  EXPECT_EQ(error("state", "s", wang_), "access_denied");
  EXPECT_TRUE(audited("'wang' is suspended"));
}

TEST_F(CodeGrantTest, WhatEndsBetweenCodeAndTokenEndsTheCode) {
  const std::string one = code(wang_);
  json_of(privileges(core_administrator, R"({"op":"revoke","subject":"wang"})"));
  EXPECT_EQ(error_in(exchange(good_exchange(one), wang_)), "invalid_grant");
  const std::string two = code(wang_);
  json_of(identities(core_operator, R"({"op":"suspend","uid":"wang"})"));
  EXPECT_EQ(error_in(exchange(good_exchange(two), wang_)), "invalid_grant");
  json_of(identities(core_operator, R"({"op":"resume","uid":"wang"})"));
  const std::string three = code(wang_);
  json_of(identities(core_operator, R"({"op":"suspend","uid":"console"})"));
  EXPECT_EQ(error_in(exchange(good_exchange(three), wang_)), "unauthorized_client");
}

TEST_F(CodeGrantTest, ACodeIsNobodyElsesAlsoWhenTheCertificateIs) {
  const std::string one = code(wang_);
  const auto set = [&](const char* uid, const std::string& certificates) {
    const Json found = json_of(identities(core_operator, std::string(R"({"op":"find","uid":")") + uid + "\"}"));
    json_of(identities(core_operator, std::string(R"({"op":"change","uid":")") + uid + R"(","version":)" + std::to_string(must(found.integer("version"))) +
                                          R"(,"set":{"certificates":[)" + certificates + "]}}"));
  };
  set("wang", "");
  set("li", '"' + to_hex(wang_) + '"');
  json_of(privileges(core_administrator, R"({"op":"give","subject":"li","role":"viewer"})"));
  EXPECT_EQ(error_in(exchange(good_exchange(one), wang_)), "invalid_grant");
  EXPECT_TRUE(audited("what the code rested on has ended"));
}

class CodesTest : public testing::Test {
 protected:
  std::string given(UnixMs now) { return must(codes_.give(order_, network_.rng(), now)); }

  test::TrustedNetwork network_;
  test::TemporaryDirectory folder_;
  std::unique_ptr<store::Store> store_ = must(store::Store::open(folder_ / "iam.db", migrations));
  AuthorizationCodes codes_{*store_};
  const CodeOrder order_{.client = "console",
                         .subject = "wang",
                         .redirect_uri = back,
                         .challenge = challenge_text,
                         .scope = "identity.read",
                         .audience = "iam",
                         .holder = Bytes(32, 1),
                         .epoch = 2};
};

TEST_F(CodesTest, ACodesTimeIsShort) {
  const std::string one = given(1000);
  const std::string two = given(1000);
  EXPECT_EQ(must(codes_.spend(one, Bytes(16, 1), 1000 + code_lifetime_ms - 1)), order_);
  EXPECT_EQ(refusal(codes_.spend(two, Bytes(16, 2), 1000 + code_lifetime_ms)), ErrorCode::denied);
  EXPECT_FALSE(must(codes_.is_void(Bytes(16, 1))));
  EXPECT_EQ(refusal(codes_.spend(one, Bytes(16, 3), 1000 + 10 * code_lifetime_ms)), ErrorCode::denied);
  EXPECT_TRUE(must(codes_.is_void(Bytes(16, 1))));
  EXPECT_FALSE(must(codes_.is_void(Bytes(16, 3)))) << "nothing was given for the second attempt";
}

TEST_F(CodesTest, AVoidTokenIsRememberedForAsLongAsItCouldHold) {
  const auto refused = [&](const std::string& code, UnixMs now) {
    const auto spent = codes_.spend(code, Bytes(16, 2), now);
    return spent ? "" : spent.error().message;
  };
  const std::string one = given(1000);
  must(codes_.spend(one, Bytes(16, 1), 1000));
  EXPECT_TRUE(refused(one, 1000).contains("was used before"));
  // What is out of date is forgotten when a code is given.
  const UnixMs lifetime_max_ms = static_cast<UnixMs>(wire::access_lifetime_max_s) * 1000;
  given(1000 + lifetime_max_ms);
  EXPECT_TRUE(must(codes_.is_void(Bytes(16, 1))));
  EXPECT_TRUE(refused(one, 1000 + lifetime_max_ms).contains("was used before"));
  given(1000 + 10 * lifetime_max_ms);
  EXPECT_FALSE(must(codes_.is_void(Bytes(16, 1))));
  EXPECT_TRUE(refused(one, 1000 + 10 * lifetime_max_ms).contains("there is no such code"));
}

TEST_F(CodeGrantTest, ClientsAreTheSecurityAdministratorsToDefine) {
  const char* define = R"({"op":"client","client":"console","redirect_uris":["https://console.example/other"]})";
  EXPECT_EQ(refusal(privileges(core_operator, define)), ErrorCode::denied);
  EXPECT_EQ(refusal(privileges(core_auditor, define)), ErrorCode::denied);
  EXPECT_EQ(refusal(privileges(core_administrator, R"({"op":"client","client":"wang","redirect_uris":["https://a.example/"]})")), ErrorCode::not_found)
      << "a person is no client";
  EXPECT_EQ(refusal(privileges(core_administrator, R"({"op":"client","client":"console","redirect_uris":[]})")), ErrorCode::invalid_argument);
  for (const char* uri : {"http://console.example/", "https://", "https://u@console.example/", "javascript:x", "https://console.example/#x",
                          "https://console.example/ x", "myapp:/back", ""}) {
    EXPECT_EQ(refusal(privileges(core_administrator, std::string(R"({"op":"client","client":"console","redirect_uris":[")") + uri + "\"]}")),
              ErrorCode::invalid_argument)
        << uri;
  }
  for (const char* uri : {"https://a.example:8443/x?y=1", "http://localhost/x", "http://[::1]:8080/x"}) EXPECT_TRUE(check_redirect_uri(uri)) << uri;
  const auto clients = must(json_of(privileges(core_auditor, R"({"op":"clients"})")).array("clients"));
  ASSERT_EQ(clients.size(), 1U);
  EXPECT_EQ(must(clients[0].texts("redirect_uris")).size(), 2U);
  EXPECT_EQ(refusal(privileges(core_operator, R"({"op":"clients"})")), ErrorCode::denied);
  json_of(identities(core_operator, R"({"op":"delete","uid":"console","version":1})"));
  EXPECT_TRUE(must(json_of(privileges(core_auditor, R"({"op":"clients"})")).array("clients")).empty()) << "gone with its application";
}

TEST_F(CodeGrantTest, TheServersMetadataNamesItsIssuerAndItsProofs) {
  const Json metadata = service_->oauth().metadata().body;
  EXPECT_EQ(must(metadata.text("issuer")), "https://iam.example:8443");
  EXPECT_EQ(must(metadata.texts("code_challenge_methods_supported")), std::vector<std::string>{"S256"});
  EXPECT_TRUE(must(metadata.boolean("authorization_response_iss_parameter_supported")));
  EXPECT_TRUE(must(metadata.boolean("tls_client_certificate_bound_access_tokens")));
}

TEST_F(CodeGrantTest, WithoutAnAddressOfItsOwnThereAreNoCodes) {
  IamUnderTest::open_service({});
  EXPECT_FALSE(service_->oauth().gives_codes());
  EXPECT_EQ(error_in(exchange(good_exchange("x"), wang_)), "unsupported_grant_type");
}

}  // namespace
}  // namespace qanat::iam
