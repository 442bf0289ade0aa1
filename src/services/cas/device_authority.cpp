#include "services/cas/device_authority.hpp"

#include "services/cas/ceis/issuer.hpp"
#include "services/cas/root.hpp"

namespace qanat::cas {

Result<crypto::PrivateKey> make_device_key(crypto::Rng& rng) {
  // The suite whose classical key is on P-384.
  ASSIGN_OR_RETURN(KeyPair keys, make_keys(crypto::suite(crypto::SuiteId::intl_hybrid), rng));
  return Result<crypto::PrivateKey>(std::move(keys.classical));
}

Result<Authority> make_device_authority(std::string_view network, UnixMs now, crypto::Rng& rng) {
  ASSIGN_OR_RETURN(crypto::PrivateKey key, make_device_key(rng));
  ASSIGN_OR_RETURN(Bytes public_key, crypto::public_octets(key));
  const std::string common_name = std::string(network) + " devices " + std::string(crypto::name(key.algorithm));
  ASSIGN_OR_RETURN(crypto::Certificate certificate, crypto::issue({.use = crypto::CertificateUse::standalone_ca,
                                                                   .names = {.common_name = common_name, .element = {}, .number = {}, .dns = {}},
                                                                   .key_algorithm = key.algorithm,
                                                                   .public_key = std::move(public_key),
                                                                   .serial = draw_serial(rng),
                                                                   .not_before = now - backdating_ms,
                                                                   .not_after = now + device_authority_lifetime_ms},
                                                                  nullptr, key));
  return Result<Authority>(Authority{.certificate = std::move(certificate), .key = std::move(key)});
}

Result<Authority> make_device_authority(const Authorities& authorities, UnixMs now, crypto::Rng& rng) {
  const std::string& issuing = authorities.ml_dsa.certificate.names().common_name;
  return make_device_authority(issuing.substr(0, issuing.rfind(" issuing ")), now, rng);
}

}  // namespace qanat::cas
