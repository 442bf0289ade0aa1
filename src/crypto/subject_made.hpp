// Key pairs that a CA makes for the subject of a certificate (EST serverkeygen, CMP's centrally made keys), and how a PKCS#10 asks for them.
#pragma once

#include <span>

#include "crypto/subject.hpp"

namespace qanat::crypto {

struct MadeKey {
  Bytes public_key_info;  // DER
  Secret pkcs8;           // DER PrivateKeyInfo (RFC 5958), not encrypted
};
inline constexpr int made_rsa_bits_max = 4096;  // a longer one takes seconds to make
/// From OpenSSL's generator. `rsa_bits`: of an RSA key, within 2048 and made_rsa_bits_max; not looked at for others.
Result<MadeKey> make_subject_key(SubjectAlgorithm algorithm, int rsa_bits);

/// DER of the SubjectPublicKeyInfo of a key of ours.
Result<Bytes> public_key_info(const PrivateKey& key);

/// True if the request wants the private key encrypted under a key that it names (RFC 7030 §4.4.1.1 and .2), beside the encryption of TLS.
Result<bool> asks_for_wrapped_key(ByteView request_der);

/// CsrAttrs (RFC 7030 §4.5.2, RFC 9908 §3.2): which keys a request may be for, and with what it is signed. Curves as values of id-ecPublicKey, an RSA key's
/// least length as value of rsaEncryption; algorithms that have no parameters, and those of signatures, as object identifiers. DER.
Result<Bytes> make_csr_attributes(std::span<const SubjectAlgorithm> keys);

}  // namespace qanat::crypto
