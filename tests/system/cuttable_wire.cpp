#include "cuttable_wire.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <vector>

namespace qanat::test {
namespace {

constexpr int look_every_ms = 20;

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  out.sin_port = htons(port);
  return out;
}

}  // namespace

CuttableWire::CuttableWire(std::uint16_t to) : to_(to) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  if (::bind(listener_, reinterpret_cast<const sockaddr*>(&address), size) != 0 || ::listen(listener_, 64) != 0 ||
      ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return;
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { run(); });
}

CuttableWire::~CuttableWire() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
  for (const Connection& connection : connections_) {
    ::close(connection.near);
    ::close(connection.far);
  }
  ::close(listener_);
}

void CuttableWire::accept_one() {
  const int near = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (near < 0) return;
  const int far = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = loopback(to_);
  if (::connect(far, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    ::close(near);
    ::close(far);
    return;
  }
  connections_.push_back({.near = near, .far = far, .spoilt = cut_});
}

/// False at the connection's end.
bool CuttableWire::pass(Connection& connection, int from, int to) {
  std::array<char, 65536> octets{};
  const ssize_t got = ::recv(from, octets.data(), octets.size(), 0);
  if (got <= 0) return false;
  if (cut_ || connection.spoilt) {
    connection.spoilt = true;
    return true;
  }
  octets_ += static_cast<std::uint64_t>(got);
  for (ssize_t sent = 0; sent < got;) {
    const ssize_t now = ::send(to, octets.data() + sent, static_cast<std::size_t>(got - sent), MSG_NOSIGNAL);
    if (now <= 0) return false;
    sent += now;
  }
  return true;
}

void CuttableWire::run() {
  while (!stopping_) {
    std::vector<pollfd> waiting{{.fd = listener_, .events = POLLIN, .revents = 0}};
    for (const Connection& connection : connections_) {
      waiting.push_back({.fd = connection.near, .events = POLLIN, .revents = 0});
      waiting.push_back({.fd = connection.far, .events = POLLIN, .revents = 0});
    }
    ::poll(waiting.data(), waiting.size(), look_every_ms);
    std::size_t at = 1;
    for (auto one = connections_.begin(); one != connections_.end(); at += 2) {
      bool open = true;
      if (waiting[at].revents != 0) open = pass(*one, one->near, one->far);
      if (open && waiting[at + 1].revents != 0) open = pass(*one, one->far, one->near);
      // A connection that lost octets is of no use after the cut; during it the peers are left to wait.
      if (!open || (one->spoilt && !cut_)) {
        ::close(one->near);
        ::close(one->far);
        one = connections_.erase(one);
      } else {
        ++one;
      }
    }
    if (waiting[0].revents != 0) accept_one();
  }
}

}  // namespace qanat::test
