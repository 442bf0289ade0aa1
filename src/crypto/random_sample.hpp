// A look at a device's random octets, for evidence (Mc-2): drawn for this alone and wiped; what stays is a digest and what the tests of SP 800-90B counted.
#pragma once

#include "crypto/device.hpp"

namespace qanat::crypto {

struct RandomSample {
  std::size_t octets = 0;
  Bytes sha256;                   // of all of them
  std::size_t longest_run = 0;    // of one value
  std::size_t most_frequent = 0;  // how often the most frequent value came
  bool healthy = false;           // repetition count and adaptive proportion (SP 800-90B, 4.4), as for the device's own draws
};

inline constexpr std::size_t random_sample_octets = 4096;

Result<RandomSample> sample_random(CryptoDevice& device);
/// The same of octets that are given.
RandomSample describe_sample(ByteView octets);

}  // namespace qanat::crypto
