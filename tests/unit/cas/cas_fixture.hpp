// CAS after a ceremony in folders of its own, and elements that enrol there without a network.
#pragma once

#include "crypto/kdf.hpp"
#include "node/enrolment.hpp"
#include "services/cas/ceis/names.hpp"
#include "services/cas/ceis/proof.hpp"
#include "services/cas/ceremony.hpp"
#include "services/cas/service.hpp"
#include "trusted_network.hpp"
#include "wire/base64.hpp"

namespace qanat::cas {

using points::Endpoint;
using test::identity;
using test::json_of;
using test::json_request;
using test::must;
using test::refusal;

inline const Identity cas_id = identity("qanat://core/cas/cas");
inline const Identity kms_a = identity("qanat://a/kms/kms-a");
inline const Identity qkm_a = identity("qanat://a/qkm/qkm-a");

/// Keys and requests as an element makes them.
struct Requester {
  Requester(const crypto::Suite& suite, crypto::Rng& rng, const crypto::SubjectNames& names) {
    crypto::SigningSecret secret = must(crypto::Signer::generate(suite, rng)).secret();
    ml_dsa = must(crypto::make_request({.algorithm = crypto::ml_dsa_key(suite), .secret = std::move(secret.ml_dsa_seed)}, names));
    classical = must(crypto::make_request({.algorithm = crypto::classical_key(suite), .secret = std::move(secret.scalar)}, names));
  }
  Bytes ml_dsa;
  Bytes classical;
};

class CasFixture : public testing::Test {
 protected:
  explicit CasFixture(crypto::SuiteId suite = crypto::SuiteId::gm_hybrid) : suite_(crypto::suite(suite)), rng_(must(crypto::open_rng())) {
    cas::CeremonyPlan plan = this->plan();
    for (const Identity& element : {kms_a, qkm_a}) plan.elements.push_back({.identity = element, .proof_key = proof_key_of(secret_of(element))});
    must(hold_ceremony(plan));
    open_service();
  }

  [[nodiscard]] std::filesystem::path state() const { return directory_ / "cas"; }
  [[nodiscard]] std::filesystem::path trust() const { return directory_ / "trust"; }
  [[nodiscard]] std::filesystem::path offline() const { return directory_ / "offline"; }
  [[nodiscard]] CeremonyPlan plan() const {
    CeremonyPlan out;
    out.suite = &suite_;
    out.offline = offline();
    out.trust = trust();
    out.state = state();
    out.master_key = state().string() + ".master";
    out.now_ms = SystemClock().now_ms();
    return out;
  }
  /// For the commands that work on the state of a CAS that does not run.
  [[nodiscard]] node::Settings settings() const {
    node::Settings out;
    out.identity = cas_id;
    out.state = state();
    out.trust = trust();
    out.master_key = plan().master_key;
    out.suite = &suite_;
    return out;
  }

  ~CasFixture() override {
    if (node_) node_->stop();
  }
  void close_service() {
    if (node_) node_->stop();  // before the service whose handlers it calls
    service_.reset();
    node_.reset();
  }
  void open_service(CasSettings settings = {}) {
    close_service();
    node_ = test::TrustedNetwork::open_node_in(state(), trust(), cas_id, {}, suite_);
    TerminalWitnesses witnesses{.attest = [this](const Uid& uid, ByteView, const net::Request&) -> Result<Attested> {
                                  ++attestations_;
                                  if (iam_refuses_) return fail(*iam_refuses_);
                                  Attested out = attested_;
                                  out.uid = uid;
                                  return out;
                                },
                                .account = [this](const Uid& uid, const Number& number, const ElementName& home_kms, const net::Request&) -> Result<void> {
                                  vouched_.push_back(uid.text() + " " + number.text() + " " + home_kms.text());
                                  if (cmsp_refuses_) return fail(*cmsp_refuses_);
                                  return {};
                                },
                                .standing = [this](const Identity&, Deadline, const std::string&) -> Result<void> {
                                  if (iam_refuses_) return fail(*iam_refuses_);
                                  return {};
                                }};
    const auto vouch = [this](const Uid& subject, Deadline, const std::string&) -> Result<void> {
      if (iam_refuses_) return fail(*iam_refuses_);
      if (suspended_ == subject.text()) return fail(ErrorCode::denied, "'" + subject.text() + "' is suspended in IAM's register");
      return {};
    };
    service_ = must(CasService::open(*node_, settings, std::move(witnesses), vouch));
  }

  /// 64 hexadecimal digits that depend on the identity and the generation of the secret.
  [[nodiscard]] static Secret secret_of(const Identity& who, int generation = 1) {
    const std::string text = who.uri() + std::to_string(generation);
    return Secret::copy_of(as_bytes(to_hex(crypto::digest(crypto::Hash::sha256, as_bytes(text)))));
  }
  Requester requester(const Identity& who) { return Requester(suite_, *rng_, element_names(who)); }

  /// As an element sends it: base64, and HTTP Basic with its name and its one-time secret. The formula is written out here on purpose.
  static net::Request est_request(const Bytes& csr, std::string_view user, const Secret& digits) {
    net::Request out = test::request_from({}, to_bytes(wire::to_base64(csr)));
    const std::string both = std::string(user) + ":" + std::string(as_text(digits.reveal()));
    out.authorization = std::make_shared<const Secret>(Secret::copy_of(as_bytes("Basic " + wire::to_base64(as_bytes(both)))));
    return out;
  }
  Result<crypto::Certificate> enrol_one(Endpoint endpoint, const Identity& who, const Bytes& csr, const Secret& digits) {
    ASSIGN_OR_RETURN(const net::Response answer, call(endpoint, est_request(csr, who.name, digits)));
    return node::read_est_answer(answer);
  }
  /// By the certificate that is shown on the connection.
  Result<crypto::Certificate> renew_one(Endpoint endpoint, const crypto::Certificate& shown, const Bytes& csr) {
    ASSIGN_OR_RETURN(const net::Response answer, call(endpoint, test::request_from(shown.names().element, to_bytes(wire::to_base64(csr)), shown)));
    return node::read_est_answer(answer);
  }
  Result<net::Response> call(Endpoint endpoint, const net::Request& request) { return test::handler_of(service_->handlers(), endpoint)(request); }
  struct Bundle {
    crypto::Certificate ml_dsa;
    crypto::Certificate classical;
    bool operator==(const Bundle& other) const { return ml_dsa.der() == other.ml_dsa.der() && classical.der() == other.classical.der(); }
  };
  Result<Bundle> enrol_kms(const Requester& requester, const Secret& secret) {
    ASSIGN_OR_RETURN(crypto::Certificate ml_dsa, enrol_one(Endpoint::ce1_enrol, kms_a, requester.ml_dsa, secret));
    ASSIGN_OR_RETURN(crypto::Certificate classical, enrol_one(Endpoint::ce1_enrol, kms_a, requester.classical, secret));
    return Bundle{.ml_dsa = std::move(ml_dsa), .classical = std::move(classical)};
  }
  static std::vector<crypto::Certificate> chain(const wire::Json& answer, std::string_view branch) {
    std::vector<crypto::Certificate> out;
    for (const std::string& text : must(answer.texts(branch))) out.push_back(must(crypto::Certificate::parse(must(wire::from_base64(text)))));
    return out;
  }
  Result<net::Response> revoke(const Identity& who) {
    return call(Endpoint::x5_revoke, json_request(identity("qanat://core/operator/op"), wire::Json::object({{"identity", who.uri()}})));
  }
  void expect(const Identity& who, int generation) {
    close_service();
    std::vector<ExpectedElement> more;
    more.push_back({.identity = who, .proof_key = proof_key_of(secret_of(who, generation))});
    must(expect_elements(state(), plan().master_key, more, SystemClock().now_ms()));
    open_service();
  }

  test::TemporaryDirectory directory_;
  const crypto::Suite& suite_;
  std::unique_ptr<crypto::Rng> rng_;
  std::optional<Error> iam_refuses_;
  std::optional<Error> cmsp_refuses_;
  std::vector<std::string> vouched_;  // what CMSP was asked
  Attested attested_{.uid = Uid(), .number = Number("+8613800000001"), .home_kms = ElementName("kms-a"), .domain = "a", .device = Kind::app1};
  std::string suspended_;  // a uid
  int attestations_ = 0;
  std::unique_ptr<node::Node> node_;
  std::unique_ptr<CasService> service_;
};

}  // namespace qanat::cas
