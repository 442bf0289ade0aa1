// A small network of one suite for the terminal's tests: certificate authorities for both branches, subscribers and a KMS with message-signing
// keys, and the check of a peer's certificates without status (there is no CAS here).
#pragma once

#include <gtest/gtest.h>

#include "crypto/x509.hpp"
#include "fixed_rng.hpp"
#include "terminal/ax.hpp"

namespace qanat::terminal::test {

inline UnixMs now_ms() { return SystemClock().now_ms(); }
inline constexpr UnixMs hour_ms = 3'600'000;

struct Authority {
  crypto::PrivateKey root_key;
  crypto::PrivateKey issuing_key;
  crypto::Certificate root;
  crypto::Certificate issuing;
};

class SmallNetwork {
 public:
  explicit SmallNetwork(crypto::SuiteId id, std::uint64_t seed = 1)
      : suite_(crypto::suite(id)), rng_(seed), classical_(make_authority("classical", false)), ml_dsa_(make_authority("ML-DSA", true)) {
    trust_ = std::make_shared<const crypto::TrustStore>(std::vector{classical_.root, ml_dsa_.root}, std::vector{classical_.issuing, ml_dsa_.issuing});
  }

  [[nodiscard]] const crypto::Suite& suite() const { return suite_; }
  [[nodiscard]] const crypto::TrustStore& trust() const { return *trust_; }
  FixedRng& rng() { return rng_; }
  [[nodiscard]] const Authority& authority(crypto::KeyAlgorithm algorithm) const {
    return algorithm == crypto::ml_dsa_key(suite_) ? ml_dsa_ : classical_;
  }

  static crypto::SubjectNames names(Kind kind, const std::string& name, std::optional<Number> number) {
    return {.common_name = name, .element = Identity{.domain = "a", .kind = kind, .name = name}, .number = std::move(number), .dns = {}};
  }
  crypto::Certificate issue(const crypto::SubjectNames& names, crypto::KeyAlgorithm algorithm, const Bytes& public_key) {
    const Authority& from = authority(algorithm);
    return crypto::issue({.use = crypto::CertificateUse::tls_and_signing,
                          .names = names,
                          .key_algorithm = algorithm,
                          .public_key = public_key,
                          .serial = serial(),
                          .not_before = now_ms() - hour_ms,
                          .not_after = now_ms() + hour_ms},
                         &from.issuing, from.issuing_key)
        .value();
  }
  node::MessageSigner signer(Kind kind, const std::string& name, std::optional<Number> number = {}) {
    crypto::Signer made = crypto::Signer::generate(suite_, rng_).value();
    const crypto::SubjectNames who = names(kind, name, std::move(number));
    const crypto::Certificate classical = issue(who, crypto::classical_key(suite_), made.verifying_key().point);
    const crypto::Certificate ml_dsa = issue(who, crypto::ml_dsa_key(suite_), made.verifying_key().ml_dsa);
    return {.signer = std::move(made), .classical = classical, .ml_dsa = ml_dsa, .fps = wire::fingerprints(suite_, classical.der(), ml_dsa.der())};
  }

  [[nodiscard]] Result<std::shared_ptr<const node::Sender>> sender(ByteView classical_der, ByteView ml_dsa_der) const {
    ASSIGN_OR_RETURN(const auto classical, crypto::Certificate::parse(classical_der));
    ASSIGN_OR_RETURN(const auto ml_dsa, crypto::Certificate::parse(ml_dsa_der));
    TRY(trust_->verify(classical, now_ms()));
    TRY(trust_->verify(ml_dsa, now_ms()));
    ASSIGN_OR_RETURN(auto verifier, crypto::Verifier::from_key(suite_, {.point = classical.public_key(), .ml_dsa = ml_dsa.public_key()}));
    return std::make_shared<const node::Sender>(node::Sender{
        .classical = classical, .ml_dsa = ml_dsa, .fps = wire::fingerprints(suite_, classical_der, ml_dsa_der), .verifier = std::move(verifier)});
  }
  [[nodiscard]] std::shared_ptr<const node::Sender> sender(const node::MessageSigner& of) const { return sender(of.classical.der(), of.ml_dsa.der()).value(); }
  [[nodiscard]] CheckPeer check_peer() const {
    return [this](ByteView classical, ByteView ml_dsa) { return sender(classical, ml_dsa); };
  }

 private:
  Authority make_authority(const std::string& name, bool ml_dsa) {
    const auto new_key = [&] {
      crypto::SigningSecret secret = crypto::Signer::generate(suite_, rng_).value().secret();
      return crypto::PrivateKey{.algorithm = ml_dsa ? crypto::ml_dsa_key(suite_) : crypto::classical_key(suite_),
                                .secret = ml_dsa ? std::move(secret.ml_dsa_seed) : std::move(secret.scalar)};
    };
    crypto::PrivateKey root_key = new_key();
    crypto::PrivateKey issuing_key = new_key();
    const auto make = [&](crypto::CertificateUse use, const std::string& common_name, const crypto::PrivateKey& key, const crypto::Certificate* issuer) {
      return crypto::issue({.use = use,
                            .names = {.common_name = common_name, .element = {}, .number = {}, .dns = {}},
                            .key_algorithm = key.algorithm,
                            .public_key = crypto::public_octets(key).value(),
                            .serial = serial(),
                            .not_before = now_ms() - hour_ms,
                            .not_after = now_ms() + hour_ms},
                           issuer, root_key)
          .value();
    };
    const crypto::Certificate root = make(crypto::CertificateUse::root_ca, name + " root", root_key, nullptr);
    const crypto::Certificate issuing = make(crypto::CertificateUse::issuing_ca, name + " issuing", issuing_key, &root);
    return {.root_key = std::move(root_key), .issuing_key = std::move(issuing_key), .root = root, .issuing = issuing};
  }
  Bytes serial() {
    Bytes out(16, 0x11);
    out.back() = ++last_serial_;
    return out;
  }

  const crypto::Suite& suite_;
  FixedRng rng_;
  std::uint8_t last_serial_ = 0;
  Authority classical_;
  Authority ml_dsa_;
  std::shared_ptr<const crypto::TrustStore> trust_;
};

inline SmallNetwork& network(crypto::SuiteId id) {
  static SmallNetwork gm(crypto::SuiteId::gm_hybrid);
  static SmallNetwork intl(crypto::SuiteId::intl_hybrid);
  return id == crypto::SuiteId::gm_hybrid ? gm : intl;
}

inline const Number alice_number("+861001");
inline const Number bob_number("+861002");
inline constexpr crypto::SuiteId both_suites[] = {crypto::SuiteId::gm_hybrid, crypto::SuiteId::intl_hybrid};
inline std::string suite_name(const ::testing::TestParamInfo<crypto::SuiteId>& info) { return info.param == crypto::SuiteId::gm_hybrid ? "Gm" : "Intl"; }

}  // namespace qanat::terminal::test
