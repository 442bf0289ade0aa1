// target: qanat_crypto
// The file with the keys that an SDF or SKF device wrapped: whatever is taken is written again as the same octets.
#include <cstdint>
#include <cstdlib>

#include "crypto/wrapped_keys.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  const std::string_view text = qanat::as_text({octets, size});
  for (const qanat::crypto::WrappedKeysForm& form : {qanat::crypto::sdf_keys_form, qanat::crypto::skf_keys_form}) {
    if (const auto keys = qanat::crypto::parse_wrapped_keys(form, text)) {
      if (qanat::crypto::format_wrapped_keys(form, *keys) != text) std::abort();
    }
  }
  return 0;
}
