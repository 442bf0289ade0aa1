// Alice's side of Cascade over frames (cascade_corrector.hpp says how it works): she answers, and remembers of each search only where it is.
#pragma once

#include <optional>

#include "quantum/qkd/reconciliation/cascade_search.hpp"
#include "quantum/qkd/reconciliation/cascade_subset.hpp"

namespace qanat::qkd::cascade::inline QANAT_CASCADE_PROCESSOR {

class Reference final : public ReconciliationReference {
 public:
  /// `setup` has passed check_setup().
  Reference(const ReconciliationSetup& setup, const Secret& key, const Kernels& with);

  [[nodiscard]] Result<Bytes> answer(ByteView question) override;
  [[nodiscard]] Disclosed disclosed() const noexcept override { return {.by_alice = disclosed_, .by_bob = disclosed_}; }

 private:
  struct SubsetSearch {
    std::size_t place;  // a frame, or their number for the key
    std::uint32_t number;
    SubsetRange range;
  };
  struct Frame {
    std::uint32_t searches = 0;  // in pieces
    std::uint8_t opened = 1;     // passes whose blocks were asked about
    bool confirming = false;
  };

  [[nodiscard]] std::uint64_t* bits(std::size_t frame) const noexcept { return ground_.bits(frame); }
  [[nodiscard]] std::uint64_t* tree_memory(std::size_t frame, std::size_t pass) const noexcept { return ground_.tree_memory(frame, pass); }
  [[nodiscard]] ParityTree tree(std::size_t frame, std::size_t pass) const noexcept { return ground_.tree(frame, pass); }
  void tell_tops(BitWriter& out);
  [[nodiscard]] Result<void> tell_halves(ByteView question, BitWriter& out);
  [[nodiscard]] Result<void> tell_searches(ByteView question, BitWriter& going, BitWriter& started);
  /// Takes the searches in pieces to the halves that differ, those that started with the last question included.
  void walk_pieces(BitReader& in);
  void walk_fresh(BitReader& in);
  /// A wide one: into wide[kept], or where it goes on.
  void walk_wide(const Search& search, bool differs, std::size_t& kept);
  /// The parities of their left halves. Where that is a bit, the search ends with it.
  void tell_pieces(BitWriter& out);
  void tell_fresh(std::size_t first, BitWriter& out);
  /// Asks the memory for what the first of these start records reads, and goes behind it.
  void fetch_start(ByteView& starts) const noexcept;
  void tell_half(const SubsetSearch& search, BitWriter& out);
  /// Reads a start record behind its frame number; false if it is malformed.
  bool start(std::size_t frame, ByteView& in, BitWriter& out);
  bool start_searches(std::size_t frame, std::uint8_t pass, ByteView& in, BitWriter& out);
  bool open(std::size_t frame, BitWriter& out);
  bool start_subset(std::size_t frame, std::uint8_t number, BitWriter& out);
  [[nodiscard]] bool in_subset(std::size_t place) const noexcept;

  const Secret& key_;
  const Kernels& with_;
  std::size_t key_bits_;
  std::optional<KeyLayout> layout_;  // not for a key that is disclosed whole
  Secret bits_;
  Secret trees_;
  SearchGround<ParityTree> ground_;
  std::vector<Frame> frames_;
  std::vector<std::uint64_t> split_;  // during the first pass: each frame's differing nodes
  std::size_t level_ = 0;             // of the first pass; 1024: done
  bool blocks_known_ = false;         // which of the first pass differ
  Stage expected_;
  std::uint32_t key_batches_ = 0;
  SearchLists searches_;  // in pieces: those whose next half Bob tells
  std::vector<SubsetSearch> subsets_;
  std::uint64_t disclosed_ = 0;
  bool failed_ = false;
};

}  // namespace qanat::qkd::cascade::inline QANAT_CASCADE_PROCESSOR
