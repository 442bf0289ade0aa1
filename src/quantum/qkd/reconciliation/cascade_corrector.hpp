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

#include "quantum/qkd/reconciliation/cascade_subset.hpp"
#include "quantum/qkd/reconciliation/cascade_tree.hpp"

namespace qanat::qkd::cascade {

inline constexpr std::uint32_t rounds_max = 20'000;

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
    std::array<std::vector<std::uint16_t>, passes> odd;  // pieces that became odd; some may be even again
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

  [[nodiscard]] std::uint64_t* bits(std::size_t frame) noexcept { return bits_words_ + frame * frame_words; }
  [[nodiscard]] std::uint64_t* tree_memory(std::size_t frame, std::size_t pass) noexcept { return trees_words_ + (frame * passes + pass) * tree_words; }
  [[nodiscard]] SearchTree tree(std::size_t frame, std::size_t pass) noexcept { return SearchTree(tree_memory(frame, pass)); }
  /// During the first pass its tree's memory holds the plain tree and, behind it, the plain words of what differs.
  [[nodiscard]] std::uint64_t* split(std::size_t frame) noexcept { return tree_memory(frame, 0) + frame_words; }

  [[nodiscard]] Result<void> learn_first_pass(ByteView answer);
  void learn_halves(std::size_t frame, std::uint64_t* scratch, BitReader& in, BitWriter& out);
  [[nodiscard]] Result<void> learn_searches(ByteView answer);
  /// `count` of the searches from `first` on. What goes on moves to the front.
  void learn_pieces(std::size_t first, std::size_t count, BitReader& in, BitWriter& out);
  /// Takes the parities of the next levels along, where that is done.
  bool take(Search& search) noexcept;
  /// A step without them.
  void walk(Search& search, bool answer, std::uint64_t& told, unsigned& tell);
  void learn_begun(const Begun& begun, BitReader& in, BitWriter& out);
  void learn_blocks(std::size_t frame, BitReader& in);
  void learn_confirmations(std::size_t place, BitReader& in);
  /// Of a frame, or of the key.
  void learn_subset(std::uint32_t place, BitReader& in);
  [[nodiscard]] SubsetSearch& subset_at(std::size_t place) noexcept { return place == frames_.size() ? key_search_ : frames_[place].subset; }
  /// Flips the bits in which searches ended; frames that have no more searches begin what is next.
  void settle_ended();
  /// Fetches what will be changed.
  void prefetch(const Search& search) noexcept;
  void prefetch(const Ended& ended) noexcept;

  /// Lets an idle frame begin what it has to do next; false if nothing.
  bool start(std::size_t frame);
  bool start_pieces(std::size_t frame);
  void search_piece(std::size_t frame, std::uint8_t pass, Node node);
  /// Of a frame, or of the key; false if it ended at once.
  bool start_subset(std::size_t place, std::uint32_t first, std::uint32_t differ);
  /// With all frames idle: what the whole key's subset parities ask for.
  void advance_key();
  /// True if it ended at once, in a flipped bit.
  bool start_key();
  void write_start(std::size_t place, std::uint8_t kind, Begun::What what, std::uint32_t count = 1);
  /// `searched`: the pass whose search ended in this bit; `passes` if none did.
  void flip(std::size_t frame, std::size_t searched, BitPlace at);

  const Kernels& with_;
  std::size_t key_bits_;
  std::optional<KeyLayout> layout_;  // not for a key that is disclosed whole
  Secret key_;
  Secret bits_;
  Secret trees_;
  std::uint64_t* bits_words_ = nullptr;
  std::uint64_t* trees_words_ = nullptr;
  std::vector<Frame> frames_;

  Searches searches_;                   // first those that go on
  std::size_t kept_ = 0;                // how many do
  std::size_t searches_read_ = 0;       // with the answer that is being learnt
  std::vector<std::uint32_t> subsets_;  // places with a search that goes on
  std::vector<Begun> begun_;
  std::vector<Ended> ended_;
  std::vector<std::uint32_t> idle_;  // frames that got other answers
  std::vector<bool> told_;           // of the subsets

  std::size_t level_ = 0;  // of the first pass
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

}  // namespace qanat::qkd::cascade
