// What is demanded of a KMS's evidence (Mc-2): a table per suite, written down here and not derived from what the KMS runs, and rules over it. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "points/kms_evidence.hpp"

namespace qanat::cmsp {

/// Evidence older than this is missing: a KMS gives it every hour (kms.evidence_every_s).
inline constexpr UnixMs evidence_age_max_ms = 2ULL * 3'600'000;

struct EvidenceContext {
  std::string suite;  // the network's
  std::uint32_t epoch = 0;
  UnixMs now = 0;
};

/// What is missing or wrong, each in one sentence; nothing: the evidence meets the demands. `before`: what the same front end of the same KMS gave last.
std::vector<std::string> judge_evidence(const points::KmsEvidence& evidence, const std::optional<points::KmsEvidence>& before, const EvidenceContext& context);

}  // namespace qanat::cmsp
