// target: qanat_cas
// Any octets as the body of an EST request, and as an Authorization field: what is read is written again so that it reads the same.
#include <cstddef>
#include <cstdint>

#include "base/check.hpp"
#include "services/cas/est/messages.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  using namespace qanat;
  using namespace qanat::cas;
  const ByteView input(octets, size);
  if (const auto der = est::read_body(input)) {
    const auto again = est::read_body(as_bytes(est::body_of(*der)));
    CHECK(again && *again == *der);
    static_cast<void>(crypto::SubjectRequest::parse_unproved(*der));
  }
  static_cast<void>(est::read_basic(Secret::copy_of(input.first(size < 2048 ? size : 2048))));
  return 0;
}
