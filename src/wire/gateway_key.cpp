#include "wire/gateway_key.hpp"

#include "base/check.hpp"
#include "crypto/kdf.hpp"
#include "wire/labels.hpp"

namespace qanat::wire {
namespace {

Bytes with_length(const Identity& identity) {
  const std::string uri = identity.uri();
  CHECK(uri.size() <= 0xff);  // parse_uri() accepts 128 octets
  Bytes out{static_cast<std::uint8_t>(uri.size())};
  append(out, as_bytes(uri));
  return out;
}

}  // namespace

Secret gateway_key(const crypto::Suite& suite, GatewayUse use, const Secret& key, const KeyId& id, const GatewayPair& pair) {
  CHECK(key.size() == gateway_key_octets);
  const labels::Label label = use == GatewayUse::ppk ? labels::gateway_ppk : labels::gateway_wireguard;
  return crypto::hkdf_expand(suite.hash, key, {label, id.view(), with_length(pair.initiator), with_length(pair.responder)}, gateway_key_octets);
}

}  // namespace qanat::wire
