#include "quantum/qkd/process/exchange.hpp"

#include <algorithm>

#include "quantum/qkd/session/message.hpp"

namespace qanat::qkd {
namespace {
constexpr std::uint8_t flag_wants_run = 1;
constexpr std::uint8_t flag_has_more = 2;
constexpr std::uint8_t flag_first_key = 4;
constexpr std::uint8_t all_flags = flag_wants_run | flag_has_more | flag_first_key;
}  // namespace

Bytes write_exchange(const Exchange& exchange) {
  Bytes out;
  out.reserve(exchange_head_size + exchange.piece.size());
  out.push_back(exchange_version);
  append(out, exchange.connection.view());
  out.push_back(static_cast<std::uint8_t>((exchange.wants_run ? flag_wants_run : 0) | (exchange.has_more ? flag_has_more : 0) |
                                          (exchange.is_first_key ? flag_first_key : 0)));
  append(out, exchange.piece);
  return out;
}

Result<Exchange> parse_exchange(ByteView octets) {
  OctetReader in(octets);
  if (in.u8() != exchange_version) in.refuse();
  const ByteView connection = in.octets(ConnectionId::size);
  const std::uint8_t flags = in.u8();
  if (in.failed() || flags > all_flags) return fail(ErrorCode::invalid_argument, "X-2: malformed head");
  if (in.left() > exchange_piece_max) return fail(ErrorCode::invalid_argument, "X-2: a piece of " + std::to_string(in.left()) + " octets");
  return Exchange{.connection = ConnectionId(connection),
                  .wants_run = (flags & flag_wants_run) != 0,
                  .has_more = (flags & flag_has_more) != 0,
                  .is_first_key = (flags & flag_first_key) != 0,
                  .piece = to_bytes(octets.last(in.left()))};
}

void FrameOutlet::add(Bytes frame) { frames_.push_back(std::move(frame)); }

void FrameOutlet::clear() {
  frames_.clear();
  at_ = 0;
}

Bytes FrameOutlet::take() {
  Bytes out;
  std::size_t done = 0;
  while (done < frames_.size() && out.size() < exchange_piece_max) {
    const ByteView rest = ByteView(frames_[done]).subspan(at_);
    const std::size_t count = std::min(rest.size(), exchange_piece_max - out.size());
    append(out, rest.first(count));
    at_ += count;
    if (count < rest.size()) break;
    ++done;
    at_ = 0;
  }
  frames_.erase(frames_.begin(), frames_.begin() + static_cast<std::ptrdiff_t>(done));
  return out;
}

Result<std::vector<Bytes>> FrameInlet::take(ByteView piece) {
  append(rest_, piece);
  std::vector<Bytes> frames;
  ByteView left = rest_;
  while (true) {
    ASSIGN_OR_RETURN(const auto size, frame_size(left));
    if (!size || *size > left.size()) break;
    frames.push_back(to_bytes(left.first(*size)));
    left = left.subspan(*size);
  }
  rest_ = to_bytes(left);
  return Result<std::vector<Bytes>>(std::move(frames));
}

}  // namespace qanat::qkd
