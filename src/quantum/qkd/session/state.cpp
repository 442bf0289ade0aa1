#include "quantum/qkd/session/state.hpp"

namespace qanat::qkd {
namespace {
constexpr std::uint8_t state_version = 2;
constexpr std::size_t fixed_size_max = 1024;  // everything but the pool and the prepared bits
}  // namespace

Result<DurableState> DurableState::fresh(const Secret& preshared) {
  DurableState state;
  ASSIGN_OR_RETURN(state.pool, AuthenticationPool::from_preshared(preshared));
  return Result<DurableState>(std::move(state));
}

Secret DurableState::encode() const {
  OctetWriter out(fixed_size_max + pool.written_size() + (prepared ? prepared->output.size() : 0));
  out.u8(state_version);
  pool.write(out);
  out.u64(last_started);
  out.u64(last_committed);
  out.u8(prepared ? 1 : 0);
  if (prepared) {
    out.u64(prepared->block_id);
    out.u32(prepared->refill_alice_to_bob);
    out.u32(prepared->refill_bob_to_alice);
    prepared->report.write(out);
    out.octets(prepared->output.reveal());
  }
  return out.take_secret();
}

Result<DurableState> DurableState::decode(ByteView octets) {
  OctetReader in(octets);
  if (in.u8() != state_version) return fail(ErrorCode::invalid_argument, "qkd state: unknown version");
  DurableState state;
  ASSIGN_OR_RETURN(state.pool, AuthenticationPool::read(in));
  state.last_started = in.u64();
  state.last_committed = in.u64();
  const std::uint8_t has_prepared = in.u8();
  if (has_prepared > 1) in.refuse();
  if (has_prepared == 1 && !in.failed()) {
    PreparedBlock block;
    block.block_id = in.u64();
    block.refill_alice_to_bob = in.u32();
    block.refill_bob_to_alice = in.u32();
    ASSIGN_OR_RETURN(block.report, BlockReport::read(in));
    if (block.report.length == 0 || block.report.length > 8 * prepared_output_size_max)
      return fail(ErrorCode::invalid_argument, "qkd state: prepared block out of range");
    block.output = Secret::copy_of(in.octets((block.report.length + 7) / 8));
    state.prepared = std::move(block);
  }
  TRY(in.finish("qkd state"));
  return Result<DurableState>(std::move(state));
}

Result<KeyBlock> DurableState::commit(PreparedBlock block) {
  const std::uint64_t refill_keys = std::uint64_t{block.refill_alice_to_bob} + block.refill_bob_to_alice;
  if (refill_keys * one_time_key_bits > block.report.length) return fail(ErrorCode::invalid_argument, "qkd state: refill beyond the block's length");
  const ByteView output = block.output.reveal();
  const std::size_t first = block.refill_alice_to_bob * one_time_key_size;
  const std::size_t second = block.refill_bob_to_alice * one_time_key_size;
  TRY(pool.refill(Direction::alice_to_bob, output.first(first)));
  TRY(pool.refill(Direction::bob_to_alice, output.subspan(first, second)));
  last_committed = block.block_id;
  KeyBlock released{.block_id = block.block_id,
                    .bits = Secret::copy_of(output.subspan(first + second)),
                    .bit_count = block.report.length - refill_keys * one_time_key_bits,
                    .report = std::move(block.report)};
  return Result<KeyBlock>(std::move(released));
}

}  // namespace qanat::qkd
