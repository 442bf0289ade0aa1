// target: qanat_terminal
// Any octets as CAS's list of what was issued in a terminal's name, and as a certificate in such a list: refused, or this terminal's and nobody else's.
#include <cstddef>
#include <cstdint>

#include "base/check.hpp"
#include "terminal/issuances.hpp"
#include "wire/base64.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  using namespace qanat;
  const Identity own{.domain = "a", .kind = Kind::app1, .name = "alice"};
  const auto look = [&](const wire::Json& answer) {
    const auto issued = terminal::parse_issuances(answer, own);
    if (!issued) return;
    for (const terminal::Issuance& one : *issued) CHECK(one.certificate.names().element == own);
  };
  const ByteView input(octets, size);
  if (const auto json = wire::Json::parse(input)) look(*json);
  const wire::Json entry = wire::Json::object({{"certificate", wire::to_base64(input)}, {"role", "ml-dsa-signing"}, {"bundle", ""}, {"revoked", false}});
  look(wire::Json::object({{"certificates", wire::Json::array({entry})}}));
  return 0;
}
