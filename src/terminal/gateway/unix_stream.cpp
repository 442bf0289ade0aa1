#include "terminal/gateway/unix_stream.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace qanat::terminal::gateway {
namespace {

constexpr std::int64_t poll_max_ms = 1000;  // a deadline may be further away than an int of milliseconds

std::unexpected<Error> socket_failure(const std::string& name, const char* what) {
  return fail(ErrorCode::unavailable, name + ": " + what + ": " + std::strerror(errno));
}

}  // namespace

UnixStream::UnixStream(UnixStream&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)), name_(std::move(other.name_)) {}

UnixStream::~UnixStream() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<UnixStream> UnixStream::connect(const std::filesystem::path& path, Deadline deadline) {
  const std::string name = path.string();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (name.empty() || name.size() >= sizeof address.sun_path) return fail(ErrorCode::invalid_argument, "'" + name + "' is no path of a socket");
  std::ranges::copy(name, address.sun_path);
  UnixStream out(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), name);
  if (out.descriptor_ < 0) return socket_failure(name, "socket");
  // A local stream connects at once, or its queue is full (EAGAIN): the caller comes again.
  if (::connect(out.descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return socket_failure(name, "connect");
  if (deadline.passed()) return fail(ErrorCode::deadline_exceeded, name + ": no time left");
  return Result<UnixStream>(std::move(out));
}

Result<void> UnixStream::await(short events, Deadline deadline) const {
  while (!deadline.passed()) {
    pollfd one{.fd = descriptor_, .events = events, .revents = 0};
    const auto wait = std::min<std::int64_t>(deadline.remaining().count() + 1, poll_max_ms);
    const int ready = ::poll(&one, 1, static_cast<int>(wait));
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return socket_failure(name_, "poll");
  }
  return fail(ErrorCode::deadline_exceeded, name_ + ": no answer in time");
}

Result<void> UnixStream::send(ByteView octets, Deadline deadline) {
  while (!octets.empty()) {
    const ssize_t sent = ::send(descriptor_, octets.data(), octets.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      octets = octets.subspan(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN) {
      TRY(await(POLLOUT, deadline));
    } else if (errno != EINTR) {
      return socket_failure(name_, "send");
    }
  }
  return {};
}

Result<std::size_t> UnixStream::receive_some(std::span<std::uint8_t> octets, Deadline deadline) {
  while (true) {
    const ssize_t got = ::recv(descriptor_, octets.data(), octets.size(), 0);
    if (got > 0) return static_cast<std::size_t>(got);
    if (got == 0) return fail(ErrorCode::unavailable, name_ + ": closed by the other end");
    if (errno == EAGAIN) {
      TRY(await(POLLIN, deadline));
    } else if (errno != EINTR) {
      return socket_failure(name_, "recv");
    }
  }
}

Result<void> UnixStream::receive(std::span<std::uint8_t> octets, Deadline deadline) {
  while (!octets.empty()) {
    ASSIGN_OR_RETURN(const std::size_t got, receive_some(octets, deadline));
    octets = octets.subspan(got);
  }
  return {};
}

}  // namespace qanat::terminal::gateway
