// Cisco's Secure Key Integration Protocol (draft-cisco-skip-02): an encryptor asks for a fresh key with its id, its peer for the key with that id; the id
// travels in IKEv2 as PPK_ID (RFC 8784). The SAE of the certificate is the local system; remoteSystemID names the other one.
#pragma once

#include "kme/sae_registry.hpp"
#include "net/foreign.hpp"

namespace qanat::kme::skip {

/// GET /key?remoteSystemID=…&size=…: who shares the key, and its size in bits (256 if not said).
struct KeyQuery {
  SaeId remote;
  std::uint32_t size = 256;
};
Result<KeyQuery> read_key_query(std::string_view query, const Limits& limits);
/// The systems that a remoteSystemID stands for: the one of this name (or of a name that one of the registry's patterns covers), else those known by name
/// that it matches as a pattern and that share keys with `local`, without that one; each of them gets the key once. invalid_argument for none, for more than one
/// order may have, or for a pattern that too many names begin as (SaeRegistry::matching).
Result<std::vector<SaeId>> remote_systems(const SaeRegistry& registry, const SaeId& local, const SaeId& asked, const Limits& limits);
/// GET /key/{keyId}?remoteSystemID=…: 32 hexadecimal digits. The remote system may be left out, or be a pattern.
struct KeyIdQuery {
  KeyId id;
  SaeId remote;
};
Result<KeyIdQuery> read_key_id_query(std::string_view id, std::string_view query);
/// GET /entropy?minentropy=…, bits: 256 if not said, a multiple of 8, at most 4096.
Result<std::uint32_t> read_entropy_query(std::string_view query);

/// {"keyId": hex, "key": hex}.
Secret render_key(const Key& key);
/// {"randomStr": hex, "minentropy": bits}.
Secret render_entropy(const Secret& octets);
/// {"entropy":true,"key":true,"algorithm":…,"localSystemID":…,"remoteSystemID":[…]}: the names and patterns of the SAEs that share keys with `local`; where the
/// registry has more than saes_looked_at_max entries, "*" alone.
std::string render_capabilities(const SaeRegistry& registry, const SaeId& local);

/// /capabilities, /key, /key/{keyId}, /entropy. Provider and registry must outlive the listener.
net::ForeignService make_service(Provider& provider, const SaeRegistry& registry);

}  // namespace qanat::kme::skip
