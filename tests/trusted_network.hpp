// A small network of trust without sockets: roots and issuing CAs of both branches, elements with credentials, and nodes opened in folders
// of their own. Time is the real one, because a Node's clock is.
#pragma once

#include <gtest/gtest.h>

#include <fstream>

#include "crypto/certificate_bundle.hpp"
#include "crypto/x509_crl.hpp"
#include "node/node.hpp"
#include "temporary_directory.hpp"

namespace qanat::test {

inline constexpr UnixMs day_ms = 86'400'000;
inline Deadline soon() { return Deadline::after(std::chrono::seconds(5)); }

template <class T>
T must(Result<T> result) {
  if (!result) ADD_FAILURE() << result.error().message;
  CHECK(result.has_value());
  return std::move(*result);
}
inline void must(const Result<void>& result) { ASSERT_TRUE(result) << result.error().message; }

/// The code of what must be a refusal.
template <class T>
ErrorCode refusal(const Result<T>& result) {
  EXPECT_FALSE(result.has_value()) << "was granted";
  return result ? ErrorCode{} : result.error().code;
}

inline Identity identity(std::string_view uri) { return must(Identity::parse_uri(uri)); }

/// The handler of one endpoint, as the server would call it.
inline std::function<Result<net::Response>(const net::Request&)> handler_of(const std::vector<points::Handler>& handlers, points::Endpoint endpoint) {
  for (const points::Handler& handler : handlers) {
    if (handler.endpoint == endpoint) return handler.answer;
  }
  CHECK(false && "no such handler");
  return {};
}

inline net::Request request_from(std::optional<Identity> caller, Bytes body, std::optional<crypto::Certificate> certificate = {}) {
  return {.method = "POST",
          .path = "/",
          .query = "",
          .content_type = "",
          .body = std::move(body),
          .deadline = soon(),
          .peer = {.certificate = std::move(certificate), .identity = std::move(caller), .address = "127.0.0.1:1"},
          .request_id = "0123456789abcdef"};
}
inline net::Request json_request(std::optional<Identity> caller, const wire::Json& body) { return request_from(std::move(caller), to_bytes(body.dump())); }
inline wire::Json json_of(const Result<net::Response>& response) {
  EXPECT_TRUE(response) << (response ? "" : response.error().message);
  return response && !response->body.empty() ? must(wire::Json::parse(response->body)) : wire::Json::object();
}

class TrustedNetwork {
 public:
  explicit TrustedNetwork(crypto::SuiteId suite = crypto::SuiteId::gm_hybrid) : suite_(crypto::suite(suite)), rng_(must(crypto::open_rng())) {
    std::filesystem::create_directories(trust());
    for (const bool classical : {false, true}) {
      const crypto::KeyAlgorithm algorithm = classical ? crypto::classical_key(suite_) : crypto::ml_dsa_key(suite_);
      const std::string label(crypto::name(algorithm));
      const auto root_key = make_key(classical);
      const auto root = certify("root " + label, {}, crypto::CertificateUse::root_ca, root_key, nullptr, root_key);
      auto key = make_key(classical);
      auto issuing = certify("issuing " + label, {}, crypto::CertificateUse::issuing_ca, key, &root, root_key);
      write("root-" + label + ".pem", root.pem());
      write("issuing-" + label + ".pem", issuing.pem());
      (classical ? classical_ : ml_dsa_).emplace(Branch{std::move(issuing), std::move(key)});
    }
  }

  [[nodiscard]] const crypto::Suite& suite() const { return suite_; }
  crypto::Rng& rng() { return *rng_; }
  [[nodiscard]] std::filesystem::path trust() const { return directory_ / "trust"; }
  [[nodiscard]] std::filesystem::path state_of(const Identity& who) const { return directory_ / who.name; }

  node::Credentials credentials(const Identity& who, std::optional<Number> number = {}) {
    crypto::Signer signer = must(crypto::Signer::generate(suite_, *rng_));
    crypto::SigningSecret secret = signer.secret();
    crypto::PrivateKey classical_key{.algorithm = crypto::classical_key(suite_), .secret = std::move(secret.scalar)};
    crypto::PrivateKey ml_dsa_key{.algorithm = crypto::ml_dsa_key(suite_), .secret = std::move(secret.ml_dsa_seed)};
    const crypto::SubjectNames names{.common_name = who.name, .element = who, .number = std::move(number), .dns = {}};
    const auto use = crypto::CertificateUse::tls_and_signing;
    const auto ml_dsa = certify(who.name, names, use, ml_dsa_key, &ml_dsa_->certificate, ml_dsa_->key);
    const auto classical = certify(who.name, names, use, classical_key, &classical_->certificate, classical_->key);
    node::Credentials out;
    out.messages = std::make_shared<const node::MessageSigner>(node::MessageSigner{
        .signer = std::move(signer), .classical = classical, .ml_dsa = ml_dsa, .fps = wire::fingerprints(suite_, classical.der(), ml_dsa.der())});
    out.tls = std::make_shared<net::TlsIdentity>(net::TlsIdentity{.chain = {ml_dsa, ml_dsa_->certificate}, .key = std::move(ml_dsa_key)});
    return out;
  }

  /// A leaf over a public key, by the issuing CA of the key's branch.
  crypto::Certificate certify_key(crypto::SubjectNames names, crypto::CertificateUse use, crypto::KeyAlgorithm algorithm, const Bytes& public_key,
                                  const Bytes& related = {}) {
    const Branch& by = algorithm == crypto::classical_key(suite_) ? *classical_ : *ml_dsa_;
    return certify_octets({.use = use, .names = std::move(names), .key_algorithm = algorithm, .public_key = public_key, .serial = {}, .related = related}, &by.certificate, by.key);
  }
  /// A terminal's four certificates.
  crypto::CertificateBundle bundle(const crypto::SubjectNames& names, const crypto::VerifyingKey& signing, const crypto::EncapsulationKey& encryption) {
    crypto::CertificateBundle out;
    const auto make = [&](crypto::BundleRole role, const Bytes& key, const Bytes& related) {
      const bool signs = crypto::use_of(role) == crypto::LeafUse::signing;
      return certify_key(names, signs ? crypto::CertificateUse::tls_and_signing : crypto::CertificateUse::encryption, crypto::key_of(suite_, role), key, related);
    };
    out.classical_signing = make(crypto::BundleRole::classical_signing, signing.point, {});
    out.ml_dsa_signing = make(crypto::BundleRole::ml_dsa_signing, signing.ml_dsa, out.classical_signing.fingerprint(crypto::Hash::sha256));
    const Bytes related = out.ml_dsa_signing.fingerprint(crypto::Hash::sha256);
    out.classical_encryption = make(crypto::BundleRole::classical_encryption, encryption.point, related);
    out.ml_kem_encryption = make(crypto::BundleRole::ml_kem_encryption, encryption.ml_kem, related);
    return out;
  }
  /// A complete list of the branch that revokes these serials, DER.
  Bytes revocation_list(bool classical, const std::vector<Bytes>& serials) {
    const Branch& branch = classical ? *classical_ : *ml_dsa_;
    const UnixMs now = SystemClock().now_ms();
    crypto::RevocationList list;
    list.number = 1;
    list.this_update = now - 1000;
    list.next_update = now + day_ms;
    for (const Bytes& serial : serials) list.revoked.push_back({.serial = serial, .revoked_at = now - 1000, .reason = 1});
    return must(crypto::make_revocation_list(list, branch.certificate, branch.key));
  }
  [[nodiscard]] const crypto::Certificate& issuing(bool classical) const { return (classical ? classical_ : ml_dsa_)->certificate; }

  /// What a CA of this network makes of a request, and the CA's certificate.
  std::vector<crypto::Certificate> certify(const Bytes& request) {
    const auto parsed = must(crypto::CertificateRequest::parse(request));
    const Branch& branch = parsed.key_algorithm() == crypto::ml_dsa_key(suite_) ? *ml_dsa_ : *classical_;
    return {certify_key(parsed.names(), crypto::CertificateUse::tls_and_signing, parsed.key_algorithm(), parsed.public_key()), branch.certificate};
  }

  /// A node in this network that knows `peers` by name; every certificate's status is what `status` says (absent: good).
  std::unique_ptr<node::Node> open_node(const Identity& who, const std::vector<Identity>& peers, node::LocalStatus status = {}) {
    auto node = open_node_without_credentials(who, peers);
    if (!status) status = [](const crypto::Certificate&, Deadline) -> Result<void> { return {}; };
    node->use_credentials(credentials(who), std::move(status));
    return node;
  }
  std::unique_ptr<node::Node> open_node_without_credentials(const Identity& who, const std::vector<Identity>& peers) {
    return open_node_in(state_of(who), trust(), who, peers, suite_);
  }
  static std::unique_ptr<node::Node> open_node_in(const std::filesystem::path& state, const std::filesystem::path& trust, const Identity& who,
                                                  const std::vector<Identity>& peers, const crypto::Suite& suite) {
    node::Settings settings;
    settings.identity = who;
    settings.state = state;
    settings.trust = trust;
    settings.master_key = state.string() + ".master";
    settings.suite = &suite;
    for (const Identity& peer : peers) settings.peers.emplace(peer.name, net::Target{.host = "127.0.0.1", .port = 1, .expected = peer});
    return must(node::Node::open(std::move(settings)));
  }

 private:
  struct Branch {
    crypto::Certificate certificate;
    crypto::PrivateKey key;
  };

  crypto::PrivateKey make_key(bool classical) {
    crypto::SigningSecret secret = must(crypto::Signer::generate(suite_, *rng_)).secret();
    if (classical) return {.algorithm = crypto::classical_key(suite_), .secret = std::move(secret.scalar)};
    return {.algorithm = crypto::ml_dsa_key(suite_), .secret = std::move(secret.ml_dsa_seed)};
  }
  crypto::Certificate certify(const std::string& common_name, crypto::SubjectNames names, crypto::CertificateUse use, const crypto::PrivateKey& key,
                              const crypto::Certificate* issuer, const crypto::PrivateKey& issuer_key) {
    names.common_name = common_name;
    return certify_octets({.use = use, .names = std::move(names), .key_algorithm = key.algorithm, .public_key = must(crypto::public_octets(key)), .serial = {}}, issuer, issuer_key);
  }
  crypto::Certificate certify_octets(crypto::CertificateTemplate wanted, const crypto::Certificate* issuer, const crypto::PrivateKey& issuer_key) {
    wanted.serial = rng_->bytes(16);
    wanted.serial.front() = 0x41;
    const UnixMs now = SystemClock().now_ms();
    wanted.not_before = now - day_ms;
    wanted.not_after = now + day_ms;
    return must(crypto::issue(wanted, issuer, issuer_key));
  }
  void write(const std::string& file, const std::string& text) const { std::ofstream(trust() / file, std::ios::binary) << text; }

  TemporaryDirectory directory_;
  const crypto::Suite& suite_;
  std::unique_ptr<crypto::Rng> rng_;
  std::optional<Branch> ml_dsa_;
  std::optional<Branch> classical_;
};

/// True if the element's audit record holds this text.
inline bool audited(const std::filesystem::path& state, std::string_view text) {
  std::ifstream in(state / "audit.jsonl", std::ios::binary);
  const std::string all(std::istreambuf_iterator<char>(in), {});
  return all.contains(text);
}

}  // namespace qanat::test
