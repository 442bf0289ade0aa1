#include "quantum/qkd/reconciliation/cascade.hpp"

#include <algorithm>
#include <cmath>

#include "base/check.hpp"
#include "quantum/qkd/reconciliation/permutation.hpp"

namespace qanat::qkd {

std::uint32_t cascade_block_size(double error_rate, std::uint32_t pass, std::uint32_t key_bits) {
  const std::uint32_t half = (key_bits + 1) / 2;
  if (pass >= cascade_passes) return half;
  const double rate = std::clamp(error_rate, error_rate_low, error_rate_high);
  const auto first = static_cast<std::uint32_t>(std::ceil(0.73 / rate));
  return std::clamp(first << pass, 1U, half);
}

ParityReference::ParityReference(const Secret& bits, ByteView shuffle_seed) : bits_(bits), seed_(to_bytes(shuffle_seed)) {
  CHECK(bits.size() >= 2 && bits.size() <= block_bits_max);
}

const Secret& ParityReference::prefix_parities(std::uint32_t pass) {
  if (prefix_.size() <= pass) prefix_.resize(pass + 1);
  Secret& prefix = prefix_[pass];
  if (prefix.empty()) {
    const auto permutation = pass_permutation(seed_, pass, static_cast<std::uint32_t>(bits_.size()));
    prefix = Secret(bits_.size() + 1);
    const ByteView bits = bits_.reveal();
    const auto sums = prefix.writable();
    for (std::size_t i = 0; i < permutation.size(); ++i) sums[i + 1] = sums[i] ^ bits[permutation[i]];
  }
  return prefix;
}

Result<Bytes> ParityReference::answer(std::span<const ParityQuery> queries) {
  // A stranger who asks in Bob's place learns at most this much of a block that is then thrown away.
  if (disclosed_ + queries.size() > bits_.size()) return fail(ErrorCode::exhausted, "error correction: more parities asked than the key has bits");
  Bytes parities;
  parities.reserve(queries.size());
  for (const ParityQuery& query : queries) {
    const bool inside = query.length >= 1 && query.start < bits_.size() && query.length <= bits_.size() - query.start;
    if (query.pass >= cascade_passes_max || !inside) return fail(ErrorCode::invalid_argument, "error correction: parity of a range outside the key");
    const ByteView sums = prefix_parities(query.pass).reveal();
    parities.push_back(sums[query.start + query.length] ^ sums[query.start]);
  }
  disclosed_ += queries.size();
  return Result<Bytes>(std::move(parities));
}

ParityCorrector::ParityCorrector(Secret bits, ByteView shuffle_seed, double error_rate)
    : bits_(std::move(bits)), seed_(to_bytes(shuffle_seed)), error_rate_(error_rate), size_(static_cast<std::uint32_t>(bits_.size())) {
  CHECK(bits_.size() >= 2 && bits_.size() <= block_bits_max);
}

Result<std::vector<ParityQuery>> ParityCorrector::next() {
  questions_.clear();
  while (questions_.empty()) {
    if (corrected_ > size_ || asked_ > size_) return fail(ErrorCode::conflict, "error correction: does not converge");
    if (unsettled_ > 0) settle_top_blocks();
    if (searches_.empty()) begin_searches();
    if (!searches_.empty()) {
      std::vector<Search> waiting;
      for (Search& search : searches_) {
        if (!descend(search)) waiting.push_back(search);
      }
      searches_ = std::move(waiting);
      continue;
    }
    if (passes_.size() < cascade_passes) {
      begin_pass();
      ask_top_blocks(static_cast<std::uint32_t>(passes_.size() - 1));
      continue;
    }
    if (passes_.size() > cascade_passes && batch_was_clean_) return std::vector<ParityQuery>{};
    if (passes_.size() + confirmations_per_batch > cascade_passes_max)
      return fail(ErrorCode::conflict, "error correction: differences remain after the last confirmation");
    batch_was_clean_ = true;
    for (std::uint32_t i = 0; i < confirmations_per_batch; ++i) {
      begin_pass();
      ask_top_blocks(static_cast<std::uint32_t>(passes_.size() - 1));
    }
  }
  asked_ += questions_.size();
  return questions_;
}

Result<void> ParityCorrector::learn(ByteView parities) {
  if (parities.size() != questions_.size()) {
    return fail(ErrorCode::invalid_argument,
                "error correction: " + std::to_string(parities.size()) + " parities for " + std::to_string(questions_.size()) + " questions");
  }
  for (std::size_t i = 0; i < parities.size(); ++i) {
    const ParityQuery& query = questions_[i];
    passes_[query.pass].known[range_key(query.start, query.length)] = parities[i] & 1U;
  }
  questions_.clear();
  return {};
}

void ParityCorrector::begin_pass() {
  const auto number = static_cast<std::uint32_t>(passes_.size());
  Pass pass;
  pass.permutation = pass_permutation(seed_, number, size_);
  pass.position.resize(size_);
  for (std::uint32_t i = 0; i < size_; ++i) pass.position[pass.permutation[i]] = i;
  pass.block_size = cascade_block_size(error_rate_, number, size_);
  passes_.push_back(std::move(pass));
}

void ParityCorrector::ask_top_blocks(std::uint32_t number) {
  const Pass& pass = passes_[number];
  for (std::uint32_t start = 0; start < size_; start += pass.block_size) {
    const std::uint32_t length = std::min(pass.block_size, size_ - start);
    // The whole key's parity is known after the first pass, so that later the last block's follows from the others'.
    if (number > 0 && start + length == size_) break;
    questions_.push_back({.pass = number, .start = start, .length = length});
  }
  ++unsettled_;
}

void ParityCorrector::settle_top_blocks() {
  for (std::size_t number = passes_.size() - unsettled_; number < passes_.size(); ++number) {
    Pass& pass = passes_[number];
    std::uint8_t sum = 0;
    for (std::uint32_t start = 0; start < size_; start += pass.block_size) {
      const std::uint32_t length = std::min(pass.block_size, size_ - start);
      const bool inferred = number > 0 && start + length == size_;
      if (inferred) pass.known[range_key(start, length)] = sum ^ total_parity_;
      const std::uint8_t parity = pass.known.at(range_key(start, length));
      sum ^= parity;
      const std::uint8_t odd = parity ^ own_parity(pass, start, length);
      pass.odd.push_back(odd);
      if (odd != 0 && number >= cascade_passes) batch_was_clean_ = false;
    }
    if (number == 0) total_parity_ = sum;
  }
  unsettled_ = 0;
}

void ParityCorrector::begin_searches() {
  // The pass with the smallest blocks first, and one pass at a time: its blocks are disjoint, so no two searches hunt the same error.
  for (std::uint32_t number = 0; number < passes_.size() && searches_.empty(); ++number) {
    const Pass& pass = passes_[number];
    for (std::uint32_t block = 0; block < pass.odd.size(); ++block) {
      if (pass.odd[block] == 0) continue;
      const std::uint32_t start = block * pass.block_size;
      const std::uint32_t length = std::min(pass.block_size, size_ - start);
      searches_.push_back({.pass = number, .start = start, .length = length, .parity = pass.known.at(range_key(start, length))});
    }
  }
}

bool ParityCorrector::descend(Search& search) {
  Pass& pass = passes_[search.pass];
  while (search.length > 1) {
    const std::uint32_t half = search.length / 2;
    const auto left = pass.known.find(range_key(search.start, half));
    if (left == pass.known.end()) {
      questions_.push_back({.pass = search.pass, .start = search.start, .length = half});
      return false;
    }
    const std::uint8_t left_parity = left->second;
    const std::uint8_t right_parity = left_parity ^ search.parity;
    const std::uint32_t middle = search.start + half;
    pass.known[range_key(middle, search.length - half)] = right_parity;
    if (left_parity != own_parity(pass, search.start, half)) {
      search.length = half;
      search.parity = left_parity;
    } else {
      search.start = middle;
      search.length -= half;
      search.parity = right_parity;
    }
  }
  flip(pass.permutation[search.start]);
  return true;
}

void ParityCorrector::flip(std::uint32_t bit) {
  bits_.writable()[bit] ^= 1U;
  ++corrected_;
  for (Pass& pass : passes_) {
    if (!pass.odd.empty()) pass.odd[pass.position[bit] / pass.block_size] ^= 1U;
  }
}

std::uint8_t ParityCorrector::own_parity(const Pass& pass, std::uint32_t start, std::uint32_t length) const {
  const ByteView bits = bits_.reveal();
  std::uint8_t parity = 0;
  for (std::uint32_t i = start; i < start + length; ++i) parity ^= bits[pass.permutation[i]];
  return parity;
}

}  // namespace qanat::qkd
