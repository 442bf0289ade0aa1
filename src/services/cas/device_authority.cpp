#include "services/cas/device_authority.hpp"

#include <algorithm>

#include "services/cas/ceis/issuer.hpp"
#include "services/cas/root.hpp"

namespace qanat::cas {
namespace {

struct Span {
  UnixMs not_before = 0;
  UnixMs not_after = 0;
};

/// A CA's certificate over the key, under the name, by the issuer; by the key itself where there is none.
Result<crypto::Certificate> certify(const std::string& common_name, const crypto::PrivateKey& key, Span valid, const Authority* issuer, crypto::Rng& rng) {
  ASSIGN_OR_RETURN(Bytes public_key, crypto::public_octets(key));
  return crypto::issue({.use = crypto::CertificateUse::standalone_ca,
                        .names = {.common_name = common_name, .element = {}, .number = {}, .dns = {}},
                        .key_algorithm = key.algorithm,
                        .public_key = std::move(public_key),
                        .serial = draw_serial(rng),
                        .not_before = valid.not_before,
                        .not_after = valid.not_after},
                       issuer == nullptr ? nullptr : &issuer->certificate, issuer == nullptr ? key : issuer->key);
}

Result<Authority> make_named(const std::string& common_name, UnixMs now, crypto::Rng& rng) {
  ASSIGN_OR_RETURN(crypto::PrivateKey key, make_device_key(rng));
  const Span valid{.not_before = now - backdating_ms, .not_after = now + device_authority_lifetime_ms};
  ASSIGN_OR_RETURN(crypto::Certificate certificate, certify(common_name, key, valid, nullptr, rng));
  return Result<Authority>(Authority{.certificate = std::move(certificate), .key = std::move(key)});
}

}  // namespace

Result<crypto::PrivateKey> make_device_key(crypto::Rng& rng) {
  // The suite whose classical key is on P-384.
  ASSIGN_OR_RETURN(KeyPair keys, make_keys(crypto::suite(crypto::SuiteId::intl_hybrid), rng));
  return Result<crypto::PrivateKey>(std::move(keys.classical));
}

Result<Authority> make_device_authority(std::string_view network, UnixMs now, crypto::Rng& rng) {
  return make_named(std::string(network) + " devices " + std::string(crypto::name(crypto::KeyAlgorithm::ecdsa_p384)), now, rng);
}

Result<Authority> make_device_authority(const Authorities& authorities, UnixMs now, crypto::Rng& rng) {
  const std::string& issuing = authorities.ml_dsa.certificate.names().common_name;
  return make_device_authority(issuing.substr(0, issuing.rfind(" issuing ")), now, rng);
}

std::optional<crypto::Certificate> link_in_force(const Authorities& authorities, UnixMs now) {
  const DeviceSuccession* const last = authorities.last_devices();
  if (last == nullptr || !last->new_with_old || now >= last->new_with_old->not_after()) return std::nullopt;
  return last->new_with_old;
}

Result<NextDevices> make_next_device_authority(const Authority& old, UnixMs now, crypto::Rng& rng) {
  const std::string& common_name = old.certificate.names().common_name;
  ASSIGN_OR_RETURN(Authority next, make_named(common_name, now, rng));
  next.generation = old.generation + 1;
  DeviceSuccession out{.generation = next.generation, .new_with_new = next.certificate};
  if (now < old.certificate.not_after()) {
    const UnixMs until = std::min(old.certificate.not_after(), next.certificate.not_after());
    ASSIGN_OR_RETURN(out.new_with_old, certify(common_name, next.key, {.not_before = next.certificate.not_before(), .not_after = until}, &old, rng));
    ASSIGN_OR_RETURN(out.old_with_new, certify(common_name, old.key, {.not_before = old.certificate.not_before(), .not_after = until}, &next, rng));
  }
  return Result<NextDevices>(NextDevices{.succession = std::move(out), .key = std::move(next.key)});
}

}  // namespace qanat::cas
