// SCEP before a desk whose decisions the test makes: real CAs of two branches, a real registration authority, requests by OpenSSL's CMS (scep_peer.hpp).
#pragma once

#include <map>

#include "crypto/kdf.hpp"
#include "crypto/x509_crl.hpp"
#include "scep_peer.hpp"
#include "services/cas/ceis/issuer.hpp"
#include "services/cas/device_authority.hpp"
#include "services/cas/scep/scep_schema.hpp"
#include "services/cas/scep/scep_service.hpp"
#include "temporary_directory.hpp"
#include "trusted_network.hpp"
#include "wire/base64.hpp"

namespace qanat::cas {

namespace peer = test::scep;

/// The real time, and as far ahead of it as a test wants.
class ScepClock final : public Clock {
 public:
  [[nodiscard]] UnixMs now_ms() const override { return SystemClock().now_ms() + ahead_ms; }
  UnixMs ahead_ms = 0;
};

/// An ML-DSA CA and a device CA.
struct ScepTestCas {
  explicit ScepTestCas(crypto::Rng& rng) : devices(test::must(make_device_authority("Test", SystemClock().now_ms(), rng))), ml_dsa(make_ml_dsa(rng)) {}
  static Authority make_ml_dsa(crypto::Rng& rng) {
    crypto::PrivateKey key{.algorithm = crypto::KeyAlgorithm::ml_dsa_65, .secret = rng.secret(32)};
    const UnixMs now = SystemClock().now_ms();
    crypto::Certificate certificate = test::must(crypto::issue({.use = crypto::CertificateUse::root_ca,
                                                                .names = {.common_name = "Test ML-DSA", .element = {}, .number = {}, .dns = {}},
                                                                .key_algorithm = key.algorithm,
                                                                .public_key = test::must(crypto::public_octets(key)),
                                                                .serial = draw_serial(rng),
                                                                .not_before = now - 60'000,
                                                                .not_after = now + 4000 * test::day_ms},
                                                               nullptr, key));
    return {.certificate = std::move(certificate), .key = std::move(key)};
  }
  [[nodiscard]] const Authority& of(Branch branch) const { return branch == Branch::devices ? devices : ml_dsa; }
  Authority devices;
  Authority ml_dsa;
};

class ScepDesk final : public Desk {
 public:
  ScepDesk(crypto::Rng& rng, const ScepTestCas& cas) : rng_(rng), cas_(cas) {}

  /// Its reference.
  std::string enter(const std::string& common_name, Approval approval = Approval::automatic) {
    Registration made;
    made.reference = "r-" + to_hex(rng_.bytes(8));
    made.subject = Uid("box");
    made.profile = &profile("device");
    made.common_name = common_name;
    made.approval = approval;
    secrets_.emplace(made.reference, rng_.bytes(registration_secret_size));
    std::string reference = made.reference;
    registrations_.emplace(reference, std::move(made));
    return reference;
  }
  [[nodiscard]] std::string challenge(const std::string& reference) const { return reference + ":" + wire::to_base64url(secrets_.at(reference)); }
  void close(const std::string& reference) { registrations_.at(reference).closed = true; }

  Result<Registration> registration(std::string_view reference) override {
    const auto found = registrations_.find(reference);
    if (found == registrations_.end() || found->second.closed) return fail(ErrorCode::not_found, "no registration " + std::string(reference));
    return found->second;
  }
  Result<Secret> secret_of(std::string_view reference) override {
    TRY(registration(reference));
    return Secret::copy_of(secrets_.find(reference)->second);
  }
  Result<Registration> holder_of(ByteView certificate_der) override {
    if (looks_up_nobody) return fail(*looks_up_nobody);
    const auto found = holders.find(to_bytes(certificate_der));
    if (found == holders.end()) return fail(ErrorCode::denied, "the certificate was not issued here");
    return registration(found->second);
  }
  Result<Outcome> order(const Asked& asked, Deadline, const std::string&) override {
    orders.push_back(asked);
    if (fails) return fail(*fails);
    const Registration& entered = registrations_.at(asked.reference);
    if (const auto known = given_.find(asked.request_hash); known != given_.end()) return Outcome(known->second);
    if (!asked.names.common_name.empty() && asked.names.common_name != entered.common_name) return fail(ErrorCode::denied, "the common name is not registered");
    if (entered.approval == Approval::four_eyes) {
      const std::string ticket = "o-" + to_hex(asked.request_hash);
      tickets_.insert_or_assign(ticket, asked);
      return Outcome(cas::Waiting{.ticket = ticket, .retry_after = std::chrono::seconds(7)});
    }
    return Outcome(give(asked));
  }
  Result<Outcome> collect(std::string_view ticket) override {
    const auto found = tickets_.find(ticket);
    if (found == tickets_.end()) return fail(ErrorCode::not_found, "no such ticket");
    if (rejects) return fail(ErrorCode::denied, "order was rejected: unknown box");
    if (!approves) return Outcome(cas::Waiting{.ticket = std::string(ticket), .retry_after = std::chrono::seconds(7)});
    if (const auto known = given_.find(found->second.request_hash); known != given_.end()) return Outcome(known->second);
    return Outcome(give(found->second));
  }
  Result<void> revoke(ByteView, int, std::string_view, const std::string&) override { return fail(ErrorCode::internal, "SCEP revokes nothing"); }
  Result<Bytes> find(ByteView serial) override {
    const auto found = by_serial.find(to_bytes(serial));
    if (found == by_serial.end()) return fail(ErrorCode::not_found, "no such certificate");
    return found->second;
  }
  void refused(Protocol protocol, std::string_view reference, std::string_view why, const std::string&) override {
    EXPECT_EQ(protocol, Protocol::scep);
    refusals.emplace_back(reference, why);
  }
  [[nodiscard]] std::vector<Bytes> ca_chain(Branch branch) const override {
    if (branch == Branch::classical) return {};
    return {cas_.of(branch).certificate.der()};
  }
  [[nodiscard]] Branch branch_for(crypto::SubjectAlgorithm algorithm) const noexcept override {
    const bool pq = algorithm >= crypto::SubjectAlgorithm::ml_dsa_44;
    return pq ? Branch::ml_dsa : Branch::devices;
  }

  /// SM2 keys get theirs under the device CA too: this desk has no other classical one.
  Given give(const Asked& asked) {
    const Branch branch = branch_for(asked.key.algorithm());
    const UnixMs now = SystemClock().now_ms();
    const Bytes serial = draw_serial(rng_);
    Bytes der = test::must(crypto::issue_subject({.public_key_info = asked.key.der(),
                                                  .names = {.common_name = registrations_.at(asked.reference).common_name},
                                                  .usages = {crypto::KeyUsage::digital_signature},
                                                  .serial = serial,
                                                  .not_before = now - 60'000,
                                                  .not_after = now + test::day_ms},
                                                 cas_.of(branch).certificate, cas_.of(branch).key));
    holders.emplace(der, asked.reference);
    by_serial.emplace(serial, der);
    Given out{.certificate = der, .chain = ca_chain(branch)};
    given_.emplace(asked.request_hash, out);
    return out;
  }

  std::vector<Asked> orders;
  std::vector<std::pair<std::string, std::string>> refusals;  // reference, why
  std::map<Bytes, std::string> holders;                       // certificate, reference
  std::map<Bytes, Bytes> by_serial;
  std::optional<Error> fails;
  std::optional<Error> looks_up_nobody;
  bool approves = false;
  bool rejects = false;

 private:
  crypto::Rng& rng_;
  const ScepTestCas& cas_;
  std::map<std::string, Registration, std::less<>> registrations_;
  std::map<std::string, Bytes, std::less<>> secrets_;
  std::map<Bytes, Given> given_;  // by request hash
  std::map<std::string, Asked, std::less<>> tickets_;
};

inline constexpr std::array scep_test_migrations{store::Migration{1, scep_schema}};

/// The certificate that a CA gives to an RA, without a CAS.
inline CertifyRa scep_test_certifier(crypto::Rng& rng, const Authority& authority, UnixMs lifetime_ms) {
  return [&rng, &authority, lifetime_ms](const crypto::SubjectPublicKey& key, UnixMs now) {
    return crypto::issue_subject({.public_key_info = key.der(),
                                  .names = {.common_name = "Test registration authority"},
                                  .usages = {crypto::KeyUsage::digital_signature, crypto::KeyUsage::key_encipherment},
                                  .serial = draw_serial(rng),
                                  .not_before = now,
                                  .not_after = now + lifetime_ms},
                                 authority.certificate, authority.key);
  };
}

/// What costs seconds to make, once for all tests: CAs and a registration authority.
struct ScepTestRa {
  test::TemporaryDirectory directory;
  std::unique_ptr<crypto::Rng> rng = test::must(crypto::open_rng());
  std::unique_ptr<crypto::CryptoDevice> device = test::must(crypto::open_software_device(directory / "master", *rng));
  std::unique_ptr<store::Store> store = test::must(store::Store::open(directory / "ra.db", scep_test_migrations));
  ScepTestCas cas{*rng};
  ScepRaKeeper keeper{*store, *device, scep_test_certifier(*rng, cas.devices, 1000 * test::day_ms), [this] { return cas.devices.certificate.der(); }};
  static ScepTestRa& shared() {
    static ScepTestRa ra;
    return ra;
  }
};

class ScepFixture : public testing::Test {
 protected:
  ScepFixture() { open(); }
  void open() {
    service_.reset();
    transactions_.reset();
    store_.reset();
    store_ = test::must(store::Store::open(directory_ / "scep.db", scep_test_migrations));
    transactions_.emplace(*store_, *ra_.device);
    service_.emplace(ScepParts{.desk = desk_, .transactions = *transactions_, .rng = *ra_.rng, .clock = clock_, .list = [this](Branch branch) { return list(branch); }},
                     ra_.keeper);
  }
  Bytes list(Branch branch) {
    if (branch == Branch::classical) return {};
    const Authority& authority = ra_.cas.of(branch);
    return test::must(crypto::make_revocation_list({.number = 1,
                                                    .base_number = {},
                                                    .this_update = clock_.now_ms(),
                                                    .next_update = clock_.now_ms() + test::day_ms,
                                                    .distribution_point = "",
                                                    .delta_url = "",
                                                    .revoked = std::vector<crypto::RevokedSerial>(listed_)},
                                                   authority.certificate, authority.key));
  }

  [[nodiscard]] Bytes ra_certificate() { return test::must(ra_.keeper.at(clock_.now_ms()))->all.front().certificate; }
  net::ForeignResponse ask(const std::string& method, const std::string& query, Bytes body = {}) {
    net::ForeignRequest request{.peer = {}, .parameters = {}, .query = query, .content_type = "", .body = std::move(body), .deadline = test::soon(), .request_id = "0123456789abcdef"};
    return service_->answer(method, request);
  }
  static Bytes body_of(const net::ForeignResponse& response) { return response.open_body ? *response.open_body : to_bytes(response.body.reveal()); }
  net::ForeignResponse post(const peer::Request& request) { return ask("POST", "operation=PKIOperation", peer::make_message(request)); }
  /// The CertRep to it.
  peer::Answer answer_to(const peer::Request& request) {
    const net::ForeignResponse response = post(request);
    EXPECT_EQ(response.status, 200U) << as_text(body_of(response));
    EXPECT_EQ(response.content_type, "application/x-pki-message");
    peer::Answer out = peer::read_answer(body_of(response), ra_certificate());
    EXPECT_EQ(out.type, "3");
    EXPECT_EQ(out.transaction, request.transaction);
    EXPECT_EQ(out.recipient_nonce, request.nonce);
    EXPECT_EQ(out.sender_nonce.size(), 16U);
    return out;
  }

  /// Who asks: a key and the certificate that signs.
  struct Box {
    explicit Box(const std::string& kind) : key(peer::make_key(kind)), certificate(peer::make_certificate(key.get(), "box-7")) {}
    peer::Key key;
    Bytes certificate;
  };
  static const Box& rsa_box() {
    static const Box box("RSA");
    return box;
  }
  peer::Request request(const Box& box, Bytes content, const std::string& type = "19") {
    return {.type = type, .transaction = "t-" + to_hex(ra_.rng->bytes(8)), .content = std::move(content), .ra = ra_certificate(), .key = box.key.get(), .certificate = box.certificate};
  }
  peer::Request first(const Box& box, const std::string& challenge, const std::string& name = "box-7") {
    return request(box, peer::make_csr(box.key.get(), {.common_name = name, .challenge = challenge}));
  }
  static Bytes certificate_in(ByteView content) {
    const std::vector<Bytes> all = peer::certificates_in(content);
    EXPECT_EQ(all.size(), 1U);
    return all.empty() ? Bytes() : all.front();
  }
  /// The certificate that an RSA box got.
  static Bytes opened(const peer::Answer& answer, const Box& box) {
    EXPECT_EQ(answer.status, "0") << answer.fail_info << " " << answer.text;
    return answer.status == "0" ? certificate_in(peer::open_with_key(answer.envelope, box.key.get(), box.certificate)) : Bytes();
  }
  static Bytes opened(const peer::Answer& answer, const std::string& password) {
    EXPECT_EQ(answer.status, "0") << answer.fail_info << " " << answer.text;
    return answer.status == "0" ? certificate_in(peer::open_with_password(answer.envelope, password)) : Bytes();
  }
  static void expect_failure(const peer::Answer& answer, const std::string& info) {
    EXPECT_EQ(answer.status, "2");
    EXPECT_EQ(answer.fail_info, info) << answer.text;
    EXPECT_FALSE(answer.text.empty());
    EXPECT_FALSE(answer.has_content);
  }
  static constexpr const char* bad_alg = "0";
  static constexpr const char* bad_message_check = "1";
  static constexpr const char* bad_request = "2";
  static constexpr const char* bad_time = "3";
  static constexpr const char* bad_cert_id = "4";

  ScepTestRa& ra_ = ScepTestRa::shared();
  test::TemporaryDirectory directory_;
  ScepClock clock_;
  ScepDesk desk_{*ra_.rng, ra_.cas};
  std::vector<crypto::RevokedSerial> listed_;
  std::unique_ptr<store::Store> store_;
  std::optional<ScepTransactions> transactions_;
  std::optional<ScepService> service_;
};

}  // namespace qanat::cas
