#include "points/central_relay.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "points/points.hpp"

namespace qanat::points {
namespace {

CentralRelay relay() {
  return {.relay_id = BatchId(Bytes(12, 1)),
          .origin_domain = "a",
          .destination_domain = "b",
          .path = {ElementName("qkm-a"), ElementName("qkm-r"), ElementName("qkm-b")},
          .keys = 3};
}
constexpr KeyProof proof{.bounds = 8, .photons = 2, .eps = 1e-9};
std::vector<KeyRun> runs() { return {{BatchId(Bytes(12, 2)), 5, 1}, {BatchId(Bytes(12, 3)), 0, 2}}; }

TEST(CentralRelayTest, WhatIsWrittenIsRead) {
  const CentralHandover handover{.relay = relay(), .runs = runs(), .proof = proof, .x = Bytes(80, 7)};
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
  const auto report = read_central_report(write(CentralReport{.runs = runs(), .proof = proof, .x = Bytes(80, 7)}), 3);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->runs, runs());
  EXPECT_EQ(report->proof, proof);
  EXPECT_EQ(read->proof, proof);
}

TEST(CentralRelayTest, MissingChunksAreAnAnswerOfTheirOwn) {
  const std::vector<BatchId> missing{BatchId(Bytes(12, 2)), BatchId(Bytes(12, 3))};
  const auto report = read_central_report(write(CentralReport{.runs = {}, .proof = {}, .x = {}, .missing = missing}), 3);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->missing, missing);
  EXPECT_TRUE(report->x.empty());
  const auto notice = read_central_notice(write(CentralNotice{.relay = relay(), .hop = 1, .missing = missing}));
  ASSERT_TRUE(notice) << notice.error().message;
  EXPECT_EQ(notice->missing, missing);
  EXPECT_EQ(notice->hop, 1);
  EXPECT_FALSE(read_central_notice(write(CentralNotice{.relay = relay(), .hop = 2, .missing = missing}))) << "the far end has no next node";
  EXPECT_FALSE(read_central_notice(write(CentralNotice{.relay = relay(), .hop = 1, .missing = {}})));
  const auto answer = read_central_answer(write(CentralAnswer{.confirmation = {}, .proof = {}, .hop = 2, .missing = missing}));
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->hop, 2);
  EXPECT_EQ(answer->missing, missing);
  EXPECT_TRUE(are_named(missing, runs()));
  EXPECT_FALSE(are_named(std::vector{BatchId(Bytes(12, 4))}, runs()));
}

TEST(CentralRelayTest, AnAnswerHasAConfirmationOrMissingChunksAndNotBoth) {
  const auto whole = read_central_answer(write(CentralAnswer{.confirmation = Bytes(32, 5), .proof = proof}));
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_EQ(whole->confirmation, Bytes(32, 5));
  EXPECT_EQ(whole->proof, proof);
  EXPECT_FALSE(read_central_answer(write(CentralAnswer{.confirmation = Bytes(31, 5), .proof = proof})));
  wire::Json both = write(CentralAnswer{.confirmation = Bytes(32, 5), .proof = proof});
  both.set("missing", wire::Json::array({wire::Json("020202020202020202020202")}));
  EXPECT_FALSE(read_central_answer(both));
}

TEST(CentralRelayTest, ARelayOfTheLongestKindFitsIntoItsMessages) {
  CentralHandover longest{.relay = relay(), .runs = {}, .proof = proof, .x = Bytes(central_keys_max * central_key_size + 64, 1)};
  longest.relay.path.clear();
  for (std::size_t i = 0; i < relay_nodes_max; ++i) longest.relay.path.emplace_back(std::to_string(1000 + i) + std::string(60, 'n'));
  longest.relay.keys = central_keys_max;
  for (std::size_t i = 0; i < 128; ++i) longest.runs.push_back({BatchId(Bytes(12, static_cast<std::uint8_t>(i))), 100, 2});
  ASSERT_TRUE(read_central_handover(write(longest)));
  EXPECT_LE(write(longest).dump().size(), row(Endpoint::kq2_relay).body_max);
  longest.relay.path.emplace_back("one-more");
  EXPECT_FALSE(read_central_handover(write(longest)));
}

TEST(CentralRelayTest, RunsOfMoreOrFewerKeysThanTheRelayHasAreRefused) {
  for (const auto keys : {std::uint16_t{2}, std::uint16_t{4}}) {
    CentralRelay other = relay();
    other.keys = keys;
    EXPECT_FALSE(read_central_handover(write(CentralHandover{.relay = other, .runs = runs(), .proof = proof, .x = Bytes(80)})));
    EXPECT_FALSE(read_central_report(write(CentralReport{.runs = runs(), .proof = proof, .x = Bytes(80)}), keys));
  }
  EXPECT_FALSE(read_central_handover(write(CentralHandover{.relay = relay(), .runs = {}, .proof = proof, .x = Bytes(80)})));
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
  const std::string message = write(CentralHandover{.relay = relay(), .runs = runs(), .proof = proof, .x = Bytes(3, 0)}).dump();
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
  EXPECT_FALSE(is_read("\"version\":2", "\"version\":1"));
}

TEST(CentralRelayTest, TheContextDiffersWithEverythingThatItBinds) {
  const Bytes one = central_context(relay(), 1, runs(), proof);
  EXPECT_NE(one, central_context(relay(), 2, runs(), proof));
  CentralRelay other = relay();
  other.relay_id = BatchId(Bytes(12, 9));
  EXPECT_NE(one, central_context(other, 1, runs(), proof));
  other = relay();
  other.path[1] = ElementName("qkm-x");
  EXPECT_NE(one, central_context(other, 1, runs(), proof));
  auto moved = runs();
  ++moved[0].first;
  EXPECT_NE(one, central_context(relay(), 1, moved, proof));
  EXPECT_NE(one, central_context(relay(), 1, runs(), {.bounds = 8, .photons = 2, .eps = 1e-10}));
  other = relay();
  other.demand.eps_max = 1e-9;
  EXPECT_NE(one, central_context(other, 1, runs(), proof));
  EXPECT_EQ(one, central_context(relay(), 1, runs(), proof));
}

}  // namespace
}  // namespace qanat::points
