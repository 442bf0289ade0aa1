// target: qanat_wire
#include "wire/base64.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  using namespace qanat;
  const std::string_view text = as_text({octets, size});
  if (const auto decoded = wire::from_base64(text); decoded && wire::to_base64(*decoded) != text) std::abort();
  if (const auto decoded = wire::from_base64url(text); decoded && wire::to_base64url(*decoded) != text) std::abort();
  if (!equal(wire::from_base64(wire::to_base64({octets, size})).value(), {octets, size})) std::abort();
  return 0;
}
