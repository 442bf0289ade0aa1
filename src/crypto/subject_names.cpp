#include "crypto/subject_names.hpp"

#include <algorithm>
#include <array>

namespace qanat::crypto {
namespace {

constexpr std::size_t asked_names_max = 64;
constexpr std::size_t asked_octets_max = 256;
constexpr std::size_t asked_common_name_max = 64;  // ub-common-name, RFC 5280 appendix A.1
constexpr std::string_view element_uri = "qanat:";

bool has_control(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

Result<std::string> printable(std::string_view where, const ASN1_STRING* text) {
  std::string out(as_text(octets_of(text)));
  const bool fits = !out.empty() && out.size() <= asked_octets_max && std::ranges::all_of(out, [](char c) { return c > ' ' && c <= '~'; });
  if (!fits) {
    return fail(ErrorCode::invalid_argument,
                std::string(where) + ": an alternative name has not 1 to " + std::to_string(asked_octets_max) + " printable characters");
  }
  return out;
}

Result<std::string> common_name_of(std::string_view where, const X509_NAME* subject) {
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0) return std::string();
  if (X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
    return fail(ErrorCode::invalid_argument, std::string(where) + ": more than one common name");
  unsigned char* octets = nullptr;
  const int length = ASN1_STRING_to_UTF8(&octets, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  const OpensslOctets owner(octets);
  std::string out(length > 0 ? as_text({octets, static_cast<std::size_t>(length)}) : std::string_view());
  if (length < 0 || out.size() > asked_common_name_max || has_control(out)) {
    return fail(ErrorCode::invalid_argument,
                std::string(where) + ": the common name is no text of at most " + std::to_string(asked_common_name_max) + " octets without control characters");
  }
  return out;
}

Result<std::string> address_of(std::string_view where, const ASN1_OCTET_STRING* address) {
  const Bytes octets = octets_of(address);
  if (octets.size() == 4) {
    return std::to_string(octets[0]) + "." + std::to_string(octets[1]) + "." + std::to_string(octets[2]) + "." + std::to_string(octets[3]);
  }
  if (octets.size() != 16) return fail(ErrorCode::invalid_argument, std::string(where) + ": an address has neither 4 nor 16 octets");
  std::string out;
  const std::string digits = to_hex(octets);
  for (std::size_t i = 0; i < digits.size(); i += 4) out += (i == 0 ? "" : ":") + digits.substr(i, 4);
  return out;
}

Result<void> read_alternative(std::string_view where, const GENERAL_NAME* name, OtherKinds others, AskedNames& out) {
  const auto take = [&](const ASN1_STRING* text, std::vector<std::string>& list) -> Result<void> {
    ASSIGN_OR_RETURN(std::string read, printable(where, text));
    list.push_back(std::move(read));
    return {};
  };
  switch (name->type) {
    case GEN_DNS:
      return take(name->d.dNSName, out.dns);
    case GEN_URI:
      return take(name->d.uniformResourceIdentifier, out.uris);
    case GEN_EMAIL:
      return take(name->d.rfc822Name, out.mail);
    case GEN_IPADD: {
      ASSIGN_OR_RETURN(std::string address, address_of(where, name->d.iPAddress));
      out.addresses.push_back(std::move(address));
      return {};
    }
    default:
      if (others == OtherKinds::read_over) return {};
      return fail(ErrorCode::invalid_argument, std::string(where) + ": asks for an alternative name that is neither DNS name, URI, mail nor IP address");
  }
}

Result<void> push(GENERAL_NAMES* names, int kind, ASN1_STRING* value) {
  Owned<GENERAL_NAME, GENERAL_NAME_free> name(GENERAL_NAME_new());
  if (!name) {
    ASN1_STRING_free(value);
    return openssl_failure("subjectAltName");
  }
  GENERAL_NAME_set0_value(name.get(), kind, value);
  if (sk_GENERAL_NAME_push(names, name.get()) <= 0) return openssl_failure("subjectAltName");
  [[maybe_unused]] const auto* const owned_by_names = name.release();
  return {};
}

Result<void> push_text(GENERAL_NAMES* names, int kind, const std::string& text) {
  const bool fits = !text.empty() && text.size() <= asked_octets_max && std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
  if (!fits) return fail(ErrorCode::invalid_argument, "subjectAltName: a name is not printable ASCII");
  Owned<ASN1_IA5STRING, ASN1_IA5STRING_free> value(ASN1_IA5STRING_new());
  if (!value || ASN1_STRING_set(value.get(), text.data(), static_cast<int>(text.size())) != 1) return openssl_failure("subjectAltName");
  return push(names, kind, value.release());
}

Result<void> push_address(GENERAL_NAMES* names, const std::string& text) {
  Asn1OctetString value(a2i_IPADDRESS(text.c_str()));
  if (!value) return fail(ErrorCode::invalid_argument, "subjectAltName: '" + text + "' is no IP address");
  return push(names, GEN_IPADD, value.release());
}

}  // namespace

bool names_an_element(std::string_view uri) noexcept {
  return uri.size() >= element_uri.size() && std::ranges::equal(uri.substr(0, element_uri.size()), element_uri, [](char a, char b) {
           return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
         });
}

Result<AskedNames> read_asked_names(std::string_view where, const X509_NAME* subject, const GENERAL_NAMES* alternatives, OtherKinds others) {
  AskedNames out;
  ASSIGN_OR_RETURN(out.common_name, common_name_of(where, subject));
  const int count = alternatives != nullptr ? sk_GENERAL_NAME_num(alternatives) : 0;
  if (count > static_cast<int>(asked_names_max)) {
    return fail(ErrorCode::invalid_argument, std::string(where) + ": more than " + std::to_string(asked_names_max) + " alternative names");
  }
  for (int i = 0; i < count; ++i) TRY(read_alternative(where, sk_GENERAL_NAME_value(alternatives, i), others, out));
  return out;
}

Result<X509Name> make_asked_subject(const AskedNames& names) {
  X509Name subject(X509_NAME_new());
  if (!subject) return openssl_failure("subject");
  if (names.common_name.empty()) return Result<X509Name>(std::move(subject));
  if (names.common_name.size() > asked_common_name_max || has_control(names.common_name) ||
      X509_NAME_add_entry_by_NID(subject.get(), NID_commonName, MBSTRING_UTF8, as_bytes(names.common_name).data(), static_cast<int>(names.common_name.size()),
                                 -1, 0) != 1) {
    return fail(ErrorCode::invalid_argument, "issue: the common name is no UTF-8 text of at most " + std::to_string(asked_common_name_max) + " octets");
  }
  return Result<X509Name>(std::move(subject));
}

Result<AlternativeNames> make_asked_alternatives(const AskedNames& names) {
  if (names.dns.empty() && names.uris.empty() && names.mail.empty() && names.addresses.empty()) return Result<AlternativeNames>(AlternativeNames());
  AlternativeNames out(GENERAL_NAMES_new());
  if (!out) return openssl_failure("subjectAltName");
  for (const std::string& one : names.dns) TRY(push_text(out.get(), GEN_DNS, one));
  for (const std::string& one : names.uris) {
    if (names_an_element(one)) return fail(ErrorCode::invalid_argument, "issue: " + one + " is an element's name, no subject's of this kind");
    TRY(push_text(out.get(), GEN_URI, one));
  }
  for (const std::string& one : names.mail) TRY(push_text(out.get(), GEN_EMAIL, one));
  for (const std::string& one : names.addresses) TRY(push_address(out.get(), one));
  return Result<AlternativeNames>(std::move(out));
}

}  // namespace qanat::crypto
