// target: qanat_iam
// The body or query of an OAuth request: whatever comes, no crash, and no member that is not text; what is written is read again as it was. A redirect URI that is
// taken cannot break out of a header field.
#include <cstdlib>

#include "base/utf8.hpp"
#include "services/iam/upm/web_clients.hpp"
#include "services/iam/web/form.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qanat;
  const std::string_view text = as_text({data, size});
  if (const auto form = iam::read_form(text)) {
    std::string again;
    for (const auto& [name, value] : *form) {
      if (!is_utf8(name) || !is_utf8(value)) std::abort();
      if (name.find_first_of("=&+%") == std::string::npos) again = iam::form_encoded(name, value);
      if (!again.empty() && iam::read_form(again)->at(name) != value) std::abort();
      again.clear();
    }
  }
  if (iam::check_redirect_uri(text) && text.find_first_of("\r\n #\"<>") != std::string_view::npos) std::abort();
  return 0;
}
