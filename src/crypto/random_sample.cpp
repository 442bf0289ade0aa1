#include "crypto/random_sample.hpp"

#include <algorithm>
#include <array>

#include "crypto/kdf.hpp"

namespace qanat::crypto {
namespace {

constexpr double sample_min_entropy = 4.0;  // bits per octet that the tests are made for: device_health.hpp has the same

}  // namespace

RandomSample describe_sample(ByteView octets) {
  RandomSample out{.octets = octets.size(), .sha256 = digest(Hash::sha256, octets)};
  std::array<std::size_t, 256> counts{};
  std::size_t run = 0;
  for (std::size_t i = 0; i < octets.size(); ++i) {
    run = i > 0 && octets[i] == octets[i - 1] ? run + 1 : 1;
    out.longest_run = std::max(out.longest_run, run);
    out.most_frequent = std::max(out.most_frequent, ++counts.at(octets[i]));
  }
  out.healthy = !octets.empty() && HealthTests(sample_min_entropy).feed(octets);
  return out;
}

Result<RandomSample> sample_random(CryptoDevice& device) {
  ASSIGN_OR_RETURN(const Secret drawn, device.random(random_sample_octets));
  return describe_sample(drawn.reveal());
}

}  // namespace qanat::crypto
