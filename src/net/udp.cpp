#include "net/udp.hpp"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>

#include "base/check.hpp"

namespace qanat::net {
namespace {

constexpr std::size_t payload_max = 65507;  // 65,535 less the IPv4 and UDP headers

std::string system_message(int number) { return std::strerror(number); }

Result<sockaddr_in> address_of(const Endpoint& endpoint) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(endpoint.port);
  if (inet_pton(AF_INET, endpoint.host.c_str(), &out.sin_addr) != 1) {
    return fail(ErrorCode::invalid_argument, "udp: '" + endpoint.host + "' is not an IPv4 address");
  }
  return out;
}

Endpoint endpoint_of(const sockaddr_in& address) {
  std::array<char, INET_ADDRSTRLEN> text{};
  CHECK(inet_ntop(AF_INET, &address.sin_addr, text.data(), text.size()) != nullptr);
  return {.host = text.data(), .port = ntohs(address.sin_port)};
}

std::string name(const Endpoint& endpoint) { return endpoint.host + ':' + std::to_string(endpoint.port); }

}  // namespace

Result<std::unique_ptr<UdpSocket>> UdpSocket::bind(const Endpoint& at) {
  ASSIGN_OR_RETURN(const sockaddr_in address, address_of(at));
  const int descriptor = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) return fail(ErrorCode::unavailable, "udp: no socket: " + system_message(errno));
  std::unique_ptr<UdpSocket> out(new UdpSocket(descriptor));
  if (::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return fail(ErrorCode::unavailable, "udp: " + name(at) + ": " + system_message(errno));
  }
  return Result<std::unique_ptr<UdpSocket>>(std::move(out));
}

UdpSocket::~UdpSocket() { ::close(descriptor_); }

Endpoint UdpSocket::local() const {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  CHECK(::getsockname(descriptor_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  return endpoint_of(address);
}

Result<void> UdpSocket::send(const Endpoint& to, ByteView octets) {
  if (octets.size() > payload_max) {
    return fail(ErrorCode::invalid_argument, "udp: " + std::to_string(octets.size()) + " octets are more than one datagram holds");
  }
  ASSIGN_OR_RETURN(const sockaddr_in address, address_of(to));
  while (::sendto(descriptor_, octets.data(), octets.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) {
    if (errno == EINTR) continue;
    // A full send buffer loses the datagram, as the network may: the caller's protocol repeats it.
    const ErrorCode code = errno == EAGAIN || errno == ENOBUFS ? ErrorCode::exhausted : ErrorCode::unavailable;
    return fail(code, "udp: to " + name(to) + ": " + system_message(errno));
  }
  return {};
}

Result<Datagram> UdpSocket::receive(Deadline deadline) {
  Bytes octets(payload_max);
  while (true) {
    sockaddr_in from{};
    socklen_t size = sizeof from;
    const ssize_t received = ::recvfrom(descriptor_, octets.data(), octets.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (received >= 0) {
      octets.resize(static_cast<std::size_t>(received));
      octets.shrink_to_fit();
      return Datagram{.from = endpoint_of(from), .octets = std::move(octets)};
    }
    // ECONNREFUSED reports an earlier datagram of ours that nobody took; it says nothing about what is yet to come.
    if (errno == EINTR || errno == ECONNREFUSED) continue;
    if (errno != EAGAIN) return fail(ErrorCode::unavailable, "udp: receive: " + system_message(errno));
    if (deadline.passed()) return fail(ErrorCode::deadline_exceeded, "udp: no datagram came");
    pollfd waiting{.fd = descriptor_, .events = POLLIN, .revents = 0};
    // One more millisecond than remains, so that the last round does not spin.
    const auto wait_ms = std::min<std::chrono::milliseconds::rep>(deadline.remaining().count() + 1, INT_MAX);
    if (::poll(&waiting, 1, static_cast<int>(wait_ms)) < 0 && errno != EINTR) {
      return fail(ErrorCode::unavailable, "udp: poll: " + system_message(errno));
    }
  }
}

}  // namespace qanat::net
