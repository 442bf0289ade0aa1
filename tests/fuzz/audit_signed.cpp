// target: qanat_audit
// Arbitrary octets as everything signed that stands beside an audit log or comes from a witness: notes, checkpoints, keys, proofs, statements, tile paths. What
// is accepted is written again as the same octets.
#include <cstdint>

#include "audit/proof.hpp"
#include "audit/statement.hpp"
#include "audit/tiles.hpp"
#include "base/check.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  using namespace qanat::audit;
  const std::string_view text = qanat::as_text({octets, size});
  if (const auto note = parse_note(text)) {
    CHECK(note_text(*note) == text);
    if (const auto checkpoint = parse_checkpoint(note->text)) CHECK(checkpoint_text(*checkpoint) == note->text);
  }
  if (const auto checkpoint = parse_checkpoint(text)) CHECK(checkpoint_text(*checkpoint) == text);
  if (const auto lines = parse_signature_lines(text)) {
    std::string again;
    for (const NoteSignature& line : *lines) again += signature_line(line);
    CHECK(again == text);
  }
  if (const auto key = parse_vkey(text)) CHECK(vkey_text(*key) == text);
  if (const auto proof = parse_inclusion_proof(text)) CHECK(proof_text(*proof) == text);
  if (const auto proof = parse_consistency_proof(text)) CHECK(proof_text(*proof) == text);
  if (const auto tile = parse_tile_path(text)) CHECK(tile_path(*tile) == text);
  if (const auto statement = parse_statement(text)) CHECK(statement_text(*statement) == text);
  return 0;
}
