// A key of software that others wrote, as the tests play it: OpenSSL's own, which signs JWS and certificate requests.
#pragma once

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/rsa.h>

#include "crypto/jose_key.hpp"
#include "crypto/x509_openssl.hpp"
#include "wire/base64.hpp"
#include "wire/json.hpp"

namespace qanat::test {

class JoseSigner {
 public:
  explicit JoseSigner(crypto::JoseAlgorithm algorithm, unsigned rsa_bits = 2048) : algorithm_(algorithm) {
    using enum crypto::JoseAlgorithm;
    switch (algorithm) {
      case es256:
      case es384:
        key_.reset(EVP_EC_gen(algorithm == es256 ? "P-256" : "P-384"));
        break;
      case rs256:
        key_.reset(EVP_RSA_gen(rsa_bits));
        break;
      case ml_dsa_44:
      case ml_dsa_65:
      case ml_dsa_87:
        key_.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, std::string(crypto::name(algorithm)).c_str()));
        break;
    }
    CHECK(key_ != nullptr);
  }

  [[nodiscard]] crypto::JoseAlgorithm algorithm() const { return algorithm_; }
  [[nodiscard]] EVP_PKEY* native() const { return key_.get(); }
  /// `count` octets of a number of the key; without zeros in front where count is 0.
  [[nodiscard]] Bytes number(const char* name, std::size_t count = 0) const {
    BIGNUM* value = nullptr;
    CHECK(EVP_PKEY_get_bn_param(key_.get(), name, &value) == 1);
    Bytes out(count != 0 ? count : static_cast<std::size_t>(BN_num_bytes(value)));
    CHECK(BN_bn2binpad(value, out.data(), static_cast<int>(out.size())) >= 0);
    BN_clear_free(value);
    return out;
  }
  [[nodiscard]] Bytes ml_dsa_public() const {
    std::size_t size = 0;
    CHECK(EVP_PKEY_get_octet_string_param(key_.get(), OSSL_PKEY_PARAM_PUB_KEY, nullptr, 0, &size) == 1);
    Bytes out(size);
    CHECK(EVP_PKEY_get_octet_string_param(key_.get(), OSSL_PKEY_PARAM_PUB_KEY, out.data(), out.size(), &size) == 1);
    return out;
  }
  [[nodiscard]] wire::Json jwk() const {
    using enum crypto::JoseAlgorithm;
    const auto text = [&](const char* name, std::size_t count = 0) { return wire::to_base64url(number(name, count)); };
    if (algorithm_ == es256 || algorithm_ == es384) {
      const std::size_t size = algorithm_ == es256 ? 32 : 48;
      return wire::Json::object({{"kty", "EC"},
                                 {"crv", algorithm_ == es256 ? "P-256" : "P-384"},
                                 {"x", text(OSSL_PKEY_PARAM_EC_PUB_X, size)},
                                 {"y", text(OSSL_PKEY_PARAM_EC_PUB_Y, size)}});
    }
    if (algorithm_ == rs256) return wire::Json::object({{"kty", "RSA"}, {"n", text(OSSL_PKEY_PARAM_RSA_N)}, {"e", text(OSSL_PKEY_PARAM_RSA_E)}});
    return wire::Json::object({{"kty", "AKP"}, {"alg", crypto::name(algorithm_)}, {"pub", wire::to_base64url(ml_dsa_public())}});
  }
  /// As JWS has it: r‖s for ECDSA.
  [[nodiscard]] Bytes sign(ByteView message) const {
    using enum crypto::JoseAlgorithm;
    const char* const digest = algorithm_ == es384 ? "SHA384" : algorithm_ == es256 || algorithm_ == rs256 ? "SHA256" : nullptr;
    const crypto::EvpDigestContext context(EVP_MD_CTX_new());
    std::size_t size = 0;
    CHECK(EVP_DigestSignInit_ex(context.get(), nullptr, digest, nullptr, nullptr, key_.get(), nullptr) == 1);
    CHECK(EVP_DigestSign(context.get(), nullptr, &size, message.data(), message.size()) == 1);
    Bytes out(size);
    CHECK(EVP_DigestSign(context.get(), out.data(), &size, message.data(), message.size()) == 1);
    out.resize(size);
    if (algorithm_ != es256 && algorithm_ != es384) return out;
    const unsigned char* at = out.data();
    const crypto::Owned<ECDSA_SIG, ECDSA_SIG_free> parts(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(out.size())));
    const std::size_t half = algorithm_ == es256 ? 32 : 48;
    Bytes fixed(2 * half);
    CHECK(BN_bn2binpad(ECDSA_SIG_get0_r(parts.get()), fixed.data(), static_cast<int>(half)) >= 0);
    CHECK(BN_bn2binpad(ECDSA_SIG_get0_s(parts.get()), fixed.data() + half, static_cast<int>(half)) >= 0);
    return fixed;
  }
  /// The flattened JSON serialisation.
  [[nodiscard]] wire::Json jws(const wire::Json& header, std::string_view payload) const {
    const std::string protected_header = wire::to_base64url(as_bytes(header.dump()));
    const std::string content = wire::to_base64url(as_bytes(payload));
    return wire::Json::object(
        {{"protected", protected_header}, {"payload", content}, {"signature", wire::to_base64url(sign(as_bytes(protected_header + '.' + content)))}});
  }
  /// A PKCS#10; a common name only if it is not empty.
  [[nodiscard]] Bytes request(const std::string& common_name, const std::vector<std::string>& dns, const std::string& more_names = "") const {
    const crypto::X509Request request(X509_REQ_new());
    CHECK(X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) == 1 && X509_REQ_set_pubkey(request.get(), key_.get()) == 1);
    if (!common_name.empty()) {
      CHECK(X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(request.get()), "CN", MBSTRING_UTF8, as_bytes(common_name).data(),
                                       static_cast<int>(common_name.size()), -1, 0) == 1);
    }
    std::string names = more_names;
    for (const std::string& each : dns) names.append(names.empty() ? "" : ",").append("DNS:").append(each);
    if (!names.empty()) {
      crypto::X509Extensions extensions(sk_X509_EXTENSION_new_null());
      CHECK(sk_X509_EXTENSION_push(extensions.get(), X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names.c_str())) > 0);
      CHECK(X509_REQ_add_extensions(request.get(), extensions.get()) == 1);
    }
    const bool own_digest = algorithm_ >= crypto::JoseAlgorithm::ml_dsa_44;
    CHECK(X509_REQ_sign(request.get(), key_.get(), own_digest ? nullptr : EVP_sha256()) > 0);
    return crypto::to_der<i2d_X509_REQ>(request.get());
  }

 private:
  crypto::JoseAlgorithm algorithm_;
  crypto::EvpKey key_;
};

}  // namespace qanat::test
