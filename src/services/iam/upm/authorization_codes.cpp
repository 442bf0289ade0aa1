#include "services/iam/upm/authorization_codes.hpp"

#include <optional>

#include "crypto/kdf.hpp"
#include "node/crash_point.hpp"
#include "wire/access_claims.hpp"
#include "wire/base64.hpp"

namespace qanat::iam {
namespace {

constexpr std::size_t code_octets = 32;
// A spent code is known for as long as its token holds, and longer than it could come late by accident.
constexpr UnixMs codes_kept_ms = 2 * static_cast<UnixMs>(wire::access_lifetime_max_s) * 1000;

struct StoredCode {
  CodeOrder order;
  UnixMs expires_ms = 0;
  Bytes token_id;  // empty: not spent
};

}  // namespace

Result<std::string> AuthorizationCodes::give(const CodeOrder& order, crypto::Rng& rng, UnixMs now) {
  std::string code = wire::to_base64url(rng.bytes(code_octets));
  const Bytes hash = crypto::digest(crypto::Hash::sha256, as_bytes(code));
  TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
    const auto old = store::column(now > codes_kept_ms ? now - codes_kept_ms : 0);
    TRY(transaction.run("DELETE FROM authorization_code WHERE expires_ms < ?", {old}));
    TRY(transaction.run("DELETE FROM void_token WHERE since_ms < ?", {old}));
    TRY(
        transaction.run("INSERT INTO authorization_code (code, client, subject, redirect_uri, challenge, scope, audience, holder, epoch, expires_ms) "
                        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        {ByteView(hash), std::string_view(order.client), std::string_view(order.subject), std::string_view(order.redirect_uri),
                         std::string_view(order.challenge), std::string_view(order.scope), std::string_view(order.audience), ByteView(order.holder),
                         order.epoch, store::column(now + code_lifetime_ms)}));
    return {};
  }));
  node::crash_point("iam.code.given");
  return code;
}

Result<CodeOrder> AuthorizationCodes::spend(std::string_view code, ByteView token_id, UnixMs now) {
  const Bytes hash = crypto::digest(crypto::Hash::sha256, as_bytes(code));
  enum class Found : std::uint8_t { good, unknown, late, spent };
  Found found = Found::unknown;
  StoredCode stored;
  TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
    found = Found::unknown;
    TRY(transaction.query(
        "SELECT client, subject, redirect_uri, challenge, scope, audience, holder, epoch, expires_ms, token_id FROM authorization_code WHERE code = ?",
        {ByteView(hash)}, [&](const store::Row& row) {
          found = Found::good;
          stored = {.order = {.client = row.text(0),
                              .subject = row.text(1),
                              .redirect_uri = row.text(2),
                              .challenge = row.text(3),
                              .scope = row.text(4),
                              .audience = row.text(5),
                              .holder = row.blob(6),
                              .epoch = row.integer(7)},
                    .expires_ms = static_cast<UnixMs>(row.integer(8)),
                    .token_id = row.is_null(9) ? Bytes() : row.blob(9)};
        }));
    if (found == Found::unknown) return {};
    if (!stored.token_id.empty()) {
      found = Found::spent;
      TRY(transaction.run("INSERT OR IGNORE INTO void_token (token_id, since_ms) VALUES (?, ?)", {ByteView(stored.token_id), store::column(now)}));
      return {};
    }
    if (now >= stored.expires_ms) {
      found = Found::late;
      return {};
    }
    TRY(transaction.run("UPDATE authorization_code SET token_id = ? WHERE code = ?", {token_id, ByteView(hash)}));
    return {};
  }));
  node::crash_point("iam.code.spent");
  switch (found) {
    case Found::good:
      return std::move(stored.order);
    case Found::unknown:
      return fail(ErrorCode::denied, "invalid_grant: there is no such code");
    case Found::late:
      return fail(ErrorCode::denied, "invalid_grant: the code's time is over");
    case Found::spent:
      break;
  }
  return fail(ErrorCode::denied, "invalid_grant: the code was used before; the token that it was used for is void");
}

Result<bool> AuthorizationCodes::is_void(ByteView token_id) {
  bool out = false;
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT 1 FROM void_token WHERE token_id = ?", {token_id}, [&](const store::Row&) { out = true; });
  }));
  return out;
}

}  // namespace qanat::iam
