// Randomness comes in as a value of this type; nothing in the domain reaches for a global generator.
#pragma once

#include <memory>
#include <span>

#include "base/bytes.hpp"
#include "base/id.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace qanat::crypto {

class Rng {
 public:
  virtual ~Rng() = default;
  /// Fills with random octets. A generator that has failed its health tests stops the process rather than return (see open_rng).
  virtual void fill(std::span<std::uint8_t> out) = 0;

  Secret secret(std::size_t size) {
    Secret out(size);
    fill(out.writable());
    return out;
  }
  Bytes bytes(std::size_t size) {
    Bytes out(size);
    fill(out);
    return out;
  }
  template <class IdType>
  IdType id() {
    return IdType(bytes(IdType::size));
  }
};

/// The process's generator: kernel entropy under the SP 800-90B health tests (start-up test on 1,024 samples; repetition count
/// 4.4.1 and adaptive proportion 4.4.2 continuously on every octet drawn from the source), feeding an HMAC_DRBG (SP 800-90A) with
/// a buffer, reseeded every 2^16 requests. Safe to share between threads (each thread gets its own DRBG). Fails if the start-up
/// test fails; a continuous failure later aborts the process with a message.
Result<std::unique_ptr<Rng>> open_rng();

/// The health tests themselves, for the unit tests and for other entropy sources: feed octets, false once a test has failed.
/// Cut-offs for min-entropy estimate `h` bits per octet and false-positive rate 2^-20.
class HealthTests {
 public:
  explicit HealthTests(double h = 7.0);
  [[nodiscard]] bool feed(ByteView samples);

 private:
  std::size_t repetition_cutoff_;
  std::size_t proportion_cutoff_;
  std::uint8_t repeated_ = 0;
  std::size_t repetitions_ = 0;
  std::uint8_t window_first_ = 0;
  std::size_t window_seen_ = 0;
  std::size_t window_count_ = 0;
  bool failed_ = false;
};

}  // namespace qanat::crypto
