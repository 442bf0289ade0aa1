#include "net/chain.hpp"

#include "base/check.hpp"
#include "crypto/kdf.hpp"

namespace qanat::net {
namespace {

constexpr std::string_view label = "QFCI-v2 chain";

/// One octet of length before each part: no two contexts give the same octets.
void append_part(Bytes& out, ByteView part) {
  CHECK(part.size() <= 255);
  out.push_back(static_cast<std::uint8_t>(part.size()));
  append(out, part);
}

}  // namespace

Secret chain_key(const Secret& extra, const Secret& exporter, const ChainContext& context) {
  CHECK(!extra.empty() && !exporter.empty() && !context.identity.empty());
  Bytes info;
  append_part(info, as_bytes(label));
  for (const ByteView part : {ByteView(context.identity), ByteView(context.client), ByteView(context.server)}) append_part(info, part);
  for (int shift = 24; shift >= 0; shift -= 8) info.push_back(static_cast<std::uint8_t>(context.policy_epoch >> shift));
  const Bytes named = crypto::digest(crypto::Hash::sha384, info);
  // Both are of fixed sizes (32 octets): no moving of octets from one into the other.
  const Secret prk = crypto::hkdf_extract(crypto::Hash::sha384, as_bytes(label), Secret::concat({&extra, &exporter}));
  return crypto::hkdf_expand(crypto::Hash::sha384, prk, {named}, chain_psk_size);
}

void ChainedKeys::forget_old() {
  const UnixMs now = clock_.now_ms();
  std::erase_if(waiting_, [&](const auto& entry) { return entry.second.until <= now; });
}

Result<void> ChainedKeys::expect(ChainedKey key, crypto::Certificate peer) {
  if (key.identity.empty() || key.identity.size() > chain_identity_max || key.psk.size() != chain_psk_size) {
    return fail(ErrorCode::invalid_argument, "chain: an identity of 1 to " + std::to_string(chain_identity_max) + " octets and a key of " +
                                                 std::to_string(chain_psk_size) + " are wanted");
  }
  const std::lock_guard lock(mutex_);
  forget_old();
  if (waiting_.contains(key.identity)) return fail(ErrorCode::conflict, "chain: a key of this identity waits for its connection already");
  if (waiting_.size() >= chain_waiting_max) return fail(ErrorCode::exhausted, "chain: too many keys wait for their connections");
  const UnixMs until = clock_.now_ms() + static_cast<UnixMs>(chain_waiting_for.count());
  waiting_.emplace(std::move(key.identity), Waiting{.psk = std::move(key.psk), .peer = std::move(peer), .until = until});
  return {};
}

std::optional<ChainedKeys::Found> ChainedKeys::find(ByteView identity) {
  const std::lock_guard lock(mutex_);
  forget_old();
  const auto found = waiting_.find(to_bytes(identity));
  if (found == waiting_.end()) return std::nullopt;
  return Found{.psk = found->second.psk.duplicate(), .peer = found->second.peer};
}

bool ChainedKeys::use(ByteView identity) {
  const std::lock_guard lock(mutex_);
  return waiting_.erase(to_bytes(identity)) == 1;
}

}  // namespace qanat::net
