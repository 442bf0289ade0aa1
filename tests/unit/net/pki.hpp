// A small trust hierarchy for the tests: root, issuing CA, and leaves as they are asked for.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "crypto/x509.hpp"
#include "crypto/x509_crl.hpp"
#include "net/tls.hpp"

namespace qanat::net::test {

inline UnixMs now_ms() { return SystemClock().now_ms(); }
inline constexpr UnixMs hour_ms = 3'600'000;

inline Identity identity_of(Kind kind, std::string name) { return {.domain = "a", .kind = kind, .name = std::move(name)}; }

class Pki {
 public:
  /// Two hierarchies with different `seed` do not trust each other.
  explicit Pki(std::uint8_t seed = 1) : next_seed_(seed) {
    crypto::PrivateKey root_key = new_key();
    issuing_key_ = new_key();
    const auto issue_ca = [&](crypto::CertificateUse use, std::string name, const crypto::PrivateKey& key, const crypto::Certificate* issuer) {
      auto certificate = crypto::issue({.use = use,
                                        .names = {.common_name = std::move(name), .element = {}, .number = {}, .dns = {}},
                                        .key_algorithm = key.algorithm,
                                        .public_key = crypto::public_octets(key).value(),
                                        .serial = serial(),
                                        .not_before = now_ms() - 48 * hour_ms,
                                        .not_after = now_ms() + hour_ms},
                                       issuer, root_key);
      EXPECT_TRUE(certificate) << certificate.error().message;
      return *certificate;
    };
    const std::string suffix = std::to_string(seed);
    root_ = issue_ca(crypto::CertificateUse::root_ca, "Root " + suffix, root_key, nullptr);
    issuing_ = issue_ca(crypto::CertificateUse::issuing_ca, "Issuing " + suffix, issuing_key_, &*root_);
    trust_ = std::make_shared<crypto::TrustStore>(std::vector{*root_}, std::vector{*issuing_});
  }

  [[nodiscard]] std::shared_ptr<const crypto::TrustStore> trust() const { return trust_; }
  /// A status answer by the issuing CA itself, as to a request without a nonce.
  [[nodiscard]] Bytes status_of(const crypto::Certificate& certificate, const crypto::StatusAnswer& answer) const {
    const auto request = crypto::make_status_request(certificate, *issuing_, {});
    EXPECT_TRUE(request) << request.error().message;
    const auto response = crypto::make_status_response(*request, answer, *issuing_, issuing_key_);
    EXPECT_TRUE(response) << response.error().message;
    return *response;
  }
  [[nodiscard]] Bytes answer_status(ByteView request, const crypto::StatusAnswer& answer) const {
    const auto response = crypto::make_status_response(request, answer, *issuing_, issuing_key_);
    EXPECT_TRUE(response) << response.error().message;
    return *response;
  }

  /// A revocation list of the issuing CA.
  [[nodiscard]] Bytes revocation_list(const crypto::RevocationList& list) const {
    const auto made = crypto::make_revocation_list(list, *issuing_, issuing_key_);
    EXPECT_TRUE(made) << made.error().message;
    return *made;
  }

  std::shared_ptr<const TlsIdentity> leaf(Kind kind, const std::string& name, crypto::KeyAlgorithm algorithm = crypto::KeyAlgorithm::ml_dsa_65) {
    return leaf_until(kind, name, now_ms() + hour_ms, algorithm);
  }
  std::shared_ptr<const TlsIdentity> expired_leaf(Kind kind, const std::string& name) {
    return leaf_until(kind, name, now_ms() - hour_ms, crypto::KeyAlgorithm::ml_dsa_65);
  }
  std::shared_ptr<const TlsIdentity> leaf_until(Kind kind, const std::string& name, UnixMs not_after,
                                                crypto::KeyAlgorithm algorithm = crypto::KeyAlgorithm::ml_dsa_65) {
    return issue_leaf(identity_of(kind, name), not_after, algorithm);
  }
  /// A certificate that names no element.
  std::shared_ptr<const TlsIdentity> nameless_leaf() { return issue_leaf({}, now_ms() + hour_ms, crypto::KeyAlgorithm::ml_dsa_65); }

 private:
  std::shared_ptr<const TlsIdentity> issue_leaf(std::optional<Identity> element, UnixMs not_after, crypto::KeyAlgorithm algorithm) {
    crypto::PrivateKey key = new_key(algorithm);
    auto certificate = crypto::issue({.use = crypto::CertificateUse::tls_and_signing,
                                      .names = {.common_name = "leaf", .element = std::move(element), .number = {}, .dns = {}},
                                      .key_algorithm = algorithm,
                                      .public_key = crypto::public_octets(key).value(),
                                      .serial = serial(),
                                      .not_before = now_ms() - 24 * hour_ms,
                                      .not_after = not_after},
                                     &*issuing_, issuing_key_);
    EXPECT_TRUE(certificate) << certificate.error().message;
    auto out = std::make_shared<TlsIdentity>();
    out->chain = {*certificate, *issuing_};
    out->key = std::move(key);
    return out;
  }

  crypto::PrivateKey new_key(crypto::KeyAlgorithm algorithm = crypto::KeyAlgorithm::ml_dsa_65) {
    const Bytes secret(algorithm == crypto::KeyAlgorithm::ecdsa_p384 ? 48 : 32, next_seed_);
    next_seed_ = static_cast<std::uint8_t>(next_seed_ + 16);
    return {.algorithm = algorithm, .secret = Secret::copy_of(secret)};
  }
  Bytes serial() {
    Bytes out(16, 0x11);
    out.back() = ++last_serial_;
    return out;
  }

  std::uint8_t next_seed_;
  std::uint8_t last_serial_ = 0;
  crypto::PrivateKey issuing_key_;
  std::optional<crypto::Certificate> root_;
  std::optional<crypto::Certificate> issuing_;
  std::shared_ptr<const crypto::TrustStore> trust_;
};

/// One hierarchy for all tests of a program run: making it costs some milliseconds.
inline Pki& pki() {
  static Pki shared;
  return shared;
}
inline Pki& foreign_pki() {
  static Pki shared(2);
  return shared;
}

}  // namespace qanat::net::test
