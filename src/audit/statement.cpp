#include "audit/statement.hpp"

#include <charconv>

#include "base/identity.hpp"
#include "wire/base64.hpp"

namespace qanat::audit {
namespace {

constexpr std::string_view statement_title = "qanat-audit-keys/v1";
constexpr std::string_view signature_word = "signature ";

std::string signed_part(const KeyStatement& statement) {
  std::string out = std::string(statement_title) + "\n" + statement.element + "\n" + std::to_string(statement.time_ms) + "\n";
  for (const LogKey& key : statement.keys) out += vkey_text(key) + "\n";
  return out;
}

/// One key of each type in their order, under the element's name.
bool has_all_keys(const KeyStatement& statement) {
  if (statement.keys.size() != all_log_key_types.size()) return false;
  for (std::size_t i = 0; i < all_log_key_types.size(); ++i) {
    if (statement.keys[i].type != all_log_key_types[i] || statement.keys[i].name != origin_of(statement.element)) return false;
  }
  return true;
}

}  // namespace

Result<KeyStatement> make_statement(const std::string& element, UnixMs now, std::vector<LogKey> keys, const crypto::PrivateKey& key,
                                    std::vector<crypto::Certificate> chain, crypto::Rng& rng) {
  KeyStatement out{.element = element, .time_ms = now, .keys = std::move(keys), .signature = {}, .chain = std::move(chain)};
  if (!has_all_keys(out) || out.chain.empty()) return fail(ErrorCode::invalid_argument, "statement of audit keys: keys or certificates are missing");
  ASSIGN_OR_RETURN(out.signature, crypto::sign_with(key, as_bytes(signed_part(out)), rng));
  return Result<KeyStatement>(std::move(out));
}

std::string statement_text(const KeyStatement& statement) {
  std::string out = signed_part(statement) + "\n" + std::string(signature_word) + wire::to_base64(statement.signature) + "\n";
  for (const crypto::Certificate& cert : statement.chain) out += cert.pem();
  return out;
}

Result<KeyStatement> parse_statement(std::string_view octets) {
  std::string_view text = octets;
  const auto bad = [](std::string_view what) { return fail(ErrorCode::invalid_argument, "statement of audit keys: " + std::string(what)); };
  if (text.size() > statement_octets_max) return bad("too long");
  std::vector<std::string_view> lines;
  while (true) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos || lines.size() > 3 + all_log_key_types.size()) return bad("no empty line behind the keys");
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (line.empty()) break;
    lines.push_back(line);
  }
  if (lines.size() != 3 + all_log_key_types.size() || lines[0] != statement_title) return bad("not of this form");
  KeyStatement out;
  TRY(element_of_log(lines[1]));
  out.element = lines[1];
  const auto [end, error] = std::from_chars(lines[2].data(), lines[2].data() + lines[2].size(), out.time_ms);
  if (error != std::errc() || end != lines[2].data() + lines[2].size() || std::to_string(out.time_ms) != lines[2]) return bad("no time");
  for (std::size_t i = 3; i < lines.size(); ++i) {
    ASSIGN_OR_RETURN(LogKey key, parse_vkey(lines[i]));
    out.keys.push_back(std::move(key));
  }
  if (!has_all_keys(out)) return bad("not one key of each type under the element's name");
  const std::size_t line_end = text.find('\n');
  if (!text.starts_with(signature_word) || line_end == std::string_view::npos) return bad("no signature");
  ASSIGN_OR_RETURN(out.signature, wire::from_base64(text.substr(signature_word.size(), line_end - signature_word.size())));
  ASSIGN_OR_RETURN(out.chain, crypto::Certificate::parse_pem_chain(text.substr(line_end + 1)));
  if (out.chain.empty()) return bad("no certificate");
  // One statement has one text: nothing between or behind the certificates.
  if (statement_text(out) != octets) return bad("not of this form");
  return Result<KeyStatement>(std::move(out));
}

Result<void> verify_statement(const KeyStatement& statement, const std::vector<crypto::Certificate>& roots) {
  const crypto::Certificate& leaf = statement.chain.front();
  const auto denied = [&](const std::string& what) { return fail(ErrorCode::denied, "statement of the audit keys of " + statement.element + ": " + what); };
  const auto element = element_of_log(statement.element);
  if (!element || !leaf.names().element || leaf.names().element->uri() != *element) return denied("its certificate is another's");
  if (const auto held = crypto::verify_with(leaf, as_bytes(signed_part(statement)), statement.signature); !held) return denied(held.error().message);
  const crypto::TrustStore trust(roots, {statement.chain.begin() + 1, statement.chain.end()});
  if (const auto trusted = trust.verify(leaf, statement.time_ms); !trusted) return denied(trusted.error().message);
  return {};
}

}  // namespace qanat::audit
