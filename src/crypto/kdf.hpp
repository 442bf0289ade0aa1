// Hash, HMAC and HKDF (RFC 5869) over the suite's hash.
#pragma once

#include <initializer_list>

#include "base/bytes.hpp"
#include "base/secret.hpp"
#include "crypto/suite.hpp"

namespace qanat::crypto {

/// Hash of the parts, one after the other. Public data.
Bytes digest(Hash hash, std::initializer_list<ByteView> parts);
inline Bytes digest(Hash hash, ByteView part) { return digest(hash, {part}); }
std::size_t digest_size(Hash hash) noexcept;

/// HMAC; the tag is public.
Bytes hmac(Hash hash, const Secret& key, std::initializer_list<ByteView> parts);

/// HKDF-Extract(salt, ikm): a PRK of digest_size octets.
Secret hkdf_extract(Hash hash, ByteView salt, const Secret& ikm);
/// HKDF-Extract where the salt is the secret one (Extract(ss_H, …) in docs/protocol).
Secret hkdf_extract(Hash hash, const Secret& salt, const Secret& ikm);
/// HKDF-Expand(prk, info, size), size <= 255 * digest_size. `info` is the parts, one after the other.
Secret hkdf_expand(Hash hash, const Secret& prk, std::initializer_list<ByteView> info, std::size_t size);

}  // namespace qanat::crypto
