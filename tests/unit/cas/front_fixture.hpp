// A listener of the CEIS on a free port of this machine with CAs of the test's own, and a client that speaks TLS to it.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>

#include "crypto/x509_respond.hpp"
#include "plain_http.hpp"
#include "services/cas/ceis/front.hpp"
#include "trusted_network.hpp"
#include "unit/net/raw_tls.hpp"

namespace qanat::cas {

/// A root, an issuing CA and leaves of one kind of key.
class FrontPki {
 public:
  explicit FrontPki(crypto::KeyAlgorithm algorithm, std::uint8_t seed = 1)
      : algorithm_(algorithm),
        root_key_(key(seed)),
        issuing_key_(key(static_cast<std::uint8_t>(seed + 1))),
        root(make(crypto::CertificateUse::root_ca, {.common_name = "Root " + label(seed), .element = {}, .number = {}, .dns = {}}, root_key_, nullptr,
                  root_key_)),
        issuing(make(crypto::CertificateUse::issuing_ca, {.common_name = "Issuing " + label(seed), .element = {}, .number = {}, .dns = {}}, issuing_key_, &root,
                     root_key_)) {}
  [[nodiscard]] crypto::PrivateKey key(std::uint8_t seed) const {
    Secret secret(algorithm_ == crypto::KeyAlgorithm::ecdsa_p384 ? 48 : 32);
    for (std::uint8_t& octet : secret.writable()) octet = seed;
    return {.algorithm = algorithm_, .secret = std::move(secret)};
  }
  [[nodiscard]] crypto::Certificate leaf(const crypto::PrivateKey& own, const std::string& name, const std::vector<std::string>& dns = {}) const {
    return make(crypto::CertificateUse::tls_and_signing, {.common_name = name, .element = {}, .number = {}, .dns = dns}, own, &issuing, issuing_key_);
  }
  [[nodiscard]] const crypto::PrivateKey& issuing_key() const { return issuing_key_; }
  /// DER OCSPResponse that calls the leaf good, signed by the issuing CA itself.
  [[nodiscard]] Bytes good_status(const Bytes& serial) const {
    const UnixMs now = SystemClock().now_ms();
    const crypto::StatusSigner signer = test::must(crypto::StatusSigner::make(issuing, std::nullopt, issuing_key_));
    const std::array lines{crypto::StatusLine{.hash = crypto::CertIdHash::sha1,
                                              .serial = serial,
                                              .answer = {.status = crypto::CertStatus::good, .this_update = now, .next_update = now + 3'600'000}}};
    return test::must(signer.answer(lines, {}, now));
  }
  /// Of a client whose key this is.
  [[nodiscard]] net::TlsIdentity client(const std::string& name, std::uint8_t seed = 9) const { return {.chain = {leaf(key(seed), name)}, .key = key(seed)}; }

 private:
  [[nodiscard]] std::string label(std::uint8_t seed) const { return std::string(crypto::name(algorithm_)) + ' ' + std::to_string(seed); }
  [[nodiscard]] crypto::Certificate make(crypto::CertificateUse use, crypto::SubjectNames names, const crypto::PrivateKey& own,
                                         const crypto::Certificate* issuer, const crypto::PrivateKey& issuer_key) const {
    const UnixMs now = SystemClock().now_ms();
    Bytes serial(16, static_cast<std::uint8_t>(0x40 + static_cast<int>(use)));
    serial.back() = ++serials_;
    return test::must(crypto::issue({.use = use,
                                     .names = std::move(names),
                                     .key_algorithm = algorithm_,
                                     .public_key = test::must(crypto::public_octets(own)),
                                     .serial = std::move(serial),
                                     .not_before = now - 60'000,
                                     .not_after = now + 86'400'000},
                                    issuer, issuer_key));
  }
  crypto::KeyAlgorithm algorithm_;
  mutable std::uint8_t serials_ = 0;
  crypto::PrivateKey root_key_;
  crypto::PrivateKey issuing_key_;

 public:
  const crypto::Certificate root;
  const crypto::Certificate issuing;
};

/// What went wrong in a listener, as it was recorded.
class Recorder {
 public:
  Result<void> operator()(const audit::Event& event) {
    const std::lock_guard lock(mutex_);
    reasons_.emplace_back(event.reason);
    changed_.notify_all();
    return {};
  }
  bool has(std::string_view part) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10),
                             [&] { return std::ranges::any_of(reasons_, [&](const std::string& reason) { return reason.contains(part); }); });
  }
  std::size_t count() {
    const std::lock_guard lock(mutex_);
    return reasons_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> reasons_;  // under mutex_
};

struct TlsAnswer {
  std::string octets;    // empty: no handshake, or no answer
  std::string key_type;  // of the listener's certificate
  [[nodiscard]] int status() const { return octets.starts_with("HTTP/1.") ? std::atoi(octets.c_str() + 9) : 0; }
  [[nodiscard]] std::string body() const {
    const std::size_t end = octets.find("\r\n\r\n");
    return end == std::string::npos ? "" : octets.substr(end + 4);
  }
};

inline constexpr net::test::RawPolicy any_policy{.groups = "X25519MLKEM768:x25519:secp256r1",
                                                 .signature_algorithms = "mldsa65:ecdsa_secp384r1_sha384:ecdsa_secp256r1_sha256:rsa_pss_rsae_sha256",
                                                 .version = TLS1_3_VERSION};
/// One request on a connection of its own.
inline TlsAnswer ask_tls(std::uint16_t port, std::string_view request, const net::TlsIdentity* client = nullptr, net::test::RawPolicy policy = any_policy) {
  const net::test::RawContext context = net::test::raw_context(TLS_client_method(), client, policy);
  net::test::RawTls tls = net::test::RawTls::to(port, *context);
  if (!tls.connect()) return {};
  tls.write(request);
  return {.octets = tls.read_all(), .key_type = tls.peer_key_type()};
}

/// The real time until it is made to stand.
class FrontClock final : public Clock {
 public:
  [[nodiscard]] UnixMs now_ms() const override { return stands_at_ != 0 ? stands_at_.load() : SystemClock().now_ms(); }
  void stand_at(UnixMs now) { stands_at_ = now; }

 private:
  std::atomic<UnixMs> stands_at_ = 0;
};

/// CAs, records and a clock for a front; its listener takes any free port.
class FrontFixture : public testing::Test {
 protected:
  FrontFixture() {
    settings_.url = "https://ra.test";
    settings_.dns = {"ra.test"};
  }
  void start(const std::vector<EnrolmentService>& services) {
    front_ = std::make_unique<EnrolmentFront>(
        settings_,
        FrontParts{.issue = [this](const crypto::PrivateKey& key, const crypto::AskedNames& names, std::chrono::seconds) { return issue(key, names); },
                   .staple = [this](ByteView certificate) { return staple(certificate); },
                   .client_roots =
                       [this] {
                         return std::vector{p384_.root.der(), p384_.issuing.der(), ml_dsa_.root.der(), ml_dsa_.issuing.der()};
                       },
                   .record = std::ref(recorded_),
                   .rng = *rng_,
                   .clock = clock_});
    test::must(front_->start(services));
  }
  Result<Given> issue(const crypto::PrivateKey& key, const crypto::AskedNames& names) {
    const std::lock_guard lock(mutex_);
    if (issue_refuses_) return fail(*issue_refuses_);
    ++issued_;
    const FrontPki& pki = key.algorithm == crypto::KeyAlgorithm::ecdsa_p384 ? p384_ : ml_dsa_;
    const crypto::PrivateKey other = pki.key(77);
    if (misfits_at_) clock_.stand_at(*misfits_at_);
    return Given{.certificate = pki.leaf(misfits_at_ ? other : key, names.common_name, names.dns).der(), .chain = {pki.issuing.der()}};
  }
  /// As CSP does: an answer about this certificate and no other.
  Result<net::Staple> staple(ByteView der) {
    const crypto::Certificate certificate = test::must(crypto::Certificate::parse(der));
    const FrontPki& pki = certificate.key_algorithm() == crypto::KeyAlgorithm::ecdsa_p384 ? p384_ : ml_dsa_;
    const auto answer = std::make_shared<const Bytes>(pki.good_status(certificate.serial()));
    return net::Staple([this, answer] { return is_good_ ? answer : nullptr; });
  }

  FrontClock clock_;
  const FrontPki p384_{crypto::KeyAlgorithm::ecdsa_p384};
  const FrontPki ml_dsa_{crypto::KeyAlgorithm::ml_dsa_65};
  std::unique_ptr<crypto::Rng> rng_ = test::must(crypto::open_rng());
  Recorder recorded_;
  std::mutex mutex_;
  int issued_ = 0;                      // under mutex_
  std::optional<Error> issue_refuses_;  // under mutex_
  std::optional<UnixMs> misfits_at_;    // under mutex_: certificates are of other keys, and this is the time when they are issued
  std::atomic<bool> is_good_ = true;    // the status of what was issued
  EnrolmentSettings settings_;
  std::unique_ptr<EnrolmentFront> front_;  // last
};

}  // namespace qanat::cas
