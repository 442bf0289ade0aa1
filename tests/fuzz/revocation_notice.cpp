// target: qanat_node
// Any octets as the notice of revoked certificates: refused, or fingerprints within the bound.
#include <cstddef>
#include <cstdint>

#include "base/check.hpp"
#include "node/revocations.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  const auto fingerprints = qanat::node::read_revocation_notice({octets, size});
  if (!fingerprints) return 0;
  CHECK(fingerprints->size() <= qanat::node::revocations_at_once);
  for (const qanat::Bytes& fingerprint : *fingerprints) CHECK(fingerprint.size() == 32);
  return 0;
}
