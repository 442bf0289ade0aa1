#include "audit/chain.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/utf8.hpp"
#include "crypto/kdf.hpp"

namespace qanat::audit {
namespace {

constexpr std::string_view replacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr std::string_view ellipsis = "\xE2\x80\xA6";
constexpr std::string_view hash_field = R"(,"hash":")";
constexpr std::string_view hex_digits = "0123456789abcdef";
constexpr std::size_t hash_digits = 64;

bool is_plain(std::string_view character) { return character[0] != '"' && character[0] != '\\' && static_cast<unsigned char>(character[0]) >= 0x20; }

void append_escaped(std::string& out, char c) {
  if (c == '"' || c == '\\') {
    out.push_back('\\');
    out.push_back(c);
    return;
  }
  out.append("\\u00");
  out.push_back(hex_digits[static_cast<unsigned char>(c) >> 4U]);
  out.push_back(hex_digits[static_cast<unsigned char>(c) & 15U]);
}

std::string chain_hash(std::string_view line_without_hash) {
  return to_hex(crypto::digest(crypto::Hash::sha256, {as_bytes(line_without_hash), as_bytes("}")}));
}

/// Reads a line from the left; the first piece that does not fit makes everything after it fail too.
class LineReader {
 public:
  explicit LineReader(std::string_view line) : rest_(line) {}
  bool literal(std::string_view expected) {
    if (!rest_.starts_with(expected)) return false;
    rest_.remove_prefix(expected.size());
    return true;
  }
  /// Decimal without leading zeros.
  bool number(std::uint64_t& out) {
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), out);
    if (error != std::errc() || (rest_[0] == '0' && end - rest_.data() > 1)) return false;
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return true;
  }
  /// The inside of a JSON string as render_line writes it, up to and without the closing quote.
  bool text(std::string_view& out) {
    const std::string_view start = rest_;
    while (!rest_.empty() && rest_[0] != '"') {
      const std::size_t size = rest_[0] == '\\' ? escape() : utf8_sequence(rest_);
      if (size == 0 || (rest_[0] != '\\' && !is_plain(rest_))) return false;
      rest_.remove_prefix(size);
    }
    if (rest_.empty()) return false;
    out = start.substr(0, start.size() - rest_.size());
    return true;
  }
  bool hex(std::string_view& out) {
    out = rest_.substr(0, hash_digits);
    if (out.size() != hash_digits || out.find_first_not_of(hex_digits) != std::string_view::npos) return false;
    rest_.remove_prefix(hash_digits);
    return true;
  }
  [[nodiscard]] std::string_view rest() const { return rest_; }

 private:
  [[nodiscard]] std::size_t escape() const {
    if (rest_.size() >= 2 && (rest_[1] == '"' || rest_[1] == '\\')) return 2;
    const bool control = rest_.starts_with("\\u00") && rest_.size() >= 6 && (rest_[4] == '0' || rest_[4] == '1') && hex_digits.contains(rest_[5]);
    return control ? 6 : 0;
  }
  std::string_view rest_;
};

struct Line {
  std::uint64_t n = 0;
  std::uint64_t time = 0;
  std::string_view element, action, outcome, subject, object, reason, request_id, prev, hash;
};

bool parse(std::string_view line, Line& out) {
  LineReader reader(line);
  return reader.literal(R"({"n":)") && reader.number(out.n) && reader.literal(R"(,"time":)") && reader.number(out.time) && reader.literal(R"(,"element":")") &&
         reader.text(out.element) && reader.literal(R"(","action":")") && reader.text(out.action) && reader.literal(R"(","outcome":")") &&
         reader.text(out.outcome) && reader.literal(R"(","subject":")") && reader.text(out.subject) && reader.literal(R"(","object":")") &&
         reader.text(out.object) && reader.literal(R"(","reason":")") && reader.text(out.reason) && reader.literal(R"(","request_id":")") &&
         reader.text(out.request_id) && reader.literal(R"(","prev":")") && reader.hex(out.prev) && reader.literal("\"") && reader.literal(hash_field) &&
         reader.hex(out.hash) && reader.rest() == "\"}";
}

bool is_outcome(std::string_view text) {
  return std::ranges::any_of(std::array{Outcome::success, Outcome::refused, Outcome::failure}, [&](Outcome outcome) { return name(outcome) == text; });
}

}  // namespace

std::string json_text(std::string_view text) {
  std::string out;
  out.reserve(std::min(text.size(), text_octets_max));
  std::size_t kept = 0;  // octets of well-formed UTF-8, before escaping
  while (!text.empty()) {
    const std::size_t size = utf8_sequence(text);
    const std::string_view character = size == 0 ? replacement : text.substr(0, size);
    if (kept + character.size() > text_octets_max) return out.append(ellipsis);
    kept += character.size();
    if (is_plain(character)) {
      out.append(character);
    } else {
      append_escaped(out, character[0]);
    }
    text.remove_prefix(size == 0 ? 1 : size);
  }
  return out;
}

std::string render_line(Link& link, std::string_view element, UnixMs time, const Event& event) {
  std::string line = R"({"n":)" + std::to_string(link.lines + 1) + R"(,"time":)" + std::to_string(time);
  const auto field = [&](std::string_view key, std::string_view value) {
    line.append(",\"").append(key).append("\":\"").append(json_text(value)).append("\"");
  };
  field("element", element);
  field("action", event.action);
  field("outcome", name(event.outcome));
  field("subject", event.subject);
  field("object", event.object);
  field("reason", event.reason);
  field("request_id", event.request_id);
  field("prev", link.last_hash);
  link.last_hash = chain_hash(line);
  link.lines += 1;
  return line.append(hash_field).append(link.last_hash).append("\"}\n");
}

Result<void> ChainVerifier::check_line(std::string_view text) {
  const auto bad = [&](std::string_view what) { return fail(ErrorCode::internal, "line " + std::to_string(link_.lines + 1) + ": " + std::string(what)); };
  Line line;
  if (!parse(text, line)) return bad("not a record of this log");
  if (!is_outcome(line.outcome)) return bad("unknown outcome");
  if (line.n != link_.lines + 1) return bad("carries number " + std::to_string(line.n) + ": lines are missing or out of order");
  if (line.prev != link_.last_hash) return bad("does not continue the line before it");
  if (line.hash != chain_hash(text.substr(0, text.rfind(hash_field)))) return bad("was altered: its hash does not fit");
  if (!element_.empty() && line.element != element_) return bad("was written by element '" + std::string(line.element) + "'");
  link_.lines = line.n;
  link_.last_hash = line.hash;
  return on_line_ ? on_line_(text) : Result<void>{};
}

Result<void> ChainVerifier::feed(ByteView piece) {
  std::string_view rest = as_text(piece);
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    line_.append(rest.substr(0, end));
    if (line_.size() > line_octets_max) return fail(ErrorCode::internal, "line " + std::to_string(link_.lines + 1) + ": longer than any record");
    if (end == std::string_view::npos) return {};
    TRY(check_line(line_));
    line_.clear();
    rest.remove_prefix(end + 1);
  }
  return {};
}

}  // namespace qanat::audit
