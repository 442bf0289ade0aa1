#include "crypto/x509_names.hpp"

#include <algorithm>

namespace qanat::crypto {
namespace {

constexpr std::string_view tel_scheme = "tel:";
constexpr std::string_view element_scheme = "qanat:";
constexpr std::size_t min_number_octets = 3;  // Number (base/id.hpp)
constexpr std::size_t max_number_octets = 32;
constexpr std::string_view kms_parameter = ";kms=";
constexpr std::size_t max_element_octets = 64;  // ElementName (base/id.hpp)

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// E.164 with a leading '+': RFC 3966 global-number-digits without visual separators.
bool is_number(std::string_view text) {
  return text.size() >= min_number_octets && text.size() <= max_number_octets && text.front() == '+' && std::ranges::all_of(text.substr(1), is_digit);
}

/// Letters, digits and inner hyphens in labels of 1..63 (RFC 5890 §2.3.1 LDH labels); no wildcard.
bool is_dns_name(std::string_view text) {
  if (text.empty() || text.size() > max_dns_octets) return false;
  while (true) {
    const std::size_t dot = text.find('.');
    const std::string_view label = text.substr(0, dot);
    if (label.empty() || label.size() > max_label_octets || label.front() == '-' || label.back() == '-') return false;
    if (!std::ranges::all_of(label, [](char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-'; })) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

bool is_element_name(std::string_view text) {
  return !text.empty() && text.size() <= max_element_octets &&
         std::ranges::all_of(text, [](char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' || c == '-'; });
}

bool is_common_name(std::string_view text) {
  return !text.empty() && text.size() <= max_common_name_octets &&
         std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

/// A name from a certificate for an error message: cut, and without what could forge a log line.
std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text.substr(0, max_common_name_octets)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return out + "'";
}

Result<void> read_uri(std::string_view uri, SubjectNames& out) {
  if (uri.starts_with(tel_scheme)) {
    if (out.number) return fail(ErrorCode::invalid_argument, "subjectAltName: more than one tel URI");
    const std::string_view rest = uri.substr(tel_scheme.size());
    const std::size_t at = rest.find(kms_parameter);
    const std::string_view number = rest.substr(0, at);
    const std::string_view kms = at == std::string_view::npos ? std::string_view() : rest.substr(at + kms_parameter.size());
    if (!is_number(number) || (at != std::string_view::npos && !is_element_name(kms))) {
      return fail(ErrorCode::invalid_argument, "subjectAltName: " + quoted(uri) + " is not tel:+<digits>, with or without ;kms=<name>");
    }
    out.number = Number(std::string(number));
    if (!kms.empty()) out.home_kms = ElementName(std::string(kms));
    return {};
  }
  if (!uri.starts_with(element_scheme)) {
    return fail(ErrorCode::invalid_argument, "subjectAltName: " + quoted(uri) + " is neither a qanat nor a tel URI");
  }
  if (out.element) return fail(ErrorCode::invalid_argument, "subjectAltName: more than one qanat URI");
  auto element = Identity::parse_uri(uri);
  if (!element) return fail(ErrorCode::invalid_argument, "subjectAltName: " + quoted(uri) + " is not qanat://<domain>/<kind>/<name>");
  out.element = std::move(*element);
  return {};
}

Result<void> read_dns(std::string_view dns, SubjectNames& out) {
  if (!is_dns_name(dns)) return fail(ErrorCode::invalid_argument, "subjectAltName: " + quoted(dns) + " is not a DNS name");
  if (out.dns.size() == max_dns_names) return fail(ErrorCode::invalid_argument, "subjectAltName: more than " + std::to_string(max_dns_names) + " DNS names");
  out.dns.emplace_back(dns);
  return {};
}

std::string_view text_of(const ASN1_STRING* text) { return as_text({ASN1_STRING_get0_data(text), static_cast<std::size_t>(ASN1_STRING_length(text))}); }

Result<std::string> read_common_name(const X509_NAME* subject) {
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0) return std::string();
  if (X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0) return fail(ErrorCode::invalid_argument, "subject: more than one common name");
  unsigned char* octets = nullptr;
  const int length = ASN1_STRING_to_UTF8(&octets, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  const OpensslOctets owner(octets);
  if (length < 0) return fail(ErrorCode::invalid_argument, "subject: the common name is not text");
  std::string text(as_text({octets, static_cast<std::size_t>(length)}));
  if (!is_common_name(text)) return fail(ErrorCode::invalid_argument, "subject: the common name is empty, too long or holds control characters");
  return text;
}

Result<void> add_alternative(GENERAL_NAMES* names, int kind, std::string_view text) {
  Owned<GENERAL_NAME, GENERAL_NAME_free> name(GENERAL_NAME_new());
  Owned<ASN1_IA5STRING, ASN1_IA5STRING_free> value(ASN1_IA5STRING_new());
  if (!name || !value || ASN1_STRING_set(value.get(), text.data(), static_cast<int>(text.size())) != 1) return openssl_failure("subjectAltName");
  GENERAL_NAME_set0_value(name.get(), kind, value.release());
  if (sk_GENERAL_NAME_push(names, name.get()) <= 0) return openssl_failure("subjectAltName");
  [[maybe_unused]] const auto* const owned_by_names = name.release();
  return {};
}

}  // namespace

std::string tel_uri(const SubjectNames& names) {
  std::string out = std::string(tel_scheme) + names.number->text();
  if (names.home_kms) out.append(kms_parameter).append(names.home_kms->text());
  return out;
}

Result<void> check_names(const SubjectNames& names) {
  if (!is_common_name(names.common_name)) {
    return fail(ErrorCode::invalid_argument,
                "names: the common name must have 1 to " + std::to_string(max_common_name_octets) + " octets and no control characters");
  }
  SubjectNames read;
  if (names.element) TRY(read_uri(names.element->uri(), read));
  if (names.home_kms && !names.number) return fail(ErrorCode::invalid_argument, "names: a home KMS is of a number, and there is none");
  if (names.number) TRY(read_uri(tel_uri(names), read));
  for (const std::string& dns : names.dns) TRY(read_dns(dns, read));
  return {};
}

Result<X509Name> make_subject(const SubjectNames& names) {
  X509Name subject(X509_NAME_new());
  if (!subject) return openssl_failure("subject");
  if (X509_NAME_add_entry_by_NID(subject.get(), NID_commonName, MBSTRING_UTF8, as_bytes(names.common_name).data(), static_cast<int>(names.common_name.size()),
                                 -1, 0) != 1) {
    return fail(ErrorCode::invalid_argument, "names: the common name is not UTF-8");
  }
  return Result<X509Name>(std::move(subject));
}

Result<AlternativeNames> make_alternative_names(const SubjectNames& names) {
  if (!names.element && !names.number && names.dns.empty()) return Result<AlternativeNames>(AlternativeNames());
  AlternativeNames out(GENERAL_NAMES_new());
  if (!out) return openssl_failure("subjectAltName");
  if (names.element) TRY(add_alternative(out.get(), GEN_URI, names.element->uri()));
  if (names.number) TRY(add_alternative(out.get(), GEN_URI, tel_uri(names)));
  for (const std::string& dns : names.dns) TRY(add_alternative(out.get(), GEN_DNS, dns));
  return Result<AlternativeNames>(std::move(out));
}

Result<AlternativeNames> take_alternative_names(void* decoded, int critical) {
  if (decoded == nullptr && critical != -1) return fail(ErrorCode::invalid_argument, "subjectAltName: malformed, or there more than once");
  return Result<AlternativeNames>(AlternativeNames(static_cast<GENERAL_NAMES*>(decoded)));
}

Result<SubjectNames> read_names(const X509_NAME* subject, const GENERAL_NAMES* alternatives) {
  SubjectNames out;
  ASSIGN_OR_RETURN(out.common_name, read_common_name(subject));
  for (int i = 0; alternatives != nullptr && i < sk_GENERAL_NAME_num(alternatives); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(alternatives, i);
    if (name->type == GEN_URI) {
      TRY(read_uri(text_of(name->d.uniformResourceIdentifier), out));
    } else if (name->type == GEN_DNS) {
      TRY(read_dns(text_of(name->d.dNSName), out));
    } else {
      return fail(ErrorCode::invalid_argument, "subjectAltName: holds a name of kind " + std::to_string(name->type) + ", neither URI nor DNS");
    }
  }
  return out;
}

Result<std::string> readable_name(const X509_NAME* subject) {
  const MemoryBio out(BIO_new(BIO_s_mem()));
  if (!out || X509_NAME_print_ex(out.get(), subject, 0, XN_FLAG_RFC2253 & ~static_cast<unsigned long>(ASN1_STRFLGS_ESC_MSB)) < 0) {
    return fail(ErrorCode::invalid_argument, "subject: cannot be shown as text");
  }
  char* text = nullptr;
  const long length = BIO_get_mem_data(out.get(), &text);
  return length > 0 ? std::string(text, static_cast<std::size_t>(length)) : std::string();
}

}  // namespace qanat::crypto
