#include "wire/access_claims.hpp"

#include <algorithm>

namespace qanat::wire {
namespace {

std::unexpected<Error> malformed_claim(std::string_view what) { return fail(ErrorCode::invalid_argument, "token: " + std::string(what)); }

/// Printable ASCII without space, quote and backslash (RFC 6749 appendix A for scopes; names of ours are within it).
bool is_word(std::string_view text) noexcept {
  return !text.empty() && text.size() <= access_text_max && std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f' && c != '"' && c != '\\'; });
}

bool is_scope(std::string_view text) noexcept {
  if (text.size() > access_text_max) return false;
  while (!text.empty()) {
    const std::size_t space = text.find(' ');
    if (!is_word(text.substr(0, space))) return false;
    if (space == std::string_view::npos) return true;
    text.remove_prefix(space + 1);
    if (text.empty()) return false;
  }
  return true;
}

}  // namespace

Result<void> check_form(const AccessClaims& claims) {
  if (!is_word(claims.issuer)) return malformed_claim("iss is no name");
  if (!is_word(claims.subject)) return malformed_claim("sub is no name");
  if (!is_word(claims.audience)) return malformed_claim("aud is no name");
  if (!is_word(claims.client)) return malformed_claim("client_id is no name");
  if (!is_scope(claims.scope)) return malformed_claim("scope is no list of names");
  if (claims.token_id.size() != access_token_id_size) return malformed_claim("its id has not 16 octets");
  if (claims.holder.size() != certificate_thumbprint_size) return malformed_claim("cnf is no SHA-256 thumbprint");
  if (claims.epoch > INT64_MAX) return malformed_claim("epoch is out of range");
  if (claims.issued_s < 0 || claims.expires_s < claims.issued_s) return malformed_claim("exp is before iat");
  const std::int64_t life = claims.expires_s - claims.issued_s;
  if (life < access_lifetime_min_s || life > access_lifetime_max_s) return malformed_claim("holds longer than " + std::to_string(access_lifetime_max_s) + " s, or not at all");
  return {};
}

Result<void> check_access(const AccessClaims& claims, const AccessExpectation& expected) {
  const auto refused = [](std::string_view why) { return fail(ErrorCode::denied, "token: " + std::string(why)); };
  if (claims.issuer != expected.issuer) return refused("of another issuer");
  if (claims.audience != expected.audience) return refused("for another audience");
  if (!equal(claims.holder, expected.holder)) return refused("bound to another certificate than its bearer shows");
  if (expected.now_s >= claims.expires_s) return refused("has expired");
  if (claims.issued_s > expected.now_s + access_clock_skew_s) return refused("is not valid yet");
  if (claims.epoch < expected.epoch_min) return refused("was revoked: its epoch is over");
  return {};
}

bool has_scope(std::string_view scope, std::string_view name) noexcept {
  while (!scope.empty()) {
    const std::size_t space = scope.find(' ');
    if (scope.substr(0, space) == name) return !name.empty();
    if (space == std::string_view::npos) return false;
    scope.remove_prefix(space + 1);
  }
  return false;
}

}  // namespace qanat::wire
