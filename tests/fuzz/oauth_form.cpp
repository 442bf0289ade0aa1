// target: qanat_iam
// The body of an OAuth request: whatever comes, no crash, and no member that is not text.
#include <cstdlib>

#include "base/utf8.hpp"
#include "services/iam/web/oauth.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qanat;
  if (const auto form = iam::read_form(as_text({data, size}))) {
    for (const auto& [name, value] : *form) {
      if (!is_utf8(name) || !is_utf8(value)) std::abort();
    }
  }
  return 0;
}
