// A next device CA: prepared and published, then installed; and what the one before it issued.
#include "services/cas/device_rollover.hpp"

#include <fstream>

#include "cas_fixture.hpp"
#include "crypto/x509_crl.hpp"
#include "plain_http.hpp"
#include "scep_peer.hpp"
#include "services/cas/ceis/front_desk.hpp"
#include "services/cas/ceis/own_server.hpp"
#include "services/cas/csp/places.hpp"
#include "services/cas/device_authority.hpp"
#include "subject_keys.hpp"
#include "unit/crypto/x509_hierarchy.hpp"

namespace qanat::cas {
namespace {

using crypto::testing::ProgramResult;
using crypto::testing::run_openssl;
using crypto::testing::TemporaryFolder;
using test::ask_plain;
using test::PlainAnswer;

constexpr const char* status_url = "http://status.test";

class DeviceRolloverTest : public CasFixture {
 protected:
  DeviceRolloverTest() {
    open();
    const wire::Json body = wire::Json::object({{"op", "create"}, {"subject", "box-7"}, {"profile", "device"}, {"reusable", true}});
    const wire::Json made = json_of(call(Endpoint::x5_registration, json_request(identity("qanat://core/operator/op"), body)));
    reference_ = must(made.text("reference"));
  }
  ~DeviceRolloverTest() override { close(); }

  void open() {
    CasSettings settings;
    settings.front.url = status_url;
    open_service(settings);
    must(service_->start());
  }
  void close() {
    if (service_) service_->stop();
    close_service();
  }
  Result<DeviceRollover> prepare() {
    close();
    return prepare_device_rollover(settings());
  }
  Result<DeviceRollover> install() {
    close();
    return install_device_rollover(settings());
  }
  /// The new CA, CAS running.
  crypto::Certificate rolled_over() {
    must(prepare());
    const DeviceRollover done = must(install());
    open();
    return done.certificate;
  }

  [[nodiscard]] const crypto::Certificate& device_ca() const { return service_->authorities().of(Branch::devices).certificate; }
  Result<Bytes> order(crypto::SubjectAlgorithm algorithm, const Bytes& renews = {}) {
    const Asked asked{
        .protocol = Protocol::scep, .reference = reference_, .key = subject_key(algorithm), .request_hash = rng_->bytes(32), .renews = renews};
    ASSIGN_OR_RETURN(const Outcome outcome, service_->desk().order(asked, test::soon(), "1"));
    return std::get<Given>(outcome).certificate;
  }
  crypto::Certificate issued() { return must(crypto::Certificate::parse(must(order(crypto::SubjectAlgorithm::ecdsa_p384)))); }
  static bool signed_by(const Bytes& leaf, const crypto::Certificate& ca) { return must(crypto::SubjectCertificate::parse(leaf)).signed_by(ca).has_value(); }
  PlainAnswer get(const std::string& path) { return ask_plain(service_->csp().port(), "GET", path); }
  crypto::CertStatus status(const crypto::Certificate& leaf, const crypto::Certificate& ca) {
    const Bytes nonce = rng_->bytes(32);
    const PlainAnswer answer = ask_plain(service_->csp().port(), "POST", std::string(ocsp_path), "Content-Type: application/ocsp-request\r\n",
                                         must(crypto::make_status_request(leaf, ca, nonce)));
    return must(crypto::verify_status_response(answer.body, leaf, ca, nonce, SystemClock().now_ms())).status;
  }
  bool listed(const std::string& scope, const crypto::Certificate& ca, const Bytes& serial) {
    const PlainAnswer answer = get(list_path(Branch::devices, scope));
    EXPECT_EQ(answer.status, 200) << scope;
    const crypto::RevocationList list = must(crypto::read_revocation_list(answer.body, ca));
    return std::ranges::find(list.revoked, serial, &crypto::RevokedSerial::serial) != list.revoked.end();
  }
  ProgramResult verified(const Bytes& leaf, const crypto::Certificate& anchor, const Bytes& link) {
    const std::string between = link.empty() ? "" : " -untrusted " + files_.file(must(crypto::Certificate::parse(link)), "link.pem");
    return run_openssl("verify -x509_strict -CAfile " + files_.file(anchor, "anchor.pem") + between + " " + files_.file("leaf.der", leaf));
  }
  Bytes scep_authority() {
    const PlainAnswer answer = get("/scep?operation=GetCACert");
    EXPECT_EQ(answer.status, 200);
    return test::scep::certificates_in(answer.body).front();
  }

  const TemporaryFolder files_;
  std::string reference_;
};

TEST_F(DeviceRolloverTest, BeforeItIsPreparedThereIsNoneToComeAndNoneIsInstalled) {
  EXPECT_EQ(get("/scep?operation=GetNextCACert").status, 404);
  EXPECT_EQ(get(device_ca_path(2)).status, 404);
  EXPECT_EQ(get(device_ca_path(1)).body, device_ca().der());
  EXPECT_FALSE(service_->desk().succession());
  EXPECT_EQ(refusal(install()), ErrorCode::conflict);
  open();
  EXPECT_EQ(service_->authorities().devices->generation, 1);
}

TEST_F(DeviceRolloverTest, ACasThatRunsOrNeverRanIsNotTouched) {
  EXPECT_FALSE(prepare_device_rollover(settings()));
  EXPECT_FALSE(install_device_rollover(settings()));
  CeremonyPlan other = plan();
  other.offline = directory_ / "other-offline";
  other.trust = directory_ / "other-trust";
  other.state = directory_ / "other";
  other.master_key = directory_ / "other.master";
  must(hold_ceremony(other));
  node::Settings there = settings();
  there.trust = other.trust;
  there.state = other.state;
  there.master_key = other.master_key;
  EXPECT_EQ(refusal(prepare_device_rollover(there)), ErrorCode::not_found);
}

TEST_F(DeviceRolloverTest, ThePreparedOneIsMadeOncePublishedAndIssuesNothing) {
  const crypto::Certificate old = device_ca();
  const DeviceRollover first = must(prepare());
  EXPECT_FALSE(first.before);
  EXPECT_EQ(first.generation, 2);
  const DeviceRollover again = must(prepare());
  EXPECT_TRUE(again.before);
  EXPECT_EQ(again.certificate.der(), first.certificate.der());
  EXPECT_EQ(first.certificate.names(), old.names()) << "the links between them are self-issued";
  EXPECT_NE(first.certificate.public_key(), old.public_key());
  open();
  EXPECT_EQ(device_ca().der(), old.der());
  EXPECT_TRUE(signed_by(must(order(crypto::SubjectAlgorithm::ecdsa_p256)), old));
  EXPECT_EQ(get(ca_path(Branch::devices)).body, old.der());
  EXPECT_EQ(get(device_ca_path(2)).body, first.certificate.der());
  std::ifstream roots(state() / device_ca_file, std::ios::binary);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(roots), {}), old.pem() + first.certificate.pem());

  const std::optional<Succession> succession = service_->desk().succession();
  ASSERT_TRUE(succession);
  EXPECT_TRUE(succession->to_come);
  EXPECT_EQ(succession->old_with_old, old.der());
  EXPECT_EQ(succession->new_with_new, first.certificate.der());

  // SCEP: the certificate to come, signed by the authority in force (RFC 8894 §4.7.1).
  const Bytes authority = scep_authority();
  EXPECT_TRUE(signed_by(authority, old));
  const PlainAnswer next = get("/scep?operation=GetNextCACert");
  ASSERT_EQ(next.status, 200);
  EXPECT_EQ(next.fields.at("Content-Type"), "application/x-x509-next-ca-cert");
  EXPECT_EQ(test::scep::certificates_in(test::scep::read_answer(next.body, authority).envelope), (std::vector<Bytes>{first.certificate.der()}));
}

TEST_F(DeviceRolloverTest, TheInstalledOneIssuesAndTheOneBeforeAnswersForItsOwn) {
  const crypto::Certificate old = device_ca();
  const crypto::Certificate first = issued();
  const crypto::Certificate kept = issued();
  const crypto::Certificate now = rolled_over();
  EXPECT_EQ(device_ca().der(), now.der());
  EXPECT_EQ(get(ca_path(Branch::devices)).body, now.der());
  EXPECT_EQ(get(device_ca_path(1)).body, old.der());
  EXPECT_EQ(get(device_ca_path(2)).body, now.der());
  const crypto::Certificate second = issued();
  EXPECT_TRUE(signed_by(second.der(), now));
  EXPECT_EQ(status(first, old), crypto::CertStatus::good);
  EXPECT_EQ(status(second, now), crypto::CertStatus::good);
  EXPECT_EQ(status(second, old), crypto::CertStatus::unknown) << "the one before issued no such certificate";
  EXPECT_EQ(status(first, now), crypto::CertStatus::unknown) << "nor the new one the other";

  // It names places of its own: those that earlier certificates name stay with the key that signed them.
  const ProgramResult text = run_openssl("x509 -inform DER -noout -text -in " + files_.file("second.der", second.der()));
  ASSERT_EQ(text.status, 0) << text.output;
  EXPECT_TRUE(text.output.contains(status_url + device_ca_path(2))) << text.output;
  EXPECT_TRUE(text.output.contains(status_url + list_path(Branch::devices, "g2-" + shard_of(second.serial())))) << text.output;

  must(service_->desk().revoke(first.der(), key_compromise, "test", "1"));
  EXPECT_EQ(status(first, old), crypto::CertStatus::revoked);
  EXPECT_EQ(status(kept, old), crypto::CertStatus::good);
  const std::string shard = shard_of(first.serial());
  const auto everywhere = [&] { return listed(shard, old, first.serial()) && listed("full", old, first.serial()) && listed("g2", now, first.serial()); };
  const Deadline deadline = Deadline::after(std::chrono::seconds(30));
  while (!everywhere() && !deadline.passed()) std::this_thread::yield();
  EXPECT_TRUE(everywhere());
  EXPECT_TRUE(listed("g2-" + shard, now, first.serial())) << "of one name, each list is complete";
  EXPECT_TRUE(listed("g2-delta", now, first.serial()));
  EXPECT_FALSE(listed(shard_of(kept.serial()), old, kept.serial()));
  EXPECT_FALSE(crypto::read_revocation_list(get(list_path(Branch::devices, "full")).body, now)) << "signed by the one before";
}

TEST_F(DeviceRolloverTest, WhatTheOldOneIssuedIsRenewedUnderTheNewOne) {
  const crypto::Certificate old = device_ca();
  const Bytes first = must(order(crypto::SubjectAlgorithm::ecdsa_p256));
  const Bytes lost = must(order(crypto::SubjectAlgorithm::ecdsa_p256));
  const crypto::Certificate now = rolled_over();
  const std::vector<Bytes> roots = client_roots(service_->authorities(), node_->trust());
  for (const crypto::Certificate* const ca : {&old, &now}) EXPECT_NE(std::ranges::find(roots, ca->der()), roots.end()) << "taken in the handshake";
  EXPECT_TRUE(signed_by(must(order(crypto::SubjectAlgorithm::ecdsa_p256, first)), now));
  must(service_->desk().revoke(lost, key_compromise, "test", "1"));
  EXPECT_EQ(refusal(order(crypto::SubjectAlgorithm::ecdsa_p256, lost)), ErrorCode::denied);
}

TEST_F(DeviceRolloverTest, OpensslGoesOverTheLinksFromEitherToTheOther) {
  const crypto::Certificate old = device_ca();
  const Bytes first = must(order(crypto::SubjectAlgorithm::rsa));
  const crypto::Certificate now = rolled_over();
  const Bytes second = must(order(crypto::SubjectAlgorithm::rsa));
  const std::optional<Succession> succession = service_->desk().succession();
  ASSERT_TRUE(succession);
  EXPECT_FALSE(succession->to_come);
  const ProgramResult forth = verified(second, old, succession->new_with_old);
  EXPECT_EQ(forth.status, 0) << forth.output;
  const ProgramResult back = verified(first, now, succession->old_with_new);
  EXPECT_EQ(back.status, 0) << back.output;
  EXPECT_NE(verified(second, old, {}).status, 0) << "not by its name alone";
  EXPECT_NE(verified(first, now, {}).status, 0);

  // The enrolment listener shows the link, for clients that trust the one before.
  OwnServer server(*node_, service_->records(), service_->authorities(), status_url);
  const Given own = must(server.issue(must(make_device_key(*rng_)), {.common_name = "ra.test", .dns = {"ra.test"}}, std::chrono::hours(24)));
  EXPECT_TRUE(signed_by(own.certificate, now));
  ASSERT_EQ(own.chain, (std::vector<Bytes>{succession->new_with_old}));
  const ProgramResult shown = verified(own.certificate, old, own.chain.front());
  EXPECT_EQ(shown.status, 0) << shown.output;
}

TEST_F(DeviceRolloverTest, TheOneBeforeIsSpokenOfUntilItsTimeIsOver) {
  const UnixMs over = device_ca().not_after();
  rolled_over();
  const Authorities& authorities = service_->authorities();
  EXPECT_TRUE(link_in_force(authorities, over - 1));
  EXPECT_FALSE(link_in_force(authorities, over));
  EXPECT_TRUE(succession_at(authorities, over - 1));
  EXPECT_FALSE(succession_at(authorities, over));
}

TEST_F(DeviceRolloverTest, AClientOfScepThatMissedItIsToldByTheOldAuthority) {
  const Bytes authority = scep_authority();
  const crypto::Certificate now = rolled_over();
  const PlainAnswer next = get("/scep?operation=GetNextCACert");
  ASSERT_EQ(next.status, 200);
  const std::vector<Bytes> told = test::scep::certificates_in(test::scep::read_answer(next.body, authority).envelope);
  ASSERT_EQ(told.size(), 2U);
  EXPECT_TRUE(signed_by(told[0], now)) << "the authority that follows";
  EXPECT_EQ(told[1], now.der());
}

TEST_F(DeviceRolloverTest, BothStepsAreOnRecordAndCanBeTakenAgainAndAgain) {
  const crypto::Certificate one = device_ca();
  const crypto::Certificate first = issued();
  const crypto::Certificate two = rolled_over();
  const crypto::Certificate second = issued();
  EXPECT_TRUE(must(install()).before) << "done already, and said so";
  const crypto::Certificate three = rolled_over();
  const crypto::Certificate third = issued();
  EXPECT_EQ(service_->authorities().devices->generation, 3);
  EXPECT_EQ(status(first, one), crypto::CertStatus::good);
  EXPECT_EQ(status(second, two), crypto::CertStatus::good);
  EXPECT_EQ(status(third, three), crypto::CertStatus::good);
  for (const auto& [scope, ca] : {std::pair{"full", &one}, std::pair{"g2", &two}, std::pair{"g3", &three}}) {
    EXPECT_FALSE(listed(scope, *ca, first.serial())) << scope;
  }
  std::ifstream in(state() / "audit.jsonl");
  const std::string record{std::istreambuf_iterator<char>(in), {}};
  for (const char* const deed : {"authority.prepared", "authority.succeeded"}) EXPECT_TRUE(record.contains(deed)) << deed;
  EXPECT_TRUE(record.contains("devices, generation 3 " + to_hex(three.serial())));
}

TEST_F(DeviceRolloverTest, TheRecordKeepsOneThatWaitsAndNoMore) {
  const crypto::Certificate old = device_ca();
  close();
  const auto device = must(crypto::open_software_device(plan().master_key, *rng_));
  const auto records = must(Records::open(state() / "cas.db", *device));
  const UnixMs now = SystemClock().now_ms();
  EXPECT_EQ(refusal(records->succeed_devices(now)), ErrorCode::conflict);
  EXPECT_EQ(must(records->authorities(suite_)).of(Branch::devices).certificate.der(), old.der()) << "what is refused changes nothing";
  const Authorities before = must(records->authorities(suite_));
  const NextDevices next = must(make_next_device_authority(*before.devices, now, *rng_));
  must(records->keep_next_devices(next.succession, next.key));
  EXPECT_EQ(refusal(records->keep_next_devices(next.succession, next.key)), ErrorCode::conflict);
  must(records->succeed_devices(now));
  const Authorities after = must(records->authorities(suite_));
  EXPECT_EQ(after.devices->certificate.der(), next.succession.new_with_new.der());
  EXPECT_EQ(must(crypto::public_octets(after.devices->key)), after.devices->certificate.public_key());
  ASSERT_EQ(after.earlier(Branch::devices).size(), 1U);
  EXPECT_EQ(after.earlier(Branch::devices).front().certificate.der(), old.der());
  EXPECT_EQ(after.next_devices(), nullptr);
}

TEST_F(DeviceRolloverTest, OneWhoseTimeIsOverIsNotInstalled) {
  close();
  {
    const auto device = must(crypto::open_software_device(plan().master_key, *rng_));
    const auto records = must(Records::open(state() / "cas.db", *device));
    const UnixMs long_ago = SystemClock().now_ms() - 2 * device_authority_lifetime_ms;
    const Authority over = must(make_device_authority("Test", long_ago, *rng_));
    must(records->keep_next_devices({.generation = 2, .new_with_new = over.certificate}, over.key));
  }
  const auto refused = install();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::denied);
  EXPECT_TRUE(refused.error().message.contains("look at the clock")) << refused.error().message;
}

TEST(NextDeviceAuthorityTest, LinksLastAsLongAsTheOldOneAndThereAreNoneToOneThatIsOver) {
  const auto rng = must(crypto::open_rng());
  const UnixMs now = SystemClock().now_ms();
  const Authority old = must(make_device_authority("Test", now - device_authority_lifetime_ms / 2, *rng));
  const NextDevices next = must(make_next_device_authority(old, now, *rng));
  ASSERT_TRUE(next.succession.new_with_old);
  ASSERT_TRUE(next.succession.old_with_new);
  EXPECT_EQ(next.succession.new_with_old->not_after(), old.certificate.not_after());
  EXPECT_EQ(next.succession.new_with_old->public_key(), next.succession.new_with_new.public_key());
  EXPECT_EQ(next.succession.old_with_new->public_key(), old.certificate.public_key());
  EXPECT_NE(crypto::TrustStore({}, {old.certificate}).issuer_of(*next.succession.new_with_old), nullptr);
  EXPECT_NE(crypto::TrustStore({}, {next.succession.new_with_new}).issuer_of(*next.succession.old_with_new), nullptr);
  EXPECT_EQ(crypto::TrustStore({}, {old.certificate}).issuer_of(next.succession.new_with_new), nullptr);
  const Authority over = must(make_device_authority("Test", now - device_authority_lifetime_ms - 1000, *rng));
  const NextDevices alone = must(make_next_device_authority(over, now, *rng));
  EXPECT_FALSE(alone.succession.new_with_old);
  EXPECT_FALSE(alone.succession.old_with_new);
}

TEST(PlacesTest, AScopeComesBackFromItsPath) {
  for (const std::string_view scope : {"full", "delta", "7"}) {
    for (const std::int64_t generation : {1, 2, 12}) {
      const std::string own = scope_in(Branch::devices, generation, scope);
      EXPECT_EQ(scope_at(Branch::devices, list_path(Branch::devices, own)), own);
      EXPECT_EQ(scope_at(Branch::ml_dsa, list_path(Branch::devices, own)), std::nullopt);
    }
    EXPECT_EQ(scope_in(Branch::ml_dsa, 2, scope), scope) << "the hierarchy's lists keep their places";
  }
  for (const char* const path : {"/crl/devices-full.crl", "/crl/devices.cer", "/crl/devices-", "/ca/devices.cer", ""}) {
    EXPECT_EQ(scope_at(Branch::devices, path), std::nullopt) << path;
  }
}

}  // namespace
}  // namespace qanat::cas
