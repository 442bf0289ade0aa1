// The desk: what it issues, to whom, under which names, with whose approval; and what it refuses.
#include <set>
#include <thread>

#include "cas_fixture.hpp"
#include "subject_keys.hpp"

namespace qanat::cas {
namespace {

using crypto::SubjectAlgorithm;

const Identity maker = identity("qanat://core/operator/operator");
const Identity second_pair = identity("qanat://core/operator/administrator");
const Identity third_pair = identity("qanat://core/operator/auditor");

class DeskTest : public CasFixture {
 protected:
  FrontDesk& desk() { return service_->desk(); }
  Result<net::Response> operate(const Identity& who, const wire::Json& body) { return call(Endpoint::x5_registration, json_request(who, body)); }
  wire::Json registered(wire::Json body = box()) { return json_of(operate(maker, body)); }
  static wire::Json names(const std::vector<std::string>& list) {
    wire::Json out = wire::Json::array();
    for (const std::string& one : list) out.push(one);
    return out;
  }
  static wire::Json box() {
    return wire::Json::object({{"op", "create"}, {"subject", "box-7"}, {"profile", "device"}, {"dns", names({"box-7.example", "*.lab.example"})}});
  }
  static wire::Json ticket_body(std::string_view op, std::string_view ticket) { return wire::Json::object({{"op", op}, {"ticket", ticket}}); }

  Asked asked(const std::string& reference, const crypto::SubjectPublicKey& key, std::uint8_t hash = 1) {
    return {.protocol = Protocol::est, .reference = reference, .key = key, .request_hash = Bytes(32, hash)};
  }
  Asked asked(const wire::Json& registration, SubjectAlgorithm algorithm = SubjectAlgorithm::ecdsa_p256) {
    return asked(must(registration.text("reference")), subject_key(algorithm));
  }
  Result<Outcome> order(const Asked& asked) { return desk().order(asked, test::soon(), "0123456789abcdef"); }
  Given given(const Asked& asked) {
    const Outcome outcome = must(order(asked));
    EXPECT_TRUE(std::holds_alternative<Given>(outcome));
    return std::holds_alternative<Given>(outcome) ? std::get<Given>(outcome) : Given{};
  }
  std::string ticket_of(const Asked& asked) {
    const Outcome outcome = must(order(asked));
    EXPECT_TRUE(std::holds_alternative<Waiting>(outcome));
    return std::holds_alternative<Waiting>(outcome) ? std::get<Waiting>(outcome).ticket : "";
  }
  crypto::SubjectCertificate certificate(const Given& given) { return must(crypto::SubjectCertificate::parse(given.certificate)); }
  /// The refusal is of this kind and says so.
  template <class T>
  void expect_refused(const Result<T>& result, ErrorCode code, std::string_view part) {
    ASSERT_FALSE(result) << "was granted: " << part;
    EXPECT_EQ(result.error().code, code) << result.error().message;
    EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
  }
  /// Changes cas.db while CAS does not run.
  void in_record(const std::string& sql, store::Value which) {
    close_service();
    {
      const auto device = must(crypto::open_software_device(plan().master_key, *rng_));
      const auto records = must(Records::open(state() / "cas.db", *device));
      must(records->store().transact([&](store::Transaction& transaction) -> Result<void> {
        TRY(transaction.run(sql, {which}));
        return {};
      }));
    }
    open_service();
  }
  void rewrite(const crypto::SubjectCertificate& certificate, const std::string& set) {
    in_record("UPDATE certificate SET " + set + " WHERE serial = ?", ByteView(certificate.serial()));
  }
  /// As a death before the record leaves it: "intended"; or as what came later leaves that: "abandoned".
  void set_back(const crypto::SubjectCertificate& certificate, const std::string& to) {
    rewrite(certificate, "state = '" + to + "', der = NULL, generation = NULL");
  }
  std::vector<wire::Json> certificates_of(const wire::Json& registration) {
    const wire::Json shown = json_of(operate(maker, wire::Json::object({{"op", "show"}, {"reference", must(registration.text("reference"))}})));
    return must(shown.array("certificates"));
  }
  void close(const wire::Json& registration) {
    json_of(operate(maker, wire::Json::object({{"op", "close"}, {"reference", must(registration.text("reference"))}})));
  }
  std::string audit_text() {
    std::ifstream in(node_->settings().state / "audit.jsonl");
    return {std::istreambuf_iterator<char>(in), {}};
  }
};

TEST_F(DeskTest, ARegistrationIsShownWithItsSecretOnce) {
  const wire::Json made = registered();
  const std::string reference = must(made.text("reference"));
  EXPECT_TRUE(reference.starts_with("r-"));
  EXPECT_EQ(reference.size(), 18U);
  const Bytes secret = must(wire::from_base64url(must(made.text("secret"))));
  EXPECT_EQ(secret.size(), registration_secret_size);
  EXPECT_TRUE(equal(must(desk().secret_of(reference)).reveal(), secret));
  EXPECT_EQ(must(made.text("common_name")), "box-7");
  EXPECT_FALSE(json_of(operate(maker, wire::Json::object({{"op", "show"}, {"reference", reference}}))).has("secret"));
  const wire::Json list = json_of(operate(second_pair, wire::Json::object({{"op", "list"}})));
  ASSERT_EQ(must(list.array("registrations")).size(), 1U);
  EXPECT_FALSE(must(list.array("registrations")).front().has("secret"));
  EXPECT_EQ(must(desk().registration(reference)).subject.text(), "box-7");
  const crypto::SubjectCertificate leaf = certificate(given(asked(made)));
  const std::vector<wire::Json> shown = certificates_of(made);
  ASSERT_EQ(shown.size(), 1U);
  EXPECT_EQ(must(shown.front().text("serial")), to_hex(leaf.serial()));
  EXPECT_EQ(must(shown.front().text("state")), "issued");
  EXPECT_EQ(audit_text().find(must(made.text("secret"))), std::string::npos) << "no secret on record";
}

TEST_F(DeskTest, RegistrationsThatMakeNoSenseAreRefusedWithTheMend) {
  const auto with = [&](std::string_view member, wire::Json value) {
    wire::Json out = wire::Json::object({{"op", "create"}, {"subject", "box-7"}, {"profile", "device"}});
    if (member == "subject" || member == "profile") {
      out = wire::Json::object({{"op", "create"}, {member == "subject" ? "profile" : "subject", member == "subject" ? "device" : "box-7"}});
    }
    return operate(maker, out.set(member, std::move(value)));
  };
  expect_refused(with("profile", "element"), ErrorCode::invalid_argument, "these can: sae, server, device, device-encryption");
  expect_refused(with("profile", "ocsp-signer"), ErrorCode::invalid_argument, "cannot be registered");
  expect_refused(with("profile", "server"), ErrorCode::invalid_argument, "wants a name");
  expect_refused(with("subject", "a b"), ErrorCode::invalid_argument, "uid");
  expect_refused(with("dns", names({"a b"})), ErrorCode::invalid_argument, "no DNS name");
  expect_refused(with("dns", names({"*.example"})), ErrorCode::invalid_argument, "no DNS name");
  expect_refused(with("common_name", ""), ErrorCode::invalid_argument, "common_name");
  expect_refused(with("common_name", std::string(65, 'a')), ErrorCode::invalid_argument, "common_name");
  expect_refused(with("lifetime_s", 1), ErrorCode::invalid_argument, "lifetime_s");
  expect_refused(with("lifetime_s", 900LL * 86400), ErrorCode::invalid_argument, "lifetime_s");
  expect_refused(with("open_s", 0), ErrorCode::invalid_argument, "open_s");
  expect_refused(with("short_lived", true), ErrorCode::invalid_argument, "lifetime_s must be there");
  for (const std::int64_t lifetime_s : {169 * 3600, 3599})
    expect_refused(operate(maker, box().set("short_lived", true).set("lifetime_s", lifetime_s)), ErrorCode::invalid_argument, "lifetime_s");
  expect_refused(with("colour", "red"), ErrorCode::invalid_argument, "colour");
  suspended_ = "box-7";
  expect_refused(operate(maker, box()), ErrorCode::denied, "suspended");
  expect_refused(operate(maker, wire::Json::object({{"op", "burn"}})), ErrorCode::invalid_argument, "op must be");
  expect_refused(operate(maker, wire::Json::object({{"op", "show"}, {"reference", "r-0"}})), ErrorCode::not_found, "no registration");
}

TEST_F(DeskTest, EachKindOfKeyGetsACertificateFromItsBranch) {
  const wire::Json made = registered(box().set("reusable", true));
  std::uint8_t hash = 1;
  for (const SubjectAlgorithm algorithm : profile("device").keys) {
    SCOPED_TRACE(crypto::name(algorithm));
    const Asked wanted = asked(must(made.text("reference")), subject_key(algorithm), hash++);
    const Given out = given(wanted);
    const crypto::SubjectCertificate leaf = certificate(out);
    const Branch branch = desk().branch_for(algorithm);
    EXPECT_TRUE(leaf.signed_by(service_->authorities().of(branch).certificate));
    EXPECT_EQ(leaf.key(), wanted.key);
    EXPECT_EQ(leaf.names().common_name, "box-7");
    EXPECT_EQ(leaf.names().dns, (std::vector<std::string>{"box-7.example", "*.lab.example"}));
    EXPECT_EQ(leaf.usages(), crypto::KeyUsages{crypto::KeyUsage::digital_signature});
    EXPECT_EQ(leaf.extended(), (std::vector{crypto::ExtendedUsage::server_auth, crypto::ExtendedUsage::client_auth}));
    ASSERT_EQ(out.chain.size(), 1U);
    EXPECT_EQ(out.chain.front(), service_->authorities().of(branch).certificate.der());
    EXPECT_EQ(must(desk().find(leaf.serial())), out.certificate);
    EXPECT_EQ(must(desk().holder_of(out.certificate)).reference, must(made.text("reference")));
  }
  EXPECT_NE(audit_text().find("ceis.order"), std::string::npos);
}

TEST_F(DeskTest, ChainsOfCasNameTheirRoots) {
  for (const Branch branch : all_branches) {
    const std::vector<Bytes> chain = desk().ca_chain(branch);
    ASSERT_EQ(chain.size(), 2U);
    const auto root = must(crypto::Certificate::parse(chain[1]));
    EXPECT_NE(crypto::TrustStore({}, {root}).issuer_of(must(crypto::Certificate::parse(chain[0]))), nullptr);
  }
  ASSERT_EQ(desk().ca_chain(Branch::devices).size(), 1U) << "the device CA is its own root";
}

TEST_F(DeskTest, TheSameRequestGetsTheSameCertificateAlsoAfterARestart) {
  const wire::Json made = registered();
  const Asked wanted = asked(made);
  const Given first = given(wanted);
  EXPECT_EQ(given(wanted).certificate, first.certificate);
  open_service();
  EXPECT_EQ(given(wanted).certificate, first.certificate);
  iam_refuses_ = Error{ErrorCode::unavailable, "IAM does not answer"};
  EXPECT_EQ(given(wanted).certificate, first.certificate) << "nothing is decided anew";
  iam_refuses_.reset();
  must(desk().revoke(first.certificate, key_compromise, "test", "1"));
  expect_refused(order(wanted), ErrorCode::denied, "is revoked");
}

TEST_F(DeskTest, AnIntentionThatWasLeftIsCompletedWithItsSerialAndTimes) {
  const wire::Json made = registered();
  const Asked wanted = asked(made);
  const crypto::SubjectCertificate first = certificate(given(wanted));
  set_back(first, "intended");
  expect_refused(desk().find(first.serial()), ErrorCode::not_found, "was issued here");
  expect_refused(desk().holder_of(first.der()), ErrorCode::denied, "not issued here");
  const crypto::SubjectCertificate again = certificate(given(wanted));
  EXPECT_EQ(again.serial(), first.serial());
  EXPECT_EQ(again.not_before(), first.not_before());
  EXPECT_EQ(again.not_after(), first.not_after());
  set_back(first, "abandoned");
  expect_refused(order(wanted), ErrorCode::conflict, "given up");
  // Who asks anew by the same secret gives an intention up that was left.
  const Asked other = asked(made);
  EXPECT_TRUE(order(other));
}

TEST_F(DeskTest, ManyAtOnceWithOneRequestGetOneCertificate) {
  const wire::Json made = registered();
  const Asked wanted = asked(made);
  std::vector<Bytes> answers(8);
  std::vector<std::thread> threads;
  for (Bytes& answer : answers) {
    threads.emplace_back([&] {
      const auto outcome = order(wanted);
      if (outcome && std::holds_alternative<Given>(*outcome)) answer = std::get<Given>(*outcome).certificate;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(answers[0].empty());
  for (const Bytes& answer : answers) EXPECT_EQ(answer, answers[0]);
}

TEST_F(DeskTest, NamesThatAreAskedMustBeRegistered) {
  const wire::Json made = registered(box().set("reusable", true));
  const auto with = [&](crypto::AskedNames names) {
    Asked out = asked(made);
    out.names = std::move(names);
    return order(out);
  };
  const auto some = with({.common_name = "box-7.example", .dns = {"Box-7.EXAMPLE"}});
  ASSERT_TRUE(some) << some.error().message;
  const crypto::SubjectCertificate leaf = certificate(std::get<Given>(*some));
  EXPECT_EQ(leaf.names().common_name, "box-7.example");
  EXPECT_EQ(leaf.names().dns, std::vector<std::string>{"box-7.example"}) << "what is asked alone";
  EXPECT_TRUE(with({.common_name = "box-7", .dns = {"*.lab.example"}}));
  expect_refused(with({.common_name = "kms-a"}), ErrorCode::denied, "order: the common name 'kms-a' is not registered");
  expect_refused(with({.common_name = "box-7", .dns = {"box-8.example"}}), ErrorCode::denied, "order: the DNS name 'box-8.example' is not registered");
  expect_refused(with({.common_name = "box-7", .dns = {"a.lab.example"}}), ErrorCode::denied, "order: the DNS name 'a.lab.example' is not registered");
  expect_refused(with({.common_name = "box-7", .uris = {"qanat://a/kms/kms-a"}}), ErrorCode::denied, "order: 'qanat://a/kms/kms-a' is not registered");
  expect_refused(with({.common_name = "box-7", .uris = {"tel:+8613800000001"}}), ErrorCode::denied, "order: 'tel:+8613800000001' is not registered");
  expect_refused(with({.common_name = "box-7", .mail = {"root@example.org"}}), ErrorCode::denied, "order: 'root@example.org' is not registered");
  expect_refused(with({.common_name = "box-7", .addresses = {"192.0.2.7"}}), ErrorCode::denied, "order: '192.0.2.7' is not registered");
}

TEST_F(DeskTest, KeysThatTheProfileHasNotAreRefused) {
  const wire::Json made = registered();
  expect_refused(order(asked(made, SubjectAlgorithm::ml_kem_768)), ErrorCode::denied, "order: profile device takes no key of ML-KEM-768");
  const wire::Json server = registered(wire::Json::object({{"op", "create"}, {"subject", "web"}, {"profile", "server"}, {"dns", names({"web.example"})}}));
  expect_refused(order(asked(server, SubjectAlgorithm::sm2)), ErrorCode::denied, "order: profile server takes no key of SM2");
}

TEST_F(DeskTest, WhatTheLintAloneRefusesIsNotMeantInEarnest) {
  const std::string name = std::string(60, 'a') + ".example";  // fit for a DNS name, too long for a common name
  const wire::Json made = registered(wire::Json::object({{"op", "create"}, {"subject", "box-7"}, {"profile", "device"}, {"dns", names({name})}}));
  Asked wanted = asked(made);
  wanted.names = {.common_name = name, .dns = {name}};
  expect_refused(order(wanted), ErrorCode::denied, "lint: names: ");
  EXPECT_TRUE(certificates_of(made).empty());
}

TEST_F(DeskTest, PossessionIsVouchedForOnlyWhereTheRegistrationOrTheProfileSaysSo) {
  Asked wanted = asked(registered());
  wanted.possession = Possession::vouched;
  for (const Protocol protocol : {Protocol::est, Protocol::acme, Protocol::cmp, Protocol::scep}) {
    wanted.protocol = protocol;
    expect_refused(order(wanted), ErrorCode::denied, "no other's word");
  }
  Asked agent = asked(registered(box().set("ra_vouches", true)));
  agent.possession = Possession::vouched;
  expect_refused(order(agent), ErrorCode::denied, "no other's word");
  agent.protocol = Protocol::cmp;
  EXPECT_TRUE(order(agent));
  Asked encryption =
      asked(registered(wire::Json::object({{"op", "create"}, {"subject", "box-7"}, {"profile", "device-encryption"}})), SubjectAlgorithm::ml_kem_768);
  encryption.possession = Possession::vouched;
  const crypto::SubjectCertificate leaf = certificate(given(encryption));
  EXPECT_EQ(leaf.usages(), crypto::KeyUsages{crypto::KeyUsage::key_encipherment});
}

TEST_F(DeskTest, TheSubjectMustBeActiveAtIamNow) {
  const wire::Json made = registered();
  suspended_ = "box-7";
  expect_refused(order(asked(made)), ErrorCode::denied, "suspended");
  suspended_.clear();
  iam_refuses_ = Error{ErrorCode::unavailable, "IAM does not answer"};
  expect_refused(order(asked(made)), ErrorCode::unavailable, "IAM");
  iam_refuses_.reset();
  EXPECT_TRUE(order(asked(made)));
}

TEST_F(DeskTest, NoCertificateHoldsLongerThanItsProfileAllows) {
  const wire::Json made = registered();
  const std::string reference = must(made.text("reference"));
  // As it was registered where the profile allowed more.
  in_record("UPDATE registration SET lifetime_s = 1000000000 WHERE reference = ?", std::string_view(reference));
  const crypto::SubjectCertificate leaf = certificate(given(asked(made)));
  EXPECT_LE(leaf.not_after() - leaf.not_before(), static_cast<UnixMs>(std::chrono::milliseconds(profile("device").lifetime_max).count()) + backdating_ms);
}

TEST_F(DeskTest, ShortLivedCertificatesSayNoRevAvailAndPointNowhere) {
  CasSettings settings;
  settings.front.url = "http://status.test";
  open_service(settings);
  EXPECT_TRUE(certificate(given(asked(registered(wire::Json::object({{"op", "create"}, {"subject", "box-8"}, {"profile", "device"}}))))).points_to_status());
  const wire::Json made = registered(box().set("short_lived", true).set("lifetime_s", 24 * 3600));
  EXPECT_TRUE(must(made.boolean("short_lived")));
  open_service(settings);  // the registration keeps it
  const Given first = given(asked(made, SubjectAlgorithm::ecdsa_p384));
  Asked renewal = asked(made, SubjectAlgorithm::ml_dsa_65);
  renewal.renews = first.certificate;
  for (const Given& one : {first, given(renewal)}) {
    const crypto::SubjectCertificate leaf = certificate(one);
    EXPECT_TRUE(leaf.no_rev_avail());
    EXPECT_FALSE(leaf.points_to_status());
    const UnixMs held = leaf.not_after() - leaf.not_before();  // not from before the CA was made: it is younger than the backdating
    EXPECT_GE(held, test::day_ms - 1000);
    EXPECT_LE(held, test::day_ms + backdating_ms);
  }
  // A record that somebody changed: the lint looks.
  in_record("UPDATE registration SET lifetime_s = 608400 WHERE reference = ?", std::string_view(must(made.text("reference"))));
  renewal.key = subject_key(SubjectAlgorithm::ml_dsa_44);
  expect_refused(order(renewal), ErrorCode::denied, "lint: revocation");
  must(desk().revoke(first.certificate, 0, "test", "1"));
  expect_refused(desk().holder_of(first.certificate), ErrorCode::denied, "revoked");
}

TEST_F(DeskTest, ASecretGetsOneCertificateAtATime) {
  const wire::Json made = registered();
  const Given first = given(asked(made));
  expect_refused(order(asked(made)), ErrorCode::conflict, "has 1 live certificate");
  must(desk().revoke(first.certificate, 0, "test", "1"));
  const Given next = given(asked(made));
  EXPECT_NE(next.certificate, first.certificate);
}

TEST_F(DeskTest, RenewalsAreByALiveCertificateOfTheSameSubject) {
  const wire::Json made = registered();
  const Given first = given(asked(made));
  Asked renewal = asked(made, SubjectAlgorithm::ml_dsa_65);
  renewal.renews = first.certificate;
  const Given renewed = given(renewal);
  EXPECT_NE(renewed.certificate, first.certificate);
  EXPECT_EQ(given(renewal).certificate, renewed.certificate);

  const wire::Json other = registered(wire::Json::object({{"op", "create"}, {"subject", "box-8"}, {"profile", "device"}}));
  Asked foreign = asked(other);
  foreign.renews = first.certificate;
  expect_refused(order(foreign), ErrorCode::denied, "is of 'box-7'");

  Asked element = asked(made);
  element.renews = must(enrol_kms(requester(kms_a), secret_of(kms_a))).ml_dsa.der();
  expect_refused(order(element), ErrorCode::denied, "an element's");

  must(desk().revoke(first.certificate, 4, "test", "1"));
  Asked late = asked(made);
  late.renews = first.certificate;
  expect_refused(order(late), ErrorCode::denied, "revoked");
  expect_refused(desk().holder_of(first.certificate), ErrorCode::denied, "revoked");
  EXPECT_EQ(given(renewal).certificate, renewed.certificate) << "the same request still gets what it got";
  late.renews = renewed.certificate;
  EXPECT_TRUE(order(late));
  Bytes changed = renewed.certificate;
  changed.back() ^= 1;
  Asked forged = asked(made);
  forged.renews = changed;
  expect_refused(order(forged), ErrorCode::denied, "not issued here");
}

TEST_F(DeskTest, RenewalsDoNotPileUp) {
  const wire::Json made = registered();
  Bytes last = given(asked(made)).certificate;
  Result<Outcome> outcome = fail(ErrorCode::internal, "none yet");
  int renewals = 0;
  do {
    Asked renewal = asked(made);
    renewal.renews = last;
    outcome = order(renewal);
    if (outcome) last = std::get<Given>(*outcome).certificate;
  } while (outcome && ++renewals < 20);
  EXPECT_EQ(renewals, 8);
  expect_refused(outcome, ErrorCode::exhausted, "live certificate");
}

TEST_F(DeskTest, AnEncryptionCertificateThatIsAskedWithTheSigningOneIsBoundToIt) {
  const Given signing = given(asked(registered()));
  Asked encryption =
      asked(registered(wire::Json::object({{"op", "create"}, {"subject", "box-7"}, {"profile", "device-encryption"}})), SubjectAlgorithm::ml_kem_768);
  encryption.possession = Possession::vouched;
  encryption.renews = signing.certificate;
  const Bytes bound = given(encryption).certificate;
  const Bytes hash = crypto::digest(crypto::Hash::sha256, signing.certificate);
  EXPECT_FALSE(std::ranges::search(bound, hash).empty());
}

TEST_F(DeskTest, OneKeyIsOneSubjects) {
  const wire::Json made = registered();
  const crypto::SubjectPublicKey key = subject_key(SubjectAlgorithm::ml_dsa_65);
  const Given first = given(asked(must(made.text("reference")), key));
  const wire::Json other = registered(wire::Json::object({{"op", "create"}, {"subject", "box-8"}, {"profile", "device"}}));
  expect_refused(order(asked(must(other.text("reference")), key)), ErrorCode::denied, "the key is in a certificate of subject:box-7");
  must(desk().revoke(first.certificate, 4, "test", "1"));
  EXPECT_TRUE(order(asked(must(other.text("reference")), key)));
}

TEST_F(DeskTest, TheSameRequestByAnotherRegistrationIsAnotherRequest) {
  const crypto::SubjectPublicKey key = subject_key(SubjectAlgorithm::ecdsa_p256);
  const wire::Json one = registered();
  const wire::Json other = registered();
  const Given first = given(asked(must(one.text("reference")), key));
  const Given second = given(asked(must(other.text("reference")), key));
  EXPECT_NE(second.certificate, first.certificate);
  EXPECT_EQ(must(desk().holder_of(second.certificate)).reference, must(other.text("reference")));
}

TEST_F(DeskTest, AnElementsKeyIsNoSubjectsAndTheOtherWayRound) {
  const crypto::Certificate element = must(enrol_kms(requester(kms_a), secret_of(kms_a))).ml_dsa;
  const crypto::SubjectPublicKey key = must(crypto::SubjectCertificate::parse(element.der())).key();
  expect_refused(order(asked(must(registered().text("reference")), key)), ErrorCode::denied, "the key is in a certificate of qanat://a/kms/kms-a");
}

TEST_F(DeskTest, ACompromisedKeyIsNeverCertifiedAgain) {
  const wire::Json made = registered();
  const crypto::SubjectPublicKey key = subject_key(SubjectAlgorithm::ecdsa_p256);
  const Given first = given(asked(must(made.text("reference")), key));
  must(desk().revoke(first.certificate, key_compromise, "test", "1"));
  expect_refused(order(asked(must(made.text("reference")), key, 2)), ErrorCode::denied, "compromised");
}

TEST_F(DeskTest, AnIntentionThatWasLeftIsNotCompletedOverAKeyThatWasCompromisedSince) {
  const std::string reference = must(registered(box().set("reusable", true)).text("reference"));
  const crypto::SubjectPublicKey key = subject_key(SubjectAlgorithm::ecdsa_p256);
  const Asked wanted = asked(reference, key);
  set_back(certificate(given(wanted)), "intended");
  must(desk().revoke(given(asked(reference, key, 2)).certificate, key_compromise, "test", "1"));
  expect_refused(order(wanted), ErrorCode::denied, "compromised");
}

TEST_F(DeskTest, AClosedRegistrationGivesNothingMore) {
  const wire::Json made = registered();
  const std::string reference = must(made.text("reference"));
  const Asked wanted = asked(made);
  const Given first = given(wanted);
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(must(json_of(operate(second_pair, wire::Json::object({{"op", "close"}, {"reference", reference}}))).boolean("closed")));
  }
  expect_refused(desk().registration(reference), ErrorCode::not_found, "is over");
  expect_refused(desk().secret_of(reference), ErrorCode::not_found, "is over");
  expect_refused(desk().holder_of(first.certificate), ErrorCode::denied, "closed");
  expect_refused(order(asked(made)), ErrorCode::denied, "closed");
  Asked renewal = asked(made);
  renewal.renews = first.certificate;
  expect_refused(order(renewal), ErrorCode::denied, "closed");
  expect_refused(order(asked("r-0000000000000000", subject_key(SubjectAlgorithm::ecdsa_p256))), ErrorCode::not_found, "no registration");
}

TEST_F(DeskTest, ClosingARegistrationGivesUpWhatWasMeantAndNotIssued) {
  const wire::Json made = registered();
  set_back(certificate(given(asked(made))), "intended");
  close(made);
  ASSERT_EQ(certificates_of(made).size(), 1U);
  EXPECT_EQ(must(certificates_of(made).front().text("state")), "abandoned");
}

TEST_F(DeskTest, ACertificateThatHasExpiredProvesNothingAndIsNotGivenAgain) {
  const wire::Json made = registered();
  const Asked wanted = asked(made);
  const Given out = given(wanted);
  rewrite(certificate(out), "not_after_ms = not_before_ms + 1");
  expect_refused(desk().holder_of(out.certificate), ErrorCode::denied, "does not hold now");
  expect_refused(order(wanted), ErrorCode::denied, "has expired");
  Asked renewal = asked(made);
  renewal.renews = out.certificate;
  expect_refused(order(renewal), ErrorCode::denied, "does not hold now");
  EXPECT_TRUE(order(asked(made))) << "nor does it stand in the way";
}

TEST_F(DeskTest, ASecretEndsWithItsTimeARenewalDoesNot) {
  const wire::Json made = registered(box().set("open_s", 1));
  const Given first = given(asked(made));
  const UnixMs end = static_cast<UnixMs>(must(made.integer("not_after_ms")));
  std::mutex mutex;
  std::condition_variable never;
  std::unique_lock lock(mutex);
  while (SystemClock().now_ms() < end) never.wait_for(lock, std::chrono::milliseconds(10));
  Asked renewal = asked(made);
  renewal.renews = first.certificate;
  EXPECT_TRUE(order(renewal));
  expect_refused(desk().registration(must(made.text("reference"))), ErrorCode::not_found, "is over");
  expect_refused(order(asked(made)), ErrorCode::denied, "no longer taken");
}

// ---- four eyes ----

class FourEyesTest : public DeskTest {
 protected:
  wire::Json four_eyes() { return registered(box().set("four_eyes", true)); }
};

TEST_F(FourEyesTest, TwoOperatorsOtherThanTheMakerApprove) {
  const Asked wanted = asked(four_eyes());
  const std::string ticket = ticket_of(wanted);
  EXPECT_EQ(ticket_of(wanted), ticket) << "the same request is the same order";
  EXPECT_TRUE(std::holds_alternative<Waiting>(must(desk().collect(ticket))));
  expect_refused(operate(maker, ticket_body("approve", ticket)), ErrorCode::denied, "two others approve");
  EXPECT_EQ(must(json_of(operate(second_pair, ticket_body("approve", ticket))).text("state")), "waiting");
  expect_refused(operate(second_pair, ticket_body("approve", ticket)), ErrorCode::conflict, "another operator is wanted");
  EXPECT_TRUE(std::holds_alternative<Waiting>(must(order(wanted))));
  const wire::Json done = json_of(operate(third_pair, ticket_body("approve", ticket)));
  EXPECT_EQ(must(done.text("state")), "approved");
  const Outcome collected = must(desk().collect(ticket));
  ASSERT_TRUE(std::holds_alternative<Given>(collected));
  EXPECT_EQ(to_hex(certificate(std::get<Given>(collected)).serial()), must(done.text("serial")));
  EXPECT_TRUE(test::audited(state(), "est " + ticket + " " + must(done.text("serial")))) << "what was collected is on record";
  EXPECT_EQ(given(wanted).certificate, std::get<Given>(collected).certificate);
  const wire::Json orders = json_of(operate(maker, wire::Json::object({{"op", "orders"}, {"state", "approved"}})));
  ASSERT_EQ(must(orders.array("orders")).size(), 1U);
  EXPECT_EQ(must(must(orders.array("orders")).front().texts("approved_by")), (std::vector{second_pair.uri(), third_pair.uri()}));
}

TEST_F(FourEyesTest, ARejectedOrderStaysRejected) {
  const Asked wanted = asked(four_eyes());
  const std::string ticket = ticket_of(wanted);
  expect_refused(operate(maker, ticket_body("reject", ticket)), ErrorCode::invalid_argument, "why");
  json_of(operate(maker, ticket_body("reject", ticket).set("why", "nobody knows this box")));
  expect_refused(order(wanted), ErrorCode::denied, "nobody knows this box");
  expect_refused(desk().collect(ticket), ErrorCode::denied, "nobody knows this box");
  expect_refused(operate(second_pair, ticket_body("approve", ticket)), ErrorCode::conflict, "was rejected");
  expect_refused(desk().collect("o-0"), ErrorCode::not_found, "no order");
}

TEST_F(FourEyesTest, WhoIsSuspendedMeanwhileGetsNothingUntilResumed) {
  const Asked wanted = asked(four_eyes());
  const std::string ticket = ticket_of(wanted);
  json_of(operate(second_pair, ticket_body("approve", ticket)));
  suspended_ = "box-7";
  expect_refused(operate(third_pair, ticket_body("approve", ticket)), ErrorCode::denied, "is approved, but not issued: 'box-7' is suspended");
  expect_refused(desk().collect(ticket), ErrorCode::denied, "suspended");
  suspended_.clear();
  EXPECT_TRUE(std::holds_alternative<Given>(must(desk().collect(ticket))));
}

TEST_F(FourEyesTest, WhoIsSuspendedHasNothingToApprove) {
  const wire::Json made = four_eyes();
  suspended_ = "box-7";
  expect_refused(order(asked(made)), ErrorCode::denied, "suspended");
  EXPECT_TRUE(must(json_of(operate(maker, wire::Json::object({{"op", "orders"}}))).array("orders")).empty());
}

TEST_F(FourEyesTest, WhatIsApprovedIsNotIssuedForARegistrationThatWasClosedMeanwhile) {
  const wire::Json made = four_eyes();
  const std::string ticket = ticket_of(asked(made));
  json_of(operate(second_pair, ticket_body("approve", ticket)));
  close(made);
  expect_refused(operate(third_pair, ticket_body("approve", ticket)), ErrorCode::denied, "is approved, but not issued: order: registration ");
  expect_refused(desk().collect(ticket), ErrorCode::denied, "is closed");
  EXPECT_TRUE(certificates_of(made).empty());
}

TEST_F(FourEyesTest, AnApprovedOrderIsNotRejectedAndWaitingOnesAreBounded) {
  const wire::Json made = four_eyes();
  const std::string ticket = ticket_of(asked(made));
  for (const Identity& who : {second_pair, third_pair}) json_of(operate(who, ticket_body("approve", ticket)));
  expect_refused(operate(maker, ticket_body("reject", ticket).set("why", "late")), ErrorCode::conflict, "was approved");
  for (int i = 0; i < waiting_orders_max; ++i) ticket_of(asked(made));
  expect_refused(order(asked(made)), ErrorCode::exhausted, "wait for approval already");
}

TEST_F(FourEyesTest, AnOrderThatNobodyApprovesInTimeExpiresAndMakesRoom) {
  const wire::Json made = four_eyes();
  const Asked wanted = asked(made);
  const std::string ticket = ticket_of(wanted);
  json_of(operate(second_pair, ticket_body("approve", ticket)));
  for (int i = 1; i < waiting_orders_max; ++i) ticket_of(asked(made));
  const UnixMs month_ago = SystemClock().now_ms() - 30 * test::day_ms;
  in_record("UPDATE enrolment_order SET made_ms = " + std::to_string(month_ago + test::day_ms) + " WHERE ticket = ?", std::string_view(ticket));
  EXPECT_EQ(ticket_of(wanted), ticket) << "in its last day";
  expect_refused(order(asked(made)), ErrorCode::exhausted, "wait for approval already");
  in_record("UPDATE enrolment_order SET made_ms = " + std::to_string(month_ago) + " WHERE ticket = ?", std::string_view(ticket));
  expect_refused(operate(third_pair, ticket_body("approve", ticket)), ErrorCode::conflict, "it expired");
  expect_refused(order(wanted), ErrorCode::denied, "it expired: not approved within 2592000 s (cas.approval_expires_s)");
  expect_refused(desk().collect(ticket), ErrorCode::denied, "it expired");
  const std::string recorded = audit_text();
  const std::size_t at = recorded.find("ceis.order_expired");
  ASSERT_NE(at, std::string::npos);
  EXPECT_EQ(recorded.find("ceis.order_expired", at + 1), std::string::npos) << "once, and no other order";
  EXPECT_NE(ticket_of(asked(made)), ticket);
}

// ---- revocation ----

TEST_F(DeskTest, ARevocationSaysItsReasonOnceAndForAll) {
  const wire::Json plain = registered(wire::Json::object({{"op", "create"}, {"subject", "box-7"}, {"profile", "device"}}));
  const Given out = given(asked(plain, SubjectAlgorithm::ecdsa_p384));
  const Bytes serial = certificate(out).serial();
  const auto revoke_as = [&](const Bytes& der, std::string_view reason) {
    return operate(maker, wire::Json::object({{"op", "revoke"}, {"certificate", wire::to_base64(der)}, {"reason", reason}}));
  };
  expect_refused(revoke_as(out.certificate, "dislike"), ErrorCode::invalid_argument, "keyCompromise");
  expect_refused(revoke_as(Bytes(3, 1), "superseded"), ErrorCode::invalid_argument, "certificate");
  ASSERT_TRUE(revoke_as(out.certificate, "superseded"));
  EXPECT_TRUE(test::audited(state(), "reason 4"));
  ASSERT_TRUE(revoke_as(out.certificate, "keyCompromise")) << "the second time does nothing";
  EXPECT_TRUE(test::audited(state(), "it was revoked before")) << "and the record does not say that it did";
  expect_refused(desk().revoke(out.certificate, 2, "test", "1"), ErrorCode::invalid_argument, "reason 2");
  expect_refused(desk().revoke(node_->credentials().tls->chain.front().der(), 0, "test", "1"), ErrorCode::denied, "its own");
  // A stranger's certificate with a serial of ours.
  Bytes forged = out.certificate;
  forged.back() ^= 1;
  expect_refused(desk().revoke(forged, 0, "test", "1"), ErrorCode::not_found, "not issued here");
  const crypto::Certificate leaf = must(crypto::Certificate::parse(out.certificate));
  const crypto::Certificate& issuer = service_->authorities().of(Branch::devices).certificate;
  const auto answer = call(Endpoint::x4_status, test::request_from(maker, must(crypto::make_status_request(leaf, issuer, {}))));
  const auto status = crypto::verify_status_response(must(answer).body, leaf, issuer, {}, SystemClock().now_ms());
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(status->status, crypto::CertStatus::revoked);
  EXPECT_EQ(must(StatusRecords(service_->records().store()).standing(Branch::devices, serial)).reason, 4) << "the first reason stands";
}

TEST_F(DeskTest, RefusalsOfTheProtocolsAreOnRecordAndBounded) {
  const std::string reference = must(registered().text("reference"));
  for (int i = 0; i < 200; ++i) desk().refused(Protocol::scep, reference, "a wrong\nchallenge", "1");
  desk().refused(Protocol::est, "who-is-this", "no such user", "1");
  desk().refusals().write_counted();
  const std::string text = audit_text();
  std::size_t lines = 0;
  for (std::size_t at = text.find("\"ceis.scep\""); at != std::string::npos; at = text.find("\"ceis.scep\"", at + 1)) ++lines;
  EXPECT_GE(lines, 2U);
  EXPECT_LE(lines, 62U) << "at most twenty a second, and one for the rest";
  EXPECT_NE(text.find("more were refused"), std::string::npos);
  EXPECT_NE(text.find("a wrong?challenge"), std::string::npos) << "no control characters of strangers";
}

}  // namespace
}  // namespace qanat::cas
