#include "quantum/qkd/reconciliation/cascade_corrector.hpp"

#include <algorithm>
#include <utility>

namespace qanat::qkd::cascade::inline QANAT_CASCADE_PROCESSOR {
namespace {

std::unexpected<Error> malformed_answer() { return fail(ErrorCode::invalid_argument, "error correction: malformed_answer answer"); }
constexpr std::size_t octets_for(std::uint64_t bits) noexcept { return static_cast<std::size_t>((bits + 7) / 8); }

}  // namespace

Corrector::Corrector(const ReconciliationSetup& setup, Secret key, const Kernels& with) : with_(with), key_bits_(setup.key_bits), key_(std::move(key)) {
  if (key_bits_ <= plain_bits_max) {
    question_ = {static_cast<std::uint8_t>(Stage::whole)};
    going_ = key_bits_;
    return;
  }
  layout_.emplace(setup);
  const std::size_t words = layout_->frames * frame_words;
  bits_ = Secret(8 * words);
  trees_ = Secret(8 * passes * layout_->frames * SearchTree::words);
  ground_ = SearchGround<SearchTree>(*layout_, words_of(bits_), words_of(trees_));
  frames_.resize(layout_->frames);
  spread_key(with_, key_.writable(), key_bits_, {bits(0), words});
  question_ = {static_cast<std::uint8_t>(Stage::tops)};
  level_ = first_top(layout_->exponents[0]) / 64;
  for (std::size_t f = 0; f < frames_.size(); ++f) {
    const PassLayout& pass = layout_->of(f).pass[0];
    build_tree(pass, bits(f), tree_memory(f, 0));
    for (std::size_t h = level_; h < 2 * level_; ++h) going_ += static_cast<unsigned>(std::popcount(pass.present[h]));
  }
}

Result<std::optional<Bytes>> Corrector::next() {
  if (waiting_ || broken_) return fail(ErrorCode::conflict, "error correction: an answer is due");
  if (question_.empty() && !diverged_) return Result<std::optional<Bytes>>(std::nullopt);
  asked_ += going_ + starting_;
  if (diverged_ || asked_ > key_bits_ || corrected_ > key_bits_ || ++rounds_ > rounds_max) {
    broken_ = true;
    return fail(ErrorCode::conflict, "error correction: does not converge");
  }
  waiting_ = true;
  return std::optional<Bytes>(std::exchange(question_, {}));
}

Result<void> Corrector::learn(ByteView answer) {
  if (!waiting_ || broken_) return fail(ErrorCode::invalid_argument, "error correction: an answer to no question");
  broken_ = true;  // until this one turns out well
  waiting_ = false;
  if (answer.size() != octets_for(going_) + octets_for(starting_)) return malformed_answer();
  if (key_bits_ <= plain_bits_max) {
    BitReader in(answer);
    for (std::size_t i = 0; i < key_bits_; ++i) {
      std::uint8_t& octet = key_.writable()[i / 8];
      const auto differs = static_cast<std::uint8_t>((in.get(1) ^ (octet >> (i % 8))) & 1U);
      octet ^= static_cast<std::uint8_t>(differs << (i % 8));
      corrected_ += differs;
    }
    if (!in.finished()) return malformed_answer();
  } else if (level_ < frame_words) {
    TRY(learn_first_pass(answer));
  } else {
    TRY(learn_searches(answer));
  }
  broken_ = false;
  return {};
}

Secret Corrector::take_bits() {
  if (layout_) gather_key(with_, {bits(0), bits_.size() / 8}, key_bits_, key_.writable());
  return std::move(key_);
}

Result<void> Corrector::learn_first_pass(ByteView answer) {
  BitReader in(answer);
  const bool last = blocks_known_ && level_ == frame_words / 2;
  question_ = {static_cast<std::uint8_t>(last ? Stage::searches : Stage::halves)};
  BitWriter out(question_);
  Secret scratch(8 * 2 * frame_words);
  Bytes unsent;
  BitWriter sink(unsent);
  for (std::size_t f = 0; f < frames_.size(); ++f) {
    if (level_ == frame_words / 2 && f + 1 < frames_.size()) fetch_frame(bits(f + 1));
    if (blocks_known_) {
      learn_halves(f, words_of(scratch), in, last ? sink : out);
    } else {
      with_.take_tops(layout_->of(f).pass[0], level_, tree_memory(f, 0), split(f), in, out);
    }
  }
  if (!in.finished()) return malformed_answer();
  const bool all = !std::exchange(blocks_known_, true);
  if (!all) level_ *= 2;
  going_ = 0;
  if (last) {
    starting_ = 0;
    for (std::size_t f = 0; f < frames_.size(); ++f) start(f);
    append(question_, starts_);
    starts_.clear();
    return {};
  }
  // Where nothing is padding, what differs at one level does so in as many nodes of the next.
  for (std::size_t f = all ? 0 : frames_.size() - 1; f < frames_.size(); ++f) {
    const FrameLayout& layout = layout_->of(f);
    if (all || layout.padded) (layout.padded ? going_ : differing_) += with_.count_asked(layout.pass[0], level_, split(f));
  }
  going_ += differing_;
  out.finish();
  return {};
}

void Corrector::learn_halves(std::size_t f, std::uint64_t* scratch, BitReader& in, BitWriter& out) {
  const PassLayout& pass = layout_->of(f).pass[0];
  std::uint64_t* searched = split(f);
  if (level_ < frame_words / 2) {
    with_.take_halves(pass, level_, tree_memory(f, 0) + 2 * level_, searched, searched + 2 * level_, in, out);
    return;
  }
  order_words(pass, bits(f), scratch);
  std::array<std::uint64_t, frame_words> errors;  // of bits; Alice knows them too
  with_.take_halves(pass, level_, scratch, searched, errors.data(), in, out);
  for (std::size_t u = 0; u < frame_words; ++u) {
    bits(f)[pass.source[u]] ^= std::rotr(errors[u], pass.turn[u]);
  }
  corrected_ += with_.count_ones(errors.data(), frame_words);
  // All that is known is even now: the blocks, and both halves of what was searched. The rest are Bob's parities.
  std::uint64_t* known = scratch + frame_words;
  std::copy(searched, searched + frame_words, known);
  build_tree(pass, bits(f), scratch);
  const std::size_t blocks = first_top(layout_->exponents[0]) / 64;
  std::fill(scratch, scratch + 2 * blocks, 0);
  std::fill(known, known + blocks, 0);
  for (std::size_t h = blocks; h < frame_words / 2; ++h) {
    scratch[2 * h] &= ~known[h];
    scratch[2 * h + 1] &= ~known[h];
  }
  tree(f, 0).fill(with_, scratch, known);
}

Result<void> Corrector::learn_searches(ByteView answer) {
  BitReader going(answer.first(octets_for(going_)));
  BitReader started(answer.subspan(octets_for(going_)));
  question_ = {static_cast<std::uint8_t>(Stage::searches)};
  BitWriter out(question_);
  const std::vector<Begun> begun = std::exchange(begun_, {});
  told_.clear();
  ended_.clear();
  idle_.clear();
  fresh_read_ = 0;
  learn_pieces(going, out);
  for (const std::uint32_t place : std::exchange(subsets_, {})) learn_subset(place, going);
  for (std::size_t i = 0; i < begun.size(); ++i) {
    if (i + 1 < begun.size() && begun[i + 1].what == Begun::What::blocks) fetch_frame(bits(begun[i + 1].place));
    learn_begun(begun[i], started, out);
  }
  if (!going.finished() || !started.finished()) return malformed_answer();
  searches_.fresh.clear();
  for (const bool told : told_) out.put(told ? 1 : 0, 1);
  out.finish();
  going_ = searches_.going() + subsets_.size();
  starting_ = 0;
  settle_ended();
  for (const std::uint32_t f : idle_) start(f);
  if (nothing_asked()) advance_key();
  if (nothing_asked()) question_.clear();
  append(question_, starts_);
  starts_.clear();
  return {};
}

void Corrector::learn_begun(const Begun& begun, BitReader& in, BitWriter& out) {
  switch (begun.what) {
    case Begun::What::pieces:
      learn_fresh(begun.count, in, out);
      break;
    case Begun::What::blocks:
      learn_blocks(begun.place, in);
      idle_.push_back(begun.place);
      break;
    case Begun::What::confirmations:
      learn_confirmations(begun.place, in);
      break;
    case Begun::What::subset:
      learn_subset(begun.place, in);
      break;
  }
}

void Corrector::learn_blocks(std::size_t f, BitReader& in) {
  Frame& frame = frames_[f];
  const std::uint8_t number = frame.opened++;
  const PassLayout& pass = layout_->of(f).pass[number];
  std::array<std::uint64_t, frame_words> plain;
  build_tree(pass, bits(f), plain.data());
  // Everything known is even when a pass is opened, so the frame as a whole is: the last block follows from the others.
  const std::uint8_t exponent = layout_->exponents[number];
  const std::uint64_t last = std::uint64_t{1} << (pass.last_top & 63U);
  std::uint64_t sum = 0;
  for (Node h = first_top(exponent) >> 6; h <= pass.last_top >> 6; ++h) {
    const std::uint64_t blocks = pass.tops_in(h, exponent);
    const bool ends = h == pass.last_top >> 6;
    const std::uint64_t told = ends ? blocks & ~last : blocks;
    std::uint64_t differ = with_.deposit(in.get(static_cast<unsigned>(std::popcount(told))), told) ^ (plain[h] & told);
    sum ^= differ;
    if (ends && (std::popcount(sum) & 1) != 0) differ |= last;
    plain[h] = (plain[h] & ~blocks) | differ;
    for (; differ != 0; differ &= differ - 1) frame.odd[number].add(h << 6 | static_cast<unsigned>(std::countr_zero(differ)));
  }
  tree(f, number).fill(with_, plain.data());
  wipe({reinterpret_cast<std::uint8_t*>(plain.data()), sizeof(plain)});
}

void Corrector::learn_confirmations(std::size_t place, BitReader& in) {
  if (place == frames_.size()) {
    const std::uint32_t first = frame_confirmations + key_confirmations * (key_batches_ - 1);
    const auto theirs = static_cast<std::uint32_t>(in.get(key_confirmations));
    key_differ_ = theirs ^ subset_parities(with_, *layout_, bits(0), first);
    key_batch_clean_ = key_differ_ == 0;
    return;
  }
  for (std::uint32_t i = 0; i < frame_confirmations; ++i) {
    const bool own = subset_parity(with_, *layout_, bits(0), i, whole_frame(place));
    frames_[place].differ |= static_cast<std::uint32_t>(in.get(1) ^ (own ? 1U : 0U)) << i;
  }
  idle_.push_back(static_cast<std::uint32_t>(place));
}

void Corrector::learn_subset(std::uint32_t place, BitReader& in) {
  SubsetSearch& search = subset_at(place);
  const SubsetRange left = search.range.left();
  const bool differs = in.get(1) != (subset_parity(with_, *layout_, bits(0), search.number, left) ? 1U : 0U);
  search.range = settle(*layout_, search.number, differs ? left : search.range.right());
  told_.push_back(differs);
  if (!search.range.is_bit()) {
    subsets_.push_back(place);
    return;
  }
  flip(search.range.first_word / frame_words, passes, search.range.bit_place());
  if (place < frames_.size()) idle_.push_back(place);
}

bool Corrector::start(std::size_t f) {
  Frame& frame = frames_[f];
  while (corrected_ <= key_bits_) {  // false answers might have the same bits flipped to and fro for ever
    if (start_pieces(f)) return true;
    if (std::ranges::any_of(frame.odd, [](const auto& pieces) { return !pieces.empty(); })) continue;
    if (frame.opened < passes) {
      starting_ += layout_->of(f).pass[frame.opened].tops - 1;
      write_start(f, static_cast<std::uint8_t>(Start::open), Begun::What::blocks);
    } else if (!frame.confirming) {
      frame.confirming = true;
      starting_ += frame_confirmations;
      write_start(f, static_cast<std::uint8_t>(Start::open), Begun::What::confirmations);
    } else if (frame.differ == 0) {
      return false;
    } else if (!start_subset(f, 0, frame.differ)) {
      continue;
    }
    return true;
  }
  diverged_ = true;
  return false;
}

bool Corrector::start_subset(std::size_t place, std::uint32_t first, std::uint32_t differ) {
  SubsetSearch& search = subset_at(place);
  const auto number = static_cast<std::uint32_t>(std::countr_zero(differ));
  search.number = first + number;
  search.range = settle(*layout_, search.number, place == frames_.size() ? whole_key(*layout_) : whole_frame(place));
  if (search.range.is_bit()) {
    flip(search.range.first_word / frame_words, passes, search.range.bit_place());
    return false;
  }
  write_start(place, static_cast<std::uint8_t>(Start::confirmation), Begun::What::subset);
  starts_.push_back(static_cast<std::uint8_t>(number));
  ++starting_;
  return true;
}

void Corrector::advance_key() {
  while (corrected_ <= key_bits_) {
    bool busy = false;
    for (std::size_t f = 0; f < frames_.size(); ++f) busy = start(f) || busy;
    if (busy || !start_key()) return;
  }
}

bool Corrector::start_key() {
  if (key_differ_ != 0) return !start_subset(frames_.size(), frame_confirmations + key_confirmations * (key_batches_ - 1), key_differ_);
  if (key_batch_clean_) return false;
  if (key_batches_ == key_batches_max) {
    diverged_ = true;
    return false;
  }
  ++key_batches_;
  starting_ += key_confirmations;
  write_start(frames_.size(), static_cast<std::uint8_t>(Start::open), Begun::What::confirmations);
  return false;
}

void Corrector::write_start(std::size_t place, std::uint8_t kind, Begun::What what, std::uint32_t count) {
  begun_.push_back({.what = what, .place = static_cast<std::uint32_t>(place), .count = count});
  std::size_t number = place;
  for (; number >= 0x80; number >>= 7) starts_.push_back(static_cast<std::uint8_t>(number | 0x80));
  starts_.push_back(static_cast<std::uint8_t>(number));
  starts_.push_back(kind);
}

void Corrector::flip_confirmed(std::size_t f, BitPlace at) {
  Frame& frame = frames_[f];
  for (std::uint32_t i = 0; i < frame_confirmations; ++i) frame.differ ^= static_cast<std::uint32_t>(layout_->subset(f, i)[at.word] >> at.bit & 1U) << i;
  if (key_batches_ == 0) return;
  const std::uint32_t first = frame_confirmations + key_confirmations * (key_batches_ - 1);
  for (std::uint32_t i = 0; i < key_confirmations; ++i) key_differ_ ^= static_cast<std::uint32_t>(layout_->subset(f, first + i)[at.word] >> at.bit & 1U) << i;
}

}  // namespace qanat::qkd::cascade::inline QANAT_CASCADE_PROCESSOR
