// target: qanat_cas
// Any text as the path of an OCSP GET: refused, or octets within the bound, which then are a request or are not.
#include <cstddef>
#include <cstdint>

#include "base/check.hpp"
#include "crypto/x509_respond.hpp"
#include "services/cas/csp/ocsp_get.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  const auto der = qanat::cas::read_status_path({reinterpret_cast<const char*>(octets), size});
  if (!der) return 0;
  CHECK(der->size() <= qanat::cas::status_request_octets_max);
  const auto questions = qanat::crypto::parse_status_questions(*der);
  if (questions) CHECK(!questions->about.empty() && questions->about.size() <= qanat::crypto::status_questions_max);
  return 0;
}
