// target: qanat_crypto
// Any octets as a PKCS#10 that may ask for its private key encrypted: none that is read otherwise fails here.
#include <cstddef>
#include <cstdint>

#include "base/check.hpp"
#include "crypto/subject_made.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  using namespace qanat;
  const auto wrapped = crypto::asks_for_wrapped_key({octets, size});
  if (crypto::SubjectRequest::parse_unproved({octets, size})) CHECK(wrapped.has_value());
  return 0;
}
