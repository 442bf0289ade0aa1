// Bob's side of Cascade over frames: block parities in three passes with growing blocks, every odd block searched by halves, every parity that
// was learnt kept, so that a correction in one pass reopens the smallest piece of the other passes that it makes odd; at the end parities of
// random subsets of each frame and of the whole key, until a batch of the latter shows no difference.
//
// All unfinished frames advance with every message. Bob tells for each parity that he got whether his own differs, and which pieces he searches
// next. His messages follow from those differences and what both ends know, so they tell about his key at most as many bits as he got parities:
// that is what disclosed().by_bob counts.
//
// What remains undetected: a batch of 32 subset parities shows a given remaining pattern of errors with probability 1 - 2^-32 (the subsets of one
// batch are windows of a random sequence, each shifted by one word against the one before; the highest word that the pattern touches meets a
// new random word in each of them, so the parities are independent), and the subsets of the last batch were not used before. So a key of any
// number of frames is left with an error with probability about 2^-32 per batch, far below what the frames' own six would give. The sequence comes from
// xoshiro256**, not from true randomness: this is an argument, not a proof, and the verification hash is what decides.
#pragma once

#include <optional>

#include "quantum/qkd/reconciliation/cascade_search.hpp"
#include "quantum/qkd/reconciliation/cascade_subset.hpp"

namespace qanat::qkd::cascade::inline QANAT_CASCADE_PROCESSOR {

inline constexpr std::uint32_t rounds_max = 20'000;

/// Pieces that became odd; some may be even again, or stand twice.
class PieceList {
 public:
  /// Node 0 stands for none: to take it as well costs less than to ask.
  void add(Node node) {
    if (count_ == nodes_.size()) nodes_.resize(std::max<std::size_t>(32, 2 * count_));
    nodes_[count_] = static_cast<std::uint16_t>(node);
    count_ += node != 0 ? 1 : 0;
  }
  [[nodiscard]] std::span<std::uint16_t> nodes() noexcept { return {nodes_.data(), count_}; }
  [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
  void keep(std::span<const std::uint16_t> nodes) noexcept {
    std::ranges::copy(nodes, nodes_.begin());
    count_ = nodes.size();
  }

 private:
  std::vector<std::uint16_t> nodes_;
  std::size_t count_ = 0;
};

class Corrector final : public ReconciliationCorrector {
 public:
  /// `setup` has passed check_setup().
  Corrector(const ReconciliationSetup& setup, Secret key, const Kernels& with);

  [[nodiscard]] Result<std::optional<Bytes>> next() override;
  [[nodiscard]] Result<void> learn(ByteView answer) override;
  [[nodiscard]] Disclosed disclosed() const noexcept override { return {.by_alice = asked_, .by_bob = asked_}; }
  [[nodiscard]] std::uint64_t corrected() const noexcept override { return corrected_; }
  [[nodiscard]] Secret take_bits() override;

 private:
  struct SubsetSearch {
    std::uint32_t number = 0;
    SubsetRange range;
  };
  struct Frame {
    std::uint32_t searches = 0;  // in pieces
    std::uint32_t differ = 0;    // the frame's subset parities that differ
    std::uint8_t opened = 1;     // passes whose blocks are known
    bool confirming = false;
    std::array<PieceList, passes> odd;
    SubsetSearch subset;
  };
  /// What started with the last message, in its order; its answers come in this order, too.
  struct Begun {
    enum class What : std::uint8_t { pieces, blocks, confirmations, subset };
    What what;
    std::uint32_t place;  // a frame; their number for the key
    std::uint32_t count = 1;
  };
  /// A search that ended in a bit.
  struct Ended {
    std::uint16_t frame;
    std::uint8_t pass;
    Node leaf;
  };
  /// A bit that is flipped, and where it is in the order of each pass.
  struct Flip {
    BitPlace at;
    std::array<std::uint16_t, passes> place;
    std::array<std::uint8_t, passes> lane;
  };

  [[nodiscard]] std::uint64_t* bits(std::size_t frame) const noexcept { return ground_.bits(frame); }
  [[nodiscard]] std::uint64_t* tree_memory(std::size_t frame, std::size_t pass) const noexcept { return ground_.tree_memory(frame, pass); }
  [[nodiscard]] SearchTree tree(std::size_t frame, std::size_t pass) const noexcept { return ground_.tree(frame, pass); }
  /// During the first pass its tree's memory holds the plain tree and, behind it, the plain words of what differs.
  [[nodiscard]] std::uint64_t* split(std::size_t frame) const noexcept { return tree_memory(frame, 0) + frame_words; }

  [[nodiscard]] Result<void> learn_first_pass(ByteView answer);
  void learn_halves(std::size_t frame, std::uint64_t* scratch, BitReader& in, BitWriter& out);
  [[nodiscard]] Result<void> learn_searches(ByteView answer);
  /// The searches in pieces that went on.
  void learn_pieces(BitReader& in, BitWriter& out);
  /// The next `count` of those that started.
  void learn_fresh(std::size_t count, BitReader& in, BitWriter& out);
  /// A wide one: into wide[kept], or where it goes on.
  void learn_wide(const Search& search, bool answer, std::size_t& kept, BitWriter& out);
  void end_searches(const Search* run, unsigned count, std::uint64_t differs);
  void learn_begun(const Begun& begun, BitReader& in, BitWriter& out);
  void learn_blocks(std::size_t frame, BitReader& in);
  void learn_confirmations(std::size_t place, BitReader& in);
  /// Of a frame, or of the key.
  void learn_subset(std::uint32_t place, BitReader& in);
  [[nodiscard]] SubsetSearch& subset_at(std::size_t place) noexcept { return place == frames_.size() ? key_search_ : frames_[place].subset; }
  /// Flips the bits in which searches ended; frames that have no more searches begin what is next.
  void settle_ended();
  void end_search(const Ended& ended, const Flip& change);
  /// Asks the memory for what start_pieces() reads first.
  void fetch_pieces(std::size_t frame);

  /// Lets an idle frame begin what it has to do next; false if nothing.
  bool start(std::size_t frame);
  bool start_pieces(std::size_t frame);
  /// The pieces of a pass to search, the smaller ones first.
  [[nodiscard]] std::span<const std::uint16_t> sort_pieces(const SearchTree& nodes, PieceList& odd);
  void search_piece(std::size_t frame, std::uint8_t pass, Node node);
  /// Of a frame, or of the key; false if it ended at once.
  bool start_subset(std::size_t place, std::uint32_t first, std::uint32_t differ);
  [[nodiscard]] bool nothing_asked() const noexcept { return searches_.empty() && subsets_.empty() && begun_.empty(); }
  /// With all frames idle: what the whole key's subset parities ask for.
  void advance_key();
  /// True if it ended at once, in a flipped bit.
  bool start_key();
  void write_start(std::size_t place, std::uint8_t kind, Begun::What what, std::uint32_t count = 1);
  /// `searched`: the pass whose search ended in this bit; `passes` if none did.
  void flip(std::size_t frame, std::size_t searched, BitPlace at);
  [[nodiscard]] Flip look_up(std::size_t frame, BitPlace at) const noexcept;
  void flip(std::size_t frame, std::size_t searched, const Flip& change);
  void flip_confirmed(std::size_t frame, BitPlace at);

  const Kernels& with_;
  std::size_t key_bits_;
  std::optional<KeyLayout> layout_;  // not for a key that is disclosed whole
  Secret key_;
  Secret bits_;
  Secret trees_;
  SearchGround<SearchTree> ground_;
  std::vector<Frame> frames_;

  SearchLists searches_;
  std::size_t fresh_read_ = 0;          // with the answer that is being learnt
  std::vector<std::uint32_t> subsets_;  // places with a search that goes on
  std::vector<Begun> begun_;
  std::vector<Ended> ended_;
  std::optional<std::uint16_t> about_to_start_;  // a frame whose searches have ended
  std::vector<std::uint32_t> idle_;              // frames that have to begin something
  std::vector<bool> told_;                       // of the subsets
  std::vector<std::uint16_t> pieces_;            // of sort_pieces()

  std::size_t level_ = 0;        // of the first pass
  std::uint64_t differing_ = 0;  // of its blocks, in frames without padding
  bool blocks_known_ = false;
  bool key_batch_clean_ = false;
  std::uint32_t key_batches_ = 0;
  std::uint32_t key_differ_ = 0;
  SubsetSearch key_search_;

  Bytes question_;  // empty: the correction is complete
  Bytes starts_;
  bool waiting_ = false;  // for an answer
  bool broken_ = false;
  bool diverged_ = false;
  std::uint64_t going_ = 0;     // parities that the next answer brings for what goes on
  std::uint64_t starting_ = 0;  // and for what started
  std::uint64_t asked_ = 0;
  std::uint64_t corrected_ = 0;
  std::uint32_t rounds_ = 0;
};

}  // namespace qanat::qkd::cascade::inline QANAT_CASCADE_PROCESSOR
