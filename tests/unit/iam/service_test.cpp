#include "services/iam/service.hpp"

#include "services/iam/schema.hpp"
#include "trusted_network.hpp"
#include "wire/base64.hpp"
#include "wire/key_schedule.hpp"

namespace qanat::iam {
namespace {

using points::Endpoint;
using test::identity;
using test::json_of;
using test::json_request;
using test::must;
using test::refusal;

const Identity iam_id = identity("qanat://core/iam/iam");
const Identity cas_id = identity("qanat://core/cas/cas");
const Identity kms_a = identity("qanat://a/kms/kms-a");
const Identity kms_b = identity("qanat://b/kms/kms-b");
const Identity operator_id = identity("qanat://core/operator/operator");

class IamServiceTest : public testing::Test {
 protected:
  IamServiceTest() : node_(network_.open_node(iam_id, {cas_id, kms_a, kms_b})) { open_service(); }

  void open_service() {
    service_.reset();
    service_ = must(IamService::open(*node_, {}));
  }
  Result<net::Response> call(Endpoint endpoint, const Identity& caller, const wire::Json& body) {
    return test::handler_of(service_->handlers(), endpoint)(json_request(caller, body));
  }
  Result<net::Response> create(std::string uid, std::string number = "+8613800000001") {
    return call(Endpoint::x5_subscriber, operator_id,
                wire::Json::object({{"op", "create"}, {"uid", uid}, {"number", number}, {"home_kms", "kms-a"}, {"domain", "a"}, {"device", "app1"}}));
  }
  Result<net::Response> operate(std::string op, std::string uid) {
    return call(Endpoint::x5_subscriber, operator_id, wire::Json::object({{"op", op}, {"uid", uid}}));
  }
  static Secret secret_in(const wire::Json& answer) { return Secret::copy_of(must(answer.hex("enrolment_secret"))); }

  wire::Enrol enrol_message() {
    const crypto::Suite& suite = network_.suite();
    wire::Enrol out;
    out.uid = Uid("alice");
    out.number = Number("+8613800000001");
    out.kms_id = ElementName("kms-a");
    out.device_kind = Kind::app1;
    out.nonce = network_.rng().bytes(wire::nonce_size);
    out.csr_classical = Bytes(200, 1);
    out.csr_pq = Bytes(400, 2);
    out.ephemeral = {.point = Bytes(suite.point, 4), .ml_kem = Bytes(suite.ml_kem_public, 5)};
    out.mac = Bytes(suite.digest);
    return out;
  }
  Result<net::Response> enrol(const wire::Enrol& message, const Secret& secret) {
    return enrol_octets(must(wire::make_enrol(network_.suite(), 1, message, secret)).octets);
  }
  Result<net::Response> enrol_octets(const Bytes& octets, std::string uid = "alice") {
    return call(Endpoint::x3_enrolment, cas_id, wire::Json::object({{"uid", uid}, {"enrol", wire::to_base64(octets)}}));
  }
  void enrolled_alice() {
    const Secret secret = secret_in(json_of(create("alice")));
    json_of(enrol(enrol_message(), secret));
  }
  Result<net::Response> token(const Identity& caller, std::string uid = "alice", std::size_t digest = 32) {
    return call(Endpoint::pm1_token, caller,
                wire::Json::object({{"uid", uid}, {"fp_classical", to_hex(Bytes(digest, 1))}, {"fp_ml_dsa", to_hex(Bytes(digest, 2))}}));
  }

  test::TrustedNetwork network_;
  std::unique_ptr<node::Node> node_;
  std::unique_ptr<IamService> service_;
};

TEST_F(IamServiceTest, CasLearnsWhetherAnElementMayGoOn) {
  IamSettings settings;
  settings.founders.elements = {kms_a};
  service_.reset();
  service_ = must(IamService::open(*node_, settings));
  const auto ask = [&](const Identity& element) { return call(Endpoint::x3_identity, cas_id, wire::Json::object({{"identity", element.uri()}})); };
  EXPECT_EQ(must(json_of(ask(kms_a)).text("status")), "active");
  EXPECT_EQ(must(json_of(ask(operator_id)).text("status")), "active");
  json_of(call(Endpoint::x5_identity, operator_id, wire::Json::object({{"op", "suspend"}, {"uid", "kms-a"}})));
  EXPECT_EQ(must(json_of(ask(kms_a)).text("status")), "suspended");
  EXPECT_EQ(refusal(ask(kms_b)), ErrorCode::not_found);
  EXPECT_EQ(refusal(call(Endpoint::x3_identity, cas_id, wire::Json::object({{"identity", "kms-a"}}))), ErrorCode::invalid_argument);
}

class FoundingTest : public IamServiceTest {
 protected:
  /// Again, with this element in the configuration.
  void open_with(const std::vector<Identity>& elements) {
    IamSettings settings;
    settings.founders.elements = elements;
    service_.reset();
    service_ = must(IamService::open(*node_, settings));
  }
  Result<net::Response> enter(const std::string& uid, const std::string& of, const std::string& uri = "") {
    wire::Json record = wire::Json::object({{"uid", uid}, {"class", of}, {"domain", "a"}});
    if (!uri.empty()) record.set("uri", uri);
    return call(Endpoint::x5_identity, operator_id, wire::Json::object({{"op", "create"}, {"identity", record}}));
  }
  Result<net::Response> ask(const Identity& element) { return call(Endpoint::x3_identity, cas_id, wire::Json::object({{"identity", element.uri()}})); }
};

TEST_F(FoundingTest, APersonWithAnElementsNameKeepsNoIamFromStarting) {
  json_of(enter("kms-a", "person"));
  open_with({kms_a, kms_b});
  EXPECT_TRUE(ask(kms_b)) << "the others are entered";
  EXPECT_EQ(refusal(ask(kms_a)), ErrorCode::not_found);
  EXPECT_TRUE(test::audited(network_.state_of(iam_id), "identity.left_out"));
  EXPECT_TRUE(test::audited(network_.state_of(iam_id), "its name is that of the identity 'kms-a', a person"));
  json_of(enter("kms-of-a", "element", kms_a.uri()));
  open_with({kms_a, kms_b});
  EXPECT_EQ(must(json_of(ask(kms_a)).text("uid")), "kms-of-a");
}

TEST_F(FoundingTest, AConfiguredElementsNameIsForAnElement) {
  open_with({kms_a});
  json_of(call(Endpoint::x5_identity, operator_id, wire::Json::object({{"op", "delete"}, {"uid", "kms-a"}, {"version", 1}})));
  const auto refused = enter("kms-a", "person");
  EXPECT_EQ(refusal(refused), ErrorCode::conflict);
  EXPECT_TRUE(refused.error().message.contains("iam.elements")) << refused.error().message;
  EXPECT_EQ(refusal(create("kms-a")), ErrorCode::conflict) << "no subscriber either";
  EXPECT_TRUE(enter("kms-a", "element", kms_a.uri()));
}

TEST_F(IamServiceTest, CreatedSubscriberGetsASecretOfItsOwn) {
  const Secret alice = secret_in(json_of(create("alice")));
  const Secret bob = secret_in(json_of(create("bob", "+8613800000002")));
  EXPECT_EQ(alice.size(), enrolment_secret_size);
  EXPECT_FALSE(equal_secret(alice, bob));
  const wire::Json shown = json_of(operate("show", "alice"));
  EXPECT_EQ(must(shown.text("number")), "+8613800000001");
  EXPECT_EQ(must(shown.text("home_kms")), "kms-a");
  EXPECT_EQ(must(shown.text("domain")), "a");
  EXPECT_EQ(must(shown.text("device")), "app1");
  EXPECT_EQ(must(shown.text("status")), "active");
  EXPECT_FALSE(must(shown.boolean("enrolled")));
  EXPECT_FALSE(shown.has("enrolment_secret"));
}

TEST_F(IamServiceTest, CasIsToldWhetherASubjectIsActive) {
  json_of(create("alice"));
  const auto outlined = [&](const std::string& uid) { return call(Endpoint::x3_identity, cas_id, wire::Json::object({{"uid", uid}})); };
  const wire::Json active = json_of(outlined("alice"));
  EXPECT_EQ(must(active.text("uid")), "alice");
  EXPECT_EQ(must(active.text("status")), "active");
  EXPECT_FALSE(active.has("version")) << "an outline, not the record";
  json_of(operate("suspend", "alice"));
  EXPECT_EQ(must(json_of(outlined("alice")).text("status")), "suspended");
  EXPECT_EQ(refusal(outlined("nobody")), ErrorCode::not_found);
  EXPECT_EQ(refusal(outlined("a b")), ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(call(Endpoint::x3_identity, cas_id, wire::Json::object({{"uid", "alice"}, {"op", "change"}}))), ErrorCode::invalid_argument);
}

TEST_F(IamServiceTest, SecretIsNotInTheDatabaseInClear) {
  const Secret secret = secret_in(json_of(create("alice")));
  service_.reset();  // the write-ahead log goes into the file
  std::ifstream in(network_.state_of(iam_id) / "iam.db", std::ios::binary);
  const std::string all(std::istreambuf_iterator<char>(in), {});
  EXPECT_TRUE(all.contains("alice"));
  EXPECT_FALSE(all.contains(as_text(secret.reveal())));
  EXPECT_FALSE(all.contains(to_hex(secret.reveal())));
}

TEST_F(IamServiceTest, TakenNamesAndMalformedOnesAreRefused) {
  json_of(create("alice"));
  EXPECT_EQ(refusal(create("alice", "+8613800000009")), ErrorCode::conflict);
  EXPECT_EQ(refusal(create("alice2")), ErrorCode::conflict) << "the number is taken";
  EXPECT_EQ(refusal(create("al/ice", "+8613800000009")), ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(create("bob", "8613800000009")), ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(operate("show", "nobody")), ErrorCode::not_found);
  EXPECT_EQ(refusal(operate("suspend", "nobody")), ErrorCode::not_found);
  EXPECT_EQ(refusal(operate("new_secret", "nobody")), ErrorCode::not_found);
  EXPECT_EQ(refusal(operate("delete", "alice")), ErrorCode::invalid_argument);
}

TEST_F(IamServiceTest, EnrolmentIsAttestedOnceAndAgainForTheSameMessageAlsoAfterARestart) {
  const Secret secret = secret_in(json_of(create("alice")));
  const auto message = must(wire::make_enrol(network_.suite(), 1, enrol_message(), secret));
  const wire::Json attested = json_of(enrol_octets(message.octets));
  EXPECT_EQ(must(attested.text("number")), "+8613800000001");
  EXPECT_EQ(must(attested.text("home_kms")), "kms-a");
  EXPECT_EQ(attested.names(), (std::vector<std::string>{"uid", "number", "home_kms", "domain", "device"}));
  open_service();
  EXPECT_EQ(json_of(enrol_octets(message.octets)).dump(), attested.dump());
  EXPECT_TRUE(must(json_of(operate("show", "alice")).boolean("enrolled")));

  EXPECT_EQ(refusal(enrol(enrol_message(), secret)), ErrorCode::conflict) << "another nonce is another message";
  wire::Enrol other_keys = enrol_message();
  other_keys.csr_pq = Bytes(400, 3);
  EXPECT_EQ(refusal(enrol(other_keys, secret)), ErrorCode::conflict);
}

TEST_F(IamServiceTest, WrongSecretAndAlteredMessageAreUnauthenticatedAndSpendNothing) {
  const Secret secret = secret_in(json_of(create("alice")));
  EXPECT_EQ(refusal(enrol(enrol_message(), network_.rng().secret(enrolment_secret_size))), ErrorCode::unauthenticated);
  const auto message = must(wire::make_enrol(network_.suite(), 1, enrol_message(), secret));
  for (const std::size_t at : {message.octets.size() - 1, message.octets.size() - 1000, std::size_t{60}}) {
    Bytes altered = message.octets;
    altered[at] ^= 1;
    EXPECT_FALSE(enrol_octets(altered)) << at;
  }
  EXPECT_FALSE(must(json_of(operate("show", "alice")).boolean("enrolled")));
  EXPECT_TRUE(enrol_octets(message.octets));
}

TEST_F(IamServiceTest, MessageThatAsksForWhatIsAnothersIsDeniedAndSpendsNothing) {
  const Secret secret = secret_in(json_of(create("alice")));
  json_of(create("bob", "+8613800000002"));
  wire::Enrol number = enrol_message();
  number.number = Number("+8613800000002");
  wire::Enrol kms = enrol_message();
  kms.kms_id = ElementName("kms-b");
  wire::Enrol device = enrol_message();
  device.device_kind = Kind::dev1;
  for (const wire::Enrol& message : {number, kms, device}) EXPECT_EQ(refusal(enrol(message, secret)), ErrorCode::denied);
  EXPECT_EQ(refusal(enrol_octets(must(wire::make_enrol(network_.suite(), 1, enrol_message(), secret)).octets, "bob")), ErrorCode::invalid_argument);
  wire::Enrol bob = enrol_message();
  bob.uid = Uid("bob");
  EXPECT_EQ(refusal(enrol_octets(must(wire::make_enrol(network_.suite(), 1, bob, secret)).octets, "bob")), ErrorCode::unauthenticated);
  EXPECT_TRUE(enrol(enrol_message(), secret));
}

TEST_F(IamServiceTest, SuspendedSubscriberNeitherEnrolsNorGetsTokensUntilResumed) {
  const Secret secret = secret_in(json_of(create("alice")));
  const auto message = must(wire::make_enrol(network_.suite(), 1, enrol_message(), secret));
  json_of(operate("suspend", "alice"));
  EXPECT_EQ(refusal(enrol_octets(message.octets)), ErrorCode::denied);
  json_of(operate("resume", "alice"));
  EXPECT_TRUE(enrol_octets(message.octets));
  EXPECT_TRUE(token(kms_a));
  EXPECT_EQ(must(json_of(operate("suspend", "alice")).text("status")), "suspended");
  const auto refused = token(kms_a);
  EXPECT_EQ(refusal(refused), ErrorCode::denied);
  EXPECT_TRUE(refused.error().message.contains("suspended"));
  EXPECT_TRUE(test::audited(network_.state_of(iam_id), refused.error().message));
}

TEST_F(IamServiceTest, NewSecretVoidsTheOldOne) {
  const Secret old_secret = secret_in(json_of(create("alice")));
  ASSERT_TRUE(enrol(enrol_message(), old_secret));
  const Secret new_secret = secret_in(json_of(operate("new_secret", "alice")));
  EXPECT_FALSE(must(json_of(operate("show", "alice")).boolean("enrolled")));
  EXPECT_EQ(refusal(enrol(enrol_message(), old_secret)), ErrorCode::unauthenticated);
  EXPECT_TRUE(enrol(enrol_message(), new_secret));
}

TEST_F(IamServiceTest, TokenIsSignedByIamBoundToTheHolderAndShortLived) {
  enrolled_alice();
  const UnixMs before = SystemClock().now_ms();
  const wire::Json answer = json_of(token(kms_a));
  const node::MessageSigner& iam = *node_->credentials().messages;
  EXPECT_EQ(must(answer.base64("classical")), iam.classical.der());
  EXPECT_EQ(must(answer.base64("ml_dsa")), iam.ml_dsa.der());
  const auto verifier = must(crypto::Verifier::from_key(network_.suite(), iam.signer.verifying_key()));
  const auto opened = must(wire::open_token(must(answer.base64("token")), verifier, iam.fps));
  const wire::Fingerprints holder{.classical = Bytes(32, 1), .pq = Bytes(32, 2)};
  EXPECT_TRUE(wire::check_token(opened.message, holder, Uid("alice"), ElementName("kms-a"), before));
  EXPECT_EQ(opened.message.expires_ms - opened.message.issued_ms, 300'000U);
  EXPECT_FALSE(wire::check_token(opened.message, holder, Uid("alice"), ElementName("kms-a"), opened.message.expires_ms));
  const auto another = must(wire::open_token(must(json_of(token(kms_a)).base64("token")), verifier, iam.fps));
  EXPECT_NE(another.message.token_id, opened.message.token_id);
}

TEST_F(IamServiceTest, TokensAreForTheHomeKmsAndForEnrolledSubscribersOnly) {
  const Secret secret = secret_in(json_of(create("alice")));
  EXPECT_EQ(refusal(token(kms_a)), ErrorCode::denied) << "not enrolled";
  json_of(enrol(enrol_message(), secret));
  EXPECT_TRUE(token(kms_a));
  EXPECT_EQ(refusal(token(kms_b)), ErrorCode::denied);
  EXPECT_EQ(refusal(token(identity("qanat://evil/kms/kms-a"))), ErrorCode::denied);
  EXPECT_EQ(refusal(token(kms_a, "nobody")), ErrorCode::denied);
  EXPECT_EQ(refusal(token(kms_a, "alice", 31)), ErrorCode::invalid_argument);
}

TEST_F(IamServiceTest, ATokenReachesNoFurtherThanTheGrants) {
  enrolled_alice();
  const auto privileges = [&](const wire::Json& body) { return json_of(call(Endpoint::x5_privilege, identity("qanat://core/operator/administrator"), body)); };
  const auto verifier = must(crypto::Verifier::from_key(network_.suite(), node_->credentials().messages->signer.verifying_key()));
  const auto issued = [&] { return must(wire::open_token(must(json_of(token(kms_a)).base64("token")), verifier, node_->credentials().messages->fps)).message; };
  const auto grants = must(privileges(wire::Json::object({{"op", "grants"}, {"subject", "class:terminal"}})).array("grants"));
  ASSERT_EQ(grants.size(), 1U);
  EXPECT_EQ(issued().level_max, wire::Assurance::disjoint_qkd_paths);
  privileges(wire::Json::object({{"op", "take"}, {"grant", must(grants[0].integer("id"))}}));
  const auto refused = token(kms_a);
  EXPECT_EQ(refusal(refused), ErrorCode::denied);
  EXPECT_EQ(refused.error().message, "token for 'alice': 'alice' has no role");
  EXPECT_TRUE(test::audited(network_.state_of(iam_id), "'alice' has no role"));
  const UnixMs end = SystemClock().now_ms() + 60'000;
  privileges(wire::Json::object({{"op", "give"}, {"subject", "alice"}, {"role", "subscriber"}, {"domain", "b"}, {"level_max", 2}, {"not_after_ms", end}}));
  EXPECT_EQ(issued().level_max, wire::Assurance::pqc);
  EXPECT_EQ(issued().expires_ms, end) << "no longer than the grant";
}

TEST_F(IamServiceTest, KmsLooksUpASubscriber) {
  json_of(create("alice"));
  const wire::Json found = json_of(call(Endpoint::id1_subscriber, kms_b, wire::Json::object({{"uid", "alice"}})));
  EXPECT_EQ(found.names(), (std::vector<std::string>{"uid", "number", "home_kms", "domain", "device", "status"}));
  EXPECT_EQ(must(found.text("status")), "active");
  EXPECT_EQ(refusal(call(Endpoint::id1_subscriber, kms_b, wire::Json::object({{"uid", "bob"}}))), ErrorCode::not_found);
  EXPECT_EQ(refusal(call(Endpoint::id1_subscriber, kms_b, wire::Json::object({{"uid", "alice"}, {"more", 1}}))), ErrorCode::invalid_argument);
}

class BehaviourTest : public IamServiceTest {
 protected:
  static wire::Json record(std::string object) {
    return wire::Json::object({{"time_ms", 1'790'000'000'000}, {"uid", "alice"}, {"action", "km-1.application"}, {"outcome", "success"}, {"object", object}});
  }
  Result<net::Response> report(std::vector<wire::Json> records) {
    return call(Endpoint::ua1_record, kms_a, wire::Json::object({{"records", wire::Json::array(std::move(records))}}));
  }
};

TEST_F(BehaviourTest, ReportsAreAppendedAndBounded) {
  EXPECT_TRUE(report({record("1"), record("2")}));
  EXPECT_TRUE(report(std::vector<wire::Json>(records_max, record("x"))));
  EXPECT_EQ(refusal(report(std::vector<wire::Json>(records_max + 1, record("x")))), ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(report({})), ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(report({record("good"), record(std::string(record_text_max + 1, 'x'))})), ErrorCode::invalid_argument);
  service_.reset();
  const auto store = must(store::Store::open(network_.state_of(iam_id) / "iam.db", migrations));
  EXPECT_EQ(must(Behaviour(*store).verify()), static_cast<std::int64_t>(records_max) + 2) << "a refused report leaves nothing";
}

TEST_F(BehaviourTest, AReportThatComesAgainIsNotAppendedTwice) {
  const auto send = [&](const Identity& from, const std::string& id, const char* object) {
    return call(Endpoint::ua1_record, from, wire::Json::object({{"id", id}, {"records", wire::Json::array({record(object)})}}));
  };
  EXPECT_TRUE(send(kms_a, "1", "a"));
  EXPECT_TRUE(send(kms_a, "1", "a"));
  open_service();
  EXPECT_TRUE(send(kms_a, "1", "a"));
  EXPECT_TRUE(send(kms_b, "1", "b")) << "another's ids are its own";
  EXPECT_TRUE(send(kms_a, "2", "c"));
  EXPECT_TRUE(report({record("d")})) << "an id is not demanded";
  EXPECT_TRUE(report({record("d")}));
  EXPECT_EQ(refusal(send(kms_a, std::string(report_id_max + 1, 'x'), "e")), ErrorCode::invalid_argument);
  service_.reset();
  const auto store = must(store::Store::open(network_.state_of(iam_id) / "iam.db", migrations));
  EXPECT_EQ(must(Behaviour(*store).verify()), 5);
}

TEST_F(BehaviourTest, AlteredOrRemovedRecordsShow) {
  ASSERT_TRUE(report({record("1"), record("2"), record("3")}));
  service_.reset();
  const auto change = [&](std::string_view sql) {
    const auto store = must(store::Store::open(network_.state_of(iam_id) / "iam.db", migrations));
    must(store->transact([&](store::Transaction& transaction) { return transaction.run(sql, {}); }));
    return Behaviour(*store).verify();
  };
  EXPECT_TRUE(change("UPDATE behaviour SET object = '2' WHERE seq = 2")) << "nothing changed";
  EXPECT_EQ(refusal(change("UPDATE behaviour SET outcome = 'refused' WHERE seq = 2")), ErrorCode::internal);
  EXPECT_TRUE(change("UPDATE behaviour SET outcome = 'success' WHERE seq = 2"));
  EXPECT_EQ(refusal(change("DELETE FROM behaviour WHERE seq = 1")), ErrorCode::internal);
}

}  // namespace
}  // namespace qanat::iam
