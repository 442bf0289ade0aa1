// The last look before a signature, and one at what came out of it: every certificate against its profile and the rules of RFC 5280, 9881 and 9935. What is
// refused here is not signed. Pure.
#pragma once

#include <string>
#include <vector>

#include "crypto/subject.hpp"
#include "services/cas/authority.hpp"
#include "services/cas/ceis/profiles.hpp"

namespace qanat::cas {

struct Intention;

/// A certificate that is meant to be signed.
struct Draft {
  const Profile* profile = nullptr;
  crypto::SubjectAlgorithm algorithm{};
  Bytes key = {};  // its octets, as of crypto::SubjectPublicKey
  int bits = 0;
  crypto::AskedNames names = {};
  crypto::AskedNames allowed = {};  // of a registration: what `names` may be
  crypto::KeyUsages usages = {};
  std::vector<crypto::ExtendedUsage> extended = {};
  Bytes serial;
  UnixMs not_before = 0;
  UnixMs not_after = 0;
  bool short_lived = false;              // says noRevAvail (RFC 9608)
  crypto::StatusPointers pointers = {};  // of a draft that sign_draft() has (issuer.hpp)
};

/// What the profile gives to such a key, with serial and times as they were drawn. Names are the caller's.
Draft draft_for(const Profile& profile, crypto::SubjectAlgorithm algorithm, ByteView key, const Intention& intention);
Draft draft_for(const Profile& profile, const crypto::SubjectPublicKey& key, const Intention& intention);

/// By which CA.
struct Under {
  Branch branch{};
  UnixMs not_before = 0;
  UnixMs not_after = 0;
};
inline Under under(Branch branch, const crypto::Certificate& issuer) {
  return {.branch = branch, .not_before = issuer.not_before(), .not_after = issuer.not_after()};
}

/// `denied`, beginning with the rule: "lint: serial: …". The rules:
///   serial     16 octets, positive, as long as every other (RFC 5280 §4.1.2.2)
///   validity   notBefore before notAfter, both within the issuer's, no longer than the profile's
///   revocation noRevAvail for a registration's certificate alone, of 168 hours at most, and then no pointer to lists or status answers (RFC 9608 §3)
///   key        of an algorithm of the profile, under the branch that signs for it, RSA of 2048 to 8192 bits
///   usage      what the profile gives to such a key, and nothing that RFC 9881 §5 and RFC 9935 §5 forbid
///   extended   what the profile gives
///   names      as the profile's naming has them: no other kinds, well-formed, no wildcard and nothing else that is not registered, none twice
Result<void> lint(const Draft& draft, const Under& under);

/// The same for the signed certificate, read back: it says what the draft said, noRevAvail too, is no CA, has no parameters in its signature's
/// AlgorithmIdentifiers, and the issuer's signature holds. Rule `signed`.
Result<void> lint_signed(ByteView der, const Draft& draft, const crypto::Certificate& issuer);

crypto::SubjectAlgorithm subject_algorithm(crypto::KeyAlgorithm algorithm) noexcept;
/// The names of an element, a terminal or CAS's own as a certificate says them.
crypto::AskedNames names_as_asked(const crypto::SubjectNames& names);

/// ub-common-name (RFC 5280, appendix A): at most 64 octets, here without control characters.
bool is_common_name(std::string_view text) noexcept;
/// As DNS names are compared (RFC 4343): ASCII letters alone.
std::string lower_case(std::string_view text);
/// RFC 1034 §3.5 and RFC 5890 §2.3.1: labels of letters, digits and inner hyphens, 1 to 63 octets each, 253 in all.
bool is_dns_name(std::string_view text) noexcept;
/// The same behind "*." (RFC 6125 §6.4.3: the wildcard is the whole of the left-most label, and two labels at least follow).
bool is_wildcard(std::string_view text) noexcept;

}  // namespace qanat::cas
