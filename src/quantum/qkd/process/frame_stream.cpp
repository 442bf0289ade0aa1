#include "quantum/qkd/process/frame_stream.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "quantum/qkd/session/message.hpp"

namespace qanat::qkd {

void FrameStream::close() {
  if (socket_ >= 0) ::close(std::exchange(socket_, -1));
}

Result<void> FrameStream::send(ByteView frame) {
  ByteView left = frame;
  while (!left.empty()) {
    const ssize_t count = ::send(socket_, left.data(), left.size(), MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return fail(ErrorCode::unavailable, std::string("classical channel: ") + std::strerror(errno));
    left = left.subspan(static_cast<std::size_t>(count));
  }
  sent_ += frame.size();
  return {};
}

Result<void> FrameStream::fill(std::span<std::uint8_t> out) {
  while (!out.empty()) {
    const ssize_t count = ::recv(socket_, out.data(), out.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(ErrorCode::unavailable, std::string("classical channel: ") + std::strerror(errno));
    if (count == 0) return fail(ErrorCode::unavailable, "classical channel: the other end has closed it");
    out = out.subspan(static_cast<std::size_t>(count));
    received_ += static_cast<std::uint64_t>(count);
  }
  return {};
}

Result<Bytes> FrameStream::receive() {
  Bytes frame(frame_length_size);
  TRY(fill(frame));
  ASSIGN_OR_RETURN(const auto size, frame_size(frame));
  frame.resize(*size);
  TRY(fill(std::span(frame).subspan(frame_length_size)));
  return Result<Bytes>(std::move(frame));
}

}  // namespace qanat::qkd
