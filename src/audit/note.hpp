// Signed notes (C2SP signed-note): a text and signature lines under it. What a signature means is not here. No I/O.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace qanat::audit {

inline constexpr std::size_t note_octets_max = 128U * 1024;  // 16 ML-DSA-44 signatures have 54 KiB
inline constexpr std::size_t note_signatures_max = 32;

using KeyHash = std::array<std::uint8_t, 4>;

struct NoteSignature {
  std::string name;
  KeyHash key_id{};
  Bytes signature;
  bool operator==(const NoteSignature&) const = default;
};

struct Note {
  std::string text;  // with its last LF
  std::vector<NoteSignature> signatures;
  bool operator==(const Note&) const = default;
};

/// The first four octets of SHA-256(name ‖ LF ‖ type ‖ public key). `typed_key` is the type octets followed by the key.
KeyHash key_hash(std::string_view name, ByteView typed_key);
/// Not empty, printable ASCII without space and plus, at most 255 octets: narrower than the specification, wide enough for our names.
bool is_key_name(std::string_view name) noexcept;

/// "— name base64(id ‖ signature)" and LF.
std::string signature_line(const NoteSignature& signature);
std::string note_text(const Note& note);
/// invalid_argument for what is not a note: no signature, no empty line, control characters, over the limits. Text is ASCII here: every
/// note of ours and of the witnesses is.
Result<Note> parse_note(std::string_view octets);
/// Lines as a witness answers them, at least one.
Result<std::vector<NoteSignature>> parse_signature_lines(std::string_view lines);

}  // namespace qanat::audit
