#include "quantum/qkd/reconciliation/cascade_corrector.hpp"

#include <algorithm>
#include <functional>
#include <utility>

namespace qanat::qkd::cascade {
namespace {

std::unexpected<Error> malformed_answer() { return fail(ErrorCode::invalid_argument, "error correction: malformed_answer answer"); }
/// How many odd pieces of a pass a frame searches at a time: what a correction in one pass settles in another need not be asked there. More at once
/// means fewer round trips; where there are many errors, one part in a thousand of the efficiency pays for a good part of them.
constexpr std::size_t searches_at_once(std::uint8_t pass, const BlockExponents& exponents) noexcept {
  constexpr std::array<std::size_t, passes> few{frame_bits, 112, 8};
  constexpr std::array<std::size_t, passes> many{frame_bits, 256, 16};
  return (exponents[0] < 5 ? many : few).at(pass);
}
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
  trees_ = Secret(8 * passes * layout_->frames * tree_words);
  bits_words_ = words_of(bits_);
  trees_words_ = words_of(trees_);
  frames_.resize(layout_->frames);
  spread_key(with_, key_.writable(), key_bits_, {bits_words_, words});
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
  if (layout_) gather_key(with_, {bits_words_, bits_.size() / 8}, key_bits_, key_.writable());
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
    if (blocks_known_) {
      learn_halves(f, words_of(scratch), in, last ? sink : out);
    } else {
      with_.take_tops(layout_->of(f).pass[0], level_, tree_memory(f, 0), split(f), in, out);
    }
  }
  if (!in.finished()) return malformed_answer();
  if (blocks_known_) level_ *= 2;
  blocks_known_ = true;
  going_ = 0;
  if (last) {
    starting_ = 0;
    for (std::size_t f = 0; f < frames_.size(); ++f) start(f);
    append(question_, starts_);
    starts_.clear();
    return {};
  }
  for (std::size_t f = 0; f < frames_.size(); ++f) {
    const PassLayout& pass = layout_->of(f).pass[0];
    going_ += with_.count_asked(pass, level_, split(f));
  }
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
  searches_read_ = std::exchange(kept_, 0);
  learn_pieces(0, searches_read_, going, out);
  for (const std::uint32_t place : std::exchange(subsets_, {})) learn_subset(place, going);
  for (const Begun& begin : begun) learn_begun(begin, started, out);
  if (!going.finished() || !started.finished()) return malformed_answer();
  searches_.resize(kept_);
  for (const bool told : told_) out.put(told ? 1 : 0, 1);
  out.finish();
  going_ = kept_ + subsets_.size();
  starting_ = 0;
  settle_ended();
  for (const std::uint32_t f : idle_) start(f);
  if (searches_.empty() && subsets_.empty() && begun_.empty()) advance_key();
  if (searches_.empty() && subsets_.empty() && begun_.empty()) question_.clear();
  append(question_, starts_);
  starts_.clear();
  return {};
}

void Corrector::learn_begun(const Begun& begun, BitReader& in, BitWriter& out) {
  switch (begun.what) {
    case Begun::What::pieces:
      learn_pieces(searches_read_, begun.count, in, out);
      searches_read_ += begun.count;
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

void Corrector::learn_pieces(std::size_t begin, std::size_t count, BitReader& in, BitWriter& out) {
  for (std::size_t first = begin; first < begin + count; first += 64) {
    const std::size_t end = std::min(begin + count, first + 64);
    std::uint64_t answers = in.get(static_cast<unsigned>(end - first));
    std::uint64_t told = 0;
    unsigned tell = 0;
    for (std::size_t i = first; i < end; ++i, answers >>= 1) {
      if (i + fetch_ahead < searches_.size()) prefetch(searches_[i + fetch_ahead]);
      Search search = searches_[i];
      if (search.at == 0 && !take(search)) {
        walk(search, (answers & 1U) != 0, told, tell);
        continue;
      }
      const std::uint64_t differs = (answers ^ (search.left_parity() ? 1U : 0U)) & 1U;
      told |= differs << tell++;
      search.walk(differs == 0);
      searches_[kept_++] = search;
    }
    out.put(told, tell);
  }
}

bool Corrector::take(Search& search) noexcept {
  if (search.node < subtree_roots || search.node >= last_level_first || layout_->of(search.frame).padded) return false;
  tree(search.frame, search.pass).take(search);
  return true;
}

void Corrector::walk(Search& search, bool answer, std::uint64_t& told, unsigned& tell) {
  const FrameLayout& layout = layout_->of(search.frame);
  const PassLayout& pass = layout.pass[search.pass];
  const Node left = left_child(search.node);
  bool own = false;
  if (left >= leaf_first) {
    const BitPlace place = place_of(pass, left);
    own = (bits(search.frame)[place.word] >> place.bit & 1U) != 0;
  } else {
    own = tree(search.frame, search.pass).parity(left);
    told |= std::uint64_t{own != answer ? 1U : 0U} << tell++;
  }
  Node node = own != answer ? left : right_sibling(left);
  if (layout.padded) {
    for (Node only = 0; node < leaf_first && (only = only_child(pass, node)) != 0;) node = only;
  }
  if (node < leaf_first) {
    search.jump(node);
    searches_[kept_++] = search;
  } else {
    ended_.push_back({.frame = search.frame, .pass = search.pass, .leaf = node});
  }
}

void Corrector::prefetch(const Search& search) noexcept {
  if (search.at != 0) return;
  if (search.node >= last_level_first) {
    const PassLayout& pass = layout_->of(search.frame).pass[search.pass];
    __builtin_prefetch(bits(search.frame) + place_of(pass, left_child(search.node)).word, 1);
  } else {
    tree(search.frame, search.pass).prefetch(search.node);
  }
}

void Corrector::prefetch(const Ended& ended) noexcept {
  const FrameLayout& layout = layout_->of(ended.frame);
  const BitPlace at = place_of(layout.pass[ended.pass], ended.leaf);
  __builtin_prefetch(bits(ended.frame) + at.word, 1);
  for (std::size_t p = 0; p < frames_[ended.frame].opened; ++p) {
    const std::uint32_t place = layout.pass[p].place[at.word];
    tree(ended.frame, p).prefetch_above(place, (at.bit + layout.pass[p].turn[place]) & 63U);
  }
}

void Corrector::settle_ended() {
  for (std::size_t i = 0; i < std::min(fetch_ahead, ended_.size()); ++i) prefetch(ended_[i]);
  for (std::size_t i = 0; i < ended_.size(); ++i) {
    if (i + fetch_ahead < ended_.size()) prefetch(ended_[i + fetch_ahead]);
    const Ended& ended = ended_[i];
    const std::size_t f = ended.frame;
    tree(f, ended.pass).settle_search((ended.leaf - leaf_first) >> 6, ended.leaf & 63U, layout_->exponents[ended.pass]);
    flip(f, ended.pass, place_of(layout_->of(f).pass[ended.pass], ended.leaf));
    if (--frames_[f].searches == 0) start(f);
  }
}

void Corrector::learn_blocks(std::size_t f, BitReader& in) {
  Frame& frame = frames_[f];
  const std::uint8_t number = frame.opened++;
  const PassLayout& pass = layout_->of(f).pass[number];
  std::array<std::uint64_t, frame_words> plain;
  build_tree(pass, bits(f), plain.data());
  // Everything known is even when a pass is opened, so the frame as a whole is: the last block follows from the others.
  const Node top = first_top(layout_->exponents[number]);
  const std::uint64_t last = std::uint64_t{1} << (pass.last_top & 63U);
  std::uint64_t sum = 0;
  for (Node h = top >> 6; h <= pass.last_top >> 6; ++h) {
    std::uint64_t blocks = pass.present[h] & (top < 64 ? ~std::uint64_t{0} << top & ((std::uint64_t{1} << top << top) - 1) : ~std::uint64_t{0});
    const bool ends = h == pass.last_top >> 6;
    if (ends) blocks &= ~last;
    std::uint64_t differ = with_.deposit(in.get(static_cast<unsigned>(std::popcount(blocks))), blocks) ^ (plain[h] & blocks);
    sum ^= differ;
    if (ends && (std::popcount(sum) & 1) != 0) differ |= last;
    if (ends) blocks |= last;
    plain[h] = (plain[h] & ~blocks) | differ;
    for (; differ != 0; differ &= differ - 1) frame.odd[number].push_back(static_cast<std::uint16_t>(h << 6 | static_cast<unsigned>(std::countr_zero(differ))));
  }
  static constexpr std::array<std::uint64_t, frame_words> nothing{};
  tree(f, number).fill(with_, plain.data(), nothing.data());
  wipe({reinterpret_cast<std::uint8_t*>(plain.data()), sizeof(plain)});
}

void Corrector::learn_confirmations(std::size_t place, BitReader& in) {
  if (place == frames_.size()) {
    const std::uint32_t first = frame_confirmations + key_confirmations * (key_batches_ - 1);
    const auto theirs = static_cast<std::uint32_t>(in.get(key_confirmations));
    key_differ_ = theirs ^ subset_parities(with_, *layout_, bits_words_, first);
    key_batch_clean_ = key_differ_ == 0;
    return;
  }
  for (std::uint32_t i = 0; i < frame_confirmations; ++i) {
    const bool own = subset_parity(with_, *layout_, bits_words_, i, whole_frame(place));
    frames_[place].differ |= static_cast<std::uint32_t>(in.get(1) ^ (own ? 1U : 0U)) << i;
  }
  idle_.push_back(static_cast<std::uint32_t>(place));
}

void Corrector::learn_subset(std::uint32_t place, BitReader& in) {
  SubsetSearch& search = subset_at(place);
  const SubsetRange left = search.range.left();
  const bool differs = in.get(1) != (subset_parity(with_, *layout_, bits_words_, search.number, left) ? 1U : 0U);
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
      const PassLayout& pass = layout_->of(f).pass[frame.opened];
      for (Node node = first_top(layout_->exponents[frame.opened]); node < pass.last_top; ++node) starting_ += pass.has(node) ? 1 : 0;
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

bool Corrector::start_pieces(std::size_t f) {
  Frame& frame = frames_[f];
  for (std::uint8_t p = 0; p < frame.opened; ++p) {
    std::vector<std::uint16_t>& odd = frame.odd[p];
    if (odd.empty()) continue;
    const SearchTree nodes = tree(f, p);
    for (const std::uint16_t node : odd) nodes.prefetch(node);
    std::erase_if(odd, [&](std::uint16_t node) { return !nodes.parity(node) || nodes.known_below(node); });
    if (!std::ranges::is_sorted(odd, std::greater{})) std::ranges::sort(odd, std::greater{});
    odd.erase(std::ranges::unique(odd).begin(), odd.end());
    if (odd.empty()) continue;
    std::size_t count = std::min<std::size_t>(odd.size(), searches_at_once(p, layout_->exponents));
    const std::size_t before = searches_.size();
    for (std::size_t i = 0; i < count; ++i) search_piece(f, p, odd[i]);
    odd.erase(odd.begin(), odd.begin() + static_cast<std::ptrdiff_t>(count));
    count = searches_.size() - before;
    if (count == 0) return false;  // they ended at once, in bits with nothing but padding around them
    frame.searches = static_cast<std::uint32_t>(count);
    starting_ += count;
    write_start(f, p, Begun::What::pieces, static_cast<std::uint32_t>(count));
    starts_.push_back(static_cast<std::uint8_t>(count));
    starts_.push_back(static_cast<std::uint8_t>(count >> 8));
    std::size_t at = starts_.size();
    starts_.resize(at + 2 * count);
    for (std::size_t i = before; i < searches_.size(); ++i, at += 2) std::memcpy(&starts_[at], &searches_[i].node, 2);
    return true;
  }
  return false;
}

void Corrector::search_piece(std::size_t f, std::uint8_t p, Node node) {
  const FrameLayout& layout = layout_->of(f);
  const PassLayout& pass = layout.pass[p];
  SearchTree nodes = tree(f, p);
  nodes.set_known_below(node);
  if (layout.padded) {
    for (Node only = 0; node < leaf_first && (only = only_child(pass, node)) != 0;) node = only;
  }
  if (node < leaf_first) {
    Search& search = searches_.emplace_back(Search{.frame = static_cast<std::uint16_t>(f), .node = static_cast<std::uint16_t>(node), .pass = p});
    take(search);
    return;
  }
  nodes.settle_search((node - leaf_first) >> 6, node & 63U, layout_->exponents[p]);
  flip(f, p, place_of(pass, node));
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

void Corrector::flip(std::size_t f, std::size_t searched, BitPlace at) {
  Frame& frame = frames_[f];
  bits(f)[at.word] ^= std::uint64_t{1} << at.bit;
  ++corrected_;
  for (std::size_t p = 0; p < frame.opened; ++p) {
    if (p == searched) continue;
    const PassLayout& pass = layout_->of(f).pass[p];
    const std::uint32_t place = pass.place[at.word];
    if (const Node piece = tree(f, p).flip_above(place, (at.bit + pass.turn[place]) & 63U, layout_->exponents[p]); piece != 0)
      frame.odd[p].push_back(static_cast<std::uint16_t>(piece));
  }
  if (!frame.confirming) return;
  for (std::uint32_t i = 0; i < frame_confirmations; ++i) frame.differ ^= static_cast<std::uint32_t>(layout_->subset(f, i)[at.word] >> at.bit & 1U) << i;
  if (key_batches_ == 0) return;
  const std::uint32_t first = frame_confirmations + key_confirmations * (key_batches_ - 1);
  for (std::uint32_t i = 0; i < key_confirmations; ++i) key_differ_ ^= static_cast<std::uint32_t>(layout_->subset(f, first + i)[at.word] >> at.bit & 1U) << i;
}

}  // namespace qanat::qkd::cascade
