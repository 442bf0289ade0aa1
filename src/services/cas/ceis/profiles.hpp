// What certificates there are: one row per profile, each with the keys that it takes, what its certificates may be used for, how they are named, how long they
// hold. Every certificate that is meant to be signed is held against its row first (lint.hpp). Pure.
#pragma once

#include <chrono>
#include <span>
#include <string_view>
#include <vector>

#include "crypto/subject.hpp"

namespace qanat::cas {

/// How the names of a profile's certificates come about.
enum class Naming : std::uint8_t {
  element,     // URI:qanat://…, nothing else (issuer.hpp)
  terminal,    // the same with tel: (issuer.hpp)
  registered,  // common name and DNS names that the registration allows
  own,         // CAS's own: a common name alone
  joint,       // URI:qanat://… of a terminal or application that holds the key together with a CCS; nothing else
};

struct Profile {
  std::string_view name;
  Naming naming{};
  std::span<const crypto::SubjectAlgorithm> keys;
  crypto::KeyUsages signing_usages;     // of keys that sign
  crypto::KeyUsages encryption_usages;  // of keys that encapsulate or encrypt; none: such keys are not taken
  std::span<const crypto::ExtendedUsage> extended;
  std::chrono::seconds lifetime_max{};
  std::chrono::seconds lifetime{};  // unless configured or registered otherwise
  bool dns_wanted = false;          // at least one DNS name
  bool server_makes_keys = false;   // EST serverkeygen and CMP's centrally made keys
  std::string_view says;
};
std::span<const Profile> all_profiles() noexcept;
/// nullptr if there is none of that name.
const Profile* find_profile(std::string_view name) noexcept;
/// One that this program has.
const Profile& profile(std::string_view name) noexcept;

/// What registrations with noRevAvail (RFC 9608) may give at most: within it nobody asks whether a certificate is revoked.
inline constexpr std::chrono::seconds short_lived_max = std::chrono::hours(168);

/// True if the profile takes keys of this algorithm.
bool takes(const Profile& profile, crypto::SubjectAlgorithm algorithm) noexcept;
/// What a certificate of this profile with such a key says that it may be used for: of the profile's usages those that the key is fit for.
crypto::KeyUsages usages_of(const Profile& profile, crypto::SubjectAlgorithm algorithm) noexcept;
/// Classical keys of elements and terminals sign messages alone: of theirs no certificate says TLS.
std::span<const crypto::ExtendedUsage> extended_of(const Profile& profile, crypto::SubjectAlgorithm algorithm) noexcept;
/// The length of life of a certificate that was asked for with `wanted`: at most the profile's.
std::chrono::seconds lifetime_within(const Profile& profile, std::chrono::seconds wanted) noexcept;

}  // namespace qanat::cas
