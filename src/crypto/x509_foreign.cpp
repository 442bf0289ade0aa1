// Names in certificates that others issued: encryptors and key managers of other makers, whose profile is not ours.
#include <openssl/pem.h>

#include <algorithm>

#include "crypto/foreign_issue.hpp"
#include "crypto/x509_openssl.hpp"

namespace qanat::crypto {
namespace {

constexpr std::size_t name_octets_max = 256;
constexpr int names_max = 16;
constexpr std::string_view own_scheme = "qanat:";

bool has_own_scheme(std::string_view uri) {
  return uri.size() >= own_scheme.size() && std::ranges::equal(uri.substr(0, own_scheme.size()), own_scheme, [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  });
}

Result<std::string> readable(const ASN1_STRING* text) {
  unsigned char* octets = nullptr;
  const int length = ASN1_STRING_to_UTF8(&octets, text);
  const OpensslOctets owner(octets);
  if (length <= 0 || static_cast<std::size_t>(length) > name_octets_max) {
    return fail(ErrorCode::invalid_argument, "certificate: a name has not 1 to " + std::to_string(name_octets_max) + " octets of text");
  }
  std::string out(as_text({octets, static_cast<std::size_t>(length)}));
  if (std::ranges::any_of(out, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; })) {
    return fail(ErrorCode::invalid_argument, "certificate: a name holds control characters");
  }
  return out;
}

Result<void> add_alternatives(const GENERAL_NAMES* alternatives, int kind, std::vector<std::string>& out) {
  for (int i = 0; i < sk_GENERAL_NAME_num(alternatives); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(alternatives, i);
    if (name->type != kind) continue;
    ASSIGN_OR_RETURN(std::string text, readable(name->d.ia5));
    if (kind == GEN_URI && has_own_scheme(text)) return fail(ErrorCode::denied, "certificate: " + text + " is an element's, no foreign client's");
    if (static_cast<int>(out.size()) < names_max) out.push_back(std::move(text));
  }
  return {};
}

}  // namespace

Result<std::vector<std::string>> foreign_names(X509* certificate) {
  const ErrorScope errors;
  std::vector<std::string> out;
  int critical = -1;
  const AlternativeNames alternatives(static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, &critical, nullptr)));
  if (!alternatives && critical != -1) return fail(ErrorCode::invalid_argument, "certificate: its subjectAltName is malformed, or there more than once");
  if (alternatives) {
    TRY(add_alternatives(alternatives.get(), GEN_URI, out));
    TRY(add_alternatives(alternatives.get(), GEN_DNS, out));
  }
  const X509_NAME* subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at >= 0) {
    ASSIGN_OR_RETURN(std::string text, readable(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))));
    if (has_own_scheme(text)) return fail(ErrorCode::denied, "certificate: " + text + " is an element's, no foreign client's");
    out.push_back(std::move(text));
  }
  if (out.empty()) return fail(ErrorCode::denied, "certificate: names nobody");
  return out;
}

Result<Bytes> pem_thumbprint(std::string_view pem) {
  const ErrorScope errors;
  const MemoryBio in(BIO_new_mem_buf(pem.data(), static_cast<int>(std::min(pem.size(), max_der_octets))));
  const X509Certificate certificate(in ? PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr) : nullptr);
  if (!certificate) return fail(ErrorCode::invalid_argument, "certificate: no PEM text of one");
  Bytes out(32);
  unsigned int size = 0;
  if (X509_digest(certificate.get(), EVP_sha256(), out.data(), &size) != 1 || size != out.size()) return openssl_failure("certificate");
  return out;
}

}  // namespace qanat::crypto
