// The client's half of ETSI GS QKD 014 against the server's half, and what is refused of a server that answers otherwise.
#include "kme/etsi014_client.hpp"

#include "kme/etsi014.hpp"
#include "provider_double.hpp"

namespace qanat::kme::etsi014 {
namespace {

using test::key_id;

Bytes text(std::string_view t) { return to_bytes(as_bytes(t)); }
Result<std::vector<Key>> read(std::string_view body, std::size_t keys_max = 4, std::uint32_t size = 64) {
  Bytes octets = text(body);
  return read_key_container(octets, keys_max, size);
}
// RFC 4648: eight octets 0x01.
constexpr const char* one_key = R"({"keys":[{"key_ID":"a0a0a0a0-a0a0-a0a0-a0a0-a0a0a0a0a001","key":"AQEBAQEBAQE="}]})";

// Clause 5: the SAE stands in the path, whatever characters it has.
TEST(Etsi014ClientTest, PathsNameTheOtherSaePercentEncoded) {
  EXPECT_EQ(path_of(Method::status, SaeId("sae-b")), "/api/v1/keys/sae-b/status");
  EXPECT_EQ(path_of(Method::enc_keys, SaeId("sae b/\xC3\xBC")), "/api/v1/keys/sae%20b%2F%C3%BC/enc_keys");
  EXPECT_EQ(path_of(Method::dec_keys, SaeId("a~b_c.d-e")), "/api/v1/keys/a~b_c.d-e/dec_keys");
}

TEST(Etsi014ClientTest, RequestsAreReadByTheServerAsTheyWereMeant) {
  const auto request = read_key_request(as_bytes(write_key_request(7, 256)), Limits{});
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request->number, 7U);
  EXPECT_EQ(request->size, 256U);
  const std::vector<KeyId> ids{key_id(3), key_id(1)};
  const auto read_back = read_key_ids(as_bytes(write_key_ids(ids)), Limits{});
  ASSERT_TRUE(read_back) << read_back.error().message;
  EXPECT_EQ(*read_back, ids);
}

TEST(Etsi014ClientTest, AContainerIsReadInItsOrderAndNoKeyStaysInTheText) {
  Delivery delivery;
  for (const std::uint8_t n : std::initializer_list<std::uint8_t>{9, 4}) delivery.keys.push_back({.id = key_id(n), .octets = Secret::copy_of(Bytes(32, n))});
  const Secret rendered =
      render_key_container(delivery, Caller{.sae = SaeId("sae-a"), .address = "", .group = "x25519", .quantum_safe = false, .request_id = ""});
  Bytes body = to_bytes(rendered.reveal());
  const auto keys = read_key_container(body, 2, 256);
  ASSERT_TRUE(keys) << keys.error().message;
  ASSERT_EQ(keys->size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ((*keys)[i].id, delivery.keys[i].id);
    EXPECT_TRUE(equal_secret((*keys)[i].octets, delivery.keys[i].octets));
  }
  EXPECT_EQ(as_text(body).find("CQkJ"), std::string_view::npos);
  EXPECT_EQ(as_text(body).find("BAQE"), std::string_view::npos);
}

TEST(Etsi014ClientTest, BothSpellingsOfTheListAreKnown) {
  EXPECT_TRUE(read(one_key));
  EXPECT_TRUE(read(R"({"Keys":[{"key_ID":"a0a0a0a0-a0a0-a0a0-a0a0-a0a0a0a0a001","key":"AQEBAQEBAQE=","key_ID_extension":{"x":1}}],"extra":true})"));
}

TEST(Etsi014ClientTest, OtherContainersAreRefused) {
  const std::string entry = R"({"key_ID":"a0a0a0a0-a0a0-a0a0-a0a0-a0a0a0a0a001","key":"AQEBAQEBAQE="})";
  for (const std::string& body : {
           std::string(""),
           std::string("{}"),
           std::string("[]"),
           std::string(R"({"keys":[]})"),
           std::string(R"({"keys":{}})"),
           R"({"keys":[)" + entry + "," + entry + "]}",                                                               // an id twice
           R"({"keys":[)" + entry + R"(],"key_container_extension":{"key":"AQEBAQEBAQE="}})",                         // whose key is it?
           std::string(R"({"keys":[{"key_ID":"a0a0a0a0-a0a0-a0a0-a0a0-a0a0a0a0a001","key":"AQEBAQE="}]})"),           // 40 bits
           std::string(R"({"keys":[{"key_ID":"a0a0a0a0-a0a0-a0a0-a0a0-a0a0a0a0a001","key":"not base64!"}]})"),        //
           std::string(R"({"keys":[{"key_ID":"a0a0a0a0-a0a0-a0a0-a0a0-a0a0a0a0a001","\u006bey":"AQEBAQEBAQE="}]})"),  // hidden from the lifting
           std::string(R"({"keys":[{"key_ID":"17","key":"AQEBAQEBAQE="}]})"),
           std::string(R"({"keys":[{"key":"AQEBAQEBAQE="}]})"),  //
           std::string(R"({"keys":[{"key_ID":"a0a0a0a0-a0a0-a0a0-a0a0-a0a0a0a0a001"}],"key":"AQEBAQEBAQE="})"),
       }) {
    EXPECT_EQ(read(body).error().code, ErrorCode::invalid_argument) << body;
  }
  EXPECT_FALSE(read(one_key, 0));
  EXPECT_FALSE(read(one_key, 4, 128));
}

TEST(Etsi014ClientTest, StatusNeedsTheFourNumbersAndNoMore) {
  const std::string rendered =
      render_status({.source_kme = "kme-a", .target_kme = "kme-b", .stored_key_count = 42, .max_key_count = 100, .limits = {}}, SaeId("a"), SaeId("b"));
  const auto status = read_server_status(as_bytes(rendered));
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(status->stored_key_count, 42);
  EXPECT_EQ(status->max_key_per_request, 128);
  EXPECT_EQ(status->min_key_size, 64);
  EXPECT_EQ(status->max_key_size, 4096);
  EXPECT_FALSE(read_server_status(as_bytes(R"({"stored_key_count":1,"max_key_per_request":1,"min_key_size":64})")));
  EXPECT_FALSE(read_server_status(as_bytes(R"({"stored_key_count":-1,"max_key_per_request":1,"min_key_size":64,"max_key_size":64})")));
}

// Clauses 5 and 6.5.
TEST(Etsi014ClientTest, RefusalsKeepTheServersWordsInPrintableCharacters) {
  EXPECT_EQ(refusal_of(400, as_bytes(R"({"message":"no such key"})")).code, ErrorCode::invalid_argument);
  EXPECT_EQ(refusal_of(400, as_bytes("{\"message\":\"a\\u0007b\"}")).message, "the KME answers 400: a?b");
  EXPECT_EQ(refusal_of(401, {}).code, ErrorCode::denied);
  EXPECT_EQ(refusal_of(503, as_bytes("<html>")).message, "the KME answers 503");
  EXPECT_EQ(refusal_of(503, {}).code, ErrorCode::unavailable);
  EXPECT_EQ(refusal_of(302, {}).code, ErrorCode::unavailable);
}

}  // namespace
}  // namespace qanat::kme::etsi014
