// target: qanat_terminal
#include <cstdlib>

#include "terminal/wav.hpp"

// What parses can be written and read back.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  const auto samples = qanat::terminal::parse_wav({input, size});
  if (!samples) return 0;
  const auto again = qanat::terminal::parse_wav(qanat::terminal::encode_wav(*samples));
  if (!again || *again != *samples) std::abort();
  return 0;
}
