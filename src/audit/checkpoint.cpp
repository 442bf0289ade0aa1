#include "audit/checkpoint.hpp"

#include <algorithm>
#include <charconv>

#include "base/check.hpp"
#include "base/identity.hpp"
#include "crypto/hybrid_sign.hpp"
#include "wire/base64.hpp"
#include "wire/reader.hpp"

namespace qanat::audit {
namespace {

using namespace std::string_view_literals;

struct LogKeyRow {
  LogKeyType type;
  std::string_view name;
  std::string_view prefix;  // the type octets before the key
  std::string_view label;   // of the signed message
  std::size_t key;          // octets
};
constexpr std::array log_key_rows{
    LogKeyRow{LogKeyType::ml_dsa_44, "ML-DSA-44", "\x06"sv, "subtree/v1\n\0"sv, 1312},
    LogKeyRow{LogKeyType::sm2, "SM2", "\xFFqanat/sm2-sm3-checkpoint/v1"sv, "qanat/sm2-checkpoint/v1\n\0"sv, 65},
};
static_assert(log_key_rows[0].label.size() == 12);

const LogKeyRow& row_of(LogKeyType type) noexcept {
  const auto at = static_cast<std::size_t>(type);
  CHECK(at < log_key_rows.size() && log_key_rows[at].type == type);
  return log_key_rows[at];
}

constexpr std::string_view uri_scheme = "qanat://";
constexpr std::size_t timestamp_octets = 8;

Bytes typed_key(const LogKey& key) { return concat({as_bytes(row_of(key.type).prefix), key.key}); }

Bytes big_endian(std::uint64_t value) {
  Bytes out(timestamp_octets);
  for (std::size_t i = 0; i < timestamp_octets; ++i) out[i] = static_cast<std::uint8_t>(value >> (8 * (timestamp_octets - 1 - i)));
  return out;
}

/// `cosigned_message` of tlog-cosignature for a whole tree.
Bytes signed_message(LogKeyType type, std::string_view cosigner, std::uint64_t seconds, const Checkpoint& checkpoint) {
  CHECK(is_key_name(cosigner) && is_key_name(checkpoint.origin));  // at most 255 octets each
  const std::array name_size{static_cast<std::uint8_t>(cosigner.size())};
  const std::array origin_size{static_cast<std::uint8_t>(checkpoint.origin.size())};
  return concat({as_bytes(row_of(type).label), name_size, as_bytes(cosigner), big_endian(seconds), origin_size, as_bytes(checkpoint.origin), big_endian(0),
                 big_endian(checkpoint.head.size), checkpoint.head.root});
}

/// Cuts the first line, without its LF, off the text.
bool cut_line(std::string_view& text, std::string_view& line) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) return false;
  line = text.substr(0, end);
  text.remove_prefix(end + 1);
  return true;
}

}  // namespace

std::string checkpoint_text(const Checkpoint& checkpoint) {
  return checkpoint.origin + "\n" + std::to_string(checkpoint.head.size) + "\n" + wire::to_base64(checkpoint.head.root) + "\n";
}

Result<Checkpoint> parse_checkpoint(std::string_view text) {
  const auto bad = [](std::string_view what) { return fail(ErrorCode::invalid_argument, "checkpoint: " + std::string(what)); };
  Checkpoint out;
  std::string_view line;
  if (!cut_line(text, line) || !is_key_name(line)) return bad("no origin");
  out.origin = line;
  if (!cut_line(text, line)) return bad("no size");
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), out.head.size);
  if (error != std::errc() || end != line.data() + line.size() || (line[0] == '0' && line.size() > 1)) return bad("no size");
  if (out.head.size > static_cast<std::uint64_t>(INT64_MAX)) return bad("a size that no log has");
  if (!cut_line(text, line)) return bad("no root");
  ASSIGN_OR_RETURN(const Bytes root, wire::from_base64(line));
  ASSIGN_OR_RETURN(out.head.root, tree_hash(root));
  if (!text.empty()) return bad("lines behind the root");
  return Result<Checkpoint>(std::move(out));
}

std::string origin_of(std::string_view element_uri) {
  if (element_uri.starts_with(uri_scheme)) element_uri.remove_prefix(uri_scheme.size());
  return std::string(element_uri);
}

Result<std::string> element_of_log(std::string_view log_name) {
  if (const auto whole = Identity::parse_uri(log_name)) return whole->uri();
  const std::size_t slash = log_name.rfind('/');
  unsigned number = 0;
  const std::string_view digits = slash == std::string_view::npos ? std::string_view() : log_name.substr(slash + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool sound = error == std::errc() && number >= 1 && number <= logs_per_element_max && std::to_string(number) == digits;
  if (!sound || end != digits.data() + digits.size()) return fail(ErrorCode::invalid_argument, "'" + std::string(log_name) + "' is no name of a log");
  ASSIGN_OR_RETURN(const Identity element, Identity::parse_uri(log_name.substr(0, slash)));
  return element.uri();
}

KeyHash LogKey::id() const { return key_hash(name, typed_key(*this)); }

std::string vkey_text(const LogKey& key) { return key.name + "+" + to_hex(key.id()) + "+" + wire::to_base64(typed_key(key)); }

Result<LogKey> parse_vkey(std::string_view text) {
  const auto bad = [](std::string_view what) { return fail(ErrorCode::invalid_argument, "verifier key: " + std::string(what)); };
  const std::size_t first = text.find('+');
  if (first == std::string_view::npos) return bad("not name, id and key");
  const std::size_t second = text.find('+', first + 1);
  if (second == std::string_view::npos) return bad("not name, id and key");
  LogKey out{.type = {}, .name = std::string(text.substr(0, first)), .key = {}};
  if (!is_key_name(out.name)) return bad("no name");
  ASSIGN_OR_RETURN(const Bytes octets, wire::from_base64(text.substr(second + 1)));
  const auto row = std::ranges::find_if(
      log_key_rows, [&](const LogKeyRow& one) { return octets.size() == one.prefix.size() + one.key && as_text(octets).starts_with(one.prefix); });
  if (row == log_key_rows.end()) return bad("neither ML-DSA-44 nor our SM2 type");
  out.type = row->type;
  out.key.assign(octets.begin() + static_cast<std::ptrdiff_t>(row->prefix.size()), octets.end());
  if (text.substr(first + 1, second - first - 1) != to_hex(out.id())) return bad("its id does not fit");
  return Result<LogKey>(std::move(out));
}

Result<CheckpointSigner> CheckpointSigner::generate(std::string name, crypto::Rng& rng) {
  ASSIGN_OR_RETURN(crypto::LoneSigner ml_dsa_44, crypto::LoneSigner::generate(crypto::LoneScheme::ml_dsa_44, rng));
  ASSIGN_OR_RETURN(crypto::LoneSigner sm2, crypto::LoneSigner::generate(crypto::LoneScheme::sm2, rng));
  return CheckpointSigner(std::move(name), std::move(ml_dsa_44), std::move(sm2));
}

std::vector<LogKey> CheckpointSigner::keys() const {
  std::vector<LogKey> out;
  out.reserve(all_log_key_types.size());
  for (const LogKeyType type : all_log_key_types) out.push_back({.type = type, .name = name_, .key = signer(type).public_key()});
  return out;
}

std::vector<NoteSignature> CheckpointSigner::sign(const Checkpoint& checkpoint, std::uint64_t seconds, crypto::Rng& rng) const {
  std::vector<NoteSignature> out;
  for (const LogKey& key : keys()) {
    Bytes signature = big_endian(seconds);
    append(signature, signer(key.type).sign(signed_message(key.type, name_, seconds, checkpoint), rng));
    out.push_back({.name = name_, .key_id = key.id(), .signature = std::move(signature)});
  }
  return out;
}

Result<std::uint64_t> verify_signature(const LogKey& key, const Checkpoint& checkpoint, const NoteSignature& signature) {
  if (signature.name != key.name || signature.key_id != key.id()) return fail(ErrorCode::denied, "checkpoint: signed by another key");
  wire::Reader reader(signature.signature);
  ASSIGN_OR_RETURN(const std::uint64_t seconds, reader.u64("checkpoint: time of a signature"));
  if (seconds > static_cast<std::uint64_t>(INT64_MAX)) return fail(ErrorCode::denied, "checkpoint: time of a signature out of range");
  const ByteView rest = ByteView(signature.signature).subspan(timestamp_octets);
  const Bytes message = signed_message(key.type, key.name, seconds, checkpoint);
  const Result<void> holds = key.type == LogKeyType::ml_dsa_44 ? crypto::verify_ml_dsa(crypto::MlDsa::ml_dsa_44, key.key, message, rest)
                                                               : crypto::verify_classical(crypto::suite(crypto::SuiteId::gm_hybrid), key.key, message, rest);
  if (!holds)
    return fail(ErrorCode::denied,
                "checkpoint of " + checkpoint.origin + ": the " + std::string(row_of(key.type).name) + " signature of " + key.name + " does not hold");
  return seconds;
}

bool names_key(const Note& note, const LogKey& key) {
  const KeyHash id = key.id();
  return std::ranges::any_of(note.signatures, [&](const NoteSignature& one) { return one.name == key.name && one.key_id == id; });
}

Result<void> verify_signatures(const std::vector<LogKey>& keys, const Checkpoint& checkpoint, const Note& note) {
  for (const LogKey& key : keys) {
    const KeyHash id = key.id();
    bool found = false;
    for (const NoteSignature& signature : note.signatures) {
      if (signature.name != key.name || signature.key_id != id) continue;
      found = true;
      TRY(verify_signature(key, checkpoint, signature));
    }
    if (!found) {
      return fail(ErrorCode::denied, "checkpoint of " + checkpoint.origin + ": no " + std::string(row_of(key.type).name) + " signature of " + key.name);
    }
  }
  return {};
}

}  // namespace qanat::audit
