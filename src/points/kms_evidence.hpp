// Mc-2: what a KMS shows the compliance function of CMSP: that its algorithms give known answers, what its random octets are like, its parameters, and what
// became of its keys. No octet that is used for anything else.
#pragma once

#include <string>
#include <vector>

#include "base/clock.hpp"
#include "crypto/random_sample.hpp"
#include "crypto/suite.hpp"
#include "points/kms_policy.hpp"

namespace qanat::points {

inline constexpr std::int64_t evidence_front_end_max = 64;

struct KmsEvidence {
  std::int64_t front_end = 0;  // which process of the KMS, 1 to evidence_front_end_max: each has an audit record of its own; 0: it is one alone
  UnixMs at_ms = 0;
  std::vector<std::string> self_tests;  // primitives whose known answers held just now; empty if one did not
  std::string self_test_failure;        // what was wrong; empty: nothing
  std::string suite;
  std::uint32_t epoch = 0;
  std::vector<std::string> algorithms;  // algorithms_of() its suite
  NamedCounts sizes;                    // sizes_of() its suite, octets
  std::string device;                   // CryptoDevice::kind()
  std::string device_state;
  crypto::RandomSample random;
  NamedCounts working_keys;     // by state, destroyed ones too; counted up to a bound
  std::int64_t audit_size = 0;  // lines under the last checkpoint of the audit record
  Bytes audit_root;             // its Merkle root, 32 octets
};
Result<KmsEvidence> read_kms_evidence(const wire::Json& json);
wire::Json to_json(const KmsEvidence& evidence);

/// Signature, key establishment, hash and AEAD of the suite, by name.
std::vector<std::string> algorithms_of(const crypto::Suite& suite);
NamedCounts sizes_of(const crypto::Suite& suite);

}  // namespace qanat::points
