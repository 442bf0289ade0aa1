#include "quantum/qkd/authentication/pool.hpp"

namespace qanat::qkd {
namespace {
constexpr std::size_t row_header_size = 12;
constexpr std::uint64_t last_position = std::uint64_t{1} << 62;

std::string_view name(Direction direction) { return direction == Direction::alice_to_bob ? "Alice to Bob" : "Bob to Alice"; }
}  // namespace

Result<AuthenticationPool> AuthenticationPool::from_preshared(const Secret& preshared) {
  if (preshared.empty() || preshared.size() % (2 * one_time_key_size) != 0) {
    return fail(ErrorCode::invalid_argument, "authentication pool: pre-shared key of " + std::to_string(preshared.size()) + " octets, not a multiple of 64");
  }
  AuthenticationPool pool;
  const std::size_t half = preshared.size() / 2;
  TRY(pool.refill(Direction::alice_to_bob, preshared.reveal().first(half)));
  TRY(pool.refill(Direction::bob_to_alice, preshared.reveal().subspan(half)));
  return Result<AuthenticationPool>(std::move(pool));
}

Result<AuthenticationPool> AuthenticationPool::read(OctetReader& in) {
  AuthenticationPool pool;
  for (Row& row : pool.rows_) {
    row.next = in.u64();
    const std::size_t count = in.u32();
    if (count > pool_keys_max || row.next > last_position) in.refuse();
    for (std::size_t i = 0; i < count && !in.failed(); ++i) row.keys.push_back(Secret::copy_of(in.octets(one_time_key_size)));
  }
  if (in.failed()) return fail(ErrorCode::invalid_argument, "authentication pool: malformed");
  return Result<AuthenticationPool>(std::move(pool));
}

void AuthenticationPool::write(OctetWriter& out) const {
  for (const Row& row : rows_) {
    out.u64(row.next);
    out.u32(static_cast<std::uint32_t>(row.keys.size()));
    for (const Secret& key : row.keys) out.octets(key.reveal());
  }
}

std::size_t AuthenticationPool::written_size() const {
  std::size_t size = 0;
  for (const Row& row : rows_) size += row_header_size + one_time_key_size * row.keys.size();
  return size;
}

Result<OneTimeKey> AuthenticationPool::claim(Direction direction, TagPurpose purpose, std::size_t reserve) {
  Row& row = this->row(direction);
  const std::size_t keep = purpose == TagPurpose::block ? reserve : 0;
  if (row.keys.size() <= keep) {
    return fail(ErrorCode::exhausted, "authentication pool, " + std::string(name(direction)) + ": " + std::to_string(row.keys.size()) + " keys left, reserve " +
                                          std::to_string(keep));
  }
  OneTimeKey claimed{.position = row.next, .key = std::move(row.keys.front())};
  row.keys.pop_front();
  ++row.next;
  return Result<OneTimeKey>(std::move(claimed));
}

Result<const Secret*> AuthenticationPool::expected(Direction direction, std::uint64_t position) const {
  const Row& row = this->row(direction);
  if (position < row.next)
    return fail(ErrorCode::denied, "authentication pool, " + std::string(name(direction)) + ": position " + std::to_string(position) + " was used already");
  if (position - row.next >= row.keys.size()) {
    return fail(ErrorCode::denied, "authentication pool, " + std::string(name(direction)) + ": no key at position " + std::to_string(position));
  }
  return &row.keys[position - row.next];
}

void AuthenticationPool::accept(Direction direction, std::uint64_t position) {
  Row& row = this->row(direction);
  while (row.next <= position && !row.keys.empty()) {
    row.keys.pop_front();
    ++row.next;
  }
}

Result<void> AuthenticationPool::refill(Direction direction, ByteView material) {
  Row& row = this->row(direction);
  const std::size_t count = material.size() / one_time_key_size;
  if (material.size() % one_time_key_size != 0 || row.keys.size() + count > pool_keys_max) {
    return fail(ErrorCode::invalid_argument,
                "authentication pool, " + std::string(name(direction)) + ": refill of " + std::to_string(material.size()) + " octets");
  }
  for (std::size_t i = 0; i < count; ++i) row.keys.push_back(Secret::copy_of(material.subspan(i * one_time_key_size, one_time_key_size)));
  return {};
}

}  // namespace qanat::qkd
