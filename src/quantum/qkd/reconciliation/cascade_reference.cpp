#include "quantum/qkd/reconciliation/cascade_reference.hpp"

#include <algorithm>
#include <utility>

namespace qanat::qkd::cascade {
namespace {

std::unexpected<Error> malformed_question() { return fail(ErrorCode::invalid_argument, "error correction: malformed_question question"); }


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
  trees_ = Secret(8 * passes * layout_->frames * ParityTree::words);
  bits_words_ = words_of(bits_);
  trees_words_ = words_of(trees_);
  frames_.resize(layout_->frames);
}

Result<Bytes> Reference::answer(ByteView question) {
  if (std::exchange(failed_, true)) return malformed_question();  // until this one turns out well
  if (question.empty() || question[0] != static_cast<std::uint8_t>(expected_)) return malformed_question();
  Bytes answer;
  Bytes started;
  BitWriter out(answer);
  BitWriter out_started(started);
  const ByteView rest = question.subspan(1);
  const ByteView key = key_.reveal();
  if (expected_ == Stage::whole || expected_ == Stage::tops) {
    if (!rest.empty()) return malformed_question();
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
    build_tree(pass, bits(f), tree_memory(f, 0));
    with_.put_tops(pass, level_, tree_memory(f, 0), out);
  }
  split_.resize(frames_.size() * frame_words);
  expected_ = Stage::halves;
}

Result<void> Reference::tell_halves(ByteView question, BitWriter& out) {
  BitReader in(question);
  Secret plain(8 * frame_words);
  const std::size_t next = blocks_known_ ? 2 * level_ : level_;
  for (std::size_t f = 0; f < frames_.size(); ++f) {
    const PassLayout& pass = layout_->of(f).pass[0];
    std::uint64_t* split = split_.data() + f * frame_words;
    if (blocks_known_) {
      with_.get_halves(pass, level_, split, split + next, in);
    } else {
      with_.get_tops(pass, level_, split, in);
    }
    if (next < frame_words / 2) {
      with_.put_halves(pass, next, tree_memory(f, 0) + 2 * next, split, out);
      continue;
    }
    order_words(pass, bits(f), words_of(plain));
    with_.put_halves(pass, next, words_of(plain), split, out);
    std::copy_n(tree_memory(f, 0), frame_words, words_of(plain));
    tree(f, 0).fill(with_, words_of(plain));
  }
  if (!in.finished() || in.octets() != question.size()) return malformed_question();
  blocks_known_ = true;
  level_ = next;
  if (level_ == frame_words / 2) {
    expected_ = Stage::searches;
    split_ = {};
  }
  return {};
}

Result<void> Reference::tell_searches(ByteView question, BitWriter& going, BitWriter& started) {
  const std::uint64_t octets = (searches_.size() + subsets_.size() + 7) / 8;
  if (question.size() < octets) return malformed_question();
  BitReader in(question.first(octets));
  go_on(in, going);
  std::erase_if(subsets_, [&](SubsetSearch& search) {
    search.range = settle(*layout_, search.number, in.get(1) != 0 ? search.range.left() : search.range.right());
    if (search.range.is_bit()) return true;
    tell_half(search, going);
    return false;
  });
  if (!in.finished() || in.octets() != octets) return malformed_question();
  for (ByteView starts = question.subspan(octets); !starts.empty();) {
    std::size_t place = 0;
    if (!take_varint(starts, place) || place > frames_.size() || !start(place, starts, started)) return malformed_question();
  }
  return {};
}

inline bool Reference::left_parity(Search& search) noexcept { return search.at != 0 ? search.left_parity() : left_parity_fetched(search); }

void Reference::prefetch(const Search& search) noexcept {
  if (search.at != 0 && 2U * search.at < search.end) return;
  const Node child = search.at == 0 ? left_child(search.node) : search.below(2U * search.at);
  if (child >= last_level_first) {
    const PassLayout& pass = layout_->of(search.frame).pass[search.pass];
    const std::size_t u = (left_child(child) - leaf_first) >> 6;
    __builtin_prefetch(bits(search.frame) + pass.source[u]);
    __builtin_prefetch(bits(search.frame) + pass.source[u + 2]);
  } else {
    tree(search.frame, search.pass).prefetch(child);
  }
}

void Reference::go_on(BitReader& in, BitWriter& out) {
  const std::size_t count = searches_.size();
  std::size_t kept = 0;
  for (std::size_t first = 0; first < count; first += 64) {
    const std::size_t end = std::min(count, first + 64);
    std::uint64_t lefts = in.get(static_cast<unsigned>(end - first));
    std::uint64_t told = 0;
    unsigned tell = 0;
    for (std::size_t i = first; i < end; ++i, lefts >>= 1) {
      if (i + fetch_ahead < count) prefetch(searches_[i + fetch_ahead]);
      Search search = searches_[i];
      if (search.at != 0) {
        search.walk((lefts & 1U) == 0);
      } else if (!walk(search, (lefts & 1U) == 0)) {
        --frames_[search.frame].searches;
        continue;
      }
      told |= std::uint64_t{left_parity(search) ? 1U : 0U} << tell++;
      searches_[kept] = search;
      if (search.at != 0 || search.node < last_level_first) {
        ++kept;  // else the search ends with this answer
      } else {
        --frames_[search.frame].searches;
      }
    }
    out.put(told, tell);
  }
  searches_.resize(kept);
}

bool Reference::walk(Search& search, bool right) const noexcept {
  Node node = left_child(search.node);
  if (right) node = right_sibling(node);
  if (const FrameLayout& layout = layout_->of(search.frame); layout.padded) {
    for (Node only = 0; node < leaf_first && (only = only_child(layout.pass[search.pass], node)) != 0;) node = only;
  }
  search.jump(node);
  return node < leaf_first;
}

bool Reference::left_parity_fetched(Search& search) noexcept {
  const Node left = left_child(search.node);
  if (left >= leaf_first) {
    const BitPlace place = place_of(layout_->of(search.frame).pass[search.pass], left);
    return (bits(search.frame)[place.word] >> place.bit & 1U) != 0;
  }
  const ParityTree nodes = tree(search.frame, search.pass);
  if (search.node < subtree_roots || layout_->of(search.frame).padded) return nodes.parity(left);
  nodes.take(search);
  return search.left_parity();
}

void Reference::tell_half(const SubsetSearch& search, BitWriter& out) {
  out.put(subset_parity(with_, *layout_, bits_words_, search.number, search.range.left()) ? 1 : 0, 1);
}

bool Reference::in_subset(std::size_t place) const noexcept {
  return std::ranges::any_of(subsets_, [&](const SubsetSearch& search) { return search.place == place; });
}

bool Reference::start(std::size_t f, ByteView& in, BitWriter& out) {
  std::uint8_t kind = 0;
  if (!take_octet(in, kind) || kind > static_cast<std::uint8_t>(Start::confirmation)) return false;
  if ((f < frames_.size() && frames_[f].searches != 0) || in_subset(f)) return false;
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
  const std::size_t before = searches_.size();
  for (std::size_t i = 0; i < count; ++i) {
    const Node node = in[2 + 2 * i] | Node{in[3 + 2 * i]} << 8;
    if (node < lowest || (layout.padded && (!pass.has(node) || only_child(pass, node) != 0))) return false;
    tree(f, pass_number).prefetch(node);
    searches_.push_back({.frame = static_cast<std::uint16_t>(f), .node = static_cast<std::uint16_t>(node), .pass = pass_number});
  }
  in = in.subspan(2 + 2 * count);
  std::size_t kept = before;
  for (std::size_t i = before; i < searches_.size(); ++i) {
    Search search = searches_[i];
    out.put(left_parity(search) ? 1 : 0, 1);
    searches_[kept] = search;
    if (search.node < last_level_first) ++kept;  // else the search ends with this answer
  }
  searches_.resize(kept);
  frame.searches = static_cast<std::uint32_t>(kept - before);
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
  Secret plain(8 * frame_words);
  build_tree(pass, bits(f), words_of(plain));
  for (Node node = first_top(layout_->exponents[number]); node < pass.last_top; ++node) {
    if (pass.has(node)) out.put(tree_bit(words_of(plain), node) ? 1 : 0, 1);
  }
  tree(f, number).fill(with_, words_of(plain));
  return true;
}

bool Reference::start_subset(std::size_t f, std::uint8_t number, BitWriter& out) {
  const bool of_key = f == frames_.size();
  if (of_key ? key_batches_ == 0 || number >= key_confirmations : !frames_[f].confirming || number >= frame_confirmations) return false;
  const std::uint32_t absolute = of_key ? frame_confirmations + key_confirmations * (key_batches_ - 1) + number : number;
  const SubsetRange range = settle(*layout_, absolute, of_key ? whole_key(*layout_) : whole_frame(f));
  if (range.is_bit()) return false;
  subsets_.push_back({.place = f, .number = absolute, .range = range});
  tell_half(subsets_.back(), out);
  return true;
}

}  // namespace qanat::qkd::cascade
