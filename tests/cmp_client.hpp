// A CMP client by OpenSSL's own library, its messages carried by a function of the test: whole exchanges without a network. What the client believes, its
// own checks included, is its own doing.
#pragma once

#include <gtest/gtest.h>
#include <openssl/cmp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"

namespace qanat::test {

template <auto Free>
struct OpensslDeleter {
  template <class T>
  void operator()(T* object) const noexcept {
    static_cast<void>(Free(object));
  }
};
inline void free_certificates(STACK_OF(X509) * list) { OSSL_STACK_OF_X509_free(list); }
using ClientKey = std::shared_ptr<EVP_PKEY>;  // shared by the client and the test that made it
using ClientCertificate = std::unique_ptr<X509, OpensslDeleter<X509_free>>;
using ClientCertificates = std::unique_ptr<STACK_OF(X509), OpensslDeleter<free_certificates>>;
using ClientMessage = std::unique_ptr<OSSL_CMP_MSG, OpensslDeleter<OSSL_CMP_MSG_free>>;
using ClientContext = std::unique_ptr<OSSL_CMP_CTX, OpensslDeleter<OSSL_CMP_CTX_free>>;

/// "EC:P-256", "RSA:2048", "SM2", "ML-DSA-65", "ML-KEM-768".
inline ClientKey client_key(const std::string& kind) {
  EVP_PKEY* key = nullptr;
  if (kind.starts_with("EC:")) {
    key = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", kind.c_str() + 3);
  } else if (kind.starts_with("RSA:")) {
    key = EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", static_cast<std::size_t>(std::stoul(kind.substr(4))));
  } else if (kind == "SM2") {
    key = EVP_PKEY_Q_keygen(nullptr, nullptr, "SM2");
  } else {
    key = EVP_PKEY_Q_keygen(nullptr, nullptr, kind.c_str());
  }
  EXPECT_NE(key, nullptr) << kind;
  return {key, EVP_PKEY_free};
}

/// SubjectPublicKeyInfo, DER.
inline Bytes public_key_info(const ClientKey& key) {
  unsigned char* octets = nullptr;
  const int size = i2d_PUBKEY(key.get(), &octets);
  EXPECT_GT(size, 0);
  Bytes out(octets, octets + std::max(size, 0));
  OPENSSL_free(octets);
  return out;
}

inline ClientCertificate client_certificate(ByteView der) {
  const unsigned char* at = der.data();
  return ClientCertificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
}
inline Bytes der_of_certificate(const X509* certificate) {
  unsigned char* octets = nullptr;
  const int size = certificate != nullptr ? i2d_X509(certificate, &octets) : 0;
  Bytes out(octets, octets + std::max(size, 0));
  OPENSSL_free(octets);
  return out;
}
inline Bytes der_of_message(const OSSL_CMP_MSG* message) {
  unsigned char* octets = nullptr;
  const int size = i2d_OSSL_CMP_MSG(message, &octets);
  Bytes out(octets, octets + std::max(size, 0));
  OPENSSL_free(octets);
  return out;
}
inline ClientMessage client_message(ByteView der) {
  const unsigned char* at = der.data();
  return ClientMessage(d2i_OSSL_CMP_MSG(nullptr, &at, static_cast<long>(der.size())));
}

class CmpClient {
 public:
  /// Gives the answer's octets; nothing: there is none.
  using Carry = std::function<std::optional<Bytes>(const Bytes& request)>;

  explicit CmpClient(Carry carry) : carry_(std::move(carry)), context_(OSSL_CMP_CTX_new(nullptr, nullptr)) {
    OSSL_CMP_CTX_set_transfer_cb(context_.get(), &CmpClient::transfer);
    OSSL_CMP_CTX_set_transfer_cb_arg(context_.get(), this);
    OSSL_CMP_CTX_set_log_cb(context_.get(), &CmpClient::log);
    option(OSSL_CMP_OPT_MAC_ALGNID, NID_hmacWithSHA256);
  }
  ~CmpClient() { ERR_clear_error(); }
  CmpClient(const CmpClient&) = delete;
  CmpClient& operator=(const CmpClient&) = delete;

  CmpClient& option(int option, int value) {
    EXPECT_EQ(OSSL_CMP_CTX_set_option(context_.get(), option, value), 1) << option;
    return *this;
  }
  CmpClient& secret(const std::string& reference, const std::string& text) {
    OSSL_CMP_CTX_set1_referenceValue(context_.get(), as_bytes(reference).data(), static_cast<int>(reference.size()));
    OSSL_CMP_CTX_set1_secretValue(context_.get(), as_bytes(text).data(), static_cast<int>(text.size()));
    return *this;
  }
  CmpClient& signer(ByteView certificate, const ClientKey& key) {
    OSSL_CMP_CTX_set1_cert(context_.get(), client_certificate(certificate).get());
    OSSL_CMP_CTX_set1_pkey(context_.get(), key.get());
    if (EVP_PKEY_is_a(key.get(), "SM2") == 1) option(OSSL_CMP_OPT_DIGEST_ALGNID, NID_sm3);
    return *this;
  }
  /// `at_s`: Unix time at which certificates are looked at; 0: now.
  CmpClient& trusts(std::initializer_list<ByteView> roots, std::int64_t at_s = 0) {
    X509_STORE* const store = X509_STORE_new();
    if (at_s != 0) X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(store), at_s);
    for (const ByteView root : roots) X509_STORE_add_cert(store, client_certificate(root).get());
    OSSL_CMP_CTX_set0_trustedStore(context_.get(), store);
    return *this;
  }
  CmpClient& new_key(const ClientKey& key) {
    EVP_PKEY_up_ref(key.get());
    OSSL_CMP_CTX_set0_newPkey(context_.get(), 1, key.get());
    if (EVP_PKEY_is_a(key.get(), "SM2") == 1) option(OSSL_CMP_OPT_DIGEST_ALGNID, NID_sm3);
    return *this;
  }
  CmpClient& subject(const std::string& common_name) {
    const std::unique_ptr<X509_NAME, OpensslDeleter<X509_NAME_free>> name(X509_NAME_new());
    X509_NAME_add_entry_by_txt(name.get(), "CN", MBSTRING_UTF8, as_bytes(common_name).data(), static_cast<int>(common_name.size()), -1, 0);
    OSSL_CMP_CTX_set1_subjectName(context_.get(), name.get());
    return *this;
  }
  CmpClient& dns(const std::string& text) {
    GENERAL_NAME* const name = a2i_GENERAL_NAME(nullptr, nullptr, nullptr, GEN_DNS, text.c_str(), 0);
    OSSL_CMP_CTX_push1_subjectAltName(context_.get(), name);
    GENERAL_NAME_free(name);
    return *this;
  }
  CmpClient& old(ByteView certificate) {
    OSSL_CMP_CTX_set1_oldCert(context_.get(), client_certificate(certificate).get());
    return *this;
  }
  /// A PKCS#10 by this key, for p10cr.
  CmpClient& csr(const ClientKey& key, const std::string& common_name) {
    const std::unique_ptr<X509_REQ, OpensslDeleter<X509_REQ_free>> request(X509_REQ_new());
    const std::unique_ptr<X509_NAME, OpensslDeleter<X509_NAME_free>> name(X509_NAME_new());
    X509_NAME_add_entry_by_txt(name.get(), "CN", MBSTRING_UTF8, as_bytes(common_name).data(), static_cast<int>(common_name.size()), -1, 0);
    X509_REQ_set_subject_name(request.get(), name.get());
    X509_REQ_set_pubkey(request.get(), key.get());
    const bool sm2 = EVP_PKEY_is_a(key.get(), "SM2") == 1;
    const bool pure = !sm2 && EVP_PKEY_is_a(key.get(), "EC") != 1 && EVP_PKEY_is_a(key.get(), "RSA") != 1;
    EXPECT_GT(X509_REQ_sign(request.get(), key.get(), pure ? nullptr : sm2 ? EVP_sm3() : EVP_sha256()), 0);
    EXPECT_EQ(OSSL_CMP_CTX_set1_p10CSR(context_.get(), request.get()), 1);
    return *this;
  }
  /// Takes no certificate that it is given.
  CmpClient& rejects_certificates() {
    OSSL_CMP_CTX_set_certConf_cb(context_.get(), [](OSSL_CMP_CTX*, X509*, int, const char** text) {
      *text = "it does not please";
      return 1 << OSSL_CMP_PKIFAILUREINFO_incorrectData;
    });
    return *this;
  }
  CmpClient& implicit_confirm() { return option(OSSL_CMP_OPT_IMPLICIT_CONFIRM, 1); }
  CmpClient& profile(const std::string& name) {
    STACK_OF(ASN1_UTF8STRING)* const list = sk_ASN1_UTF8STRING_new_null();
    ASN1_UTF8STRING* const text = ASN1_UTF8STRING_new();
    ASN1_STRING_set(text, name.data(), static_cast<int>(name.size()));
    sk_ASN1_UTF8STRING_push(list, text);
    OSSL_CMP_CTX_push0_geninfo_ITAV(context_.get(), OSSL_CMP_ITAV_new0_certProfile(list));
    return *this;
  }
  [[nodiscard]] OSSL_CMP_CTX* native() const { return context_.get(); }

  /// The new certificate; empty: none. `kind`: OSSL_CMP_IR, …
  Bytes request(int kind) {
    Bytes out = der_of_certificate(OSSL_CMP_exec_certreq(context_.get(), kind, nullptr));
    note_errors();
    return out;
  }
  /// Asks once: nothing while the answer is not there yet. Again to poll.
  std::optional<Bytes> try_request(int kind) {
    const int done = OSSL_CMP_try_certreq(context_.get(), kind, nullptr, &check_after_);
    note_errors();
    if (done == -1) return std::nullopt;
    return done == 1 ? der_of_certificate(OSSL_CMP_CTX_get0_newCert(context_.get())) : Bytes();
  }
  bool revoke() {
    const bool done = OSSL_CMP_exec_RR_ses(context_.get()) == 1;
    note_errors();
    return done;
  }

  [[nodiscard]] int check_after() const { return check_after_; }
  /// PKIFailureInfo's bit of the last answer; -1: none, or several.
  [[nodiscard]] int failure() const {
    const int bits = OSSL_CMP_CTX_get_failInfoCode(context_.get());
    for (int bit = 0; bit <= 26; ++bit) {
      if (bits == 1 << bit) return bit;
    }
    return -1;
  }
  [[nodiscard]] int status() const { return OSSL_CMP_CTX_get_status(context_.get()); }
  /// What the client had to say of its failure.
  [[nodiscard]] const std::string& errors() const { return errors_; }
  [[nodiscard]] const std::vector<Bytes>& sent() const { return sent_; }
  [[nodiscard]] const std::vector<Bytes>& received() const { return received_; }
  [[nodiscard]] std::vector<Bytes> extra_certificates() const { return list(ClientCertificates(OSSL_CMP_CTX_get1_extraCertsIn(context_.get()))); }
  [[nodiscard]] std::vector<Bytes> ca_certificates() const { return list(ClientCertificates(OSSL_CMP_CTX_get1_caPubs(context_.get()))); }
  static std::vector<Bytes> list(const ClientCertificates& certificates) {
    std::vector<Bytes> out;
    for (int i = 0; i < sk_X509_num(certificates.get()); ++i) out.push_back(der_of_certificate(sk_X509_value(certificates.get(), i)));
    return out;
  }

 private:
  static int log(const char*, const char*, int, OSSL_CMP_severity, const char*) { return 1; }
  static OSSL_CMP_MSG* transfer(OSSL_CMP_CTX* context, const OSSL_CMP_MSG* request) {
    auto* const self = static_cast<CmpClient*>(OSSL_CMP_CTX_get_transfer_cb_arg(context));
    self->sent_.push_back(der_of_message(request));
    const std::optional<Bytes> answer = self->carry_(self->sent_.back());
    if (!answer) return nullptr;
    self->received_.push_back(*answer);
    return client_message(*answer).release();
  }
  void note_errors() {
    const std::unique_ptr<BIO, OpensslDeleter<BIO_free>> out(BIO_new(BIO_s_mem()));
    ERR_print_errors(out.get());
    char* text = nullptr;
    const long size = BIO_get_mem_data(out.get(), &text);
    errors_.assign(text, static_cast<std::size_t>(size));
  }

  Carry carry_;
  ClientContext context_;
  int check_after_ = 0;
  std::string errors_;
  std::vector<Bytes> sent_;
  std::vector<Bytes> received_;
};

}  // namespace qanat::test
