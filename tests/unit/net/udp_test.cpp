#include "net/udp.hpp"

#include <gtest/gtest.h>

namespace qanat::net {
namespace {

using std::chrono::milliseconds;

std::unique_ptr<UdpSocket> any_port() { return std::move(UdpSocket::bind({.host = "127.0.0.1", .port = 0}).value()); }

TEST(UdpSocketTest, ADatagramArrivesWithItsSender) {
  const auto a = any_port();
  const auto b = any_port();
  ASSERT_TRUE(a->send(b->local(), as_bytes("INVITE")));
  const auto got = b->receive(Deadline::after(milliseconds(5000)));
  ASSERT_TRUE(got);
  EXPECT_EQ(as_text(got->octets), "INVITE");
  EXPECT_EQ(got->from, a->local());
  ASSERT_TRUE(b->send(got->from, {}));
  const auto answer = a->receive(Deadline::after(milliseconds(5000)));
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->octets.empty());
}

TEST(UdpSocketTest, TheLargestDatagramPassesAndALargerOneIsRefused) {
  const auto a = any_port();
  const auto b = any_port();
  ASSERT_TRUE(a->send(b->local(), Bytes(65507, 7)));
  EXPECT_EQ(b->receive(Deadline::after(milliseconds(5000))).value().octets, Bytes(65507, 7));
  EXPECT_EQ(a->send(b->local(), Bytes(65508, 7)).error().code, ErrorCode::invalid_argument);
}

TEST(UdpSocketTest, ReceivingEndsAtTheDeadline) {
  const auto socket = any_port();
  const Deadline deadline = Deadline::after(milliseconds(20));
  EXPECT_EQ(socket->receive(deadline).error().code, ErrorCode::deadline_exceeded);
  EXPECT_TRUE(deadline.passed());
}

TEST(UdpSocketTest, AReceiverOutlivesItsPeersAbsence) {
  const auto socket = any_port();
  const Endpoint nobody = any_port()->local();
  ASSERT_TRUE(socket->send(nobody, as_bytes("x")));
  EXPECT_EQ(socket->receive(Deadline::after(milliseconds(20))).error().code, ErrorCode::deadline_exceeded);
}

TEST(UdpSocketTest, ATakenPortAndABadAddressAreRefused) {
  const auto socket = any_port();
  EXPECT_EQ(UdpSocket::bind(socket->local()).error().code, ErrorCode::unavailable);
  EXPECT_EQ(UdpSocket::bind({.host = "localhost.", .port = 0}).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(socket->send({.host = "", .port = 1}, {}).error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace qanat::net
