// What binds the keys of a log's checkpoints to an element: their public halves signed by the element's certified ML-DSA key, with its chain, so
// that who has the root certificates alone can tell whose log it is. No I/O. Own format:
//   qanat-audit-keys/v1 LF  qanat://domain/kind/name LF  Unix milliseconds LF  verifier key LF …  LF  signature base64 LF  certificates in PEM, leaf first
// What is signed is everything up to the empty line; its first words are no other thing that such a key signs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "audit/checkpoint.hpp"
#include "crypto/x509.hpp"

namespace qanat::audit {

inline constexpr std::size_t statement_octets_max = 64U * 1024;

struct KeyStatement {
  std::string element;  // its URI, or the name of one of its logs (element_of_log)
  UnixMs time_ms = 0;
  std::vector<LogKey> keys;  // one of each type, all named origin_of(element)
  Bytes signature;
  std::vector<crypto::Certificate> chain;
};

/// Signed by `key`, the ML-DSA key of the chain's leaf.
Result<KeyStatement> make_statement(const std::string& element, UnixMs now, std::vector<LogKey> keys, const crypto::PrivateKey& key,
                                    std::vector<crypto::Certificate> chain, crypto::Rng& rng);
std::string statement_text(const KeyStatement& statement);
/// invalid_argument unless it has this form. Nothing is verified.
Result<KeyStatement> parse_statement(std::string_view octets);
/// `denied` unless the leaf names the element, its key signed the statement, and it led to one of `roots` at the time of the statement. Whether
/// the certificate was revoked is not in it.
Result<void> verify_statement(const KeyStatement& statement, const std::vector<crypto::Certificate>& roots);

}  // namespace qanat::audit
