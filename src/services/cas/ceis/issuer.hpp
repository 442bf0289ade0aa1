// Issuing: the intention is durable before anything is signed, what is signed is durable before anything is handed out, and the same request
// gets the same certificates however often it comes and wherever the process died in between.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>

#include "crypto/random.hpp"
#include "services/cas/ceis/profiles.hpp"
#include "services/cas/records.hpp"

namespace qanat::cas {

struct Draft;

/// Clocks of the network differ a little; a tenth of a short life is all that can be spared for that.
inline constexpr UnixMs backdating_ms = 60'000;
constexpr UnixMs backdating_of(std::chrono::milliseconds lifetime) noexcept { return std::min(backdating_ms, static_cast<UnixMs>(lifetime.count()) / 10); }

/// One request or two of one bundle, that have passed the policy.
struct Order {
  crypto::SubjectNames names;  // `element` is set
  Bytes request_hash;
  std::optional<std::int64_t> expectation;
  Overlap overlap = Overlap::refused;
  std::chrono::milliseconds lifetime{};  // at most that of the profile
  const Profile* profile = &cas::profile("element");
  std::optional<crypto::CertificateRequest> ml_dsa;
  std::optional<crypto::CertificateRequest> classical;
  [[nodiscard]] const std::optional<crypto::CertificateRequest>& of(Branch branch) const noexcept { return branch == Branch::ml_dsa ? ml_dsa : classical; }
};

/// What was ordered.
struct Issued {
  std::optional<crypto::Certificate> ml_dsa;
  std::optional<crypto::Certificate> classical;
  [[nodiscard]] const std::optional<crypto::Certificate>& of(Branch branch) const noexcept { return branch == Branch::ml_dsa ? ml_dsa : classical; }
};

class Issuer {
 public:
  /// `status_url`: of the listener that certificates name (csp/places.hpp); empty: they name none.
  Issuer(Records& records, const Authorities& authorities, crypto::Rng& rng, std::string status_url = "")
      : records_(records), authorities_(authorities), rng_(rng), status_url_(std::move(status_url)) {}

  Result<Issued> issue(const Order& order, UnixMs now);

 private:
  Result<crypto::Certificate> sign(const Order& order, const Intention& intention) const;

  Records& records_;
  const Authorities& authorities_;
  crypto::Rng& rng_;
  const std::string status_url_;
};

/// What a certificate from now on holds, within the issuer's own life.
Intention intention_under(Branch branch, const crypto::Certificate& issuer, std::chrono::milliseconds lifetime, UnixMs now, crypto::Rng& rng);

/// Signs what a draft says over this SubjectPublicKeyInfo, between the two looks of the lint; its pointers are set here. `related`: as of crypto::SubjectTemplate.
Result<Bytes> sign_draft(Draft draft, ByteView public_key_info, Branch branch, const Authority& authority, const std::string& status_url,
                         const Bytes& related = {});

/// A fresh serial: 16 octets, the first bit clear and the second set, so that every serial is positive and equally long in DER.
Bytes draw_serial(crypto::Rng& rng);

}  // namespace qanat::cas
