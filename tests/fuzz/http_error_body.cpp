// target: qanat_net
#include "base/check.hpp"
#include "net/http.hpp"

// The first two octets are the status. Whatever the body is, an Error comes out, and it crosses a second time unchanged.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  if (size < 2) return 0;
  const unsigned status = static_cast<unsigned>(octets[0]) << 8U | octets[1];
  const qanat::Error error = qanat::net::error_of({.status = status, .content_type = "application/json", .body = {octets + 2, octets + size}});
  CHECK(qanat::net::error_of(qanat::net::error_response(error)) == error);
  return 0;
}
