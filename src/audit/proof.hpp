// Proofs as texts: that a line is in the log (C2SP tlog-proof), and that a checkpoint continues an older one (the body of C2SP tlog-witness's
// add-checkpoint). Each holds the checkpoint that it leads to. No I/O.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/checkpoint.hpp"

namespace qanat::audit {

inline constexpr std::size_t proof_octets_max = note_octets_max + 192U * 1024;

struct InclusionProof {
  std::optional<Bytes> extra;  // of ours: the line, without LF
  std::uint64_t index = 0;     // from 0
  std::vector<TreeHash> hashes;
  Note note;
};
std::string proof_text(const InclusionProof& proof);
/// invalid_argument for another form. Nothing is verified.
Result<InclusionProof> parse_inclusion_proof(std::string_view text);

struct ConsistencyProof {
  std::uint64_t old_size = 0;
  std::vector<TreeHash> hashes;
  Note note;
};
std::string proof_text(const ConsistencyProof& proof);
Result<ConsistencyProof> parse_consistency_proof(std::string_view text);

}  // namespace qanat::audit
