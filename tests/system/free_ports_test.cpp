// Ports that a network was given stay its own while elements start, die and start again.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <set>

#include "network.hpp"

namespace qanat::test {
namespace {

/// Whether a listener can have the port; `shared`: one that sets SO_REUSEADDR, as the elements do.
bool can_listen(std::uint16_t port, bool shared) {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = shared ? 1 : 0;
  ::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool can = ::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 && ::listen(descriptor, 1) == 0;
  ::close(descriptor);
  return can;
}

TEST(FreePorts, AreKeptForTheElementsThatWereGivenThem) {
  std::set<std::uint16_t> given;
  for (int i = 0; i < 2; ++i) {
    const auto ports = app::free_ports(100);
    ASSERT_TRUE(ports) << ports.error().message;
    for (const std::uint16_t port : *ports) EXPECT_TRUE(given.insert(port).second) << port << " was given twice";
  }
  EXPECT_EQ(given.size(), 200U);
  for (const std::uint16_t port : given) {
    EXPECT_FALSE(can_listen(port, false)) << port << " can be had by others";
    // Twice: an element that starts again.
    EXPECT_TRUE(can_listen(port, true) && can_listen(port, true)) << port;
  }
}

}  // namespace
}  // namespace qanat::test
