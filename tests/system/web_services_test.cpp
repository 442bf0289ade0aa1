// IAM's listener for software of others, spoken to by curl: a directory that keeps its people there (SCIM 2.0), and people who use an application
// (authorisation code).
#include "crypto/foreign_issue.hpp"
#include "point_test.hpp"
#include "program.hpp"
#include "test_network.hpp"

namespace qanat::test {
namespace {

using points::Endpoint;
using wire::Json;

std::string text_of_file(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class WebServices : public SharedNetwork {
 protected:
  struct Answer {
    int status = 0;  // 0: none came
    std::string head;
    std::string body;
    [[nodiscard]] Json json() const { return Json::parse(std::string_view(body)).value_or(Json::object()); }
    /// A field of the head.
    [[nodiscard]] std::string field(const std::string& name) const {
      const std::size_t at = head.find("\n" + name + ": ");
      if (at == std::string::npos) return "";
      const std::size_t begin = at + name.size() + 3;
      return head.substr(begin, head.find('\r', begin) - begin);
    }
  };

  static void SetUpTestSuite() {
    options_.optics = false;
    SharedNetwork::SetUpTestSuite();
    if (!net().ok()) return;
    folder_ = std::make_unique<TemporaryDirectory>();
    const auto ports = app::free_ports(1);
    ASSERT_TRUE(ports);
    url_ = "https://127.0.0.1:" + std::to_string(ports->front());
    ASSERT_TRUE(crypto::make_foreign_root(files("root"), "their root", crypto::ForeignKey::ecdsa_p256));
    ASSERT_TRUE(crypto::make_foreign_leaf(files("iam"), {.common_name = "iam", .uris = {}, .dns = {"localhost"}, .addresses = {"127.0.0.1"}},
                                          crypto::ForeignKey::ecdsa_p256, files("root")));
    for (const char* name : {"hr", "mei", "stranger"}) make_certificate(name);
    revoke({});
    net().running().stop_element("iam", app::RunningNetwork::Ending::orderly);
    std::ofstream(net().network().config_of("iam"), std::ios::app)
        << "\n[iam.web]\nport = " << ports->front() << "\nurl = \"" << url_ << "\"\nscim_domain = \"a\"\ncertificate = \"" << files("iam").certificate.string()
        << "\"\nkey = \"" << files("iam").key.string() << "\"\nroots = \"" << files("root").certificate.string() << "\"\ncrls = \""
        << (*folder_ / "crls.pem").string() << "\"\n";
    const auto started = net().running().start_element("iam");
    ASSERT_TRUE(started) << started.error().message;
    auto administrator = app::Operator::open(net().network(), "administrator");
    ASSERT_TRUE(administrator) << administrator.error().message;
    administrator_ = *std::move(administrator);
    enter("hr", "application");
    privilege(R"({"op":"give","subject":"hr","role":"directory"})");
    enter("mei", "person");
    privilege(R"({"op":"define","role":{"name":"viewer","permissions":[{"action":"identity.read"}]}})");
    privilege(R"({"op":"give","subject":"mei","role":"viewer"})");
    identity(Json::object({{"op", "create"}, {"identity", Json::object({{"uid", "console"}, {"class", "application"}, {"domain", "core"}})}}));
    privilege(R"({"op":"client","client":"console","redirect_uris":["https://console.example/back"]})");
  }
  static void TearDownTestSuite() {
    administrator_.reset();
    SharedNetwork::TearDownTestSuite();
    folder_.reset();
  }

  static crypto::PemFiles files(const std::string& name) { return {.certificate = *folder_ / (name + ".pem"), .key = *folder_ / (name + ".key")}; }
  static void make_certificate(const std::string& name) {
    ASSERT_TRUE(
        crypto::make_foreign_leaf(files(name), {.common_name = name, .uris = {}, .dns = {}, .addresses = {}}, crypto::ForeignKey::ecdsa_p256, files("root")));
  }
  /// The list of their root names these, and no others.
  static void revoke(const std::vector<std::string>& names) {
    std::vector<std::filesystem::path> certificates;
    certificates.reserve(names.size());
    for (const std::string& name : names) certificates.push_back(files(name).certificate);
    const auto list = crypto::make_foreign_crl(files("root"), certificates);
    ASSERT_TRUE(list) << list.error().message;
    std::ofstream(*folder_ / "crls.new") << *list;
    std::filesystem::rename(*folder_ / "crls.new", *folder_ / "crls.pem");
  }
  static std::string thumbprint(const std::string& name) { return to_hex(crypto::pem_thumbprint(text_of_file(files(name).certificate)).value()); }
  static Json identity(const Json& body) {
    const auto answer = net().op().ask(Endpoint::x5_identity, "iam", body);
    EXPECT_TRUE(answer) << (answer ? "" : answer.error().message);
    return answer.value_or(Json::object());
  }
  static Json privilege(std::string_view body) {
    const auto answer = administrator_->ask(Endpoint::x5_privilege, "iam", Json::parse(body).value());
    EXPECT_TRUE(answer) << (answer ? "" : answer.error().message);
    return answer.value_or(Json::object());
  }
  static void enter(const std::string& uid, const std::string& of) {
    identity(
        Json::object({{"op", "create"},
                      {"identity", Json::object({{"uid", uid}, {"class", of}, {"domain", "core"}, {"certificates", Json::array({Json(thumbprint(uid))})}})}}));
  }

  /// curl with this one's certificate.
  static Answer curl(const std::string& who, const std::string& path, const std::string& arguments = "") {
    const std::filesystem::path head = *folder_ / "head";
    const Outcome outcome = run_line("curl -sS --max-time 20 --cacert " + files("root").certificate.string() + " --cert " + files(who).certificate.string() +
                                         " --key " + files(who).key.string() + " -D " + head.string() + " -o " + (*folder_ / "body").string() +
                                         " -w '%{http_code}' " + arguments + " '" + url_ + path + "'",
                                     *folder_);
    if (outcome.code != 0) return {};
    return {.status = std::atoi(outcome.out.c_str()), .head = text_of_file(head), .body = text_of_file(*folder_ / "body")};
  }
  static std::string token_of(const std::string& who, const std::string& scope) {
    const Answer answer = curl(who, "/oauth2/token", "-d grant_type=client_credentials -d audience=iam --data-urlencode 'scope=" + scope + "'");
    EXPECT_EQ(answer.status, 200) << answer.body;
    return answer.json().text("access_token").value_or("");
  }
  /// A SCIM request of the directory.
  static Answer scim(const std::string& token, const std::string& method, const std::string& path, const std::string& body = "", const std::string& more = "") {
    const std::string data = body.empty() ? "" : " -H 'Content-Type: application/scim+json' -d '" + body + "'";
    return curl("hr", "/scim/v2/" + path, "-X " + method + " -H 'Authorization: Bearer " + token + "' " + more + data);
  }

  static inline std::unique_ptr<TemporaryDirectory> folder_;
  static inline std::unique_ptr<app::Operator> administrator_;
  static inline std::string url_;
};

constexpr const char* directory_scope = "identity.read identity.create identity.change identity.suspend identity.delete";

TEST_F(WebServices, ADirectoryKeepsItsPeopleByScim) {
  const std::string token = token_of("hr", directory_scope);
  const Answer made = scim(
      token, "POST", "Users",
      R"({"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"zhao.min@x.example","displayName":"Zhao Min","externalId":"4711","active":true})");
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made.field("Location"), url_ + "/scim/v2/Users/zhao.min");
  EXPECT_EQ(made.field("Content-Type"), "application/scim+json");
  const Answer found = scim(token, "GET", "Users?filter=userName%20eq%20%22zhao.min%40x.example%22&startIndex=1&count=10");
  ASSERT_EQ(found.status, 200) << found.body;
  EXPECT_EQ(found.json().integer("totalResults").value_or(0), 1);
  EXPECT_EQ(identity(Json::object({{"op", "find"}, {"uid", "zhao.min"}})).text("domain").value(), "a");

  const std::string off = R"({"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"active","value":false}]})";
  EXPECT_EQ(scim(token, "PATCH", "Users/zhao.min", off, "-H 'If-Match: W/\"9\"'").status, 412);
  const Answer patched = scim(token, "PATCH", "Users/zhao.min", off, "-H 'If-Match: " + made.field("ETag") + "'");
  ASSERT_EQ(patched.status, 200) << patched.body;
  EXPECT_EQ(patched.field("ETag"), "W/\"2\"");
  EXPECT_EQ(identity(Json::object({{"op", "find"}, {"uid", "zhao.min"}})).text("status").value(), "suspended");
  EXPECT_EQ(scim(token, "GET", "Users/zhao.min", "", "-H 'If-None-Match: W/\"2\"'").status, 304);
  const Answer replaced =
      scim(token, "PUT", "Users/zhao.min", R"({"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"zhao.min@x.example","active":true})");
  EXPECT_EQ(replaced.status, 200) << replaced.body;
  EXPECT_EQ(scim(token, "DELETE", "Users/zhao.min").status, 204);
  EXPECT_EQ(scim(token, "GET", "Users/zhao.min").status, 404);
  net().expect_audit("iam", "scim.delete", "");
}

TEST_F(WebServices, WhoseCertificateIsRevokedIsLetInNoLonger) {
  const auto status = [](const char* who) { return curl(who, "/scim/v2/ServiceProviderConfig").status; };
  EXPECT_EQ(status("stranger"), 200);
  revoke({"stranger"});
  // A connection that was open when the list was taken up ends, too: that one is not on record.
  TestNetwork::await("the list to be taken up", [&] { return status("stranger") == 0 && !net().audit("iam", "oauth.connection", "revoked").empty(); });
  EXPECT_EQ(status("hr"), 200);
  revoke({});
  TestNetwork::await("the list to be taken up", [&] { return status("stranger") == 200; });
}

TEST_F(WebServices, ScimRefusesInItsOwnWords) {
  const std::string token = token_of("hr", directory_scope);
  const Answer nobody = curl("hr", "/scim/v2/Users");
  EXPECT_EQ(nobody.status, 401);
  EXPECT_EQ(nobody.field("WWW-Authenticate"), "Bearer realm=\"scim\"");
  EXPECT_EQ(curl("hr", "/scim/v2/Users", "-H 'Authorization: Bearer x.y.z'").field("WWW-Authenticate"), "Bearer error=\"invalid_token\"");
  EXPECT_EQ(nobody.json().text("status").value_or(""), "401");
  EXPECT_EQ(curl("stranger", "/scim/v2/Users", "-H 'Authorization: Bearer " + token + "'").status, 401) << "the token is bound to another certificate";
  EXPECT_EQ(scim(token, "PATCH", "Users/administrator",
                 R"({"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"active","value":false}]})")
                .status,
            403);
  net().expect_audit("iam", "scim.patch", "separation of duties");
  EXPECT_EQ(scim(token, "GET", "Users?filter=nothing").json().text("scimType").value_or(""), "invalidFilter");
  EXPECT_EQ(scim(token, "POST", "Bulk", "{}").status, 404);
  EXPECT_EQ(scim(token, "DELETE", "Users").status, 405);
  EXPECT_EQ(curl("hr", "/scim/v2/Users", "-X POST -H 'Authorization: Bearer " + token + "' -H 'Content-Type: text/plain' -d x").status, 415);
  EXPECT_EQ(curl("stranger", "/scim/v2/ServiceProviderConfig").status, 200);
}

constexpr const char* verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";  // RFC 7636 appendix B
constexpr const char* challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

class AuthorizationCode : public WebServices {
 protected:
  static Answer authorize(const std::string& who, const std::string& more = "") {
    return curl(
        who,
        std::string(
            "/oauth2/"
            "authorize?response_type=code&client_id=console&redirect_uri=https%3A%2F%2Fconsole.example%2Fback&scope=identity.read&state=xyz&code_challenge=") +
            challenge + "&code_challenge_method=S256" + more);
  }
  /// The code in the address that the browser is sent to.
  static std::string code_of(const Answer& answer) {
    EXPECT_EQ(answer.status, 303) << answer.body;
    const std::string to = answer.field("Location");
    EXPECT_TRUE(to.starts_with("https://console.example/back?code=")) << to;
    const std::size_t begin = to.find('=') + 1;
    return to.substr(begin, to.find('&') - begin);
  }
  static Answer exchange(const std::string& who, const std::string& code) {
    return curl(who, "/oauth2/token",
                std::string("-d grant_type=authorization_code -d client_id=console -d redirect_uri=https://console.example/back -d code_verifier=") + verifier +
                    " -d code=" + code);
  }
  /// IAM dies at this place during `what`, and starts again.
  template <class What>
  static void crash(const char* place, const What& what) {
    const std::filesystem::path mark = *folder_ / place;
    net().running().stop_element("iam", app::RunningNetwork::Ending::orderly);
    const auto armed = net().running().start_element("iam", QANAT_CRASH_PROGRAM, {std::string("QANAT_CRASH_AT=") + place, "QANAT_CRASH_ONCE=" + mark.string()});
    ASSERT_TRUE(armed) << armed.error().message;
    EXPECT_EQ(what().status, 0) << "an answer, although it died";
    EXPECT_TRUE(std::filesystem::exists(mark)) << "the place was not reached";
    net().running().stop_element("iam", app::RunningNetwork::Ending::kill);
    const auto restarted = net().running().start_element("iam");
    ASSERT_TRUE(restarted) << restarted.error().message;
  }
  static int read_users(const std::string& who, const Answer& token) {
    return curl(who, "/scim/v2/Users?count=1", "-H 'Authorization: Bearer " + token.json().text("access_token").value_or("") + "'").status;
  }
};

TEST_F(AuthorizationCode, APersonsCertificateGetsACodeAndTheCodeATokenOnce) {
  const Answer metadata = curl("mei", "/.well-known/oauth-authorization-server");
  ASSERT_EQ(metadata.status, 200);
  EXPECT_EQ(metadata.json().text("issuer").value_or(""), url_);
  const Answer sent = authorize("mei");
  const std::string code = code_of(sent);
  EXPECT_NE(sent.field("Location").find("&state=xyz&iss=https%3A%2F%2F127.0.0.1%3A"), std::string::npos) << sent.field("Location");
  const Answer token = exchange("mei", code);
  ASSERT_EQ(token.status, 200) << token.body;
  EXPECT_EQ(token.field("Cache-Control"), "no-store");
  EXPECT_EQ(read_users("mei", token), 200);
  EXPECT_EQ(read_users("stranger", token), 401) << "bound to the certificate";
  EXPECT_EQ(exchange("mei", code).json().text("error").value_or(""), "invalid_grant");
  EXPECT_EQ(read_users("mei", token), 401) << "a code that comes twice voids what it got";
  EXPECT_EQ(exchange("stranger", code_of(authorize("mei"))).json().text("error").value_or(""), "invalid_grant");
  net().expect_audit("iam", "oauth.token", "with another certificate");
}

TEST_F(AuthorizationCode, WhoMayNotIsSentBackWithAnErrorAndNobodyElsewhere) {
  const Answer stranger = authorize("stranger");
  EXPECT_EQ(stranger.status, 303);
  EXPECT_TRUE(stranger.field("Location").starts_with("https://console.example/back?error=access_denied&")) << stranger.field("Location");
  const Answer elsewhere = curl("mei", "/oauth2/authorize?response_type=code&client_id=console&redirect_uri=https%3A%2F%2Fevil.example%2F&scope=identity.read");
  EXPECT_EQ(elsewhere.status, 400);
  EXPECT_EQ(elsewhere.field("Location"), "");
  net().expect_audit("iam", "oauth.authorize", "redirect_uri is none");
}

TEST_F(AuthorizationCode, ACodeIsSpentOnceWhateverDies) {
  crash("iam.code.given", [] { return authorize("mei"); });
  const std::string code = code_of(authorize("mei"));
  crash("iam.code.spent", [&] { return exchange("mei", code); });
  EXPECT_EQ(exchange("mei", code).json().text("error").value_or(""), "invalid_grant") << "nobody has its token, and nobody will";
  EXPECT_EQ(read_users("mei", exchange("mei", code_of(authorize("mei")))), 200);
}

TEST_F(AuthorizationCode, WhomTheDirectoryDeactivatesLosesWhatItHolds) {
  const Answer token = exchange("mei", code_of(authorize("mei")));
  ASSERT_EQ(read_users("mei", token), 200);
  const std::string directory = token_of("hr", directory_scope);
  const auto set_active = [&](const char* value) {
    return scim(directory, "PATCH", "Users/mei",
                std::string(R"({"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"Replace","path":"active","value":")") + value +
                    "\"}]}")
        .status;
  };
  EXPECT_EQ(set_active("False"), 200);
  EXPECT_EQ(read_users("mei", token), 401);
  EXPECT_TRUE(authorize("mei").field("Location").starts_with("https://console.example/back?error=access_denied"));
  EXPECT_EQ(set_active("True"), 200);
  EXPECT_EQ(read_users("mei", token), 401) << "of an epoch that is over";
  EXPECT_EQ(read_users("mei", exchange("mei", code_of(authorize("mei")))), 200);
}

}  // namespace
}  // namespace qanat::test
