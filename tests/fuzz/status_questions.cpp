// target: qanat_crypto
// Any octets as an OCSP request about several certificates: refused, or questions within the bounds of RFC 5280 and RFC 9654.
#include <cstddef>
#include <cstdint>

#include "crypto/x509_respond.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  const auto questions = qanat::crypto::parse_status_questions({octets, size});
  if (!questions) return 0;
  if (questions->about.empty() || questions->about.size() > qanat::crypto::status_questions_max || questions->nonce.size() > 128) __builtin_trap();
  for (const auto& question : questions->about) {
    const std::size_t digest = question.hash == qanat::crypto::CertIdHash::sha1 ? 20 : 32;
    if (question.serial.empty() || question.serial.size() > 20 || question.issuer_name_hash.size() != digest || question.issuer_key_hash.size() != digest) {
      __builtin_trap();
    }
  }
  return 0;
}
