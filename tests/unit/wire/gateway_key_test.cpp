// The keys that gateways are given, against tests/vectors/gateway/gateway.json.
#include "wire/gateway_key.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <set>

#include "wire/json.hpp"

namespace qanat::wire {
namespace {

struct GatewayAnswers {
  Json all;
  Secret key;
  KeyId id;
  Identity initiator, responder;

  static GatewayAnswers read() {
    std::ifstream in(QANAT_SOURCE_DIR "/tests/vectors/gateway/gateway.json");
    const std::string text(std::istreambuf_iterator<char>(in), {});
    Json json = Json::parse(std::string_view(text)).value();
    return {.all = json,
            .key = Secret::copy_of(json.hex("key").value()),
            .id = KeyId(json.hex("key_id").value()),
            .initiator = Identity::parse_uri(json.text("initiator").value()).value(),
            .responder = Identity::parse_uri(json.text("responder").value()).value()};
  }
};

TEST(GatewayKeyTest, IsWhatTheIndependentScriptDerives) {
  const GatewayAnswers given = GatewayAnswers::read();
  for (const char* name : {"GM-hybrid", "INTL-hybrid"}) {
    const crypto::Suite& suite = **crypto::find_suite(name);
    const Json expected = given.all.object(name).value();
    const GatewayPair pair{.initiator = given.initiator, .responder = given.responder};
    EXPECT_EQ(to_hex(gateway_key(suite, GatewayUse::ppk, given.key, given.id, pair).reveal()), expected.text("ppk").value());
    EXPECT_EQ(to_hex(gateway_key(suite, GatewayUse::wireguard_psk, given.key, given.id, pair).reveal()), expected.text("wireguard_psk").value());
  }
}

TEST(GatewayKeyTest, IsAnotherForEachUseIdAndPair) {
  const GatewayAnswers given = GatewayAnswers::read();
  const crypto::Suite& suite = **crypto::find_suite("GM-hybrid");
  const KeyId other_id(Bytes(16, 1));
  const GatewayPair pair{.initiator = given.initiator, .responder = given.responder};
  const GatewayPair swapped{.initiator = given.responder, .responder = given.initiator};
  std::set<std::string> seen;
  for (const GatewayUse use : {GatewayUse::ppk, GatewayUse::wireguard_psk}) {
    for (const KeyId& id : {given.id, other_id}) {
      for (const GatewayPair& one : {pair, swapped}) seen.insert(to_hex(gateway_key(suite, use, given.key, id, one).reveal()));
    }
  }
  EXPECT_EQ(seen.size(), 8U);
}

}  // namespace
}  // namespace qanat::wire
