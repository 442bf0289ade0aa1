// Bob's side of one-way error correction.
#include <algorithm>
#include <bit>
#include <map>

#include "base/check.hpp"
#include "quantum/qkd/octets.hpp"
#include "quantum/qkd/reconciliation/ldpc_frame.hpp"
#include "quantum/qkd/reconciliation/ldpc_rate.hpp"

namespace qanat::qkd {
namespace {

// A frame that fails gets this part of its rows more, one at least.
constexpr std::size_t rows_per_step = 40;

std::size_t weight(std::span<const Circulant> words) noexcept {
  std::size_t sum = 0;
  for (const Circulant& word : words) sum += static_cast<std::size_t>(std::popcount(word[0]) + std::popcount(word[1]));
  return sum;
}

class LdpcCorrector final : public ReconciliationCorrector {
 public:
  LdpcCorrector(const ReconciliationSetup& setup, Secret key)
      : frames_{.key_bits = setup.key_bits}, key_(std::move(key)), check_(setup.seed), state_(frames_.count()) {
    for (std::size_t frame = 0; frame < state_.size(); ++frame) outstanding_.push_back(frame);
    if (const unsigned used = frames_.key_bits % 8; used != 0) key_.writable().back() &= static_cast<std::uint8_t>((1U << used) - 1);
    question_ = Bytes{ldpc_send};
  }

  Result<std::optional<Bytes>> next() override {
    if (refused_) return fail(ErrorCode::conflict, "error correction: too many frames have more errors than can be corrected");
    asked_ = question_.has_value();
    return question_;
  }

  Result<void> learn(ByteView answer) override {
    if (!asked_ || !question_) return fail(ErrorCode::conflict, "error correction: an answer to no question");
    asked_ = false;
    const bool first = question_->front() == ldpc_send;
    // What is malformed changes nothing: it is measured before it is taken.
    OctetReader in(answer);
    if (in.u8() != question_->front()) in.refuse();
    if (first) read_sizes(in);
    if (!in.failed() && in.left() != expected_octets(first)) in.refuse();
    if (in.failed()) return fail(ErrorCode::invalid_argument, "error correction: malformed answer");
    take(in, first);
    TRY(in.finish("error correction"));
    correct();
    return {};
  }

  Disclosed disclosed() const noexcept override { return disclosed_; }
  std::uint64_t corrected() const noexcept override { return corrected_; }
  Secret take_bits() override { return std::move(key_); }

 private:
  struct Frame {
    std::shared_ptr<const LdpcPlan> plan;
    std::vector<Circulant> difference;  // by row, of both ends' parities
    std::uint32_t check = 0;
    std::uint64_t counted = 0;
    std::uint8_t wanted = 0;
  };

  void count(std::size_t frame, std::uint64_t bits) {
    const std::uint64_t now = std::min<std::uint64_t>(frames_.bits(frame), state_[frame].counted + bits);
    disclosed_.by_alice += now - state_[frame].counted;
    disclosed_.by_bob += ldpc_octet_bits;
    state_[frame].counted = now;
  }

  /// With how many rows Alice begins.
  void read_sizes(OctetReader& in) {
    for (std::size_t& rows : first_rows_) rows = in.u16();
    for (const bool is_short : {false, true}) {
      const std::size_t frame = is_short ? frames_.count() - 1 : 0;
      const bool present = frames_.is_short(frame) == is_short;
      const std::size_t columns = present ? frames_.columns(frame) : 0;
      const std::size_t rows = first_rows_[is_short ? 1 : 0];
      if (columns == 0 ? rows != 0 : rows < LdpcCode::rows_min(columns) || rows > LdpcCode::rows_max(columns)) in.refuse();
    }
  }
  std::size_t expected_octets(bool first) const {
    std::size_t octets = 0;
    for (const std::size_t frame : outstanding_) {
      const std::uint8_t wanted = state_[frame].wanted;
      const bool clear = first ? frames_.columns(frame) == 0 : wanted == ldpc_in_the_clear;
      if (clear)
        octets += frames_.octets(frame);
      else if (first)
        octets += first_rows_[frames_.is_short(frame) ? 1 : 0] * circulant_octets + ldpc_check_octets;
      else
        octets += wanted * circulant_octets;
    }
    return octets;
  }

  void take_clear(ByteView octets, std::size_t frame) {
    const auto own = key_.writable().subspan(frame * frame_bits / 8, octets.size());
    const unsigned used = frames_.bits(frame) % 8;
    for (std::size_t i = 0; i < octets.size(); ++i) {
      const auto mask = static_cast<std::uint8_t>(i + 1 == octets.size() && used != 0 ? (1U << used) - 1 : 0xffU);
      const auto wrong = static_cast<std::uint8_t>((own[i] ^ octets[i]) & mask);
      corrected_ += static_cast<std::uint64_t>(std::popcount(wrong));
      own[i] ^= wrong;
    }
    state_[frame].wanted = 0;
    state_[frame].plan = nullptr;
    count(frame, frames_.bits(frame));
  }

  void take_rows(OctetReader& in, std::size_t frame, std::size_t rows) {
    Frame& state = state_[frame];
    const LdpcFrameBits bits(key_, frames_, frame);
    const LdpcCode& code = state.plan->code();
    for (std::size_t i = 0; i < rows; ++i) {
      const std::size_t row = state.difference.size();
      Circulant odd = read_row(in.octets(circulant_octets));
      const Circulant own = code.parities(row, bits.columns());
      for (std::size_t half = 0; half < odd.size(); ++half) odd[half] ^= own[half];
      // The row that this one was split from keeps the other half.
      if (row >= code.base_rows())
        for (std::size_t half = 0; half < odd.size(); ++half) state.difference[code.parent(row)][half] ^= odd[half];
      state.difference.push_back(odd);
    }
  }

  void take(OctetReader& in, bool first) {
    for (const std::size_t frame : outstanding_) {
      Frame& state = state_[frame];
      if (first ? frames_.columns(frame) == 0 : state.wanted == ldpc_in_the_clear) {
        take_clear(in.octets(frames_.octets(frame)), frame);
        continue;
      }
      const std::size_t rows = first ? first_rows_[frames_.is_short(frame) ? 1 : 0] : state.wanted;
      if (first) state.plan = ldpc_plan(frames_.columns(frame), rows);
      take_rows(in, frame, rows);
      if (first) state.check = in.u32();
      count(frame, rows * circulant_bits + (first ? ldpc_check_bits : 0));
    }
  }

  /// Decodes what is outstanding and puts the next question together.
  void correct() {
    std::map<std::pair<const LdpcPlan*, std::size_t>, LdpcGraph> graphs;
    Bytes octets{ldpc_more};
    std::vector<std::size_t> still;
    for (const std::size_t frame : outstanding_) {
      Frame& state = state_[frame];
      if (state.plan != nullptr) {
        const std::pair key(state.plan.get(), state.difference.size());
        const LdpcGraph& graph = graphs.try_emplace(key, *state.plan, state.difference.size()).first->second;
        state.wanted = decode(frame, graph) ? 0 : wanted_rows(frame, graph);
      }
      octets.push_back(state.wanted);
      if (state.wanted == 0) {
        state.plan = nullptr;
        state.difference = {};
        continue;
      }
      still.push_back(frame);
      if (state.wanted == ldpc_in_the_clear) ++clear_;
    }
    outstanding_ = std::move(still);
    refused_ = clear_ * ldpc_frames_per_clear > frames_.count();
    question_.reset();
    if (!outstanding_.empty()) question_ = std::move(octets);
  }

  bool decode(std::size_t frame, const LdpcGraph& graph) {
    Frame& state = state_[frame];
    // What shows far more errors than the rows can correct is not worth the attempt.
    const std::size_t columns = frames_.columns(frame);
    const double shown = graph.error_rate(weight(state.difference));
    if (hopeless_rows(columns, shown) > state.difference.size()) return false;
    std::vector<Circulant> errors(columns);
    if (!decoder_.decode(graph, state.difference, frames_.bits(frame), errors).solved) return false;
    LdpcFrameBits bits(key_, frames_, frame);
    for (std::size_t column = 0; column < columns; ++column)
      for (std::size_t half = 0; half < 2; ++half) bits.columns()[column][half] ^= errors[column][half];
    const bool right = check_.of(bits.columns()) == state.check;
    if (right) {
      corrected_ += weight(errors);
      bits.write(key_.writable(), frames_, frame);
    }
    wipe({reinterpret_cast<std::uint8_t*>(errors.data()), errors.size() * sizeof(Circulant)});
    return right;
  }

  std::uint8_t wanted_rows(std::size_t frame, const LdpcGraph& graph) const {
    const Frame& state = state_[frame];
    const std::size_t now = state.difference.size();
    const std::size_t left = state.plan->code().total_rows() - now;
    if (left == 0) return ldpc_in_the_clear;
    const std::size_t needed = needed_rows(frames_.columns(frame), graph.error_rate(weight(state.difference)));
    const std::size_t wanted = std::max(now + std::max<std::size_t>(1, (now + rows_per_step / 2) / rows_per_step), needed) - now;
    return static_cast<std::uint8_t>(std::min({wanted, left, std::size_t{ldpc_in_the_clear - 1}}));
  }

  LdpcFrames frames_;
  Secret key_;
  LdpcCheck check_;
  LdpcDecoder decoder_;
  std::vector<Frame> state_;
  std::vector<std::size_t> outstanding_;
  std::array<std::size_t, 2> first_rows_{};  // of full frames, of a short one
  std::optional<Bytes> question_;
  std::size_t clear_ = 0;
  bool asked_ = false;
  bool refused_ = false;
  Disclosed disclosed_;
  std::uint64_t corrected_ = 0;
};

}  // namespace

Result<std::unique_ptr<ReconciliationCorrector>> make_ldpc_corrector(const ReconciliationSetup& setup, Secret key) {
  TRY(check_ldpc_setup(setup, key));
  return Result<std::unique_ptr<ReconciliationCorrector>>(std::make_unique<LdpcCorrector>(setup, std::move(key)));
}

}  // namespace qanat::qkd
