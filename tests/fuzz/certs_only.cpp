// target: qanat_crypto
// Any octets as certificates in CMS: what is taken is written again so that it reads the same.
#include <cstddef>
#include <cstdint>

#include "base/check.hpp"
#include "crypto/x509_pkcs7.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  using namespace qanat;
  const auto read = crypto::read_certs_only({octets, size});
  if (!read) return 0;
  const auto made = crypto::make_certs_only(*read);
  if (!made) return 0;  // a certificate that OpenSSL reads and does not write, or that is larger alone than we take
  const auto again = crypto::read_certs_only(*made);
  CHECK(again && *again == *read);
  return 0;
}
