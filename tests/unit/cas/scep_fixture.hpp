// SCEP before a desk whose decisions the test makes: real CAs of two branches, a real registration authority, requests by OpenSSL's CMS (scep_peer.hpp).
#pragma once

#include "crypto/kdf.hpp"
#include "crypto/x509_crl.hpp"
#include "registered_desk.hpp"
#include "scep_peer.hpp"
#include "services/cas/ceis/issuer.hpp"
#include "services/cas/device_authority.hpp"
#include "services/cas/scep/scep_schema.hpp"
#include "services/cas/scep/scep_service.hpp"
#include "temporary_directory.hpp"
#include "trusted_network.hpp"

namespace qanat::cas {

namespace peer = test::scep;

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

class ScepDesk final : public RegisteredDesk {
 public:
  ScepDesk(crypto::Rng& rng, const ScepTestCas& cas) : RegisteredDesk(rng, profile("device")), cas_(cas) {}

  [[nodiscard]] std::string challenge(const std::string& reference) const { return reference + ":" + secret_text(reference); }
  void close(const std::string& reference) { entry(reference).closed = true; }
  void refused(Protocol protocol, std::string_view reference, std::string_view why, const std::string&) override {
    EXPECT_EQ(protocol, Protocol::scep);
    refusals.emplace_back(reference, why);
  }
  [[nodiscard]] std::vector<Bytes> ca_chain(Branch branch) const override {
    if (branch == Branch::classical) return {};
    return {cas_.of(branch).certificate.der()};
  }

  std::vector<std::pair<std::string, std::string>> refusals;  // reference, why

 private:
  /// SM2 keys get theirs under the ML-DSA CA: this desk has no classical one.
  Given issue(const Asked& asked) override {
    const Branch branch = branch_for(asked.key.algorithm());
    const UnixMs now = SystemClock().now_ms();
    Bytes der = test::must(crypto::issue_subject({.public_key_info = asked.key.der(),
                                                  .names = {.common_name = entry(asked.reference).common_name},
                                                  .usages = {crypto::KeyUsage::digital_signature},
                                                  .serial = draw_serial(rng_),
                                                  .not_before = now - 60'000,
                                                  .not_after = now + test::day_ms},
                                                 cas_.of(branch).certificate, cas_.of(branch).key));
    return {.certificate = std::move(der), .chain = ca_chain(branch)};
  }

  const ScepTestCas& cas_;
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
    service_.emplace(
        ScepParts{.desk = desk_, .transactions = *transactions_, .rng = *ra_.rng, .clock = clock_, .list = [this](Branch branch) { return list(branch); }},
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
    net::ForeignRequest request{
        .peer = {}, .parameters = {}, .query = query, .content_type = "", .body = std::move(body), .deadline = test::soon(), .request_id = "0123456789abcdef"};
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
    return {.type = type,
            .transaction = "t-" + to_hex(ra_.rng->bytes(8)),
            .content = std::move(content),
            .ra = ra_certificate(),
            .key = box.key.get(),
            .certificate = box.certificate};
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
  static Bytes key_in(const Bytes& certificate) { return test::must(crypto::SubjectCertificate::parse(certificate)).key().der(); }
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
  ClockAhead clock_;
  ScepDesk desk_{*ra_.rng, ra_.cas};
  std::vector<crypto::RevokedSerial> listed_;
  std::unique_ptr<store::Store> store_;
  std::optional<ScepTransactions> transactions_;
  std::optional<ScepService> service_;
};

}  // namespace qanat::cas
