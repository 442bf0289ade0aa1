#include "audit/proof.hpp"

#include <charconv>

#include "wire/base64.hpp"

namespace qanat::audit {
namespace {

constexpr std::string_view inclusion_title = "c2sp.org/tlog-proof@v1\n";

std::unexpected<Error> not_a_proof(std::string_view what) { return fail(ErrorCode::invalid_argument, "proof: " + std::string(what)); }

std::string hash_lines(const std::vector<TreeHash>& hashes) {
  std::string out;
  for (const TreeHash& hash : hashes) out += wire::to_base64(hash) + "\n";
  return out;
}

/// The first line without its LF, if it begins with `word`; what is behind the word.
std::optional<std::string_view> cut_worded_line(std::string_view& text, std::string_view word) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos || !text.starts_with(word)) return std::nullopt;
  const std::string_view out = text.substr(word.size(), end - word.size());
  text.remove_prefix(end + 1);
  return out;
}

Result<std::uint64_t> decimal_of(std::optional<std::string_view> text, std::string_view what) {
  std::uint64_t out = 0;
  if (!text || text->empty()) return not_a_proof(what);
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), out);
  if (error != std::errc() || end != text->data() + text->size() || (text->front() == '0' && text->size() > 1)) return not_a_proof(what);
  return out;
}

/// Hashes up to the empty line, and behind it the note.
Result<void> parse_rest(std::string_view text, std::vector<TreeHash>& hashes, Note& note) {
  while (true) {
    const auto line = cut_worded_line(text, "");
    if (!line) return not_a_proof("no checkpoint");
    if (line->empty()) break;
    if (hashes.size() == proof_hashes_max) return not_a_proof("too many hashes");
    ASSIGN_OR_RETURN(const Bytes octets, wire::from_base64(*line));
    ASSIGN_OR_RETURN(const TreeHash hash, tree_hash(octets));
    hashes.push_back(hash);
  }
  ASSIGN_OR_RETURN(note, parse_note(text));
  return {};
}

}  // namespace

std::string proof_text(const InclusionProof& proof) {
  std::string out(inclusion_title);
  if (proof.extra) out += "extra " + wire::to_base64(*proof.extra) + "\n";
  return out + "index " + std::to_string(proof.index) + "\n" + hash_lines(proof.hashes) + "\n" + note_text(proof.note);
}

Result<InclusionProof> parse_inclusion_proof(std::string_view text) {
  if (text.size() > proof_octets_max || !text.starts_with(inclusion_title)) return not_a_proof("not of inclusion");
  text.remove_prefix(inclusion_title.size());
  InclusionProof out;
  if (const auto extra = cut_worded_line(text, "extra ")) {
    ASSIGN_OR_RETURN(out.extra, wire::from_base64(*extra));
  }
  ASSIGN_OR_RETURN(out.index, decimal_of(cut_worded_line(text, "index "), "no index"));
  TRY(parse_rest(text, out.hashes, out.note));
  return Result<InclusionProof>(std::move(out));
}

std::string proof_text(const ConsistencyProof& proof) {
  return "old " + std::to_string(proof.old_size) + "\n" + hash_lines(proof.hashes) + "\n" + note_text(proof.note);
}

Result<ConsistencyProof> parse_consistency_proof(std::string_view text) {
  if (text.size() > proof_octets_max) return not_a_proof("too long");
  ConsistencyProof out;
  ASSIGN_OR_RETURN(out.old_size, decimal_of(cut_worded_line(text, "old "), "no old size"));
  TRY(parse_rest(text, out.hashes, out.note));
  return Result<ConsistencyProof>(std::move(out));
}

}  // namespace qanat::audit
