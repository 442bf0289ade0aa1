#include "services/kms/kma/pending.hpp"

#include <algorithm>

#include "crypto/kdf.hpp"

namespace qanat::kms {
namespace {

constexpr std::string_view confirmation_label = "qanat kms pending confirmation 1\n";
constexpr std::size_t share_octets = PathId::size + KeyId::size;

Bytes octets_of(const std::vector<wire::ShareRef>& shares) {
  Bytes out;
  for (const wire::ShareRef& share : shares) {
    for (const ByteView part : {share.path_id.view(), share.key_id.view()}) out.insert(out.end(), part.begin(), part.end());
  }
  return out;
}

Result<std::vector<wire::ShareRef>> shares_of(const Bytes& octets) {
  if (octets.size() % share_octets != 0) return fail(ErrorCode::internal, "pending agreement: shares of a wrong length");
  std::vector<wire::ShareRef> out;
  for (ByteView rest = octets; !rest.empty(); rest = rest.subspan(share_octets)) {
    out.push_back({.path_id = PathId(rest.first(PathId::size)), .key_id = KeyId(rest.subspan(PathId::size, KeyId::size))});
  }
  return out;
}

}  // namespace

Bytes hash_of_confirmation(const crypto::Suite& suite, ByteView kc_a) { return crypto::digest(suite.hash, concat({as_bytes(confirmation_label), kc_a})); }

Result<void> add_pending(store::Transaction& transaction, const SidWk& sid_wk, const Pending& pending) {
  const std::string kms_a = pending.kms_a.uri();
  const Bytes shares = octets_of(pending.shares);
  return transaction.change(
      "INSERT INTO pending_agreement (sid_wk, kms_a, h_accept, h_kc_a, shares, expires_ms, h_offer, accept) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
      {sid_wk.view(), std::string_view(kms_a), ByteView(pending.h_accept), ByteView(pending.h_kc_a), ByteView(shares), store::column(pending.expires_ms),
       ByteView(pending.h_offer), ByteView(pending.accept)});
}

Result<std::optional<Pending>> find_pending(store::Transaction& transaction, const SidWk& sid_wk) {
  std::optional<Pending> out;
  std::string kms_a;
  Bytes shares;
  TRY(transaction.query(
      "SELECT kms_a, h_accept, h_kc_a, shares, expires_ms, confirmed FROM pending_agreement WHERE sid_wk = ?", {sid_wk.view()}, [&](const store::Row& row) {
        out = Pending{.kms_a = {},
                      .h_accept = row.blob(1),
                      .h_kc_a = row.blob(2),
                      .shares = {},
                      .expires_ms = static_cast<UnixMs>(row.integer(4)),
                      .confirmed = row.integer(5) != 0};
        kms_a = row.text(0);
        shares = row.blob(3);
      }));
  if (!out) return out;
  ASSIGN_OR_RETURN(out->kms_a, Identity::parse_uri(kms_a));
  ASSIGN_OR_RETURN(out->shares, shares_of(shares));
  return out;
}

Result<std::optional<Bytes>> find_accept(store::Transaction& transaction, const SidWk& sid_wk, const Identity& kms_a, ByteView h_offer, UnixMs now) {
  std::optional<Bytes> out;
  bool same = false;
  bool waits = false;
  TRY(transaction.query("SELECT kms_a, h_offer, accept, expires_ms, confirmed FROM pending_agreement WHERE sid_wk = ?", {sid_wk.view()},
                        [&](const store::Row& row) {
                          out = row.blob(2);
                          same = row.text(0) == kms_a.uri() && std::ranges::equal(row.blob(1), h_offer);
                          waits = static_cast<UnixMs>(row.integer(3)) > now && row.integer(4) == 0;
                        }));
  if (!out) return out;
  const std::string session = "session " + sid_wk.hex();
  if (!same) return fail(ErrorCode::conflict, session + " is agreed on already, by another offer");
  if (!waits || out->empty()) return fail(ErrorCode::conflict, session + ": the agreement on this offer waits for nothing any more");
  return out;
}

Result<void> confirm_pending(store::Transaction& transaction, const SidWk& sid_wk) {
  return transaction.change_one("UPDATE pending_agreement SET confirmed = 1, accept = NULL WHERE sid_wk = ? AND confirmed = 0", {sid_wk.view()});
}

Result<void> drop_pending(store::Transaction& transaction, const SidWk& sid_wk) {
  return transaction.change("DELETE FROM pending_agreement WHERE sid_wk = ?", {sid_wk.view()});
}

Result<void> drop_expired_pending(store::Transaction& transaction, UnixMs now) {
  TRY(transaction.run("DELETE FROM pending_agreement WHERE expires_ms <= ?", {store::column(now)}));
  return {};
}

Result<std::int64_t> count_pending(store::Transaction& transaction) {
  std::int64_t out = 0;
  TRY(transaction.query("SELECT count(*) FROM pending_agreement WHERE confirmed = 0", {}, [&](const store::Row& row) { out = row.integer(0); }));
  return out;
}

}  // namespace qanat::kms
