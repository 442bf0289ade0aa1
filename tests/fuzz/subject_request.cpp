// target: qanat_crypto
// Any octets as a PKCS#10 of foreign software: refused, or a request whose names and key can be read; one that is proved is one that is not, too.
#include <cstddef>
#include <cstdint>

#include "crypto/subject.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  const auto unproved = qanat::crypto::SubjectRequest::parse_unproved({octets, size});
  if (unproved && (unproved->key().der().empty() || unproved->der().size() != size)) __builtin_trap();
  const auto proved = qanat::crypto::SubjectRequest::parse({octets, size});
  if (proved && (!unproved || proved->names() != unproved->names())) __builtin_trap();
  return 0;
}
