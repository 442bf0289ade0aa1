#include "audit/auditor.hpp"

#include <tuple>

#include "audit/audit.hpp"
#include "audit/chain.hpp"
#include "audit/files.hpp"
#include "audit/log_file.hpp"
#include "audit/opening.hpp"

namespace qanat::audit {
namespace {

std::string lines_text(std::uint64_t count) { return std::to_string(count) + (count == 1 ? " line" : " lines"); }

/// The element's name out of a checked line; element names are URIs, which the log never escapes.
std::string element_in(std::string_view line) {
  constexpr std::string_view field = R"("element":")";
  const std::size_t at = line.find(field);
  if (at == std::string_view::npos) return {};
  line.remove_prefix(at + field.size());
  return std::string(line.substr(0, line.find('"')));
}

Result<std::pair<Checkpoint, Note>> read_checkpoint(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(const std::optional<Bytes> octets, read_small_file(file, note_octets_max));
  if (!octets) return fail(ErrorCode::not_found, file.string() + ": no checkpoint");
  auto note = parse_note(as_text(*octets));
  if (!note) return fail_in(file.string(), note.error());
  auto checkpoint = parse_checkpoint(note->text);
  if (!checkpoint) return fail_in(file.string(), checkpoint.error());
  return std::pair(std::move(*checkpoint), std::move(*note));
}

Result<KeyStatement> read_statement(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(const std::optional<Bytes> octets, read_small_file(file, statement_octets_max));
  if (!octets) return fail(ErrorCode::not_found, file.string() + ": no statement of the checkpoint's keys");
  auto statement = parse_statement(as_text(*octets));
  if (!statement) return fail_in(file.string(), statement.error());
  return statement;
}

using ReadCheckpoint = Result<std::pair<Checkpoint, Note>>;

/// Everything that was signed is read before the lines: an element that works meanwhile only adds lines.
class Audit {
 public:
  Audit(std::filesystem::path file, const AuditSources& sources)
      : file_(std::move(file)),
        folder_(tree_folder(file_)),
        sources_(sources),
        statement_(read_statement(statement_file(folder_))),
        own_(read_checkpoint(checkpoint_file(folder_))) {
    for (const std::filesystem::path& other : sources_.checkpoints) others_.push_back(read_checkpoint(other));
    for (const std::filesystem::path& state : sources_.witnesses) {
      cosigned_.push_back(statement_ ? read_checkpoint(witness_file(state, origin_of(statement_->element))) : ReadCheckpoint(fail(statement_.error())));
    }
  }

  Result<AuditReport> run() {
    TRY(read_lines());
    trace_keys();
    hold_own();
    compare_tiles();
    for (std::size_t i = 0; i < others_.size(); ++i) hold_signed(others_[i], "checkpoint " + sources_.checkpoints[i].string());
    for (std::size_t i = 0; i < cosigned_.size(); ++i) hold_witness(sources_.witnesses[i], cosigned_[i]);
    return std::move(report_);
  }

 private:
  void finding(std::string what) { report_.findings.push_back(std::move(what)); }

  Result<void> read_lines() {
    ASSIGN_OR_RETURN(LogFile log, LogFile::open_to_read(file_));
    ChainVerifier verifier;
    verifier.on_line([&](std::string_view line) -> Result<void> {
      std::string element = element_in(line);
      if (tree_.size() > 0 && element != report_.element) finding("line " + std::to_string(tree_.size() + 1) + ": written by another element, " + element);
      report_.element = std::move(element);
      tree_.append(leaf_hash(line));
      return {};
    });
    if (const auto verified = log.verify(verifier); !verified) {
      finding(verified.error().message);
    } else if (verifier.unfinished_octets() > 0) {
      finding("line " + std::to_string(tree_.size() + 1) + ": not complete");
    }
    report_.records = tree_.size();
    return {};
  }

  void trace_keys() {
    if (!statement_) return finding(statement_.error().message);
    if (report_.records > 0 && statement_->element != report_.element) finding("the statement of keys is of another element, " + statement_->element);
    if (report_.element.empty()) report_.element = statement_->element;
    if (sources_.roots.empty()) return;
    if (const auto held = verify_statement(*statement_, sources_.roots); !held) return finding(held.error().message);
    report_.traced = true;
  }

  /// Whether what was signed fits the lines.
  void hold(const Checkpoint& checkpoint, const std::string& name) {
    if (checkpoint.head.size > tree_.size()) {
      return finding(name + " was made over " + lines_text(checkpoint.head.size) + " and the log holds " + std::to_string(tree_.size()) +
                     ": rolled back, or lines removed");
    }
    const auto root = root_at(checkpoint.head.size, tree_.reader());
    if (!root) return finding(root.error().message);
    if (*root != checkpoint.head.root)
      finding(name + " was made over other lines than 1 to " + std::to_string(checkpoint.head.size) + ": altered, or a split view");
  }

  void hold_own() {
    if (!own_) {
      if (own_.error().code != ErrorCode::not_found || tree_.size() > 0) finding(own_.error().message);
      return;
    }
    const auto& [checkpoint, note] = *own_;
    report_.covered = checkpoint.head.size;
    if (checkpoint.origin != origin_of(report_.element)) finding("the checkpoint is of another log, " + checkpoint.origin);
    if (statement_) {
      if (const auto held = verify_signatures(statement_->keys, checkpoint, note); !held) finding(held.error().message);
    }
    hold(checkpoint, "the checkpoint");
  }

  void compare_tiles() {
    const TileFolder tiles(folder_);
    const SubtreeReader read = tree_.reader();
    TileTree tree;
    for (std::uint64_t i = 0; i < tree_.size(); ++i) {
      const auto leaf = read(0, i);
      if (!leaf) return finding(leaf.error().message);
      const auto compared = tree.append(*leaf, [&](const Tile& tile, std::span<const TreeHash> hashes) -> Result<void> {
        ASSIGN_OR_RETURN(const TileFolder::Content content, tiles.compare(tile, hashes));
        if (content == TileFolder::Content::other) finding(tile_path(tile) + " does not fit the lines");
        return {};
      });
      if (!compared) return finding(compared.error().message);
    }
  }

  /// Only what the log's own keys signed speaks against it.
  void hold_signed(const ReadCheckpoint& read, const std::string& name) {
    if (!read) return finding(read.error().message);
    const auto& [checkpoint, note] = *read;
    if (checkpoint.origin != origin_of(report_.element)) return finding(name + ": is of another log, " + checkpoint.origin);
    if (!statement_) return finding(name + ": cannot be verified without the log's keys");
    if (const auto held = verify_signatures(statement_->keys, checkpoint, note); !held) return finding(name + ": " + held.error().message);
    ++report_.compared;
    hold(checkpoint, name);
  }

  void hold_witness(const std::filesystem::path& state, const ReadCheckpoint& read) {
    const auto statement = read_statement(statement_file(tree_folder(log_file_of(state))));
    if (!statement) return finding("witness: " + statement.error().message);
    if (!sources_.roots.empty()) {
      if (const auto held = verify_statement(*statement, sources_.roots); !held) return finding("witness: " + held.error().message);
    }
    const std::string name = "witness " + statement->element;
    if (!read) return finding(name + ": " + read.error().message);
    if (const auto held = verify_signatures(statement->keys, read->first, read->second); !held) return finding(name + ": " + held.error().message);
    hold_signed(read, "the checkpoint that " + name + " cosigned");
  }

  const std::filesystem::path file_;
  const std::filesystem::path folder_;
  const AuditSources& sources_;
  const Result<KeyStatement> statement_;
  const ReadCheckpoint own_;
  std::vector<ReadCheckpoint> others_;
  std::vector<ReadCheckpoint> cosigned_;
  LeafTree tree_;
  AuditReport report_;
};

}  // namespace

std::filesystem::path statement_file(const std::filesystem::path& folder) { return folder / "statement"; }

std::filesystem::path witness_file(const std::filesystem::path& state, std::string_view origin) {
  std::string name(origin);
  for (char& c : name) {
    if (c == '/') c = '+';  // which no name has
  }
  return state / "audit" / "witness" / name;
}

std::filesystem::path log_file_of(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::is_directory(path, error) ? path / "audit.jsonl" : path;
}

Result<AuditReport> audit_log(const std::filesystem::path& path, const AuditSources& sources) {
  const std::filesystem::path file = log_file_of(path);
  std::error_code error;
  if (!std::filesystem::exists(file, error)) return fail(ErrorCode::not_found, file.string() + ": no audit log there");
  return Audit(file, sources).run();
}

Result<ProvableLog> read_for_proofs(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(const AuditReport report, audit_log(path, {}));
  if (!report.findings.empty()) return fail(ErrorCode::denied, report.findings.front());
  const std::filesystem::path file = log_file_of(path);
  ProvableLog out;
  ASSIGN_OR_RETURN(auto checkpoint, read_checkpoint(checkpoint_file(tree_folder(file))));
  std::tie(out.checkpoint, out.note) = std::move(checkpoint);
  ASSIGN_OR_RETURN(LogFile log, LogFile::open_to_read(file));
  ChainVerifier verifier;
  verifier.on_line([&](std::string_view line) -> Result<void> {
    out.lines.emplace_back(line);
    out.tree.append(leaf_hash(line));
    return {};
  });
  TRY(log.verify(verifier));
  return Result<ProvableLog>(std::move(out));
}

Result<InclusionProof> prove_record(const ProvableLog& log, std::uint64_t record) {
  if (record == 0 || record > log.checkpoint.head.size) {
    return fail(ErrorCode::not_found, "record " + std::to_string(record) + ": the checkpoint covers 1 to " + std::to_string(log.checkpoint.head.size));
  }
  InclusionProof out{.extra = to_bytes(log.lines[record - 1]), .index = record - 1, .hashes = {}, .note = log.note};
  ASSIGN_OR_RETURN(out.hashes, prove_inclusion(out.index, log.checkpoint.head.size, log.tree.reader()));
  return Result<InclusionProof>(std::move(out));
}

Result<ConsistencyProof> prove_since(const ProvableLog& log, std::uint64_t old_size) {
  ConsistencyProof out{.old_size = old_size, .hashes = {}, .note = log.note};
  ASSIGN_OR_RETURN(out.hashes, prove_consistency(old_size, log.checkpoint.head.size, log.tree.reader()));
  return Result<ConsistencyProof>(std::move(out));
}

}  // namespace qanat::audit
