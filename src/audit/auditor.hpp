// Auditing a log offline: from the files of an element, or a copy of them, and root certificates. Reads alone; takes no lock.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "audit/proof.hpp"
#include "audit/statement.hpp"

namespace qanat::audit {

/// The statement that binds the checkpoint keys to the element, in the folder of the tiles.
std::filesystem::path statement_file(const std::filesystem::path& folder);
/// Where a witness keeps the last checkpoint of that origin that it cosigned, in its own state folder.
std::filesystem::path witness_file(const std::filesystem::path& state, std::string_view origin);
/// `audit.jsonl` in the folder, or the path itself if it is a file.
std::filesystem::path log_file_of(const std::filesystem::path& path);

struct AuditSources {
  std::vector<crypto::Certificate> roots;          // none: whose keys signed is not traced
  std::vector<std::filesystem::path> checkpoints;  // older ones, or what somebody else was shown
  std::vector<std::filesystem::path> witnesses;    // their state folders
};

struct AuditReport {
  std::string element;                // as the lines and the statement have it
  std::uint64_t records = 0;          // that the chain of hashes holds
  std::uint64_t covered = 0;          // under the checkpoint
  bool traced = false;                // the checkpoint's keys lead to one of the roots
  std::uint64_t compared = 0;         // older checkpoints and witnesses' that the log was held against
  std::vector<std::string> findings;  // none: whole
};

/// Everything that does not fit is a finding; a failure is `not_found` (no log there).
Result<AuditReport> audit_log(const std::filesystem::path& path, const AuditSources& sources);

/// A log read for proofs: its lines verified as audit_log() does without roots, `denied` with the first finding.
struct ProvableLog {
  LeafTree tree;
  std::vector<std::string> lines;  // without LF
  Checkpoint checkpoint;
  Note note;
};
Result<ProvableLog> read_for_proofs(const std::filesystem::path& path);
Result<InclusionProof> prove_record(const ProvableLog& log, std::uint64_t record);  // counted from 1, as `n` in the line
Result<ConsistencyProof> prove_since(const ProvableLog& log, std::uint64_t old_size);

}  // namespace qanat::audit
