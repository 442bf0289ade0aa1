#include "node/audit_witness.hpp"

#include <memory>

#include "audit/auditor.hpp"
#include "audit/files.hpp"
#include "node/log.hpp"
#include "node/recorded.hpp"

namespace qanat::node {
namespace {

constexpr unsigned status_conflict = 409;
constexpr unsigned status_unprocessable = 422;

net::Response text_answer(unsigned status, std::string_view type, std::string_view text) {
  return {.status = status, .content_type = std::string(type), .body = to_bytes(text)};
}

/// As tlog-witness has it: the size that the witness knows, for a client that had another.
net::Response size_conflict(std::uint64_t size) { return text_answer(status_conflict, points::type_tree_size, std::to_string(size) + "\n"); }

std::filesystem::path keys_file(const std::filesystem::path& state, std::string_view origin) { return audit::witness_file(state, origin).string() + ".keys"; }

/// A log is the caller's own, or one of those that its front ends have.
Result<void> check_owner(const net::Request& request, const std::string& log_name, std::string_view what) {
  if (!request.peer.identity) return fail(ErrorCode::unauthenticated, "X-9: who calls is not known");
  const auto element = audit::element_of_log(log_name);
  if (!element || *element != request.peer.identity->uri()) return fail(ErrorCode::denied, "X-9: " + std::string(what) + ", " + log_name);
  return {};
}

}  // namespace

std::vector<points::Handler> AuditWitness::handlers() {
  return {{points::Endpoint::x9_keys,
           [this](const net::Request& request) { return recorded(node_, "x-9.keys", request, [&](Deed&) { return take_keys(request); }); }},
          // What is cosigned is remembered in a file of its own: a record of each would make this log grow for every other log's growth, without end.
          {points::Endpoint::x9_cosign, [this](const net::Request& request) -> Result<net::Response> {
             auto answer = cosign(request);
             if (answer || answer.error().code == ErrorCode::unavailable) return answer;
             return recorded(node_, "x-9.cosign", request, [&](Deed&) -> Result<net::Response> { return fail(answer.error()); });
           }}};
}

Result<net::Response> AuditWitness::take_keys(const net::Request& request) {
  ASSIGN_OR_RETURN(const audit::KeyStatement statement, audit::parse_statement(as_text(request.body)));
  TRY(check_owner(request, statement.element, "states the keys of another element"));
  const std::string origin = audit::origin_of(statement.element);
  TRY(audit::verify_statement(statement, node_.trust().roots()));
  const std::lock_guard lock(lock_of(origin));
  TRY(audit::replace_file(keys_file(node_.settings().state, origin), request.body, audit::Durability::now));
  return net::Response{.status = 200, .content_type = "", .body = {}};
}

Result<audit::KeyStatement> AuditWitness::keys_of(const std::string& origin) const {
  ASSIGN_OR_RETURN(const std::optional<Bytes> octets, audit::read_small_file(keys_file(node_.settings().state, origin), audit::statement_octets_max));
  if (!octets) return fail(ErrorCode::not_found, "X-9: no keys of the log of " + origin + " are known here");
  return audit::parse_statement(as_text(*octets));
}

Result<audit::TreeHead> AuditWitness::remembered(const std::string& origin) const {
  ASSIGN_OR_RETURN(const std::optional<Bytes> octets, audit::read_small_file(audit::witness_file(node_.settings().state, origin), audit::note_octets_max));
  if (!octets) return audit::TreeHead{.size = 0, .root = audit::empty_root()};
  ASSIGN_OR_RETURN(const audit::Note note, audit::parse_note(as_text(*octets)));
  ASSIGN_OR_RETURN(const audit::Checkpoint checkpoint, audit::parse_checkpoint(note.text));
  return checkpoint.head;
}

Result<net::Response> AuditWitness::accuse(const net::Request& request, const audit::Checkpoint& checkpoint, net::Response answer, const std::string& reason) {
  TRY(node_.record({.action = "audit.log_refused",
                    .outcome = audit::Outcome::refused,
                    .subject = request.peer.identity->uri(),
                    .object = checkpoint.origin + " " + std::to_string(checkpoint.head.size) + " " + to_hex(checkpoint.head.root),
                    .reason = reason,
                    .request_id = request.request_id}));
  log(LogLevel::error, "the audit log of {}: {}", checkpoint.origin, reason);
  return answer;
}

Result<net::Response> AuditWitness::cosign(const net::Request& request) {
  if (!places_.try_acquire()) return fail(ErrorCode::unavailable, "X-9: busy with other logs");
  const std::unique_ptr<std::counting_semaphore<at_once_max>, decltype([](auto* places) { places->release(); })> place(&places_);
  return cosign_one(request);
}

Result<net::Response> AuditWitness::cosign_one(const net::Request& request) {
  ASSIGN_OR_RETURN(audit::ConsistencyProof proof, audit::parse_consistency_proof(as_text(request.body)));
  ASSIGN_OR_RETURN(const audit::Checkpoint checkpoint, audit::parse_checkpoint(proof.note.text));
  TRY(check_owner(request, "qanat://" + checkpoint.origin, "a checkpoint of another log"));
  const std::string& origin = checkpoint.origin;
  const std::lock_guard lock(lock_of(origin));
  ASSIGN_OR_RETURN(const audit::KeyStatement statement, keys_of(origin));
  TRY(audit::verify_signatures(statement.keys, checkpoint, proof.note));
  if (proof.old_size > checkpoint.head.size) return fail(ErrorCode::invalid_argument, "X-9: the old size is above the checkpoint's");
  ASSIGN_OR_RETURN(const audit::TreeHead last, remembered(origin));
  if (checkpoint.head.size < last.size) {
    return accuse(request, checkpoint, size_conflict(last.size), "rolled back: a checkpoint over " + std::to_string(last.size) + " lines was cosigned before");
  }
  if (proof.old_size != last.size) return size_conflict(last.size);
  if (checkpoint.head.size == last.size && checkpoint.head.root != last.root) {
    return accuse(request, checkpoint, size_conflict(last.size), "a split view: another checkpoint over as many lines was cosigned before");
  }
  if (const auto consistent = audit::verify_consistency(last, proof.hashes, checkpoint.head); !consistent) {
    return accuse(request, checkpoint, text_answer(status_unprocessable, points::type_text, consistent.error().message + "\n"),
                  "does not continue the checkpoint over " + std::to_string(last.size) + " lines that was cosigned before: " + consistent.error().message);
  }
  const std::vector<audit::NoteSignature> cosignatures = node_.checkpoints().signer().sign(checkpoint, node_.clock().now_ms() / 1000, node_.rng());
  // What is remembered is the log's own signatures and ours: evidence that the log cannot deny.
  audit::Note note{.text = proof.note.text, .signatures = {}};
  for (audit::NoteSignature& signature : proof.note.signatures) {
    for (const audit::LogKey& key : statement.keys) {
      if (signature.name == key.name && signature.key_id == key.id()) note.signatures.push_back(signature);
    }
  }
  note.signatures.insert(note.signatures.end(), cosignatures.begin(), cosignatures.end());
  TRY(audit::replace_file(audit::witness_file(node_.settings().state, origin), as_bytes(audit::note_text(note)), audit::Durability::now));
  std::string lines;
  for (const audit::NoteSignature& cosignature : cosignatures) lines += audit::signature_line(cosignature);
  return text_answer(200, points::type_text, lines);
}

}  // namespace qanat::node
