#include "quantum/qkd/reconciliation/cascade_corrector.hpp"

#include <algorithm>
#include <functional>
#include <utility>

namespace qanat::qkd::cascade {
namespace {

std::unexpected<Error> malformed() { return fail(ErrorCode::invalid_argument, "error correction: malformed answer"); }
/// How many odd pieces of a pass a frame searches at a time: what a correction in one pass settles in another need not be asked there. More at once
/// means fewer round trips; where there are many errors, one part in a thousand of the efficiency pays for a good part of them.
constexpr std::size_t searches_at_once(std::uint8_t pass, const BlockExponents& exponents) noexcept {
  constexpr std::array<std::size_t, passes> few{frame_bits, 96, 8};
  constexpr std::array<std::size_t, passes> many{frame_bits, 256, 16};
  return (exponents[0] < 5 ? many : few).at(pass);
}
constexpr std::size_t settle_behind = 4;  // frames
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
  if (answer.size() != octets_for(going_) + octets_for(starting_)) return malformed();
  if (key_bits_ <= plain_bits_max) {
    BitReader in(answer);
    for (std::size_t i = 0; i < key_bits_; ++i) {
      std::uint8_t& octet = key_.writable()[i / 8];
      const auto differs = static_cast<std::uint8_t>((in.get(1) ^ (octet >> (i % 8))) & 1U);
      octet ^= static_cast<std::uint8_t>(differs << (i % 8));
      corrected_ += differs;
    }
    if (!in.finished()) return malformed();
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
  if (!in.finished()) return malformed();
  if (blocks_known_) level_ *= 2;
  blocks_known_ = true;
  going_ = 0;
  if (last) {
    starting_ = 0;
    for (std::size_t f = 0; f < frames_.size(); ++f) start(f);
    append(question_, std::exchange(starts_, {}));
    return {};
  }
  for (std::size_t f = 0; f < frames_.size(); ++f) {
    const PassLayout& pass = layout_->of(f).pass[0];
    for (std::size_t h = level_; h < 2 * level_; ++h)
      going_ += static_cast<unsigned>(std::popcount(split(f)[h] & pass.present[2 * h] & pass.present[2 * h + 1]));
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
    corrected_ += static_cast<unsigned>(std::popcount(errors[u]));
  }
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
  going_ = 0;
  starting_ = 0;
  last_start_ = 0;
  bool idle = true;
  // What a frame's answers say, then, a few frames later, once the memory is there that they change, the changes.
  for (std::size_t f = 0; f < frames_.size() + settle_behind; ++f) {
    if (f < frames_.size()) {
      prefetch(f);
      Frame& frame = frames_[f];
      if (frame.asked != Asked::nothing) learn_frame(f, frame.started ? started : going, out);
      frame.started = false;
    }
    if (f < settle_behind) continue;
    const std::size_t settled = f - settle_behind;
    Frame& frame = frames_[settled];
    settle_frame(settled);
    if (frame.asked == Asked::pieces) {
      going_ += frame.searches.size();
    } else if (frame.asked == Asked::subset) {
      ++going_;
    } else {
      start(settled);
    }
    idle = idle && frame.asked == Asked::nothing;
  }
  if (key_asked_ != Asked::nothing) {
    learn_key(key_started_ ? started : going, out);
    key_started_ = false;
  }
  if (!going.finished() || !started.finished()) return malformed();
  out.finish();
  if (key_asked_ == Asked::subset) {
    ++going_;
  } else if (idle && key_asked_ == Asked::nothing) {
    advance_key();
  }
  append(question_, std::exchange(starts_, {}));
  if (going_ + starting_ == 0 && key_asked_ == Asked::nothing && std::ranges::all_of(frames_, [](const Frame& f) { return f.asked == Asked::nothing; }))
    question_.clear();
  return {};
}

void Corrector::learn_frame(std::size_t f, BitReader& in, BitWriter& out) {
  Frame& frame = frames_[f];
  switch (frame.asked) {
    case Asked::nothing:
      break;
    case Asked::pieces:
      learn_pieces(f, in, out);
      break;
    case Asked::blocks:
      learn_blocks(f, in);
      frame.asked = Asked::nothing;
      break;
    case Asked::confirmations:
      for (std::uint32_t i = 0; i < frame_confirmations; ++i) {
        const bool own = subset_parity(with_, *layout_, bits_words_, i, whole_frame(f));
        frame.differ |= static_cast<std::uint32_t>(in.get(1) ^ (own ? 1U : 0U)) << i;
      }
      frame.asked = Asked::nothing;
      break;
    case Asked::subset:
      learn_subset(frame.subset, frame.asked, in, out);
      break;
  }
}

void Corrector::learn_pieces(std::size_t f, BitReader& in, BitWriter& out) {
  Frame& frame = frames_[f];
  const FrameLayout& layout = layout_->of(f);
  const PassLayout& pass = layout.pass[frame.pass];
  const SearchTree nodes = tree(f, frame.pass);
  const std::size_t count = frame.searches.size();
  std::size_t kept = 0;
  for (std::size_t first = 0; first < count; first += 64) {
    const std::size_t end = std::min(count, first + 64);
    std::uint64_t answers = in.get(static_cast<unsigned>(end - first));
    std::uint64_t told = 0;
    unsigned tell = 0;
    for (std::size_t i = first; i < end; ++i, answers >>= 1) {
      const Node left = left_child(frame.searches[i]);
      if (left >= leaf_first) {
        const BitPlace place = place_of(pass, left);
        const std::uint64_t differs = (answers ^ bits(f)[place.word] >> place.bit) & 1U;
        frame.ended.push_back(differs != 0 ? left : right_sibling(left));
        continue;
      }
      const std::uint64_t differs = (answers ^ (nodes.parity(left) ? 1U : 0U)) & 1U;
      told |= differs << tell++;
      Node node = differs != 0 ? left : right_sibling(left);
      if (layout.padded) {
        for (Node only = 0; node < leaf_first && (only = only_child(pass, node)) != 0;) node = only;
      }
      if (node < leaf_first) {
        frame.searches[kept++] = static_cast<std::uint16_t>(node);
      } else {
        frame.ended.push_back(node);
      }
    }
    out.put(told, tell);
  }
  frame.searches.resize(kept);
  if (kept == 0) frame.asked = Asked::nothing;
  for (const Node leaf : frame.ended) {
    const BitPlace at = place_of(pass, leaf);
    __builtin_prefetch(bits(f) + at.word, 1);
    for (std::size_t p = 0; p < frame.opened; ++p) {
      const std::uint32_t place = layout.pass[p].place[at.word];
      tree(f, p).prefetch_above(place, (at.bit + layout.pass[p].turn[place]) & 63U);
    }
  }
}

void Corrector::settle_frame(std::size_t f) {
  Frame& frame = frames_[f];
  const PassLayout& pass = layout_->of(f).pass[frame.pass];
  for (const Node leaf : frame.ended) {
    tree(f, frame.pass).settle_search((leaf - leaf_first) >> 6, leaf & 63U, layout_->exponents[frame.pass]);
    flip(f, frame.pass, place_of(pass, leaf));
  }
  frame.ended.clear();
}

void Corrector::prefetch(std::size_t now) noexcept {
  if (now + 6 < frames_.size()) {
    __builtin_prefetch(&frames_[now + 6]);
    __builtin_prefetch(&frames_[now + 6].odd);
  }
  if (now + 4 < frames_.size()) {
    __builtin_prefetch(frames_[now + 4].searches.data());
    for (const auto& odd : frames_[now + 4].odd) __builtin_prefetch(odd.data());
  }
  const std::size_t f = now + 2;
  if (f >= frames_.size() || frames_[f].asked != Asked::pieces) return;
  const Frame& frame = frames_[f];
  const PassLayout& pass = layout_->of(f).pass[frame.pass];
  const SearchTree nodes = tree(f, frame.pass);
  for (const std::uint16_t search : frame.searches) {
    const Node left = left_child(search);
    if (left < leaf_first) {
      nodes.prefetch(left);
    } else {
      __builtin_prefetch(bits(f) + place_of(pass, left).word, 1);
    }
  }
}

void Corrector::learn_blocks(std::size_t f, BitReader& in) {
  Frame& frame = frames_[f];
  const std::uint8_t number = frame.opened++;
  const PassLayout& pass = layout_->of(f).pass[number];
  std::array<std::uint64_t, frame_words> plain;
  build_tree(pass, bits(f), plain.data());
  // Everything known is even when a pass is opened, so the frame as a whole is: the last block follows from the others.
  std::uint64_t sum = 0;
  for (Node node = first_top(layout_->exponents[number]); node <= pass.last_top; ++node) {
    if (!pass.has(node)) continue;
    const std::uint64_t own = tree_bit(plain.data(), node) ? 1 : 0;
    const std::uint64_t differs = node == pass.last_top ? sum : in.get(1) ^ own;
    sum ^= differs;
    plain.at(node >> 6) ^= (own ^ differs) << (node & 63U);
    if (differs != 0) frame.odd[number].push_back(static_cast<std::uint16_t>(node));
  }
  tree(f, number).fill(with_, plain.data(), nullptr);
  wipe({reinterpret_cast<std::uint8_t*>(plain.data()), sizeof(plain)});
}

void Corrector::learn_subset(SubsetSearch& search, Asked& asked, BitReader& in, BitWriter& out) {
  const SubsetRange left = search.range.left();
  const bool differs = in.get(1) != (subset_parity(with_, *layout_, bits_words_, search.number, left) ? 1U : 0U);
  search.range = settle(*layout_, search.number, differs ? left : search.range.right());
  out.put(differs ? 1 : 0, 1);
  if (!search.range.is_bit()) return;
  asked = Asked::nothing;
  flip(search.range.first_word / frame_words, passes, search.range.bit_place());
}

void Corrector::learn_key(BitReader& in, BitWriter& out) {
  if (key_asked_ == Asked::subset) {
    learn_subset(key_search_, key_asked_, in, out);
    return;
  }
  const std::uint32_t first = frame_confirmations + key_confirmations * (key_batches_ - 1);
  const auto theirs = static_cast<std::uint32_t>(in.get(key_confirmations));
  key_differ_ = theirs ^ subset_parities(with_, *layout_, bits_words_, first);
  key_batch_clean_ = key_differ_ == 0;
  key_asked_ = Asked::nothing;
}

bool Corrector::start(std::size_t f) {
  Frame& frame = frames_[f];
  while (corrected_ <= key_bits_) {  // false answers might have the same bits flipped to and fro for ever
    if (start_pieces(f)) return true;
    if (std::ranges::any_of(frame.odd, [](const auto& pieces) { return !pieces.empty(); })) continue;
    if (frame.opened < passes) {
      const PassLayout& pass = layout_->of(f).pass[frame.opened];
      for (Node node = first_top(layout_->exponents[frame.opened]); node < pass.last_top; ++node) starting_ += pass.has(node) ? 1 : 0;
      frame.asked = Asked::blocks;
    } else if (!frame.confirming) {
      frame.confirming = true;
      starting_ += frame_confirmations;
      frame.asked = Asked::confirmations;
    } else if (frame.differ != 0) {
      if (!start_subset(f, frame.subset, 0, frame.differ)) continue;
      frame.asked = Asked::subset;
    } else {
      return false;
    }
    if (frame.asked != Asked::subset) write_start(f, static_cast<std::uint8_t>(Start::open));
    frame.started = true;
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
    std::erase_if(odd, [&](std::uint16_t node) { return !nodes.parity(node) || nodes.known_below(node); });
    std::ranges::sort(odd, std::greater{});
    odd.erase(std::ranges::unique(odd).begin(), odd.end());
    if (odd.empty()) continue;
    std::size_t count = std::min<std::size_t>(odd.size(), searches_at_once(p, layout_->exponents));
    frame.pass = p;
    for (std::size_t i = 0; i < count; ++i) search_piece(f, p, odd[i]);
    odd.erase(odd.begin(), odd.begin() + static_cast<std::ptrdiff_t>(count));
    if (frame.searches.empty()) return false;  // they ended at once, in bits with nothing but padding around them
    frame.asked = Asked::pieces;
    frame.started = true;
    starting_ += frame.searches.size();
    write_start(f, p);
    starts_.push_back(static_cast<std::uint8_t>(frame.searches.size()));
    starts_.push_back(static_cast<std::uint8_t>(frame.searches.size() >> 8));
    for (const std::uint16_t node : frame.searches) {
      starts_.push_back(static_cast<std::uint8_t>(node));
      starts_.push_back(static_cast<std::uint8_t>(node >> 8));
    }
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
    frames_[f].searches.push_back(static_cast<std::uint16_t>(node));
    return;
  }
  nodes.settle_search((node - leaf_first) >> 6, node & 63U, layout_->exponents[p]);
  flip(f, p, place_of(pass, node));
}

bool Corrector::start_subset(std::size_t place, SubsetSearch& search, std::uint32_t first, std::uint32_t differ) {
  const auto number = static_cast<std::uint32_t>(std::countr_zero(differ));
  search.number = first + number;
  search.range = settle(*layout_, search.number, place == frames_.size() ? whole_key(*layout_) : whole_frame(place));
  if (search.range.is_bit()) {
    flip(search.range.first_word / frame_words, passes, search.range.bit_place());
    return false;
  }
  write_start(place, static_cast<std::uint8_t>(Start::confirmation));
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
  if (key_differ_ != 0) {
    if (!start_subset(frames_.size(), key_search_, frame_confirmations + key_confirmations * (key_batches_ - 1), key_differ_)) return true;
    key_asked_ = Asked::subset;
  } else if (!key_batch_clean_ && key_batches_ < key_batches_max) {
    ++key_batches_;
    starting_ += key_confirmations;
    key_asked_ = Asked::confirmations;
    write_start(frames_.size(), static_cast<std::uint8_t>(Start::open));
  } else if (!key_batch_clean_) {
    diverged_ = true;
  }
  key_started_ = key_asked_ != Asked::nothing;
  return false;
}

void Corrector::write_start(std::size_t place, std::uint8_t kind) {
  std::size_t gap = place + 1 - last_start_;
  last_start_ = place + 1;
  for (; gap >= 0x80; gap >>= 7) starts_.push_back(static_cast<std::uint8_t>(gap | 0x80));
  starts_.push_back(static_cast<std::uint8_t>(gap));
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
