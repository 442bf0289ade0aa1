#include "services/cas/ceis/lint.hpp"

#include <algorithm>
#include <set>

#include "base/check.hpp"
#include "services/cas/ceis/issuer.hpp"

namespace qanat::cas {
namespace {

constexpr std::size_t lint_serial_octets = 16;
constexpr std::size_t lint_names_max = 64;
constexpr int lint_rsa_min = 2048;
constexpr int lint_rsa_max = 8192;

std::unexpected<Error> refuse(std::string_view rule, std::string why) { return fail(ErrorCode::denied, "lint: " + std::string(rule) + ": " + std::move(why)); }

std::string algorithm_of(const Draft& draft) { return std::string(crypto::name(draft.algorithm)); }

Result<void> lint_serial(const Draft& draft) {
  const Bytes& serial = draft.serial;
  if (serial.size() != lint_serial_octets || (serial.front() & 0xc0) != 0x40) return refuse("serial", "not 16 octets whose first two bits are 01");
  return {};
}

Result<void> lint_validity(const Draft& draft, const Under& under) {
  if (draft.not_before >= draft.not_after) return refuse("validity", "notAfter is not later than notBefore");
  if (draft.not_before < under.not_before || draft.not_after > under.not_after) return refuse("validity", "not within that of the issuer");
  const auto max = static_cast<UnixMs>(std::chrono::milliseconds(draft.profile->lifetime_max).count());
  if (draft.not_after - draft.not_before > max + backdating_ms)
    return refuse("validity", "longer than profile " + std::string(draft.profile->name) + " has it");
  return {};
}

Result<void> lint_revocation(const Draft& draft) {
  if (!draft.short_lived) return {};
  if (draft.profile->naming != Naming::registered)
    return refuse("revocation", "noRevAvail, which profile " + std::string(draft.profile->name) + " does not give");
  const auto max = static_cast<UnixMs>(std::chrono::milliseconds(short_lived_max).count());
  if (draft.not_after - draft.not_before > max + backdating_ms) return refuse("revocation", "noRevAvail for longer than 168 hours");
  if (!draft.pointers.crl.empty() || !draft.pointers.ocsp.empty())
    return refuse("revocation", "noRevAvail beside a pointer to revocation lists or status answers");
  return {};
}

/// The branch that signs for a key: in the network's own hierarchy for ML-DSA, ML-KEM and SM2, and P-384 keys of elements; the device CA for the rest.
bool fits_branch(const Draft& draft, Branch branch) {
  switch (draft.algorithm) {
    case crypto::SubjectAlgorithm::rsa:
    case crypto::SubjectAlgorithm::ecdsa_p256:
      return branch == Branch::devices;
    case crypto::SubjectAlgorithm::ecdsa_p384:
      return draft.profile->naming == Naming::own ? branch != Branch::ml_dsa
                                                  : branch == (draft.profile->naming == Naming::registered ? Branch::devices : Branch::classical);
    case crypto::SubjectAlgorithm::sm2:
      return branch == Branch::classical;
    case crypto::SubjectAlgorithm::ml_dsa_44:
    case crypto::SubjectAlgorithm::ml_dsa_65:
    case crypto::SubjectAlgorithm::ml_dsa_87:
    case crypto::SubjectAlgorithm::ml_kem_768:
    case crypto::SubjectAlgorithm::ml_kem_1024:
      return branch == Branch::ml_dsa;
  }
  return false;
}

Result<void> lint_key(const Draft& draft, const Under& under) {
  if (!takes(*draft.profile, draft.algorithm)) return refuse("key", "profile " + std::string(draft.profile->name) + " takes no key of " + algorithm_of(draft));
  if (!fits_branch(draft, under.branch))
    return refuse("key", "the CA of branch " + std::string(name(under.branch)) + " signs for no key of " + algorithm_of(draft));
  if (draft.algorithm == crypto::SubjectAlgorithm::rsa && (draft.bits < lint_rsa_min || draft.bits > lint_rsa_max)) {
    return refuse("key", "RSA of " + std::to_string(draft.bits) + " bits");
  }
  return {};
}

Result<void> lint_usages(const Draft& draft) {
  if ((draft.usages.bits & ~crypto::usages_possible(draft.algorithm).bits) != 0)
    return refuse("usage", "none that a key of " + algorithm_of(draft) + " is fit for");
  if (draft.usages.bits == 0 || draft.usages != usages_of(*draft.profile, draft.algorithm)) {
    return refuse("usage", "not what profile " + std::string(draft.profile->name) + " gives");
  }
  const std::span<const crypto::ExtendedUsage> wanted = extended_of(*draft.profile, draft.algorithm);
  if (!std::ranges::equal(draft.extended, wanted)) return refuse("extended", "not what profile " + std::string(draft.profile->name) + " gives");
  return {};
}

bool has(const std::vector<std::string>& list, const std::string& one) { return std::ranges::find(list, one) != list.end(); }

Result<void> lint_dns(const Draft& draft) {
  std::set<std::string> seen;
  for (const std::string& one : draft.names.dns) {
    if (!is_dns_name(one) && !is_wildcard(one)) return refuse("names", "'" + one + "' is no DNS name");
    if (lower_case(one) != one) return refuse("names", "'" + one + "' is not in lower case");
    if (!has(draft.allowed.dns, one)) return refuse("names", "'" + one + "' is not registered");
    if (!seen.insert(one).second) return refuse("names", "'" + one + "' is there twice");
  }
  if (draft.names.dns.size() > lint_names_max) return refuse("names", "more than 64 DNS names");
  return {};
}

Result<void> lint_registered_names(const Draft& draft) {
  const crypto::AskedNames& names = draft.names;
  // Addresses are those of CAS's own listener; registrations have none.
  const bool foreign = std::ranges::any_of(names.addresses, [&](const std::string& one) { return !has(draft.allowed.addresses, one); });
  if (!names.uris.empty() || !names.mail.empty() || foreign) return refuse("names", "a kind of name that nobody can register");
  if (names.common_name.empty() && names.dns.empty()) return refuse("names", "none");
  if (!names.common_name.empty() && names.common_name != draft.allowed.common_name && !has(draft.allowed.dns, names.common_name)) {
    return refuse("names", "the common name '" + names.common_name + "' is not registered");
  }
  TRY(lint_dns(draft));
  if (draft.profile->dns_wanted && names.dns.empty()) return refuse("names", "profile " + std::string(draft.profile->name) + " wants a DNS name");
  return {};
}

Result<void> lint_element_names(const Draft& draft) {
  const crypto::AskedNames& names = draft.names;
  const bool terminal = draft.profile->naming == Naming::terminal;
  const bool app = terminal || draft.profile->naming == Naming::joint;
  if (!names.dns.empty() || !names.mail.empty() || !names.addresses.empty()) return refuse("names", "an element's certificate names its element alone");
  if (names.common_name.empty()) return refuse("names", "no common name");
  if (names.uris.size() != (terminal ? 2U : 1U)) return refuse("names", "not as many URIs as profile " + std::string(draft.profile->name) + " has");
  const auto identity = Identity::parse_uri(names.uris.front());
  if (!identity) return refuse("names", "'" + names.uris.front() + "' is no element's");
  const bool gateway = draft.profile->naming == Naming::element && identity->kind == Kind::dev1;  // it enrols as an element
  if (!gateway && app != apps.has(identity->kind))
    return refuse("names", "'" + names.uris.front() + "' is of another kind than profile " + std::string(draft.profile->name));
  if (terminal && !names.uris.back().starts_with("tel:+")) return refuse("names", "'" + names.uris.back() + "' is no number");
  return {};
}

Result<void> lint_names(const Draft& draft) {
  if (!is_common_name(draft.names.common_name)) return refuse("names", "the common name is longer than 64 octets or holds control characters");
  switch (draft.profile->naming) {
    case Naming::element:
    case Naming::terminal:
    case Naming::joint:
      return lint_element_names(draft);
    case Naming::registered:
      return lint_registered_names(draft);
    case Naming::own: {
      const bool alone = draft.names.dns.empty() && draft.names.uris.empty() && draft.names.mail.empty() && draft.names.addresses.empty();
      if (!alone || draft.names.common_name.empty()) return refuse("names", "CAS's own certificates have a common name alone");
      return {};
    }
  }
  return refuse("names", "no such naming");
}

std::unexpected<Error> refuse_signed(std::string_view what) { return refuse("signed", "the certificate came out with another " + std::string(what)); }

}  // namespace

crypto::SubjectAlgorithm subject_algorithm(crypto::KeyAlgorithm algorithm) noexcept {
  switch (algorithm) {
    case crypto::KeyAlgorithm::sm2:
      return crypto::SubjectAlgorithm::sm2;
    case crypto::KeyAlgorithm::ecdsa_p384:
      return crypto::SubjectAlgorithm::ecdsa_p384;
    case crypto::KeyAlgorithm::ml_dsa_65:
      return crypto::SubjectAlgorithm::ml_dsa_65;
    case crypto::KeyAlgorithm::ml_dsa_87:
      return crypto::SubjectAlgorithm::ml_dsa_87;
    case crypto::KeyAlgorithm::ml_kem_768:
      return crypto::SubjectAlgorithm::ml_kem_768;
    case crypto::KeyAlgorithm::ml_kem_1024:
      return crypto::SubjectAlgorithm::ml_kem_1024;
  }
  return {};
}

crypto::AskedNames names_as_asked(const crypto::SubjectNames& names) {
  crypto::AskedNames out{.common_name = names.common_name, .dns = names.dns};
  if (names.element) out.uris.push_back(names.element->uri());
  if (names.number) out.uris.push_back(crypto::tel_uri(names));
  return out;
}

bool is_common_name(std::string_view text) noexcept {
  constexpr std::size_t octets_max = 64;
  return text.size() <= octets_max && std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

bool is_dns_name(std::string_view text) noexcept {
  constexpr std::size_t octets_max = 253;
  constexpr std::size_t label_max = 63;
  if (text.empty() || text.size() > octets_max) return false;
  while (true) {
    const std::size_t dot = text.find('.');
    const std::string_view label = text.substr(0, dot);
    if (label.empty() || label.size() > label_max || label.front() == '-' || label.back() == '-') return false;
    const bool fits = std::ranges::all_of(label, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-'; });
    if (!fits) return false;
    if (dot == std::string_view::npos) break;
    text.remove_prefix(dot + 1);
  }
  // An all-numeric last label would make an address of it (RFC 1123 §2.1).
  return !std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

bool is_wildcard(std::string_view text) noexcept {
  if (!text.starts_with("*.")) return false;
  text.remove_prefix(2);
  return is_dns_name(text) && text.contains('.');
}

Draft draft_for(const Profile& profile, crypto::SubjectAlgorithm algorithm, ByteView key, const Intention& intention) {
  const auto extended = extended_of(profile, algorithm);
  return {.profile = &profile,
          .algorithm = algorithm,
          .key = to_bytes(key),
          .usages = usages_of(profile, algorithm),
          .extended = {extended.begin(), extended.end()},
          .serial = intention.serial,
          .not_before = intention.not_before,
          .not_after = intention.not_after};
}

Draft draft_for(const Profile& profile, const crypto::SubjectPublicKey& key, const Intention& intention) {
  Draft out = draft_for(profile, key.algorithm(), key.octets(), intention);
  out.bits = key.bits();
  return out;
}

Result<void> lint(const Draft& draft, const Under& under) {
  CHECK(draft.profile != nullptr);
  TRY(lint_serial(draft));
  TRY(lint_validity(draft, under));
  TRY(lint_revocation(draft));
  TRY(lint_key(draft, under));
  TRY(lint_usages(draft));
  return lint_names(draft);
}

Result<void> lint_signed(ByteView der, const Draft& draft, const crypto::Certificate& issuer) {
  const auto certificate = crypto::SubjectCertificate::parse(der);
  if (!certificate) return refuse("signed", certificate.error().message);
  if (certificate->is_ca()) return refuse("signed", "the certificate came out as a CA's");
  if (!certificate->bare_signature()) return refuse("signed", "its signature's AlgorithmIdentifier has parameters");
  if (certificate->key().algorithm() != draft.algorithm || certificate->key().octets() != draft.key) return refuse_signed("key");
  if (certificate->names() != draft.names) return refuse_signed("name");
  if (certificate->usages() != draft.usages || certificate->extended() != draft.extended) return refuse_signed("usage");
  if (certificate->serial() != draft.serial) return refuse_signed("serial");
  if (certificate->not_before() / 1000 != draft.not_before / 1000 || certificate->not_after() / 1000 != draft.not_after / 1000)
    return refuse_signed("validity");
  if (certificate->no_rev_avail() != draft.short_lived) return refuse_signed("noRevAvail");
  if (draft.short_lived && certificate->points_to_status()) return refuse("signed", "noRevAvail beside a pointer to revocation lists or status answers");
  if (const auto held = certificate->signed_by(issuer); !held) return refuse("signed", held.error().message);
  return {};
}

}  // namespace qanat::cas
