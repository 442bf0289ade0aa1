// The cryptography that one delivery cannot do without, alone: no network, no storage, no certificates.
#pragma once

#include <span>

#include "bench_terminal.hpp"

namespace qanat::bench {

/// What one turn of the loop works on: a signed application, as it came, and the keys of its terminal.
struct BareDelivery {
  wire::Framed<wire::KeyRequest> request;
  crypto::VerifyingKey verifying_key;  // raw: parsed in each turn
  wire::Fingerprints fps;
  crypto::EncapsulationKey encryption;
  wire::KeyDeliver answer;  // everything but what the turn makes
};

class BareLoop {
 public:
  static Result<BareLoop> prepare(Ground& ground);
  /// The same octets that the KMS will get.
  Result<BareDelivery> delivery_for(const BenchTerminal& terminal, const terminal::KeyApplication& application) const;
  /// Processor seconds of this thread for one turn per delivery: both signatures verified under a key that was just parsed, static and ephemeral
  /// encapsulation, key schedule, seal, both signatures made.
  Result<double> run(std::span<const BareDelivery> deliveries);

 private:
  BareLoop(const crypto::Suite& suite, crypto::Rng& rng, crypto::Signer signer) : suite_(&suite), rng_(&rng), signer_(std::move(signer)) {}
  Result<void> turn(const BareDelivery& delivery);

  const crypto::Suite* suite_;
  crypto::Rng* rng_;
  crypto::Signer signer_;
};

}  // namespace qanat::bench
