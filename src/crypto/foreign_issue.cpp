#include "crypto/foreign_issue.hpp"

#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <unistd.h>

#include <array>

#include "crypto/x509_openssl.hpp"

namespace qanat::crypto {
namespace {

constexpr int root_days = 3650;
constexpr long seconds_a_day = 24L * 3600;
constexpr long back_dated_s = 3600;  // clocks differ

Result<EvpKey> generate(ForeignKey kind) {
  EvpKey key(kind == ForeignKey::ml_dsa_65 ? EVP_PKEY_Q_keygen(nullptr, nullptr, "ML-DSA-65")
                                           : EVP_EC_gen(kind == ForeignKey::ecdsa_p256 ? "P-256" : "P-384"));
  if (!key) return openssl_failure("key generation");
  return Result<EvpKey>(std::move(key));
}

Result<void> write_file(const std::filesystem::path& file, BIO* text) {
  char* octets = nullptr;
  const long size = BIO_get_mem_data(text, &octets);
  const int descriptor = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (descriptor < 0) return fail(errno == EEXIST ? ErrorCode::conflict : ErrorCode::internal, file.string() + ": cannot be made");
  const bool written = size > 0 && ::write(descriptor, octets, static_cast<std::size_t>(size)) == size && ::fsync(descriptor) == 0;
  ::close(descriptor);
  if (!written) return fail(ErrorCode::internal, file.string() + ": cannot be written");
  return {};
}

Result<void> write(const PemFiles& out, X509* certificate, EVP_PKEY* key) {
  const MemoryBio secret(BIO_new(BIO_s_secmem()));
  const MemoryBio open(BIO_new(BIO_s_mem()));
  if (!secret || !open || PEM_write_bio_PKCS8PrivateKey(secret.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1 ||
      PEM_write_bio_X509(open.get(), certificate) != 1) {
    return openssl_failure("PEM");
  }
  TRY(write_file(out.key, secret.get()));
  return write_file(out.certificate, open.get());
}

Result<void> add(X509* certificate, X509V3_CTX* context, int kind, const std::string& value) {
  Owned<X509_EXTENSION, X509_EXTENSION_free> extension(X509V3_EXT_conf_nid(nullptr, context, kind, value.c_str()));
  if (!extension || X509_add_ext(certificate, extension.get(), -1) != 1) return openssl_failure("certificate extension");
  return {};
}

Result<X509Certificate> blank(const std::string& name, int days, EVP_PKEY* key, const X509* issuer) {
  X509Certificate out(X509_new());
  std::array<std::uint8_t, 16> serial{};
  if (!out || RAND_bytes(serial.data(), serial.size()) != 1) return openssl_failure("certificate");
  serial[0] = static_cast<std::uint8_t>((serial[0] & 0x7fU) | 0x40U);  // positive, and of full length
  const Owned<BIGNUM, BN_free> number(BN_bin2bn(serial.data(), serial.size(), nullptr));
  Owned<X509_NAME, X509_NAME_free> subject(X509_NAME_new());
  const bool ok = number && subject && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(out.get())) != nullptr &&
                  X509_NAME_add_entry_by_NID(subject.get(), NID_commonName, MBSTRING_UTF8, as_bytes(name).data(), static_cast<int>(name.size()), -1, 0) == 1 &&
                  X509_set_version(out.get(), X509_VERSION_3) == 1 && X509_set_subject_name(out.get(), subject.get()) == 1 &&
                  X509_set_issuer_name(out.get(), issuer != nullptr ? X509_get_subject_name(issuer) : subject.get()) == 1 &&
                  X509_gmtime_adj(X509_getm_notBefore(out.get()), -back_dated_s) != nullptr &&
                  X509_gmtime_adj(X509_getm_notAfter(out.get()), days * seconds_a_day) != nullptr && X509_set_pubkey(out.get(), key) == 1;
  if (!ok) return fail(ErrorCode::invalid_argument, "certificate: '" + name + "' cannot be its common name");
  return Result<X509Certificate>(std::move(out));
}

struct Issuer {
  X509Certificate certificate;
  EvpKey key;
};

Result<X509Certificate> read_certificate(const std::filesystem::path& file) {
  const MemoryBio text(BIO_new_file(file.c_str(), "r"));
  if (!text) return fail(ErrorCode::not_found, file.string() + ": cannot be read");
  X509Certificate out(PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr));
  if (!out) return fail(ErrorCode::invalid_argument, file.string() + ": not a certificate in PEM");
  return Result<X509Certificate>(std::move(out));
}

Result<Issuer> read_issuer(const PemFiles& files) {
  ASSIGN_OR_RETURN(X509Certificate certificate, read_certificate(files.certificate));
  const MemoryBio text(BIO_new_file(files.key.c_str(), "r"));
  if (!text) return fail(ErrorCode::not_found, files.key.string() + ": cannot be read");
  EvpKey key(PEM_read_bio_PrivateKey(text.get(), nullptr, nullptr, nullptr));
  if (!key) return fail(ErrorCode::invalid_argument, files.key.string() + ": not a private key in PEM");
  return Issuer{.certificate = std::move(certificate), .key = std::move(key)};
}

using Crl = Owned<X509_CRL, X509_CRL_free>;
using Revoked = Owned<X509_REVOKED, X509_REVOKED_free>;
using Time = Owned<ASN1_TIME, ASN1_TIME_free>;

Result<void> add_revoked(X509_CRL* crl, const X509* certificate, const ASN1_TIME* when) {
  Revoked entry(X509_REVOKED_new());
  const bool ok = entry && X509_REVOKED_set_serialNumber(entry.get(), const_cast<ASN1_INTEGER*>(X509_get0_serialNumber(certificate))) == 1 &&
                  X509_REVOKED_set_revocationDate(entry.get(), const_cast<ASN1_TIME*>(when)) == 1 && X509_CRL_add0_revoked(crl, entry.get()) == 1;
  if (!ok) return openssl_failure("revocation list");
  static_cast<void>(entry.release());  // the list has it now
  return {};
}

Result<void> sign(X509* certificate, EVP_PKEY* key) {
  const EVP_MD* const digest = EVP_PKEY_is_a(key, "EC") == 1 ? EVP_sha256() : nullptr;
  if (X509_sign(certificate, key, digest) == 0) return openssl_failure("certificate");
  return {};
}

/// A value of OpenSSL's configuration syntax: what has a meaning there is not let in.
Result<std::string> alternative_names(const ForeignLeaf& leaf) {
  std::string out;
  const auto append = [&](const char* kind, const std::vector<std::string>& names) -> Result<void> {
    for (const std::string& name : names) {
      if (name.find_first_of(",;\n\\\"") != std::string::npos) return fail(ErrorCode::invalid_argument, "certificate: '" + name + "' has characters that do not fit");
      out += (out.empty() ? "" : ",") + std::string(kind) + name;
    }
    return {};
  };
  TRY(append("URI:", leaf.uris));
  TRY(append("DNS:", leaf.dns));
  TRY(append("IP:", leaf.addresses));
  return out;
}

}  // namespace

Result<void> make_foreign_root(const PemFiles& out, const std::string& name, ForeignKey kind) {
  const ErrorScope errors;
  ASSIGN_OR_RETURN(const EvpKey key, generate(kind));
  ASSIGN_OR_RETURN(const X509Certificate root, blank(name, root_days, key.get(), nullptr));
  X509V3_CTX context{};
  X509V3_set_ctx(&context, root.get(), root.get(), nullptr, nullptr, 0);
  TRY(add(root.get(), &context, NID_basic_constraints, "critical,CA:TRUE"));
  TRY(add(root.get(), &context, NID_key_usage, "critical,keyCertSign,cRLSign"));
  TRY(add(root.get(), &context, NID_subject_key_identifier, "hash"));
  TRY(sign(root.get(), key.get()));
  return write(out, root.get(), key.get());
}

Result<void> make_foreign_leaf(const PemFiles& out, const ForeignLeaf& leaf, ForeignKey kind, const PemFiles& issuer) {
  const ErrorScope errors;
  ASSIGN_OR_RETURN(const Issuer root, read_issuer(issuer));
  ASSIGN_OR_RETURN(const EvpKey key, generate(kind));
  ASSIGN_OR_RETURN(const X509Certificate certificate, blank(leaf.common_name, leaf.days, key.get(), root.certificate.get()));
  X509V3_CTX context{};
  X509V3_set_ctx(&context, root.certificate.get(), certificate.get(), nullptr, nullptr, 0);
  TRY(add(certificate.get(), &context, NID_basic_constraints, "critical,CA:FALSE"));
  TRY(add(certificate.get(), &context, NID_key_usage, "critical,digitalSignature"));
  TRY(add(certificate.get(), &context, NID_ext_key_usage, "serverAuth,clientAuth"));
  TRY(add(certificate.get(), &context, NID_subject_key_identifier, "hash"));
  TRY(add(certificate.get(), &context, NID_authority_key_identifier, "keyid"));
  ASSIGN_OR_RETURN(const std::string names, alternative_names(leaf));
  if (!names.empty()) TRY(add(certificate.get(), &context, NID_subject_alt_name, names));
  TRY(sign(certificate.get(), root.key.get()));
  return write(out, certificate.get(), key.get());
}

Result<std::string> make_foreign_crl(const PemFiles& issuer, std::span<const std::filesystem::path> revoked) {
  const ErrorScope errors;
  ASSIGN_OR_RETURN(const Issuer root, read_issuer(issuer));
  const Crl crl(X509_CRL_new());
  const Time begin(X509_gmtime_adj(nullptr, -back_dated_s));
  const Time end(X509_gmtime_adj(nullptr, root_days * seconds_a_day));
  const bool ok = crl && begin && end && X509_CRL_set_version(crl.get(), X509_CRL_VERSION_2) == 1 &&
                  X509_CRL_set_issuer_name(crl.get(), X509_get_subject_name(root.certificate.get())) == 1 &&
                  X509_CRL_set1_lastUpdate(crl.get(), begin.get()) == 1 && X509_CRL_set1_nextUpdate(crl.get(), end.get()) == 1;
  if (!ok) return openssl_failure("revocation list");
  for (const std::filesystem::path& file : revoked) {
    ASSIGN_OR_RETURN(const X509Certificate certificate, read_certificate(file));
    if (X509_NAME_cmp(X509_get_issuer_name(certificate.get()), X509_get_subject_name(root.certificate.get())) != 0) continue;
    TRY(add_revoked(crl.get(), certificate.get(), begin.get()));
  }
  const EVP_MD* const digest = EVP_PKEY_is_a(root.key.get(), "EC") == 1 ? EVP_sha256() : nullptr;
  const MemoryBio text(BIO_new(BIO_s_mem()));
  if (X509_CRL_sort(crl.get()) != 1 || X509_CRL_sign(crl.get(), root.key.get(), digest) == 0 || !text || PEM_write_bio_X509_CRL(text.get(), crl.get()) != 1) {
    return openssl_failure("revocation list");
  }
  char* octets = nullptr;
  const long size = BIO_get_mem_data(text.get(), &octets);
  return std::string(octets, static_cast<std::size_t>(size));
}

}  // namespace qanat::crypto
