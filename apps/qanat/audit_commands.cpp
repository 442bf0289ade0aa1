#include "audit_commands.hpp"

#include <fmt/format.h>

#include <memory>

#include "audit/auditor.hpp"
#include "node/node.hpp"
#include "text_files.hpp"

namespace qanat::app {
namespace {

int failed(const Error& error) {
  fmt::print(stderr, "qanat: {}\n", error.message);
  return 1;
}

Result<std::vector<crypto::Certificate>> roots_in(const std::filesystem::path& trust) {
  if (trust.empty()) return std::vector<crypto::Certificate>{};
  ASSIGN_OR_RETURN(const auto store, node::read_trust(trust));
  return store->roots();
}

wire::Json json_of_report(const std::filesystem::path& path, const Result<audit::AuditReport>& report) {
  wire::Json out = wire::Json::object({{"log", path.string()}, {"whole", report && report->findings.empty()}});
  wire::Json findings = wire::Json::array();
  if (!report) {
    findings.push(report.error().message);
  } else {
    out.set("element", report->element)
        .set("records", report->records)
        .set("covered", report->covered)
        .set("traced", report->traced)
        .set("compared", report->compared);
    for (const std::string& finding : report->findings) findings.push(finding);
  }
  return out.set("findings", std::move(findings));
}

void print_report(const std::filesystem::path& path, const Result<audit::AuditReport>& report) {
  if (!report) return fmt::print("  {}: {}\n", path.string(), report.error().message);
  if (!report->findings.empty()) {
    fmt::print("  {}: NOT WHOLE\n", path.string());
    for (const std::string& finding : report->findings) fmt::print("    {}\n", finding);
    return;
  }
  fmt::print("  {}: {} records, whole; {} under the signed checkpoint, {}{}\n", path.string(), report->records, report->covered,
             report->traced ? "its keys lead to a root" : "whose keys were not traced (no --trust)",
             report->compared > 0 ? fmt::format(", {} other checkpoints agree", report->compared) : "");
}

/// The checkpoint of a proof's note, its signatures verified if there is a statement.
Result<audit::Checkpoint> checkpoint_of(const audit::Note& note, const AuditShowOptions& options, std::string& who) {
  ASSIGN_OR_RETURN(audit::Checkpoint out, audit::parse_checkpoint(note.text));
  who = "nobody's keys were looked at (no --statement)";
  if (options.statement.empty()) return Result<audit::Checkpoint>(std::move(out));
  ASSIGN_OR_RETURN(const std::string text, read_text(options.statement));
  ASSIGN_OR_RETURN(const audit::KeyStatement statement, audit::parse_statement(text));
  if (audit::origin_of(statement.element) != out.origin) return fail(ErrorCode::denied, options.statement.string() + ": is of another log");
  TRY(audit::verify_signatures(statement.keys, out, note));
  who = "signed by the keys in the statement, which were not traced (no --trust)";
  if (options.trust.empty()) return Result<audit::Checkpoint>(std::move(out));
  ASSIGN_OR_RETURN(const auto roots, roots_in(options.trust));
  TRY(audit::verify_statement(statement, roots));
  who = "signed by " + statement.element + ", whose keys lead to a root";
  return Result<audit::Checkpoint>(std::move(out));
}

Result<void> show_inclusion(const audit::InclusionProof& proof, const AuditShowOptions& options) {
  std::string who;
  ASSIGN_OR_RETURN(const audit::Checkpoint checkpoint, checkpoint_of(proof.note, options, who));
  if (!proof.extra) return fail(ErrorCode::invalid_argument, options.proof.string() + ": holds no record");
  TRY(audit::verify_inclusion(audit::leaf_hash(as_text(*proof.extra)), proof.index, proof.hashes, checkpoint.head));
  fmt::print("{}\n  is record {} of {} in the log of {}; checkpoint {}\n", as_text(*proof.extra), proof.index + 1, checkpoint.head.size, checkpoint.origin,
             who);
  return {};
}

Result<void> show_consistency(const audit::ConsistencyProof& proof, const AuditShowOptions& options) {
  std::string who;
  ASSIGN_OR_RETURN(const audit::Checkpoint checkpoint, checkpoint_of(proof.note, options, who));
  if (options.since.empty()) return fail(ErrorCode::invalid_argument, "show: a proof of consistency needs the older checkpoint, --since FILE");
  ASSIGN_OR_RETURN(const std::string text, read_text(options.since));
  ASSIGN_OR_RETURN(const audit::Note old_note, audit::parse_note(text));
  std::string old_who;
  ASSIGN_OR_RETURN(const audit::Checkpoint old, checkpoint_of(old_note, options, old_who));
  if (old.origin != checkpoint.origin || old.head.size != proof.old_size)
    return fail(ErrorCode::denied, options.since.string() + ": not the checkpoint that the proof begins with");
  TRY(audit::verify_consistency(old.head, proof.hashes, checkpoint.head));
  fmt::print("the log of {} with {} records begins with the {} records of the older checkpoint; both checkpoints: {}\n", checkpoint.origin,
             checkpoint.head.size, old.head.size, who);
  return {};
}

}  // namespace

int audit_verify(const AuditVerifyOptions& options) {
  audit::AuditSources sources{.roots = {}, .checkpoints = options.checkpoints, .witnesses = options.witnesses};
  auto roots = roots_in(options.trust);
  if (!roots) return failed(roots.error());
  sources.roots = std::move(*roots);
  wire::Json all = wire::Json::array();
  bool whole = true;
  for (const std::filesystem::path& path : options.paths) {
    const auto report = audit::audit_log(path, sources);
    whole = whole && report && report->findings.empty();
    if (options.output == Output::json) {
      all.push(json_of_report(path, report));
    } else {
      print_report(path, report);
    }
  }
  if (options.output == Output::json) fmt::print("{}\n", all.pretty());
  return whole ? 0 : 1;
}

int audit_prove(const AuditProveOptions& options) {
  const auto prove = [&]() -> Result<std::string> {
    ASSIGN_OR_RETURN(const audit::ProvableLog log, audit::read_for_proofs(options.path));
    if (options.record) {
      ASSIGN_OR_RETURN(const audit::InclusionProof proof, audit::prove_record(log, *options.record));
      return audit::proof_text(proof);
    }
    ASSIGN_OR_RETURN(const std::string text, read_text(options.since));
    ASSIGN_OR_RETURN(const audit::Note note, audit::parse_note(text));
    ASSIGN_OR_RETURN(const audit::Checkpoint old, audit::parse_checkpoint(note.text));
    ASSIGN_OR_RETURN(const audit::ConsistencyProof proof, audit::prove_since(log, old.head.size));
    return audit::proof_text(proof);
  };
  const auto text = prove();
  if (!text) return failed(text.error());
  fmt::print("{}", *text);
  return 0;
}

int audit_show(const AuditShowOptions& options) {
  const auto show = [&]() -> Result<void> {
    ASSIGN_OR_RETURN(const std::string text, read_text(options.proof));
    if (text.starts_with("old ")) {
      ASSIGN_OR_RETURN(const audit::ConsistencyProof proof, audit::parse_consistency_proof(text));
      return show_consistency(proof, options);
    }
    ASSIGN_OR_RETURN(const audit::InclusionProof proof, audit::parse_inclusion_proof(text));
    return show_inclusion(proof, options);
  };
  const auto shown = show();
  return shown ? 0 : failed(shown.error());
}

void add_audit_commands(CLI::App& audit, const OnCommand& on) {
  audit.require_subcommand(1);
  const auto verify = std::make_shared<AuditVerifyOptions>();
  CLI::App* command = add_command(audit, "verify", "whether nothing was removed, changed, inserted, rolled back or shown differently to others",
                                  "qanat audit verify state/kms-a --trust trust --checkpoint yesterday/checkpoint");
  command->add_option("logs", verify->paths, "state folders of elements (or their audit.jsonl)")->required();
  command->add_option("--trust", verify->trust, "folder with the root certificates; without it, whose keys signed is not traced");
  command->add_option("--witness", verify->witnesses, "state folder of a witness")->expected(1);
  command->add_option("--checkpoint", verify->checkpoints, "an older checkpoint, or one that somebody else was shown")->expected(1);
  add_json_flag(*command, verify->output);
  on(command, [verify] { return audit_verify(*verify); });

  const auto prove = std::make_shared<AuditProveOptions>();
  command = add_command(audit, "prove", "print the proof that a record is in the log, or that the log continues an older checkpoint",
                        "qanat audit prove state/kms-a --record 17 > record-17.tlog-proof");
  command->add_option("log", prove->path, "state folder of an element (or its audit.jsonl)")->required();
  CLI::Option_group* what = command->add_option_group("what");
  what->add_option("--record", prove->record, "number of the record, \"n\" in its line");
  what->add_option("--since", prove->since, "file of an older checkpoint");
  what->require_option(1);
  on(command, [prove] { return audit_prove(*prove); });

  const auto show = std::make_shared<AuditShowOptions>();
  command = add_command(audit, "show", "verify a proof and print what it proves",
                        "qanat audit show record-17.tlog-proof --statement state/kms-a/audit/statement --trust trust");
  command->add_option("proof", show->proof, "file of the proof")->required();
  command->add_option("--statement", show->statement, "statement of the log's keys (audit/statement in the element's state folder)");
  command->add_option("--trust", show->trust, "folder with the root certificates");
  command->add_option("--since", show->since, "for a proof of consistency: the older checkpoint");
  on(command, [show] { return audit_show(*show); });
}

}  // namespace qanat::app
