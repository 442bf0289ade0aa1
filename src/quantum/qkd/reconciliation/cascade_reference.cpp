#include "quantum/qkd/reconciliation/cascade_reference.hpp"

#include <algorithm>
#include <utility>

namespace qanat::qkd::cascade::inline QANAT_CASCADE_PROCESSOR {
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
  ground_ = SearchGround<ParityTree>(*layout_, words_of(bits_), words_of(trees_));
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
      spread_key(with_, key, key_bits_, {bits(0), bits_.size() / 8});
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
    if (next == frame_words / 2 && f + 1 < frames_.size()) fetch_frame(bits(f + 1));
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
  const std::uint64_t octets = (searches_.going() + searches_.fresh.size() + subsets_.size() + 7) / 8;
  if (question.size() < octets) return malformed_question();
  BitReader in(question.first(octets));
  walk_pieces(in);
  tell_pieces(going);
  std::erase_if(subsets_, [&](SubsetSearch& search) {
    search.range = settle(*layout_, search.number, in.get(1) != 0 ? search.range.left() : search.range.right());
    if (search.range.is_bit()) return true;
    tell_half(search, going);
    return false;
  });
  if (!in.finished() || in.octets() != octets) return malformed_question();
  ByteView starts = question.subspan(octets);
  ByteView ahead = starts;
  fetch_start(ahead);
  while (!starts.empty()) {
    fetch_start(ahead);  // of the next one while this one is read
    std::size_t place = 0;
    if (!take_varint(starts, place) || place > frames_.size() || !start(place, starts, started)) return malformed_question();
  }
  return {};
}

void Reference::fetch_start(ByteView& starts) const noexcept {
  ByteView in = std::exchange(starts, {});
  std::size_t f = 0;
  std::uint8_t kind = 0;
  // What is wrong with the record is found in its turn.
  if (in.empty() || !take_varint(in, f) || f >= frames_.size() || !take_octet(in, kind)) return;
  if (kind == static_cast<std::uint8_t>(Start::open)) {
    fetch_frame(bits(f));
    starts = in;
  } else if (kind == static_cast<std::uint8_t>(Start::confirmation)) {
    starts = in.subspan(std::min<std::size_t>(1, in.size()));
  } else if (kind < static_cast<std::uint8_t>(Start::open) && in.size() >= 2) {
    const std::size_t count = std::min(in.size() / 2 - 1, in[0] | std::size_t{in[1]} << 8);
    const ParityTree nodes = tree(f, kind);
    for (std::size_t i = 1; i <= count; ++i) nodes.prefetch(in[2 * i] | Node{in[2 * i + 1]} << 8);
    starts = in.subspan(2 + 2 * count);
  }
}

void Reference::walk_pieces(BitReader& in) {
  for (unsigned level = 2; level <= subtree_exponent; ++level) {
    SearchList& list = searches_.at_level[level];
    for_runs(list, [&](Search* run, unsigned count) {
      walk(run, count, in.get(count));
      ground_.arrive(level - 1, run, count);
    });
    std::swap(searches_.at_level[level - 1], list);  // which is empty by now
  }
  std::size_t kept = 0;
  for (std::size_t i = 0; i < searches_.wide.size(); ++i) walk_wide(Search(searches_.wide[i]), in.get(1) != 0, kept);
  searches_.wide.resize(kept);
  walk_fresh(in);
}

void Reference::walk_fresh(BitReader& in) {
  SearchList& fresh = searches_.fresh;
  for (std::size_t at = 0; at < fresh.size();) {
    const unsigned run_size = same_level(fresh, at, fresh.size() - at);
    Search* run = fresh.data() + at;
    at += run_size;
    const unsigned level = run->level;
    if (level == 0) {
      std::size_t kept = searches_.wide.size();
      searches_.wide.emplace_back();
      walk_wide(*run, in.get(1) != 0, kept);
      searches_.wide.resize(kept);
      continue;
    }
    walk(run, run_size, in.get(run_size));
    ground_.join(searches_, level - 1, run, run_size);
  }
  fresh.clear();
}

void Reference::walk_wide(const Search& search, bool differs, std::size_t& kept) {
  const Node node = wide_step(layout_->of(search.frame), search, !differs);
  if (node < leaf_first) {
    ground_.put_wide(searches_, kept, search, node);
  } else {
    --frames_[search.frame].searches;
  }
}

void Reference::tell_pieces(BitWriter& out) {
  for (unsigned level = 1; level <= subtree_exponent; ++level) {
    for_runs(searches_.at_level[level], [&](const Search* run, unsigned count) { out.put(ground_.own_parities(level, run, count), count); });
  }
  for (const Search& search : searches_.at_level[1]) --frames_[search.frame].searches;
  searches_.at_level[1].clear();
  std::erase_if(searches_.wide, [&](const Search& search) {
    out.put(wide_parity(ground_, layout_->of(search.frame), search) ? 1 : 0, 1);
    if (search.node < last_level_first) return false;
    --frames_[search.frame].searches;
    return true;
  });
}

void Reference::tell_fresh(std::size_t first, BitWriter& out) {
  SearchList& fresh = searches_.fresh;
  std::size_t kept = first;
  for (std::size_t at = first; at < fresh.size();) {
    const unsigned run_size = same_level(fresh, at, fresh.size() - at);
    const Search* run = fresh.data() + at;
    at += run_size;
    if (run->level == 0) {
      out.put(wide_parity(ground_, layout_->of(run->frame), *run) ? 1 : 0, 1);
    } else {
      out.put(ground_.own_parities(run->level, run, run_size), run_size);
    }
    if (run->node >= last_level_first) continue;
    std::copy_n(run, run_size, fresh.data() + kept);
    kept += run_size;
  }
  fresh.resize(kept);
}

void Reference::tell_half(const SubsetSearch& search, BitWriter& out) {
  out.put(subset_parity(with_, *layout_, bits(0), search.number, search.range.left()) ? 1 : 0, 1);
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
  const ByteView numbers = in.subspan(2, 2 * count);
  in = in.subspan(2 + 2 * count);
  const auto node_at = [&](std::size_t i) { return numbers[2 * i] | Node{numbers[2 * i + 1]} << 8; };
  for (std::size_t i = 0; i < count; ++i) {
    const Node node = node_at(i);
    if (node < lowest || (layout.padded && (!pass.has(node) || only_child(pass, node) != 0))) return false;
  }
  const std::size_t before = searches_.fresh.size();
  for (std::size_t i = 0; i < count; ++i) searches_.fresh.push_back(ground_.start(f, pass_number, node_at(i)));
  tell_fresh(before, out);
  frame.searches = static_cast<std::uint32_t>(searches_.fresh.size() - before);
  return true;
}

bool Reference::open(std::size_t f, BitWriter& out) {
  if (f == frames_.size()) {
    if (key_batches_ == key_batches_max) return false;
    const std::uint32_t first = frame_confirmations + key_confirmations * key_batches_++;
    out.put(subset_parities(with_, *layout_, bits(0), first), key_confirmations);
    return true;
  }
  Frame& frame = frames_[f];
  if (frame.opened == passes) {
    if (frame.confirming) return false;
    frame.confirming = true;
    for (std::uint32_t i = 0; i < frame_confirmations; ++i) out.put(subset_parity(with_, *layout_, bits(0), i, whole_frame(f)) ? 1 : 0, 1);
    return true;
  }
  const std::uint8_t number = frame.opened++;
  const PassLayout& pass = layout_->of(f).pass[number];
  Secret plain(8 * frame_words);
  build_tree(pass, bits(f), words_of(plain));
  const std::uint8_t exponent = layout_->exponents[number];
  for (Node h = first_top(exponent) >> 6; h <= pass.last_top >> 6; ++h) {
    std::uint64_t told = pass.tops_in(h, exponent);
    if (h == pass.last_top >> 6) told &= ~(std::uint64_t{1} << (pass.last_top & 63U));
    out.put(with_.extract(words_of(plain)[h], told), static_cast<unsigned>(std::popcount(told)));
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

}  // namespace qanat::qkd::cascade::inline QANAT_CASCADE_PROCESSOR
