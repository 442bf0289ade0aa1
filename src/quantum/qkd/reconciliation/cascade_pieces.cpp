// Bob's searches in pieces: their steps, the bits in which they end, and which pieces come next.
#include <algorithm>
#include <utility>

#include "quantum/qkd/reconciliation/cascade_corrector.hpp"

namespace qanat::qkd::cascade::inline QANAT_CASCADE_PROCESSOR {
namespace {

/// How many odd pieces of a pass a frame searches at a time: what a correction in one pass settles in another need not be asked there. More at once
/// means fewer round trips; where there are many errors, one part in a thousand of the efficiency pays for a good part of them.
constexpr std::size_t searches_at_once(std::uint8_t pass, const BlockExponents& exponents) noexcept {
  constexpr std::array<std::size_t, passes> few{frame_bits, 112, 8};
  constexpr std::array<std::size_t, passes> many{frame_bits, 256, 16};
  return (exponents[0] < 5 ? many : few).at(pass);
}

}  // namespace

void Corrector::learn_pieces(BitReader& in, BitWriter& out) {
  SearchList& ending = searches_.at_level[1];
  for_runs(ending, [&](const Search* run, unsigned count) { end_searches(run, count, in.get(count) ^ ground_.own_parities(1, run, count)); });
  ending.clear();
  for (unsigned level = 2; level <= subtree_exponent; ++level) {
    SearchList& list = searches_.at_level[level];
    for_runs(list, [&](Search* run, unsigned count) {
      const std::uint64_t differs = in.get(count) ^ left_parities(run, count);
      out.put(differs, count);
      walk(run, count, differs);
      ground_.arrive(level - 1, run, count);
    });
    std::swap(searches_.at_level[level - 1], list);  // which is empty by now
  }
  std::size_t kept = 0;
  for (std::size_t i = 0; i < searches_.wide.size(); ++i) learn_wide(Search(searches_.wide[i]), in.get(1) != 0, kept, out);
  searches_.wide.resize(kept);
}

void Corrector::learn_fresh(std::size_t count, BitReader& in, BitWriter& out) {
  SearchList& fresh = searches_.fresh;
  for (const std::size_t end = fresh_read_ + count; fresh_read_ < end;) {
    const unsigned run_size = same_level(fresh, fresh_read_, end - fresh_read_);
    Search* run = fresh.data() + fresh_read_;
    fresh_read_ += run_size;
    const unsigned level = run->level;
    if (level == 0) {
      std::size_t kept = searches_.wide.size();
      searches_.wide.emplace_back();
      learn_wide(*run, in.get(1) != 0, kept, out);
      searches_.wide.resize(kept);
      continue;
    }
    const std::uint64_t differs = in.get(run_size) ^ ground_.own_parities(level, run, run_size);
    if (level == 1) {
      end_searches(run, run_size, differs);
      continue;
    }
    out.put(differs, run_size);
    walk(run, run_size, differs);
    ground_.join(searches_, level - 1, run, run_size);
  }
}

void Corrector::learn_wide(const Search& search, bool answer, std::size_t& kept, BitWriter& out) {
  const FrameLayout& layout = layout_->of(search.frame);
  const bool differs = wide_parity(ground_, layout, search) != answer;
  if (search.node < last_level_first) out.put(differs ? 1 : 0, 1);
  const Node node = wide_step(layout, search, !differs);
  if (node < leaf_first) {
    ground_.put_wide(searches_, kept, search, node);
  } else {
    ended_.push_back({.frame = search.frame, .pass = search.pass, .leaf = node});
  }
}

void Corrector::end_searches(const Search* run, unsigned count, std::uint64_t differs) {
  const std::size_t before = ended_.size();
  ended_.resize(before + count);
  Ended* end = ended_.data() + before;
  for (unsigned i = 0; i < count; ++i) {
    const Node right = 64U & (static_cast<Node>(differs >> i & 1U) - 1U);
    end[i] = {.frame = run[i].frame, .pass = run[i].pass, .leaf = left_child(run[i].node) + right};
  }
}

void Corrector::settle_ended() {
  constexpr std::size_t fetch_ahead = 32;  // between asking the memory for lines and changing them
  std::array<Flip, fetch_ahead> flips;
  const std::size_t count = ended_.size();
  for (std::size_t i = 0; i < count + fetch_ahead; ++i) {
    Flip& slot = flips[i % fetch_ahead];
    if (i >= fetch_ahead && i - fetch_ahead < count) end_search(ended_[i - fetch_ahead], slot);
    if (i >= count) continue;
    const Ended& ended = ended_[i];
    slot = look_up(ended.frame, place_of(layout_->of(ended.frame).pass[ended.pass], ended.leaf));
    __builtin_prefetch(bits(ended.frame) + slot.at.word, 1);
    for (std::size_t p = 0; p < frames_[ended.frame].opened; ++p) tree(ended.frame, p).prefetch_above(slot.place[p], slot.lane[p]);
  }
  if (const std::optional<std::uint16_t> last = std::exchange(about_to_start_, std::nullopt)) start(*last);
}

void Corrector::end_search(const Ended& ended, const Flip& change) {
  tree(ended.frame, ended.pass).settle_search(change.place[ended.pass], change.lane[ended.pass], layout_->exponents[ended.pass]);
  flip(ended.frame, ended.pass, change);
  if (--frames_[ended.frame].searches != 0) return;
  // It starts when the next frame has come to this: until then its lines are under way.
  fetch_pieces(ended.frame);
  if (const std::optional<std::uint16_t> before = std::exchange(about_to_start_, ended.frame)) start(*before);
}

void Corrector::fetch_pieces(std::size_t f) {
  for (std::size_t p = 0; p < frames_[f].opened; ++p) {
    const SearchTree nodes = tree(f, p);
    for (const std::uint16_t node : frames_[f].odd[p].nodes()) nodes.prefetch(node);
    if (!frames_[f].odd[p].empty()) return;
  }
}

Corrector::Flip Corrector::look_up(std::size_t f, BitPlace at) const noexcept {
  const FrameLayout& layout = layout_->of(f);
  Flip change{.at = at, .place = {}, .lane = {}};
  for (std::size_t p = 0; p < passes; ++p) {
    change.place[p] = layout.pass[p].place[at.word];
    change.lane[p] = static_cast<std::uint8_t>((at.bit + layout.pass[p].turn[change.place[p]]) & 63U);
  }
  return change;
}

void Corrector::flip(std::size_t f, std::size_t searched, const Flip& change) {
  Frame& frame = frames_[f];
  bits(f)[change.at.word] ^= std::uint64_t{1} << change.at.bit;
  ++corrected_;
  for (std::size_t p = 0; p < frame.opened; ++p) {
    if (p != searched) frame.odd[p].add(tree(f, p).flip_above(change.place[p], change.lane[p], layout_->exponents[p]));
  }
  if (frame.confirming) flip_confirmed(f, change.at);
}

void Corrector::flip(std::size_t f, std::size_t searched, BitPlace at) { flip(f, searched, look_up(f, at)); }

bool Corrector::start_pieces(std::size_t f) {
  Frame& frame = frames_[f];
  for (std::uint8_t p = 0; p < frame.opened; ++p) {
    PieceList& odd = frame.odd[p];
    if (odd.empty()) continue;
    const std::span<const std::uint16_t> pieces = sort_pieces(tree(f, p), odd);
    const std::size_t now = std::min(pieces.size(), searches_at_once(p, layout_->exponents));
    odd.keep(pieces.subspan(now));
    if (now == 0) continue;
    const std::size_t before = searches_.fresh.size();
    for (const std::uint16_t node : pieces.first(now)) search_piece(f, p, node);
    const std::size_t count = searches_.fresh.size() - before;
    if (count == 0) return false;  // they ended at once, in bits with nothing but padding around them
    frame.searches = static_cast<std::uint32_t>(count);
    starting_ += count;
    write_start(f, p, Begun::What::pieces, static_cast<std::uint32_t>(count));
    starts_.push_back(static_cast<std::uint8_t>(count));
    starts_.push_back(static_cast<std::uint8_t>(count >> 8));
    std::size_t at = starts_.size();
    starts_.resize(at + 2 * count);
    for (std::size_t i = before; i < searches_.fresh.size(); ++i, at += 2) std::memcpy(&starts_[at], &searches_.fresh[i].node, 2);
    return true;
  }
  return false;
}

std::span<const std::uint16_t> Corrector::sort_pieces(const SearchTree& nodes, PieceList& odd) {
  const std::span<std::uint16_t> all = odd.nodes();
  // By level: a larger number is of a smaller piece. Counted first, because most comparisons of a sort would be foreseen wrongly.
  std::array<std::uint32_t, 17> count{};
  std::size_t kept = 0;
  for (const std::uint16_t node : all) {
    const bool searchable = nodes.searchable(node);
    all[kept] = node;
    kept += searchable ? 1 : 0;
    count.at(level_of(node)) += searchable ? 1 : 0;
  }
  std::uint32_t next = 0;
  for (std::uint32_t& level : count) level = std::exchange(next, next + level);
  pieces_.resize(std::max(pieces_.size(), kept));
  for (std::size_t i = 0; i < kept; ++i) pieces_[count.at(level_of(all[i]))++] = all[i];
  return {pieces_.data(), kept};
}

void Corrector::search_piece(std::size_t f, std::uint8_t p, Node node) {
  const FrameLayout& layout = layout_->of(f);
  const PassLayout& pass = layout.pass[p];
  SearchTree nodes = tree(f, p);
  if (!nodes.searchable(node)) return;  // it stood there twice
  nodes.set_known_below(node);
  if (layout.padded) {
    for (Node only = 0; node < leaf_first && (only = only_child(pass, node)) != 0;) node = only;
  }
  if (node < leaf_first) {
    searches_.fresh.push_back(ground_.start(f, p, node));
    return;
  }
  nodes.settle_search((node - leaf_first) >> 6, node & 63U, layout_->exponents[p]);
  flip(f, p, place_of(pass, node));
}

}  // namespace qanat::qkd::cascade::inline QANAT_CASCADE_PROCESSOR
