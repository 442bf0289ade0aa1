// The device CA: signs for RSA and ECDSA keys of software that cannot verify ML-DSA or SM2 (docs/adr/0017-device-ca.md). CAS makes it for itself. It has no
// root above it and stands in no trust folder: nothing that it signs opens anything in this network.
#pragma once

#include "crypto/random.hpp"
#include "services/cas/authority.hpp"

namespace qanat::cas {

inline constexpr UnixMs device_authority_lifetime_ms = 10ULL * 365 * 86'400'000;

/// A key on P-384.
Result<crypto::PrivateKey> make_device_key(crypto::Rng& rng);
/// "<network> devices ECDSA-P-384", self-signed, path length 0.
Result<Authority> make_device_authority(std::string_view network, UnixMs now, crypto::Rng& rng);
/// The same for the network of these issuing CAs.
Result<Authority> make_device_authority(const Authorities& authorities, UnixMs now, crypto::Rng& rng);

/// NewWithOld of the device CA that issues, by which who trusts the one before it verifies what it issues; nothing if it is the first, or the link is over.
std::optional<crypto::Certificate> link_in_force(const Authorities& authorities, UnixMs now);

struct NextDevices {
  DeviceSuccession succession;
  crypto::PrivateKey key;
};
/// The one after `old`: its name, a key of its own. The name is the same so that the links are self-issued (RFC 5280 §3.2): under another one, `old`'s path
/// length of 0 would forbid NewWithOld to sign. The new key signs its own certificate and OldWithNew, `old`'s signs NewWithOld.
Result<NextDevices> make_next_device_authority(const Authority& old, UnixMs now, crypto::Rng& rng);

}  // namespace qanat::cas
