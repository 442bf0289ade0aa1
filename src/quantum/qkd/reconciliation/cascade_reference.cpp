#include "quantum/qkd/reconciliation/cascade_reference.hpp"

#include <utility>

namespace qanat::qkd::cascade {
namespace {

std::unexpected<Error> malformed() { return fail(ErrorCode::invalid_argument, "error correction: malformed question"); }

bool take_octet(ByteView& in, std::uint8_t& value) {
  if (in.empty()) return false;
  value = in[0];
  in = in.subspan(1);
  return true;
}

/// Unsigned LEB128 of at most 21 bits, in its shortest form.
bool take_varint(ByteView& in, std::size_t& value) {
  value = 0;
  for (unsigned shift = 0; shift < 21; shift += 7) {
    std::uint8_t octet = 0;
    if (!take_octet(in, octet)) return false;
    value |= std::size_t{octet & 0x7fU} << shift;
    if ((octet & 0x80) == 0) return octet != 0 || shift == 0;
  }
  return false;
}

}  // namespace

Reference::Reference(const ReconciliationSetup& setup, const Secret& key, const Kernels& with)
    : key_(key), with_(with), key_bits_(setup.key_bits), expected_(key_bits_ <= plain_bits_max ? Stage::whole : Stage::tops) {
  if (expected_ == Stage::whole) return;
  layout_.emplace(setup);
  const std::size_t words = layout_->frames * frame_words;
  bits_ = Secret(8 * words);
  trees_ = Secret(8 * passes * words);
  bits_words_ = words_of(bits_);
  trees_words_ = words_of(trees_);
  frames_.resize(layout_->frames);
}

Result<Bytes> Reference::answer(ByteView question) {
  if (std::exchange(failed_, true)) return malformed();  // until this one turns out well
  if (question.empty() || question[0] != static_cast<std::uint8_t>(expected_)) return malformed();
  Bytes answer;
  Bytes started;
  BitWriter out(answer);
  BitWriter out_started(started);
  const ByteView rest = question.subspan(1);
  const ByteView key = key_.reveal();
  if (expected_ == Stage::whole || expected_ == Stage::tops) {
    if (!rest.empty()) return malformed();
    if (expected_ == Stage::tops) {
      spread_key(with_, key, key_bits_, {bits_words_, bits_.size() / 8});
      tell_tops(out);
    } else {
      for (std::size_t i = 0; i < key_bits_; ++i) out.put(key[i / 8] >> (i % 8) & 1U, 1);
    }
  } else if (expected_ == Stage::halves) {
    TRY(tell_halves(rest, out));
  } else {
    TRY(tell_searches(rest, out, out_started));
  }
  // A stranger who asks in Bob's place learns at most this much of a block that is then thrown away.
  if (disclosed_ + out.bits() + out_started.bits() > key_bits_)
    return fail(ErrorCode::exhausted, "error correction: more parities asked than the key has bits");
  disclosed_ += out.bits() + out_started.bits();
  out.finish();
  out_started.finish();
  append(answer, started);
  failed_ = false;
  return Result<Bytes>(std::move(answer));
}

void Reference::tell_tops(BitWriter& out) {
  level_ = first_top(layout_->exponents[0]) / 64;
  for (std::size_t f = 0; f < frames_.size(); ++f) {
    const PassLayout& pass = layout_->of(f).pass[0];
    build_tree(pass, bits(f), tree(f, 0));
    with_.put_tops(pass, level_, tree(f, 0), out);
  }
  split_.resize(frames_.size() * frame_words);
  expected_ = Stage::halves;
}

Result<void> Reference::tell_halves(ByteView question, BitWriter& out) {
  BitReader in(question);
  Secret ordered(8 * frame_words);
  const std::size_t next = blocks_known_ ? 2 * level_ : level_;
  for (std::size_t f = 0; f < frames_.size(); ++f) {
    const PassLayout& pass = layout_->of(f).pass[0];
    std::uint64_t* split = split_.data() + f * frame_words;
    if (blocks_known_) {
      with_.get_halves(pass, level_, split, split + next, in);
    } else {
      with_.get_tops(pass, level_, split, in);
    }
    if (next == frame_words / 2) order_words(pass, bits(f), words_of(ordered));
    with_.put_halves(pass, next, next == frame_words / 2 ? words_of(ordered) : tree(f, 0) + 2 * next, split, out);
  }
  if (!in.finished() || in.octets() != question.size()) return malformed();
  blocks_known_ = true;
  level_ = next;
  if (level_ == frame_words / 2) {
    expected_ = Stage::searches;
    split_ = {};
  }
  return {};
}

Result<void> Reference::tell_searches(ByteView question, BitWriter& going, BitWriter& started) {
  const std::uint64_t octets = (going_ + 7) / 8;
  if (question.size() < octets) return malformed();
  BitReader in(question.first(octets));
  for (std::size_t f = 0; f < frames_.size(); ++f) {
    if (f + 6 < frames_.size()) __builtin_prefetch(&frames_[f + 6]);
    if (f + 4 < frames_.size()) __builtin_prefetch(frames_[f + 4].searches.data());
    if (f + 2 < frames_.size()) prefetch(f + 2);
    go_on(f, in, going);
  }
  if (key_search_) go_on(key_search_, in, going);
  if (!in.finished() || in.octets() != octets) return malformed();
  ByteView starts = question.subspan(octets);
  for (std::size_t next = 0; !starts.empty();) {
    std::size_t gap = 0;
    if (!take_varint(starts, gap) || gap == 0 || next + gap - 1 > frames_.size()) return malformed();
    next += gap;
    if (!start(next - 1, starts, started)) return malformed();
  }
  going_ = key_search_ ? 1 : 0;
  for (const Frame& frame : frames_) going_ += frame.searches.size() + (frame.subset ? 1 : 0);
  return {};
}

void Reference::prefetch(std::size_t f) noexcept {
  const Frame& frame = frames_[f];
  const PassLayout& pass = layout_->of(f).pass[frame.pass];
  const std::uint64_t* parities = tree(f, frame.pass);
  for (const std::uint16_t search : frame.searches) {
    const Node node = left_child(left_child(search));  // those of the right child are in the same cache line
    if (node < leaf_first) {
      __builtin_prefetch(parities + (node >> 6));
    } else {
      const std::size_t u = (node - leaf_first) >> 6;
      __builtin_prefetch(bits(f) + pass.source[u]);
      __builtin_prefetch(bits(f) + pass.source[u + 2]);
    }
  }
}

void Reference::go_on(std::size_t f, BitReader& in, BitWriter& out) {
  Frame& frame = frames_[f];
  if (frame.subset) go_on(frame.subset, in, out);
  if (frame.searches.empty()) return;
  const FrameLayout& layout = layout_->of(f);
  const PassLayout& pass = layout.pass[frame.pass];
  const std::uint64_t* words = bits(f);
  const std::uint64_t* parities = tree(f, frame.pass);
  std::size_t kept = 0;
  for (const std::uint16_t search : frame.searches) {
    Node node = left_child(search);
    if (in.get(1) == 0) node = right_sibling(node);
    if (layout.padded) {
      for (Node only = 0; node < leaf_first && (only = only_child(pass, node)) != 0;) node = only;
    }
    if (node >= leaf_first) continue;
    out.put(parity_of(pass, words, parities, left_child(node)) ? 1 : 0, 1);
    frame.searches[kept] = static_cast<std::uint16_t>(node);
    if (node < last_level_first) ++kept;  // else the search ends with this answer
  }
  frame.searches.resize(kept);
}

void Reference::go_on(std::optional<SubsetSearch>& search, BitReader& in, BitWriter& out) {
  search->range = settle(*layout_, search->number, in.get(1) != 0 ? search->range.left() : search->range.right());
  tell_half(search, out);
}

void Reference::tell_half(std::optional<SubsetSearch>& search, BitWriter& out) {
  if (!search->range.is_bit()) {
    const SubsetRange left = search->range.left();
    out.put(subset_parity(with_, *layout_, bits_words_, search->number, left) ? 1 : 0, 1);
    return;
  }
  search.reset();
}

bool Reference::start(std::size_t f, ByteView& in, BitWriter& out) {
  std::uint8_t kind = 0;
  if (!take_octet(in, kind) || kind > static_cast<std::uint8_t>(Start::confirmation)) return false;
  const bool busy = f < frames_.size() ? !frames_[f].searches.empty() || frames_[f].subset : key_search_.has_value();
  if (busy) return false;
  if (kind == static_cast<std::uint8_t>(Start::open)) return open(f, out);
  if (kind < static_cast<std::uint8_t>(Start::open)) return f < frames_.size() && start_searches(f, kind, in, out);
  std::uint8_t number = 0;
  return take_octet(in, number) && start_subset(f, number, out);
}

bool Reference::start_searches(std::size_t f, std::uint8_t pass_number, ByteView& in, BitWriter& out) {
  Frame& frame = frames_[f];
  if (pass_number >= frame.opened || in.size() < 2) return false;
  const std::size_t count = in[0] | std::size_t{in[1]} << 8;
  if (count == 0 || in.size() - 2 < 2 * count) return false;
  const FrameLayout& layout = layout_->of(f);
  const PassLayout& pass = layout.pass[pass_number];
  const Node lowest = first_top(layout_->exponents[pass_number]);
  frame.pass = pass_number;
  for (std::size_t i = 0; i < count; ++i) {
    const Node node = in[2 + 2 * i] | Node{in[3 + 2 * i]} << 8;
    if (node < lowest || (layout.padded && (!pass.has(node) || only_child(pass, node) != 0))) return false;
    if (node < last_level_first) __builtin_prefetch(tree(f, pass_number) + (left_child(node) >> 6));
    frame.searches.push_back(static_cast<std::uint16_t>(node));
  }
  in = in.subspan(2 + 2 * count);
  for (const std::uint16_t node : frame.searches) out.put(parity_of(pass, bits(f), tree(f, pass_number), left_child(node)) ? 1 : 0, 1);
  std::erase_if(frame.searches, [](std::uint16_t node) { return node >= last_level_first; });  // those end with this answer
  return true;
}

bool Reference::open(std::size_t f, BitWriter& out) {
  if (f == frames_.size()) {
    if (key_batches_ == key_batches_max) return false;
    const std::uint32_t first = frame_confirmations + key_confirmations * key_batches_++;
    out.put(subset_parities(with_, *layout_, bits_words_, first), key_confirmations);
    return true;
  }
  Frame& frame = frames_[f];
  if (frame.opened == passes) {
    if (frame.confirming) return false;
    frame.confirming = true;
    for (std::uint32_t i = 0; i < frame_confirmations; ++i) out.put(subset_parity(with_, *layout_, bits_words_, i, whole_frame(f)) ? 1 : 0, 1);
    return true;
  }
  const std::uint8_t number = frame.opened++;
  const PassLayout& pass = layout_->of(f).pass[number];
  build_tree(pass, bits(f), tree(f, number));
  for (Node node = first_top(layout_->exponents[number]); node < pass.last_top; ++node) {
    if (pass.has(node)) out.put(tree_bit(tree(f, number), node) ? 1 : 0, 1);
  }
  return true;
}

bool Reference::start_subset(std::size_t f, std::uint8_t number, BitWriter& out) {
  const bool of_key = f == frames_.size();
  if (of_key ? key_batches_ == 0 || number >= key_confirmations : !frames_[f].confirming || number >= frame_confirmations) return false;
  const std::uint32_t absolute = of_key ? frame_confirmations + key_confirmations * (key_batches_ - 1) + number : number;
  const SubsetRange range = settle(*layout_, absolute, of_key ? whole_key(*layout_) : whole_frame(f));
  if (range.is_bit()) return false;
  std::optional<SubsetSearch>& search = of_key ? key_search_ : frames_[f].subset;
  search = SubsetSearch{.number = absolute, .range = range};
  tell_half(search, out);
  return true;
}

}  // namespace qanat::qkd::cascade
