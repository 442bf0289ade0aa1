// strongSwan's vici messages: octets as its README prints them, and what is refused.
#include "terminal/gateway/vici_message.hpp"

#include <gtest/gtest.h>

namespace qanat::terminal::gateway {
namespace {

Bytes octets(std::initializer_list<int> values) { return {values.begin(), values.end()}; }

/// section "s" { key "k" = "v"; list "l" = a, bc }.
const Bytes some_section = octets({1, 1, 's', 3, 1, 'k', 0, 1, 'v', 4, 1, 'l', 5, 0, 1, 'a', 5, 0, 2, 'b', 'c', 6, 2});

ViciSection some_message() {
  ViciSection inner;
  inner.set("k", std::string("v")).set("l", ViciSection::List{"a", "bc"});
  ViciSection out;
  out.set("s", std::move(inner));
  return out;
}

Result<ViciReceived> response_of(const Bytes& content) { return decode_vici(concat({octets({1}), content})); }

TEST(ViciMessageTest, IsWrittenAsTheProtocolSays) {
  const auto packet = encode_vici(ViciPacket::command, "cmd", some_message());
  ASSERT_TRUE(packet) << packet.error().message;
  const Bytes expected = concat({octets({0, 0, 0, 28, 0, 3, 'c', 'm', 'd'}), some_section});
  EXPECT_EQ(to_hex(packet->reveal()), to_hex(expected));
}

TEST(ViciMessageTest, HasASecretAsItsLastValue) {
  const Secret key = Secret::copy_of(octets({0, 255, 7}));
  const ViciSecret secret{.name = "data", .value = key};
  const auto packet = encode_vici(ViciPacket::command, "c", {}, &secret);
  ASSERT_TRUE(packet) << packet.error().message;
  EXPECT_EQ(to_hex(packet->reveal()), to_hex(octets({0, 0, 0, 14, 0, 1, 'c', 3, 4, 'd', 'a', 't', 'a', 0, 3, 0, 255, 7})));
}

TEST(ViciMessageTest, IsReadBack) {
  const auto got = response_of(some_section);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->type, ViciPacket::response);
  const ViciSection* const inner = got->message.section("s");
  ASSERT_NE(inner, nullptr);
  EXPECT_EQ(inner->text("k"), "v");
  ASSERT_NE(inner->list("l"), nullptr);
  EXPECT_EQ(*inner->list("l"), (ViciSection::List{"a", "bc"}));
  EXPECT_EQ(inner->text("l"), "") << "a list is no value";
  EXPECT_EQ(inner->section("k"), nullptr);
}

TEST(ViciMessageTest, AnEventHasAName) {
  const auto got = decode_vici(octets({7, 2, 'e', 'v', 3, 1, 'k', 0, 0}));
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->name, "ev");
  EXPECT_TRUE(got->message.has("k"));
}

TEST(ViciMessageTest, RefusesWhatIsNotWhole) {
  for (std::size_t size = 0; size < some_section.size(); ++size) {
    const Bytes cut(some_section.begin(), some_section.begin() + static_cast<std::ptrdiff_t>(size));
    if (size == 0) {
      EXPECT_TRUE(response_of(cut)) << "an empty message";
    } else {
      EXPECT_FALSE(response_of(cut)) << size;
    }
  }
  EXPECT_FALSE(decode_vici({}));
}

TEST(ViciMessageTest, RefusesWhatHasNoPlaceThere) {
  EXPECT_FALSE(response_of(octets({2}))) << "a section's end without a beginning";
  EXPECT_FALSE(response_of(octets({5, 0, 1, 'a'}))) << "an item outside of a list";
  EXPECT_FALSE(response_of(octets({4, 1, 'l', 3, 1, 'k', 0, 0, 6}))) << "a value in a list";
  EXPECT_FALSE(response_of(octets({9}))) << "an unknown mark";
  EXPECT_FALSE(response_of(octets({3, 0, 0, 0}))) << "an empty name";
  EXPECT_FALSE(response_of(octets({3, 1, 'k', 0, 0, 3, 1, 'k', 0, 0}))) << "a name twice";
  EXPECT_FALSE(decode_vici(octets({5, 0}))) << "a confirmation with a content";
  for (const int type : {0, 3, 4, 8, 255}) EXPECT_FALSE(decode_vici(octets({type}))) << type;
}

TEST(ViciMessageTest, RefusesWhatIsTooDeepOrTooMuch) {
  Bytes deep;
  for (std::size_t i = 0; i <= vici_depth_max; ++i) append(deep, octets({1, 1, 's'}));
  for (std::size_t i = 0; i <= vici_depth_max; ++i) append(deep, octets({2}));
  EXPECT_FALSE(response_of(deep));
  Bytes many = octets({4, 1, 'l'});
  for (std::size_t i = 0; i <= vici_elements_max; ++i) append(many, octets({5, 0, 0}));
  append(many, octets({6}));
  EXPECT_FALSE(response_of(many));
  EXPECT_FALSE(decode_vici(Bytes(vici_packet_max + 1, 1)));
}

TEST(ViciMessageTest, DoesNotWriteWhatCannotBeRead) {
  ViciSection long_name;
  long_name.set(std::string(256, 'n'), std::string("v"));
  EXPECT_FALSE(encode_vici(ViciPacket::command, "c", long_name));
  ViciSection long_value;
  long_value.set("n", std::string(65536, 'v'));
  EXPECT_FALSE(encode_vici(ViciPacket::command, "c", long_value));
  ViciSection much;
  for (int i = 0; i < 9; ++i) much.set("n" + std::to_string(i), std::string(65535, 'v'));
  EXPECT_FALSE(encode_vici(ViciPacket::command, "c", much));
}

}  // namespace
}  // namespace qanat::terminal::gateway
