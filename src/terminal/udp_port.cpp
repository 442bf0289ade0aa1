#include "terminal/udp_port.hpp"

#include <chrono>

namespace qanat::terminal {
namespace {

constexpr std::chrono::milliseconds listen_span{250};  // how long a stop takes if the datagram that announces it is lost

}  // namespace

std::uint64_t capture_time_ns() {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count());
}

Result<std::unique_ptr<UdpPort>> UdpPort::open(const net::Endpoint& at, Sink sink) {
  ASSIGN_OR_RETURN(auto socket, net::UdpSocket::bind(at));
  return Result<std::unique_ptr<UdpPort>>(std::unique_ptr<UdpPort>(new UdpPort(std::move(socket), std::move(sink))));
}

UdpPort::UdpPort(std::unique_ptr<net::UdpSocket> socket, Sink sink)
    : socket_(std::move(socket)), local_(socket_->local()), sink_(std::move(sink)), thread_([this] { listen(); }) {}

UdpPort::~UdpPort() {
  stopping_ = true;
  (void)socket_->send(local_, {});  // wakes the listener
  thread_.join();
}

void UdpPort::listen() {
  while (!stopping_) {
    auto datagram = socket_->receive(Deadline::after(listen_span));
    // Nothing came, or the socket reports a passing failure: both mean to listen again.
    if (!datagram || datagram->octets.empty() || stopping_) continue;
    sink_(std::move(*datagram), capture_time_ns());
  }
}

}  // namespace qanat::terminal
