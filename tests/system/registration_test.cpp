// Software of others at the real CAS: registered, approved, revoked by the commands of operators; what IAM says counts; kill -9 in the middle of issuing.
#include "crypto/subject.hpp"
#include "point_test.hpp"
#include "program.hpp"
#include "test_network.hpp"
#include "wire/base64.hpp"

namespace qanat::test {
namespace {

using points::Endpoint;
using wire::Json;

class RegistrationOverTheWire : public SharedNetwork {
 protected:
  static void SetUpTestSuite() {
    options_.optics = false;
    SharedNetwork::SetUpTestSuite();
    if (!net().ok()) return;
    for (const char* uid : {"box-7", "box-8"}) {
      const Json box = Json::object({{"uid", uid}, {"class", "application"}, {"domain", "a"}});
      const auto made = net().op().ask(Endpoint::x5_identity, "iam", Json::object({{"op", "create"}, {"identity", box}}));
      EXPECT_TRUE(made) << (made ? "" : made.error().message);
    }
  }

  static Result<Json> ask(const Json& body) { return net().op().ask(Endpoint::x5_registration, "cas", body); }
  static Json registered(Json body) {
    const auto made = ask(body);
    EXPECT_TRUE(made) << (made ? "" : made.error().message);
    return made.value_or(Json::object());
  }
  static Json box() { return Json::object({{"op", "create"}, {"subject", "box-7"}, {"profile", "device"}}); }
  static unsigned status(const std::string& caller, Endpoint endpoint, const std::string& callee, const Json& body) {
    const auto response = net().call_json(caller, endpoint, callee, body);
    EXPECT_TRUE(response) << (response ? "" : response.error().message);
    return response ? response->status : 0;
  }
  /// A PKCS#10 by a fresh ML-DSA-65 key, as PEM in `file`; its DER.
  static Bytes request_file(const std::filesystem::path& file, const std::string& common_name) {
    const crypto::PrivateKey key{.algorithm = crypto::KeyAlgorithm::ml_dsa_65, .secret = net().rng().secret(32)};
    const Bytes der = crypto::make_request(key, {.common_name = common_name, .element = {}, .number = {}, .dns = {}}).value();
    std::string text = wire::to_base64(der);
    for (std::size_t at = 64; at < text.size(); at += 65) text.insert(at, 1, '\n');
    std::ofstream(file) << "-----BEGIN CERTIFICATE REQUEST-----\n" << text << "\n-----END CERTIFICATE REQUEST-----\n";
    return der;
  }
  static std::string text_of(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static std::vector<Json> certificates_of(const Json& registration) {
    const Json shown = registered(Json::object({{"op", "show"}, {"reference", registration.text("reference").value()}}));
    return shown.array("certificates").value_or(std::vector<Json>());
  }
};

POINT_TEST(RegistrationOverTheWire, X_3, accepts, IamSaysWhetherASubjectIsActive) {
  const auto response = net().call_json("cas", Endpoint::x3_identity, "iam", Json::object({{"uid", "box-7"}}));
  ASSERT_TRUE(response) << response.error().message;
  ASSERT_EQ(response->status, 200U) << as_text(response->body);
  const Json outline = Json::parse(response->body).value();
  EXPECT_EQ(outline.text("status").value(), "active");
  EXPECT_EQ(outline.text("class").value(), "application");
}
POINT_TEST(RegistrationOverTheWire, X_3, refuses, OthersThanCasAndUnknownSubjects) {
  EXPECT_EQ(status("kms-a", Endpoint::x3_identity, "iam", Json::object({{"uid", "box-7"}})), 403U);
  EXPECT_EQ(status("cas", Endpoint::x3_identity, "iam", Json::object({{"uid", "nobody"}})), 404U);
}

POINT_TEST(RegistrationOverTheWire, X_5, accepts, AnOperatorRegistersSoftwareAndGetsItACertificate) {
  const TemporaryDirectory folder;
  const Json made = registered(box());
  const Bytes request = request_file(folder / "box.csr", "box-7");
  const Json given = registered(Json::object({{"op", "issue"}, {"reference", made.text("reference").value()}, {"request", wire::to_base64(request)}}));
  const auto leaf = crypto::Certificate::parse(given.base64("certificate").value());
  ASSERT_TRUE(leaf) << leaf.error().message;
  EXPECT_TRUE(net().trust().verify(*leaf, SystemClock().now_ms()));
  EXPECT_FALSE(leaf->names().element) << "nobody of the network";
  net().expect_audit("cas", "ceis.order", "");
}
POINT_TEST(RegistrationOverTheWire, X_5, refuses, OthersThanOperatorsAndSubjectsThatIamDoesNotVouchFor) {
  EXPECT_EQ(status("kms-a", Endpoint::x5_registration, "cas", box()), 403U);
  EXPECT_EQ(status("iam", Endpoint::x5_registration, "cas", box()), 403U);
  const auto unknown = ask(Json::object({{"op", "create"}, {"subject", "nobody"}, {"profile", "device"}}));
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message.find("'nobody' is not in IAM's register: enter it there first"), std::string::npos) << unknown.error().message;

  const TemporaryDirectory folder;
  const Json made = registered(Json::object({{"op", "create"}, {"subject", "box-8"}, {"profile", "device"}}));
  const Json order =
      Json::object({{"op", "issue"}, {"reference", made.text("reference").value()}, {"request", wire::to_base64(request_file(folder / "c", "box-8"))}});
  ASSERT_TRUE(net().op().ask(Endpoint::x5_identity, "iam", Json::object({{"op", "suspend"}, {"uid", "box-8"}})));
  const auto suspended = ask(order);
  ASSERT_FALSE(suspended);
  EXPECT_EQ(suspended.error().code, ErrorCode::denied);
  net().expect_audit("cas", "ceis.order", "'box-8' is suspended");
  ASSERT_TRUE(net().op().ask(Endpoint::x5_identity, "iam", Json::object({{"op", "resume"}, {"uid", "box-8"}})));
  EXPECT_TRUE(ask(order));
}

TEST_F(RegistrationOverTheWire, RefusedOrdersAreBehaviourOfTheirSubject) {
  const TemporaryDirectory folder;
  const Json made = registered(box());
  const Bytes request = request_file(folder / "box.csr", "somebody-else");
  EXPECT_FALSE(ask(Json::object({{"op", "issue"}, {"reference", made.text("reference").value()}, {"request", wire::to_base64(request)}})));
  TestNetwork::await("the record at IAM", [&] {
    const auto found =
        net().op().ask(Endpoint::x5_behaviour, "iam", Json::object({{"op", "query"}, {"uid", "box-7"}, {"action", "ceis.order"}, {"outcome", "refused"}}));
    return found && !found->array("records").value_or(std::vector<Json>()).empty();
  });
}

TEST_F(RegistrationOverTheWire, TheCommandsRegisterApproveAndRevoke) {
  net().close_op();  // the commands open the same identity
  const TemporaryDirectory folder;
  const std::string on = " --state " + net().network().folder().string();
  const auto run = [&](const std::string& line) { return run_program("ca " + line + on, folder); };
  const auto json = [&](const std::string& line) {
    const Outcome outcome = run(line + " --json");
    EXPECT_EQ(outcome.code, 0) << line << ": " << outcome.error;
    return outcome.code == 0 ? outcome.json() : Json::object();
  };
  const Outcome shown = run("register box-7 --profile device --dns box-7.example --hours-open 1");
  EXPECT_EQ(shown.code, 0) << shown.error;
  for (const char* part : {"eab kid r-", "challenge r-", "user r-", "reference r-"}) EXPECT_NE(shown.out.find(part), std::string::npos) << shown.out;

  const Json made = json("register box-7 --profile device --dns box-7.example --four-eyes --days 30");
  const std::string reference = made.text("reference").value();
  EXPECT_EQ(made.object("acme").value().text("kid").value(), reference);
  EXPECT_EQ(made.object("acme").value().text("hmac_key").value(), made.text("secret").value());
  EXPECT_NE(run("registrations").out.find(reference), std::string::npos);

  request_file(folder / "box.csr", "box-7");
  const std::string pem = (folder / "box.pem").string();
  const std::string issue = "issue " + reference + " --request " + (folder / "box.csr").string() + " --out " + pem;
  const std::string ticket = json(issue).text("ticket").value();
  EXPECT_NE(run(issue).out.find("qanat ca approve " + ticket), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(pem));
  EXPECT_NE(run("orders --only waiting").out.find(ticket), std::string::npos);
  const Outcome maker = run("approve " + ticket);
  EXPECT_EQ(maker.code, 1);
  EXPECT_NE(maker.error.find("two others approve"), std::string::npos) << maker.error;
  EXPECT_NE(run("approve " + ticket + " --as administrator").out.find("One more operator must approve it"), std::string::npos);
  EXPECT_EQ(run("approve " + ticket + " --as administrator").code, 1) << "the same one twice";
  EXPECT_NE(run("approve " + ticket + " --as auditor").out.find("Approved and issued"), std::string::npos);
  const Outcome collected = run("collect " + ticket + " --out " + pem);
  EXPECT_EQ(collected.code, 0) << collected.error;
  const auto chain = crypto::Certificate::parse_pem_chain(text_of(pem));
  ASSERT_TRUE(chain) << chain.error().message;
  ASSERT_EQ(chain->size(), 2U);
  EXPECT_EQ(chain->front().names().dns, std::vector<std::string>{"box-7.example"});

  const Outcome revoked = run("revoke-certificate " + pem + " --reason keyCompromise");
  EXPECT_EQ(revoked.code, 0) << revoked.error;
  EXPECT_NE(revoked.out.find("revoked: serial " + to_hex(chain->front().serial())), std::string::npos) << revoked.out;
  net().expect_audit("cas", "ceis.revoke", "reason 1");
  const auto answer = net().call("iam", Endpoint::x4_status, "cas", crypto::make_status_request(chain->front(), (*chain)[1], {}).value());
  ASSERT_TRUE(answer) << answer.error().message;
  const auto said = crypto::verify_status_response(answer->body, chain->front(), (*chain)[1], {}, SystemClock().now_ms());
  ASSERT_TRUE(said) << said.error().message;
  EXPECT_EQ(said->status, crypto::CertStatus::revoked);

  const Json second = json("register box-7 --profile device --four-eyes");
  request_file(folder / "other.csr", "box-7");
  const std::string other =
      json("issue " + second.text("reference").value() + " --request " + (folder / "other.csr").string() + " --out " + pem).text("ticket").value();
  EXPECT_EQ(run("reject " + other + " --why 'not this one'").code, 0);
  EXPECT_NE(run("collect " + other + " --out " + pem).error.find("not this one"), std::string::npos);
  EXPECT_NE(run("registrations " + reference).out.find(to_hex(chain->front().serial()) + " ml_dsa     revoked"), std::string::npos);
  EXPECT_NE(run("close " + reference).out.find("closed"), std::string::npos);

  // Mistakes: one line that says the mend.
  const auto mistake = [&](const std::string& line, int code, std::string_view part) {
    const Outcome outcome = run(line);
    EXPECT_EQ(outcome.code, code) << line;
    EXPECT_NE(outcome.error.find(part), std::string::npos) << line << ": " << outcome.error;
    EXPECT_EQ(std::ranges::count(outcome.error, '\n'), 1) << outcome.error;
  };
  mistake("register nobody --profile device", 1, "enter it there first (qanat iam create)");
  mistake("register box-7 --profile element", 1, "these can: sae, server, device, device-encryption");
  mistake("register box-7 --profile server", 1, "wants a name");
  mistake("register box-7", 2, "--profile");
  mistake(issue, 1, "is revoked");
  request_file(folder / "box.csr", "box-7");
  mistake(issue, 1, "is closed");
  mistake("revoke-certificate " + pem + " --reason dislike", 2, "--reason");
  mistake("revoke-certificate " + (folder / "nothing.pem").string() + " --reason superseded", 1, "nothing.pem: is not there");
  mistake("revoke-certificate " + (folder / "box.csr").string() + " --reason superseded", 1, "no certificate in it");
  mistake("approve o-0", 1, "there is no order");
  mistake("close r-0", 1, "there is no registration");
}

class RegistrationUnderCrashes : public RegistrationOverTheWire {
 protected:
  /// CAS dies at the place while it issues, starts again, and the same request gets one certificate.
  void crash(const std::string& place) {
    const testing::ScopedTrace trace(__FILE__, __LINE__, place);
    const TemporaryDirectory folder;
    const Json made = registered(box());
    const Json order =
        Json::object({{"op", "issue"}, {"reference", made.text("reference").value()}, {"request", wire::to_base64(request_file(folder / "box.csr", "box-7"))}});
    const std::filesystem::path mark = folder / "crashed";
    net().running().stop_element("cas", app::RunningNetwork::Ending::orderly);
    ASSERT_TRUE(net().running().start_element("cas", QANAT_CRASH_PROGRAM, {"QANAT_CRASH_AT=" + place, "QANAT_CRASH_ONCE=" + mark.string()}));
    EXPECT_FALSE(ask(order)) << "CAS answered";
    TestNetwork::await("its death", [&] { return !net().running().lives("cas"); });
    EXPECT_TRUE(std::filesystem::exists(mark)) << "the place was not reached";
    net().running().stop_element("cas", app::RunningNetwork::Ending::kill);
    ASSERT_TRUE(net().running().start_element("cas"));
    const Bytes first = registered(order).base64("certificate").value();
    EXPECT_EQ(registered(order).base64("certificate").value(), first);
    const auto leaf = crypto::Certificate::parse(first);
    ASSERT_TRUE(leaf) << leaf.error().message;
    EXPECT_TRUE(net().trust().verify(*leaf, SystemClock().now_ms()));
    const std::vector<Json> recorded = certificates_of(made);
    ASSERT_EQ(recorded.size(), 1U) << "one certificate for one request";
    EXPECT_EQ(recorded.front().text("serial").value(), to_hex(leaf->serial()));
    EXPECT_EQ(recorded.front().text("state").value(), "issued");
  }
};

TEST_F(RegistrationUnderCrashes, TheIntentionIsDurableAndNothingIsSigned) { crash("cas.ceis.intended"); }
TEST_F(RegistrationUnderCrashes, ItIsSignedAndNotRecorded) { crash("cas.ceis.signed"); }
TEST_F(RegistrationUnderCrashes, ItIsRecordedAndNotAnswered) { crash("cas.ceis.recorded"); }

}  // namespace
}  // namespace qanat::test
