#include "audit/note.hpp"

#include <algorithm>

#include "crypto/kdf.hpp"
#include "wire/base64.hpp"

namespace qanat::audit {
namespace {

constexpr std::string_view dash = "\xE2\x80\x94 ";  // U+2014 and a space
constexpr std::size_t key_name_octets_max = 255;

std::unexpected<Error> not_a_note(std::string_view what) { return fail(ErrorCode::invalid_argument, "signed note: " + std::string(what)); }

bool is_text(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c == '\n' || (c >= 0x20 && c < 0x7F); });
}

}  // namespace

KeyHash key_hash(std::string_view name, ByteView typed_key) {
  const Bytes hash = crypto::digest(crypto::Hash::sha256, {as_bytes(name), as_bytes("\n"), typed_key});
  return {hash[0], hash[1], hash[2], hash[3]};
}

bool is_key_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= key_name_octets_max && std::ranges::all_of(name, [](char c) { return c > 0x20 && c < 0x7F && c != '+'; });
}

std::string signature_line(const NoteSignature& signature) {
  return std::string(dash) + signature.name + " " + wire::to_base64(concat({signature.key_id, signature.signature})) + "\n";
}

std::string note_text(const Note& note) {
  std::string out = note.text + "\n";
  for (const NoteSignature& signature : note.signatures) out += signature_line(signature);
  return out;
}

Result<std::vector<NoteSignature>> parse_signature_lines(std::string_view lines) {
  std::vector<NoteSignature> out;
  while (!lines.empty()) {
    const std::size_t end = lines.find('\n');
    if (end == std::string_view::npos) return not_a_note("a signature line has no end");
    std::string_view line = lines.substr(0, end);
    lines.remove_prefix(end + 1);
    if (!line.starts_with(dash)) return not_a_note("a signature line does not begin with a dash");
    line.remove_prefix(dash.size());
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos || !is_key_name(line.substr(0, space))) return not_a_note("a signature line has no key name");
    auto octets = wire::from_base64(line.substr(space + 1));
    if (!octets || octets->size() <= std::tuple_size_v<KeyHash>) return not_a_note("a signature is not base64 of a key id and more");
    NoteSignature signature{.name = std::string(line.substr(0, space)), .key_id = {}, .signature = {}};
    std::copy_n(octets->begin(), signature.key_id.size(), signature.key_id.begin());
    signature.signature.assign(octets->begin() + static_cast<std::ptrdiff_t>(signature.key_id.size()), octets->end());
    out.push_back(std::move(signature));
    if (out.size() > note_signatures_max) return not_a_note("too many signatures");
  }
  if (out.empty()) return not_a_note("no signature");
  return Result<std::vector<NoteSignature>>(std::move(out));
}

Result<Note> parse_note(std::string_view octets) {
  if (octets.size() > note_octets_max) return not_a_note("too long");
  const std::size_t blank = octets.rfind("\n\n");
  if (blank == std::string_view::npos || blank == 0) return not_a_note("no empty line behind the text");
  Note out{.text = std::string(octets.substr(0, blank + 1)), .signatures = {}};
  if (!is_text(out.text)) return not_a_note("characters that do not belong into the text");
  ASSIGN_OR_RETURN(out.signatures, parse_signature_lines(octets.substr(blank + 2)));
  return Result<Note>(std::move(out));
}

}  // namespace qanat::audit
