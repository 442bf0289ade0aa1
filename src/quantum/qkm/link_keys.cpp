#include "quantum/qkm/link_keys.hpp"

#include <algorithm>

#include "crypto/kdf.hpp"
#include "wire/writer.hpp"

namespace qanat::qkm {
namespace {

using store::KeyState;

/// Keys `index`, `index` + 2, `index` + 4 … of a block.
Secret every_second(const Secret& keys, std::size_t index, std::size_t count) {
  Secret out(count * link_key_size);
  for (std::size_t i = 0; i < count; ++i) put_keys(out, i, slice_keys(keys, index + 2 * i, 1));
  return out;
}

std::uint32_t chunk_of(std::uint32_t index) { return 2 * (index / 2 / link_chunk_keys) + index % 2; }

}  // namespace

StockName stock_of(const LinkId& link) { return StockName(std::string(link_stocks) + link.text()); }

BatchId link_batch_id(const LinkId& link, std::uint64_t block_id, std::uint32_t chunk) {
  wire::Writer out;
  out.raw(as_bytes("qanat link chunk"));
  out.u16(static_cast<std::uint16_t>(link.text().size()));
  out.raw(link.view());
  out.u64(block_id);
  out.u32(chunk);
  return BatchId(ByteView(crypto::digest(crypto::Hash::sha256, *std::move(out).finish())).first(BatchId::size));
}

KeyId link_key_id(const LinkId& link, std::uint64_t block_id, std::uint32_t index) {
  return key_id(link_batch_id(link, block_id, chunk_of(index)), index / 2 % link_chunk_keys);
}

Owner owner_of(std::uint32_t index, const ElementName& self, const ElementName& peer) {
  const bool self_is_first = self.text() < peer.text();
  return (index % 2 == 0) == self_is_first ? Owner::self : Owner::peer;
}

Result<std::uint64_t> LinkKeys::next_block(store::Transaction& transaction, const LinkId& link) { return stock_.next_delivery(transaction, stock_of(link)); }

Result<void> LinkKeys::ingest(store::Transaction& transaction, const LinkBlock& block, UnixMs now) {
  const auto count = static_cast<std::uint32_t>(block.keys.size() / link_key_size);
  if (count == 0 || block.keys.size() % link_key_size != 0)
    return fail(ErrorCode::invalid_argument, "link block: " + std::to_string(block.keys.size()) + " octets are no whole keys");
  if (block.block_id == 0) return fail(ErrorCode::conflict, "link " + block.link.text() + ": blocks are numbered from 1");
  std::vector<Chunk> chunks;
  for (std::uint32_t first = 0; first < count; first += 2 * link_chunk_keys) {
    for (const std::uint32_t half : {0U, 1U}) {
      const std::uint32_t index = first + half;
      if (index >= count) continue;
      const std::uint32_t size = std::min(link_chunk_keys, (count - index + 1) / 2);
      chunks.push_back({.batch = link_batch_id(block.link, block.block_id, chunk_of(index)),
                        .owner = owner_of(index, self_, block.peer),
                        .keys = every_second(block.keys, index, size),
                        .quality = {.proof = block.proof, .way = KeyWay::link}});
    }
  }
  TRY(stock_.add(transaction, stock_of(block.link), {.seq = block.block_id, .keys_max = keys_max_}, chunks, now));
  return {};
}

Result<std::vector<Taken>> LinkKeys::claim(store::Transaction& transaction, const LinkId& link, std::size_t count, const points::ProofDemand& demand,
                                           KeyState state, UnixMs now) {
  const KeyStock::Wanted wanted{.least = count, .most = count, .each = false, .demand = {.proof = demand}};
  ASSIGN_OR_RETURN(std::vector<Taken> taken, stock_.claim(transaction, stock_of(link), wanted, {.state = state}, now));
  // The failure undoes the claim: nothing is used up.
  if (const points::KeyProof proof = proof_of(taken); !demand.is_met_by(proof))
    return fail(ErrorCode::exhausted, stock_of(link).text() + ": " + std::to_string(count) + " keys together have " + points::describe(proof) +
                                          "; wanted: " + points::describe(demand));
  return Result<std::vector<Taken>>(std::move(taken));
}

Result<std::vector<Taken>> LinkKeys::reserve(store::Transaction& transaction, const LinkId& link, std::size_t count, const points::ProofDemand& demand,
                                             UnixMs now) {
  return claim(transaction, link, count, demand, KeyState::reserved, now);
}

Result<std::vector<Taken>> LinkKeys::spend(store::Transaction& transaction, const LinkId& link, std::size_t count, const points::ProofDemand& demand,
                                           UnixMs now) {
  return claim(transaction, link, count, demand, KeyState::destroyed, now);
}

Result<KeyStock::Receipt> LinkKeys::receive(store::Transaction& transaction, const LinkId& link, std::span<const KeyRun> runs, UnixMs now) {
  return stock_.redeem(transaction, stock_of(link), runs, {.state = KeyState::destroyed}, KeyStock::Unknown::burn, now);
}

Result<bool> LinkKeys::known(store::Transaction& transaction, std::span<const KeyRun> runs) {
  for (const KeyRun& run : runs) {
    ASSIGN_OR_RETURN(const auto state, stock_.state_of(transaction, run.id(0)));
    if (!state) return false;
  }
  return true;
}

Result<void> LinkKeys::destroy(store::Transaction& transaction, std::span<const KeyRun> runs, UnixMs now) {
  for (const KeyRun& run : runs) TRY(stock_.advance(transaction, run, KeyState::destroyed, now));
  return {};
}

Result<void> LinkKeys::drop(store::Transaction& transaction, const LinkId& link, std::span<const BatchId> batches, UnixMs now) {
  for (const BatchId& batch : batches) TRY(stock_.drop(transaction, stock_of(link), batch, now));
  return {};
}

Result<std::vector<KeyRun>> LinkKeys::recover(store::Transaction& transaction, UnixMs now) { return stock_.recover(transaction, link_stocks, true, now); }

Result<LinkStock> LinkKeys::stock(store::Transaction& transaction, const LinkId& link, UnixMs now) { return stock_.level(transaction, stock_of(link), now); }

Secret joined(std::span<const Taken> taken) {
  std::size_t keys = 0;
  for (const Taken& one : taken) keys += one.run.count;
  Secret out(keys * stock_key_size);
  std::size_t at = 0;
  for (const Taken& one : taken) {
    put_keys(out, at, one.keys);
    at += one.run.count;
  }
  return out;
}

std::vector<KeyRun> runs_of(std::span<const Taken> taken) {
  std::vector<KeyRun> out;
  out.reserve(taken.size());
  for (const Taken& one : taken) out.push_back(one.run);
  return out;
}

points::KeyProof proof_of(std::span<const Taken> taken) {
  if (taken.empty()) return {};
  points::KeyProof out = taken.front().quality.proof;
  std::map<std::uint64_t, points::KeyProof> blocks;
  for (const Taken& one : taken) {
    const auto [block, is_new] = blocks.emplace(one.seq, one.quality.proof);
    if (!is_new) block->second = points::weaker(block->second, one.quality.proof);
  }
  blocks.erase(taken.front().seq);
  for (const auto& [seq, proof] : blocks) out = points::together(out, proof);
  return out;
}

Result<HopKeys> hop_keys(std::span<const Taken> taken) {
  const Secret all = joined(taken);
  const std::size_t count = all.size() / stock_key_size;
  if (count < 2) return fail(ErrorCode::invalid_argument, "a hop needs a MAC key and a pad");
  return Result<HopKeys>(HopKeys{.runs = runs_of(taken), .mac = slice_keys(all, 0, 1), .pads = slice_keys(all, 1, count - 1)});
}

}  // namespace qanat::qkm
