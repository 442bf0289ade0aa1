// Alice's side of one-way error correction.
#include <algorithm>

#include "quantum/qkd/octets.hpp"
#include "quantum/qkd/reconciliation/ldpc_frame.hpp"
#include "quantum/qkd/reconciliation/ldpc_rate.hpp"

namespace qanat::qkd {
namespace {

class LdpcReference final : public ReconciliationReference {
 public:
  LdpcReference(const ReconciliationSetup& setup, const Secret& key)
      : frames_{.key_bits = setup.key_bits}, key_(key), error_rate_(setup.error_rate), check_(setup.seed), state_(frames_.count()) {}

  Result<Bytes> answer(ByteView question) override {
    if (!question.empty() && question[0] == ldpc_send && question.size() == 1 && !begun_) return begin();
    if (!question.empty() && question[0] == ldpc_more && begun_) return more(question.subspan(1));
    return fail(ErrorCode::invalid_argument, "error correction: a question that is none, or not now");
  }
  Disclosed disclosed() const noexcept override { return disclosed_; }

 private:
  struct Frame {
    std::shared_ptr<const LdpcCode> code;
    std::size_t rows = 0;
    std::uint64_t counted = 0;
  };

  /// A frame's parities and check are functions of its bits: together they tell at most as much as it has.
  void count(std::size_t frame, std::uint64_t bits) {
    const std::uint64_t now = std::min<std::uint64_t>(frames_.bits(frame), state_[frame].counted + bits);
    disclosed_.by_alice += now - state_[frame].counted;
    disclosed_.by_bob += ldpc_octet_bits;
    state_[frame].counted = now;
  }

  void write_clear(OctetWriter& out, std::size_t frame) {
    const LdpcFrameBits bits(key_, frames_, frame);
    for (std::size_t i = 0; i < frames_.octets(frame); ++i) out.u8(bits.octet(i));
    count(frame, frames_.bits(frame));
  }

  void write_rows(OctetWriter& out, std::size_t frame, std::size_t rows, const LdpcFrameBits& bits) {
    std::array<std::uint8_t, circulant_octets> octets{};
    for (const std::size_t end = state_[frame].rows + rows; state_[frame].rows < end; ++state_[frame].rows) {
      write_row(octets, state_[frame].code->parities(state_[frame].rows, bits.columns()));
      out.octets(octets);
    }
  }

  Result<Bytes> begin() {
    begun_ = true;
    std::array<std::size_t, 2> rows{};  // of full frames, of a short one
    for (const std::size_t frame : {std::size_t{0}, frames_.count() - 1})
      rows[frames_.is_short(frame) ? 1 : 0] = frames_.columns(frame) == 0 ? 0 : first_rows(frames_.columns(frame), error_rate_);
    OctetWriter out(8 + frames_.count() * (rows[0] * circulant_octets + ldpc_check_octets) + frame_bits / 8);
    out.u8(ldpc_send);
    for (const std::size_t of_kind : rows) out.u16(static_cast<std::uint16_t>(of_kind));
    for (std::size_t frame = 0; frame < state_.size(); ++frame) {
      outstanding_.push_back(frame);
      if (frames_.columns(frame) == 0) {
        write_clear(out, frame);
        continue;
      }
      const LdpcFrameBits bits(key_, frames_, frame);
      const std::size_t first = rows[frames_.is_short(frame) ? 1 : 0];
      state_[frame].code = ldpc_code(frames_.columns(frame), first);
      write_rows(out, frame, first, bits);
      out.u32(check_.of(bits.columns()));
      count(frame, first * circulant_bits + ldpc_check_bits);
    }
    return Result<Bytes>(out.take());
  }

  /// Everything is looked at before anything is given out.
  Result<std::size_t> size_of_answer(ByteView wanted) const {
    const Error malformed{.code = ErrorCode::invalid_argument, .message = "error correction: a question about other frames, or for more than there is"};
    if (wanted.size() != outstanding_.size()) return fail(malformed);
    std::size_t size = 1;
    std::size_t clear = clear_;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (wanted[i] == 0) continue;
      const Frame& frame = state_[outstanding_[i]];
      if (frame.code == nullptr) return fail(malformed);
      if (wanted[i] == ldpc_in_the_clear) {
        ++clear;
        size += frames_.octets(outstanding_[i]);
        continue;
      }
      if (wanted[i] > frame.code->total_rows() - frame.rows) return fail(malformed);
      size += wanted[i] * circulant_octets;
    }
    if (size == 1) return fail(malformed);
    if (clear * ldpc_frames_per_clear > frames_.count()) return fail(ErrorCode::exhausted, "error correction: too many frames asked for in the clear");
    return size;
  }

  Result<Bytes> more(ByteView wanted) {
    ASSIGN_OR_RETURN(const std::size_t size, size_of_answer(wanted));
    OctetWriter out(size);
    out.u8(ldpc_more);
    std::vector<std::size_t> still;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const std::size_t frame = outstanding_[i];
      if (wanted[i] == 0) continue;
      still.push_back(frame);
      if (wanted[i] == ldpc_in_the_clear) {
        ++clear_;
        write_clear(out, frame);
        state_[frame].code = nullptr;
        continue;
      }
      write_rows(out, frame, wanted[i], LdpcFrameBits(key_, frames_, frame));
      count(frame, wanted[i] * circulant_bits);
    }
    outstanding_ = std::move(still);
    return Result<Bytes>(out.take());
  }

  LdpcFrames frames_;
  const Secret& key_;
  double error_rate_;
  LdpcCheck check_;
  std::vector<Frame> state_;  // by frame; without a code once it is in the clear
  std::vector<std::size_t> outstanding_;
  std::size_t clear_ = 0;
  bool begun_ = false;
  Disclosed disclosed_;
};

}  // namespace

Result<std::unique_ptr<ReconciliationReference>> make_ldpc_reference(const ReconciliationSetup& setup, const Secret& key) {
  TRY(check_ldpc_setup(setup, key));
  return Result<std::unique_ptr<ReconciliationReference>>(std::make_unique<LdpcReference>(setup, key));
}

}  // namespace qanat::qkd
