// Certificates and revocation lists as PEM files, for both ends of connections with software of others.
#pragma once

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <map>
#include <mutex>

#include "crypto/foreign_issue.hpp"
#include "crypto/x509_openssl.hpp"
#include "net/foreign.hpp"
#include "temporary_directory.hpp"

namespace qanat::net::test {

class ForeignPki {
 public:
  ForeignPki() {
    EXPECT_TRUE(crypto::make_foreign_root(root, "Root", crypto::ForeignKey::ecdsa_p384));
    EXPECT_TRUE(crypto::make_foreign_root(other_root, "Other root", crypto::ForeignKey::ecdsa_p256));
  }
  [[nodiscard]] crypto::PemFiles file(const std::string& name) const { return {.certificate = folder_ / (name + ".pem"), .key = folder_ / (name + ".key")}; }
  /// Made at the first call, from any thread.
  const crypto::PemFiles& leaf(const std::string& name, const std::string& address = "127.0.0.1", bool of_other_root = false) {
    const std::lock_guard lock(mutex_);
    const auto found = leaves_.find(name);
    if (found != leaves_.end()) return found->second;
    const auto made = crypto::make_foreign_leaf(file(name), {.common_name = name, .uris = {}, .dns = {}, .addresses = {address}},
                                                crypto::ForeignKey::ecdsa_p256, of_other_root ? other_root : root);
    EXPECT_TRUE(made) << made.error().message;
    return leaves_.emplace(name, file(name)).first->second;
  }
  /// A list of the root's, with these leaves on it, good for a day from `issued_ago_s` on.
  std::filesystem::path crl(const std::string& name, const std::vector<std::string>& revoked, long issued_ago_s = 60) {
    const std::filesystem::path out = folder_ / (name + ".crl");
    const std::unique_ptr<X509_CRL, crypto::Releaser<X509_CRL_free>> list(X509_CRL_new());
    const std::unique_ptr<X509, crypto::Releaser<X509_free>> issuer = certificate(root.certificate);
    const std::unique_ptr<ASN1_TIME, crypto::Releaser<ASN1_TIME_free>> time(X509_gmtime_adj(nullptr, -issued_ago_s));
    EXPECT_EQ(X509_CRL_set_version(list.get(), X509_CRL_VERSION_2), 1);
    EXPECT_EQ(X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(issuer.get())), 1);
    EXPECT_EQ(X509_CRL_set1_lastUpdate(list.get(), time.get()), 1);
    for (const std::string& leaf_name : revoked) {
      X509_REVOKED* const entry = X509_REVOKED_new();
      const std::unique_ptr<X509, crypto::Releaser<X509_free>> leaf_certificate = certificate(leaf(leaf_name).certificate);
      EXPECT_EQ(X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(leaf_certificate.get())), 1);
      EXPECT_EQ(X509_REVOKED_set_revocationDate(entry, time.get()), 1);
      EXPECT_EQ(X509_CRL_add0_revoked(list.get(), entry), 1);
    }
    X509_gmtime_adj(time.get(), 86400 - issued_ago_s);
    EXPECT_EQ(X509_CRL_set1_nextUpdate(list.get(), time.get()), 1);
    std::FILE* const key_file = std::fopen(root.key.c_str(), "rb");
    const std::unique_ptr<EVP_PKEY, crypto::Releaser<EVP_PKEY_free>> key(PEM_read_PrivateKey(key_file, nullptr, nullptr, nullptr));
    std::fclose(key_file);
    EXPECT_GT(X509_CRL_sign(list.get(), key.get(), EVP_sha384()), 0);
    std::FILE* const file = std::fopen(out.c_str(), "wb");
    EXPECT_EQ(PEM_write_X509_CRL(file, list.get()), 1);
    std::fclose(file);
    return out;
  }
  [[nodiscard]] ForeignTls tls(const crypto::PemFiles& identity, const std::filesystem::path& crls = {}) const {
    return {.chains = {{.certificate = identity.certificate, .key = identity.key}}, .roots = root.certificate, .crls = crls};
  }

 private:
  static std::unique_ptr<X509, crypto::Releaser<X509_free>> certificate(const std::filesystem::path& path) {
    std::FILE* const file = std::fopen(path.c_str(), "rb");
    std::unique_ptr<X509, crypto::Releaser<X509_free>> out(PEM_read_X509(file, nullptr, nullptr, nullptr));
    std::fclose(file);
    return out;
  }
  qanat::test::TemporaryDirectory folder_;
  std::mutex mutex_;
  std::map<std::string, crypto::PemFiles> leaves_;  // under mutex_

 public:
  const crypto::PemFiles root = file("root");
  const crypto::PemFiles other_root = file("other");
};

/// One for all tests of a program run.
inline ForeignPki& foreign_files() {
  static ForeignPki shared;
  return shared;
}

}  // namespace qanat::net::test
