// Who may ask the CEIS for a certificate, proved by what, for which names: made by an operator for an identity of IAM's register.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/id.hpp"
#include "base/secret.hpp"
#include "services/cas/ceis/profiles.hpp"

namespace qanat::cas {

enum class Approval : std::uint8_t {
  automatic,  // policy alone decides
  four_eyes,  // two operators, neither of whom made the registration, must approve each certificate
};

struct Registration {
  std::string reference;  // "r-" and 16 hexadecimal digits: EST's user name, ACME's external account key id, CMP's senderKID; SCEP's challenge is
                          // "<reference>:<secret>"
  Uid subject;            // of IAM's register: active there, or nothing is issued
  const Profile* profile = nullptr;
  std::string common_name;
  std::vector<std::string> dns;  // those that its certificates may bear
  Approval approval = Approval::automatic;
  std::chrono::seconds lifetime{};  // of its certificates
  UnixMs not_after_ms = 0;          // until when its secret is taken; 0: no end. Who has a certificate renews it until the registration is closed
  std::string made_by;              // the operator's identity
  UnixMs made_ms = 0;
  bool closed = false;      // by an operator: nothing more is issued for it
  bool reusable = false;    // the secret gets further certificates while one is live: for several devices of one subject
  bool ra_vouches = false;  // an RA's word that the asker has the key (CMP's raVerified) is taken
  bool short_lived = false;  // its certificates say noRevAvail (RFC 9608); `lifetime` is at most short_lived_max
};
/// What a reference looks like: other names are looked up nowhere, and not worth a place in the record.
constexpr bool is_registration_reference(std::string_view text) noexcept {
  constexpr std::size_t digits = 16;
  return text.size() == digits + 2 && text.starts_with("r-") && text.find_first_not_of("0123456789abcdef", 2) == std::string_view::npos;
}
/// The registration's secret is 32 octets, given out once as base64url without padding. That text is the password of EST, CMP and SCEP; ACME's HMAC key is the
/// octets.
inline constexpr std::size_t registration_secret_size = 32;

}  // namespace qanat::cas
