#include "terminal/ax_carrier.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace qanat::terminal {
namespace {

constexpr std::array<std::uint8_t, 4> magic{'Q', 'A', 'X', 1};
constexpr std::size_t session_octets = 8;
constexpr std::size_t message_at = magic.size() + session_octets;
static_assert(message_at + 3 == fragment_header_octets);
constexpr std::uint8_t first_message = 1;
constexpr std::uint8_t second_message = 2;
constexpr std::uint8_t last_message = 3;

std::unexpected<Error> refuse(const char* why) { return fail(ErrorCode::invalid_argument, std::string("Ax fragment: ") + why); }

}  // namespace

bool is_ax_datagram(ByteView datagram) noexcept { return datagram.size() >= magic.size() && std::ranges::equal(datagram.first(magic.size()), magic); }

Result<Fragment> parse_fragment(ByteView datagram, const SidWk& sid_wk) {
  if (datagram.size() <= fragment_header_octets || datagram.size() > fragment_octets_max) return refuse("too short or too long");
  if (!is_ax_datagram(datagram)) return refuse("does not begin like one");
  if (!equal(datagram.subspan(magic.size(), session_octets), sid_wk.view().first(session_octets))) return refuse("is of another session");
  const Fragment out{.message = datagram[message_at],
                     .index = datagram[message_at + 1],
                     .count = datagram[message_at + 2],
                     .part = datagram.subspan(fragment_header_octets)};
  if (out.message < first_message || out.message > last_message) return refuse("of no message of the exchange");
  if (out.count == 0 || out.count > fragments_max || out.index >= out.count) return refuse("index or count out of bounds");
  if (out.index + 1 < out.count && out.part.size() != fragment_part_max) return refuse("a part that is not the last must be full");
  return out;
}

Result<std::vector<Bytes>> make_fragments(std::uint8_t message, ByteView octets, const SidWk& sid_wk) {
  if (octets.empty() || octets.size() > ax_message_octets_max) {
    return fail(ErrorCode::invalid_argument, "Ax message: " + std::to_string(octets.size()) + " octets, 1 to " + std::to_string(ax_message_octets_max) + " fit");
  }
  const std::size_t count = (octets.size() + fragment_part_max - 1) / fragment_part_max;
  std::vector<Bytes> out;
  for (std::size_t i = 0; i < count; ++i) {
    const ByteView part = octets.subspan(i * fragment_part_max, std::min(fragment_part_max, octets.size() - i * fragment_part_max));
    const std::array<std::uint8_t, 3> place{message, static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(count)};
    out.push_back(concat({magic, sid_wk.view().first(session_octets), place, part}));
  }
  return out;
}

AxCarrier::AxCarrier(AxEnd end, const SidWk& sid_wk)
    : sid_wk_(sid_wk),
      next_out_(end == AxEnd::initiator ? first_message : second_message),
      next_in_(end == AxEnd::initiator ? second_message : first_message) {}

AxCarrier::Arrival AxCarrier::receive(ByteView datagram) {
  const auto fragment = parse_fragment(datagram, sid_wk_);
  if (!fragment) return Arrival::ignored;
  // The two ends send messages of different parity: what comes back from a mirror is not taken for an answer.
  if (fragment->message % 2 != next_in_ % 2 || fragment->message > next_in_) return Arrival::ignored;
  // One answer to a repeated message is enough: to its first fragment.
  if (fragment->message < next_in_) return fragment->index == 0 ? Arrival::repeated : Arrival::fragment;
  if (parts_.empty()) {
    parts_.resize(fragment->count);
    parts_missing_ = fragment->count;
  }
  if (parts_.size() != fragment->count) return Arrival::ignored;
  std::optional<Bytes>& place = parts_[fragment->index];
  if (place) return Arrival::fragment;
  place = to_bytes(fragment->part);
  return --parts_missing_ == 0 ? Arrival::message : Arrival::fragment;
}

Bytes AxCarrier::take_message() {
  CHECK(!parts_.empty() && parts_missing_ == 0);
  Bytes out;
  for (const std::optional<Bytes>& part : parts_) append(out, *part);
  parts_.clear();
  next_in_ = static_cast<std::uint8_t>(next_in_ + 2);
  settle();
  return out;
}

Result<std::vector<Bytes>> AxCarrier::send(ByteView message, AxTime now) {
  if (next_out_ > last_message) return fail(ErrorCode::conflict, "Ax: this end has sent all its messages");
  ASSIGN_OR_RETURN(fragments_, make_fragments(next_out_, message, sid_wk_));
  next_out_ = static_cast<std::uint8_t>(next_out_ + 2);
  interval_ = ax_repeat_first;
  next_ = now + interval_;
  until_ = now + ax_give_up;
  return fragments_;
}

std::vector<Bytes> AxCarrier::tick(AxTime now) {
  if (fragments_.empty() || now < std::min(next_, until_)) return {};
  if (now >= until_) {
    gave_up_ = true;
    fragments_.clear();
    return {};
  }
  interval_ = std::min(2 * interval_, ax_repeat_longest);
  next_ = now + interval_;
  return fragments_;
}

std::optional<AxTime> AxCarrier::next_timer() const {
  if (fragments_.empty()) return std::nullopt;
  return std::min(next_, until_);
}

}  // namespace qanat::terminal
