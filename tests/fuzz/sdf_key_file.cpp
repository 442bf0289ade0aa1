// target: qanat_crypto
// The file with the keys that an SDF device wrapped: whatever is taken is written again as the same octets.
#include <cstdint>
#include <cstdlib>

#include "crypto/sdf_key_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  const std::string_view text = qanat::as_text({octets, size});
  if (const auto keys = qanat::crypto::parse_sdf_keys(text)) {
    if (qanat::crypto::format_sdf_keys(*keys) != text) std::abort();
  }
  return 0;
}
