#include "services/cas/ceis/profiles.hpp"

#include <algorithm>
#include <array>

#include "base/check.hpp"

namespace qanat::cas {
namespace {

using crypto::ExtendedUsage;
using crypto::KeyUsage;
using enum crypto::SubjectAlgorithm;

constexpr std::chrono::seconds a_year = std::chrono::days(365);
constexpr std::chrono::seconds as_long_as_the_ca = 10 * a_year;

constexpr std::array network_keys{ml_dsa_65, ml_dsa_87, sm2, ecdsa_p384};
constexpr std::array network_encryption_keys{sm2, ecdsa_p384, ml_kem_768, ml_kem_1024};
constexpr std::array status_keys{ml_dsa_65, ml_dsa_87, sm2, ecdsa_p384};
constexpr std::array signing_keys{rsa, ecdsa_p256, ecdsa_p384, sm2, ml_dsa_44, ml_dsa_65, ml_dsa_87};
constexpr std::array tls_keys{rsa, ecdsa_p256, ecdsa_p384, ml_dsa_44, ml_dsa_65, ml_dsa_87};
constexpr std::array encryption_keys{rsa, ecdsa_p256, ecdsa_p384, sm2, ml_kem_768, ml_kem_1024};  // on P-256 and P-384: for ECDH
constexpr std::array rsa_alone{rsa};

constexpr std::array both_ends{ExtendedUsage::server_auth, ExtendedUsage::client_auth};
constexpr std::array server_end{ExtendedUsage::server_auth};
constexpr std::array client_end{ExtendedUsage::client_auth};
constexpr std::array status{ExtendedUsage::ocsp_signing};
constexpr std::array signed_for_people{ExtendedUsage::email_protection};
constexpr std::array joint_keys{ml_dsa_65, ml_dsa_87};

constexpr crypto::KeyUsages signature{KeyUsage::digital_signature};
constexpr crypto::KeyUsages no_usage{};
constexpr crypto::KeyUsages transport{KeyUsage::key_encipherment, KeyUsage::key_agreement};
constexpr crypto::KeyUsages signature_and_transport{KeyUsage::digital_signature, KeyUsage::key_encipherment};
constexpr crypto::KeyUsages encryption{KeyUsage::key_encipherment, KeyUsage::data_encipherment, KeyUsage::key_agreement};  // GM/T 0015

constexpr std::array profiles{
    Profile{.name = "element",
            .naming = Naming::element,
            .keys = network_keys,
            .signing_usages = signature,
            .encryption_usages = no_usage,
            .extended = both_ends,
            .lifetime_max = as_long_as_the_ca,
            .lifetime = std::chrono::days(90),
            .says = "an element of this network: TLS, and signed messages where it sends such"},
    Profile{.name = "terminal-signing",
            .naming = Naming::terminal,
            .keys = network_keys,
            .signing_usages = signature,
            .encryption_usages = no_usage,
            .extended = both_ends,
            .lifetime_max = as_long_as_the_ca,
            .lifetime = std::chrono::days(30),
            .says = "a terminal's keys that it makes itself: TLS and signed messages"},
    Profile{.name = "terminal-encryption",
            .naming = Naming::terminal,
            .keys = network_encryption_keys,
            .signing_usages = no_usage,
            .encryption_usages = encryption,
            .extended = {},
            .lifetime_max = a_year,
            .lifetime = std::chrono::days(30),
            .says = "a terminal's keys that its KMS makes for it: messages encrypted to it"},
    Profile{.name = "ocsp-signer",
            .naming = Naming::own,
            .keys = status_keys,
            .signing_usages = signature,
            .encryption_usages = no_usage,
            .extended = status,
            .lifetime_max = std::chrono::days(90),
            .lifetime = std::chrono::days(7),
            .says = "who signs status answers for an issuing CA (RFC 6960 §4.2.2.2)"},
    Profile{.name = "cmp-signer",
            .naming = Naming::own,
            .keys = status_keys,
            .signing_usages = signature,
            .encryption_usages = no_usage,
            .extended = {},
            .lifetime_max = std::chrono::days(90),
            .lifetime = std::chrono::days(30),
            .says = "who signs CMP's answers"},
    Profile{.name = "operator",
            .naming = Naming::element,
            .keys = network_keys,
            .signing_usages = signature,
            .encryption_usages = no_usage,
            .extended = both_ends,
            .lifetime_max = a_year,
            .lifetime = std::chrono::days(90),
            .says = "an operator's command line"},
    Profile{.name = "joint-signing",
            .naming = Naming::joint,
            .keys = joint_keys,
            .signing_usages = signature,
            .encryption_usages = no_usage,
            .extended = signed_for_people,
            .lifetime_max = a_year,
            .lifetime = std::chrono::days(30),
            .says = "a key that a terminal or application and a CCS hold together (Ce-3): signatures, and no end of TLS"},
    Profile{.name = "sae",
            .naming = Naming::registered,
            .keys = tls_keys,
            .signing_usages = signature,
            .encryption_usages = no_usage,
            .extended = client_end,
            .lifetime_max = a_year,
            .lifetime = std::chrono::days(90),
            .says = "software that gets keys by ETSI GS QKD 014, 004 or SKIP: client of TLS"},
    Profile{.name = "server",
            .naming = Naming::registered,
            .keys = tls_keys,
            .signing_usages = signature,
            .encryption_usages = no_usage,
            .extended = server_end,
            .lifetime_max = std::chrono::days(398),
            .lifetime = std::chrono::days(90),
            .dns_wanted = true,
            .says = "server of TLS, with its DNS names"},
    Profile{.name = "device",
            .naming = Naming::registered,
            .keys = signing_keys,
            .signing_usages = signature,
            .encryption_usages = no_usage,
            .extended = both_ends,
            .lifetime_max = 2 * a_year,
            .lifetime = a_year,
            .says = "encryptor, router, gateway: both ends of TLS and IKE"},
    Profile{.name = "device-encryption",
            .naming = Naming::registered,
            .keys = encryption_keys,
            .signing_usages = no_usage,
            .encryption_usages = transport,
            .extended = {},
            .lifetime_max = 2 * a_year,
            .lifetime = a_year,
            .server_makes_keys = true,
            .says = "what is encrypted to a device; its key may be made here"},
    Profile{.name = "scep-ra",
            .naming = Naming::own,
            .keys = rsa_alone,
            .signing_usages = signature_and_transport,
            .encryption_usages = no_usage,
            .extended = {},
            .lifetime_max = 2 * a_year,
            .lifetime = a_year,
            .says = "the registration authority of SCEP (RFC 8894 §2.1.2)"},
};

constexpr bool sound() {
  for (const Profile& one : profiles) {
    if (one.keys.empty() || one.lifetime > one.lifetime_max || one.lifetime.count() <= 0) return false;
    if (one.signing_usages == no_usage && one.encryption_usages == no_usage) return false;
    // Whose key somebody else has had cannot be held to a signature.
    if (one.server_makes_keys && one.signing_usages != no_usage) return false;
  }
  return true;
}
static_assert(sound());

}  // namespace

std::span<const Profile> all_profiles() noexcept { return profiles; }

const Profile* find_profile(std::string_view name) noexcept {
  const auto* const found = std::ranges::find(profiles, name, &Profile::name);
  return found == profiles.end() ? nullptr : found;
}

const Profile& profile(std::string_view name) noexcept {
  const Profile* const found = find_profile(name);
  CHECK(found != nullptr);
  return *found;
}

bool takes(const Profile& profile, crypto::SubjectAlgorithm algorithm) noexcept {
  return std::ranges::find(profile.keys, algorithm) != profile.keys.end() && usages_of(profile, algorithm).bits != 0;
}

crypto::KeyUsages usages_of(const Profile& profile, crypto::SubjectAlgorithm algorithm) noexcept {
  const bool for_signing = crypto::signs(algorithm) && profile.signing_usages != no_usage;
  crypto::KeyUsages out = for_signing ? profile.signing_usages : profile.encryption_usages;
  out.bits = static_cast<std::uint16_t>(out.bits & crypto::usages_possible(algorithm).bits);
  return out;
}

std::span<const ExtendedUsage> extended_of(const Profile& profile, crypto::SubjectAlgorithm algorithm) noexcept {
  const bool of_the_network = profile.naming == Naming::element || profile.naming == Naming::terminal;
  if (of_the_network && (algorithm == sm2 || algorithm == ecdsa_p384)) return {};
  return profile.extended;
}

std::chrono::seconds lifetime_within(const Profile& profile, std::chrono::seconds wanted) noexcept { return std::min(wanted, profile.lifetime_max); }

}  // namespace qanat::cas
