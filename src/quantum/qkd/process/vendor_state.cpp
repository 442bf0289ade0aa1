#include "quantum/qkd/process/vendor_state.hpp"

#include <algorithm>

#include "node/crash_point.hpp"

namespace qanat::qkd {
namespace {

constexpr std::uint8_t vendor_state_version = 0x81;  // not one of DurableState's
constexpr std::size_t record_size_max = 64;

KeyBlock key_block_of(VendorBlock block, UnixMs now) {
  // Nothing is known of the optics: counts and error rates stay zero, and describe_vendor_block() shows none of them.
  BlockReport report;
  report.length = block.keys.octets.size() * 8;
  report.reconciliation = ReconciliationMethod::cascade;  // the stored form knows no absence of these two
  report.bound = Bound::wiesemann_2026;
  report.times = {.began_ms = block.began_ms, .wall_ms = now - std::min(now, block.began_ms)};
  const std::uint64_t bits = report.length;
  return {.block_id = block.block_id, .bits = std::move(block.keys.octets), .bit_count = bits, .report = std::move(report)};
}

}  // namespace

Secret VendorState::encode() const {
  OctetWriter out(record_size_max + (pending ? pending->keys.ids.size() * (KeyId::size + link_key_octets) : 0));
  out.u8(vendor_state_version);
  out.u64(last_done);
  out.u64(last_committed);
  out.u16(static_cast<std::uint16_t>(pending ? pending->keys.ids.size() : 0));
  if (pending) {
    out.u64(pending->block_id);
    out.u64(pending->began_ms);
    for (const KeyId& id : pending->keys.ids) out.octets(id.view());
    out.octets(pending->keys.octets.reveal());
  }
  return out.take_secret();
}

Result<VendorState> VendorState::decode(ByteView octets) {
  OctetReader in(octets);
  if (in.u8() != vendor_state_version)
    return fail(ErrorCode::invalid_argument, "qkd state: made by another driver or version; begin with an empty qkd.db at both ends");
  VendorState out;
  out.last_done = in.u64();
  out.last_committed = in.u64();
  const std::size_t count = in.u16();
  if (count > vendor_keys_max) in.refuse();
  if (count > 0 && !in.failed()) {
    VendorBlock block;
    block.block_id = in.u64();
    block.began_ms = in.u64();
    for (std::size_t i = 0; i < count && !in.failed(); ++i) {
      const ByteView id = in.octets(KeyId::size);
      if (!in.failed()) block.keys.ids.emplace_back(id);
    }
    block.keys.octets = Secret::copy_of(in.octets(count * link_key_octets));
    out.pending = std::move(block);
  }
  TRY(in.finish("qkd state"));
  return Result<VendorState>(std::move(out));
}

Result<const VendorState*> VendorLedger::state() {
  if (state_) return &*state_;
  ASSIGN_OR_RETURN(const std::optional<Secret> known, parts_.records.load_state_octets());
  if (known) {
    ASSIGN_OR_RETURN(state_, VendorState::decode(known->reveal()));
    return &*state_;
  }
  state_.emplace();
  state_->last_done = parts_.clock.now_ms();
  TRY(store({}));
  return &*state_;
}

Result<void> VendorLedger::store(const std::vector<KeyBlock>& blocks) {
  const auto stored = parts_.records.commit(state_->encode(), blocks);
  if (!stored) state_.reset();  // memory is ahead of the disk, or not: the disk decides
  return stored;
}

Result<void> VendorLedger::keep(VendorBlock block) {
  TRY(state());
  CHECK(!state_->pending && block.block_id > state_->last_done);
  state_->last_done = block.block_id;
  state_->pending = std::move(block);
  TRY(store({}));
  node::crash_point("qkd.vendor.stored");
  return {};
}

Result<void> VendorLedger::give_up(std::uint64_t block_id, std::string_view why) {
  TRY(state());
  state_->pending.reset();
  state_->last_done = std::max(state_->last_done, block_id);
  TRY(store({}));
  node::crash_point("qkd.vendor.given_up");
  node::log(node::LogLevel::warning, "link {}: block {} gives no key: {}", parts_.link.text(), block_id, why);
  const std::lock_guard lock(mutex_);
  ++facts_.failed_blocks;
  facts_.last_failure = why;
  return {};
}

Result<void> VendorLedger::release() {
  TRY(state());
  CHECK(state_->pending.has_value());
  std::vector<KeyBlock> blocks;
  blocks.push_back(key_block_of(std::move(*state_->pending), parts_.clock.now_ms()));
  state_->pending.reset();
  state_->last_committed = blocks.front().block_id;
  TRY(store(blocks));
  node::crash_point("qkd.vendor.released");
  const BlockSummary summary = summary_of(blocks.front());
  node::log(node::LogLevel::note, "link {}: block {}: {} key bits from the maker's KME", parts_.link.text(), blocks.front().block_id, summary.key_bits);
  {
    const std::lock_guard lock(mutex_);
    ++facts_.blocks;
    facts_.last_block_id = blocks.front().block_id;
    facts_.last_block = summary;
  }
  parts_.block_stored();
  return {};
}

EndFacts VendorLedger::facts() const {
  const std::lock_guard lock(mutex_);
  return facts_;
}

void VendorLedger::note_failure(std::string_view what) {
  const std::lock_guard lock(mutex_);
  facts_.last_failure = what;
}

void VendorLedger::set_connected(bool connected) {
  const std::lock_guard lock(mutex_);
  if (connected && !facts_.connected) ++facts_.sessions;
  facts_.connected = connected;
}

}  // namespace qanat::qkd
