#include "quantum/qkd/reconciliation/permutation.hpp"

#include <array>
#include <bit>
#include <numeric>
#include <utility>

#include "crypto/kdf.hpp"
#include "quantum/qkd/octets.hpp"

namespace qanat::qkd {
namespace {

/// xoshiro256** (Blackman, Vigna 2018).
class Xoshiro {
 public:
  explicit Xoshiro(ByteView seed) {
    OctetReader in(seed);
    for (std::uint64_t& word : state_) word = in.u64();
  }
  std::uint64_t next() {
    const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }
  /// In [0, bound); the bias of at most bound / 2^32 does not matter here.
  std::uint32_t below(std::uint32_t bound) { return static_cast<std::uint32_t>((next() >> 32) * bound >> 32); }

 private:
  std::array<std::uint64_t, 4> state_{};
};

}  // namespace

std::vector<std::uint32_t> pass_permutation(ByteView seed, std::uint32_t pass, std::uint32_t size) {
  OctetWriter number;
  number.u32(pass);
  const Bytes pass_number = number.take();
  Xoshiro random(crypto::digest(crypto::Hash::sha256, {as_bytes("qanat cascade pass"), seed, pass_number}));
  std::vector<std::uint32_t> permutation(size);
  std::iota(permutation.begin(), permutation.end(), 0U);
  for (std::uint32_t i = size; i > 1; --i) std::swap(permutation[i - 1], permutation[random.below(i)]);
  return permutation;
}

}  // namespace qanat::qkd
