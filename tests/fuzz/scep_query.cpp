// target: qanat_cas
// Queries of SCEP: whatever is read comes out no longer than it went in.
#include <cstdlib>

#include "services/cas/scep/scep_query.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qanat;
  const std::string_view text = as_text({data, size});
  if (const auto query = cas::read_scep_query(text)) {
    if (query->operation.empty() || query->operation.size() + query->message.size() > size) std::abort();
    if (const auto message = cas::read_scep_message(query->message); message && message->size() > query->message.size()) std::abort();
  }
  return 0;
}
