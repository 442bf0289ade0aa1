#include "points/central_relay.hpp"

#include <gtest/gtest.h>

#include <functional>

namespace qanat::points {
namespace {

CentralRelay relay() {
  return {.relay_id = BatchId(Bytes(12, 1)),
          .origin_domain = "a",
          .destination_domain = "b",
          .path = {ElementName("qkm-a"), ElementName("qkm-r"), ElementName("qkm-b")},
          .keys = 3};
}
std::vector<KeyRun> runs() { return {{BatchId(Bytes(12, 2)), 5, 1}, {BatchId(Bytes(12, 3)), 0, 2}}; }

TEST(CentralRelayTest, WhatIsWrittenIsRead) {
  const CentralHandover handover{.relay = relay(), .runs = runs(), .x = Bytes(80, 7)};
  const auto read = read_central_handover(write(handover));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->relay.relay_id, relay().relay_id);
  EXPECT_EQ(read->relay.path, relay().path);
  EXPECT_EQ(read->relay.keys, 3);
  EXPECT_EQ(read->runs, runs());
  EXPECT_EQ(read->x, Bytes(80, 7));
  const auto order = read_central_report_order(write(CentralReportOrder{.relay = relay(), .hop = 1, .runs = runs()}));
  ASSERT_TRUE(order) << order.error().message;
  EXPECT_EQ(order->hop, 1);
  const auto report = read_central_report(write(CentralReport{.runs = runs(), .x = Bytes(80, 7)}), 3);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->runs, runs());
}

TEST(CentralRelayTest, RunsOfMoreOrFewerKeysThanTheRelayHasAreRefused) {
  for (const auto keys : {std::uint16_t{2}, std::uint16_t{4}}) {
    CentralRelay other = relay();
    other.keys = keys;
    EXPECT_FALSE(read_central_handover(write(CentralHandover{.relay = other, .runs = runs(), .x = Bytes(80)})));
    EXPECT_FALSE(read_central_report(write(CentralReport{.runs = runs(), .x = Bytes(80)}), keys));
  }
  EXPECT_FALSE(read_central_handover(write(CentralHandover{.relay = relay(), .runs = {}, .x = Bytes(80)})));
}

TEST(CentralRelayTest, PathsAndHopsThatMakeNoSenseAreRefused) {
  const auto refused = [](const std::function<void(CentralReportOrder&)>& spoil) {
    CentralReportOrder order{.relay = relay(), .hop = 1, .runs = runs()};
    spoil(order);
    return !read_central_report_order(write(order));
  };
  EXPECT_FALSE(refused([](CentralReportOrder&) {}));
  EXPECT_TRUE(refused([](CentralReportOrder& order) { order.hop = 0; })) << "the near end does not report";
  EXPECT_TRUE(refused([](CentralReportOrder& order) { order.hop = 2; })) << "nor does the far end";
  EXPECT_TRUE(refused([](CentralReportOrder& order) { order.relay.path.resize(1); }));
  EXPECT_TRUE(refused([](CentralReportOrder& order) { order.relay.path[2] = order.relay.path[0]; }));
  EXPECT_TRUE(refused([](CentralReportOrder& order) { order.relay.path[1] = ElementName(std::string(65, 'x')); }));
  EXPECT_TRUE(refused([](CentralReportOrder& order) { order.relay.origin_domain = ""; }));
}

TEST(CentralRelayTest, MembersOfAnotherTypeAreRefused) {
  const std::string message = write(CentralHandover{.relay = relay(), .runs = runs(), .x = Bytes(3, 0)}).dump();
  const auto is_read = [&](const std::string& from, const std::string& to) {
    std::string text = message;
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from << " in " << message;
    text.replace(at, from.size(), to);
    const auto body = wire::Json::parse(text);
    EXPECT_TRUE(body) << text;
    return body && read_central_handover(*body).has_value();
  };
  EXPECT_TRUE(is_read("\"keys\":3", "\"keys\":3"));
  EXPECT_FALSE(is_read("\"keys\":3", "\"keys\":257"));
  EXPECT_FALSE(is_read("\"keys\":3", "\"keys\":\"3\""));
  EXPECT_FALSE(is_read("\"AAAA\"", "\"no base64!\""));
  EXPECT_FALSE(is_read("010101010101010101010101", "0101"));
  EXPECT_FALSE(is_read("\"keys\":3", "\"keys\":3,\"hop\":1")) << "a member that does not belong there";
  EXPECT_FALSE(is_read("\"first\":5", "\"first\":256"));
}

TEST(CentralRelayTest, TheContextDiffersWithEverythingThatItBinds) {
  const Bytes one = central_context(relay(), 1, runs());
  EXPECT_NE(one, central_context(relay(), 2, runs()));
  CentralRelay other = relay();
  other.relay_id = BatchId(Bytes(12, 9));
  EXPECT_NE(one, central_context(other, 1, runs()));
  other = relay();
  other.path[1] = ElementName("qkm-x");
  EXPECT_NE(one, central_context(other, 1, runs()));
  auto moved = runs();
  ++moved[0].first;
  EXPECT_NE(one, central_context(relay(), 1, moved));
  EXPECT_EQ(one, central_context(relay(), 1, runs()));
}

}  // namespace
}  // namespace qanat::points
