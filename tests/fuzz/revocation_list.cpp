// target: qanat_crypto
// Any octets as a revocation list of a CA whose key the input does not hold: never accepted.
#include <cstddef>
#include <cstdint>

#include "base/check.hpp"
#include "crypto/x509_crl.hpp"

namespace {

using namespace qanat;
using namespace qanat::crypto;

constexpr UnixMs issued_at = 1'790'000'000'000;

Certificate make_ca() {
  Secret scalar(32);
  scalar.writable().back() = 7;
  const PrivateKey key{.algorithm = KeyAlgorithm::sm2, .secret = std::move(scalar)};
  const CertificateTemplate wanted{.use = CertificateUse::root_ca,
                                   .names = {.common_name = "ca", .element = std::nullopt, .number = std::nullopt, .dns = {}},
                                   .key_algorithm = KeyAlgorithm::sm2,
                                   .public_key = public_octets(key).value(),
                                   .serial = Bytes(16, 1),
                                   .not_before = issued_at,
                                   .not_after = issued_at + 86'400'000};
  return issue(wanted, nullptr, key).value();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  static const Certificate ca = make_ca();
  CHECK(!read_revocation_list({octets, size}, ca));
  return 0;
}
