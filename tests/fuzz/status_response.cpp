// target: qanat_crypto
// Any octets as an OCSP response of a CA whose key the input does not hold: never accepted.
#include <cstddef>
#include <cstdint>

#include "base/check.hpp"
#include "crypto/x509.hpp"

namespace {

using namespace qanat;
using namespace qanat::crypto;

constexpr UnixMs issued_at = 1'790'000'000'000;

struct Fixture {
  Certificate ca;
  Certificate leaf;
};

Fixture make_fixture() {
  Secret scalar(32);
  scalar.writable().back() = 7;
  const PrivateKey key{.algorithm = KeyAlgorithm::sm2, .secret = std::move(scalar)};
  CertificateTemplate wanted{.use = CertificateUse::root_ca,
                             .names = {.common_name = "ca", .element = std::nullopt, .number = std::nullopt, .dns = {}},
                             .key_algorithm = KeyAlgorithm::sm2,
                             .public_key = public_octets(key).value(),
                             .serial = Bytes(16, 1),
                             .not_before = issued_at,
                             .not_after = issued_at + 86'400'000};
  Certificate ca = issue(wanted, nullptr, key).value();
  wanted.use = CertificateUse::tls_and_signing;
  wanted.names.common_name = "leaf";
  Certificate leaf = issue(wanted, &ca, key).value();
  return {std::move(ca), std::move(leaf)};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  static const Fixture fixture = make_fixture();
  CHECK(!verify_status_response({octets, size}, fixture.leaf, fixture.ca, {}, issued_at));
  return 0;
}
