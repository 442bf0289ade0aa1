// Alice's side of Cascade over frames (cascade_corrector.hpp says how it works): she answers, and remembers of each search only where it is.
#pragma once

#include <optional>

#include "quantum/qkd/reconciliation/cascade_subset.hpp"
#include "quantum/qkd/reconciliation/cascade_tree.hpp"

namespace qanat::qkd::cascade {

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

  [[nodiscard]] std::uint64_t* bits(std::size_t frame) noexcept { return bits_words_ + frame * frame_words; }
  [[nodiscard]] std::uint64_t* tree_memory(std::size_t frame, std::size_t pass) noexcept { return trees_words_ + (frame * passes + pass) * ParityTree::words; }
  [[nodiscard]] ParityTree tree(std::size_t frame, std::size_t pass) noexcept { return ParityTree(tree_memory(frame, pass)); }
  void tell_tops(BitWriter& out);
  [[nodiscard]] Result<void> tell_halves(ByteView question, BitWriter& out);
  [[nodiscard]] Result<void> tell_searches(ByteView question, BitWriter& going, BitWriter& started);
  /// Fetches what the search will read next.
  void prefetch(const Search& search) noexcept;
  void go_on(BitReader& in, BitWriter& out);
  /// The parity of the left half of where the search is.
  bool left_parity(Search& search) noexcept;
  bool left_parity_fetched(Search& search) noexcept;
  /// A step without parities taken along; false if that ends the search.
  bool walk(Search& search, bool right) const noexcept;
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
  std::uint64_t* bits_words_ = nullptr;
  std::uint64_t* trees_words_ = nullptr;
  std::vector<Frame> frames_;
  std::vector<std::uint64_t> split_;  // during the first pass: each frame's differing nodes
  std::size_t level_ = 0;             // of the first pass; 1024: done
  bool blocks_known_ = false;         // which of the first pass differ
  Stage expected_;
  std::uint32_t key_batches_ = 0;
  Searches searches_;  // those whose next half Bob tells: in pieces, then in subsets
  std::vector<SubsetSearch> subsets_;
  std::uint64_t disclosed_ = 0;
  bool failed_ = false;
};

}  // namespace qanat::qkd::cascade
