// target: qanat_store
// Any octets as the anchor of a guarded database: refused, or the very text that is written for what they say.
#include <cstddef>
#include <cstdint>

#include "base/check.hpp"
#include "store/guard_anchor.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  using namespace qanat;
  static const Secret key(32);
  const std::string_view text = as_text({octets, size});
  if (const auto anchor = store::parse_anchor(text, "0", crypto::Hash::sha256, key)) CHECK(store::write_anchor(*anchor, "0", crypto::Hash::sha256, key) == text);
  return 0;
}
