#include "wire/json.hpp"

#include <gtest/gtest.h>

namespace qanat::wire {
namespace {

Json parsed(std::string_view text) {
  auto json = Json::parse(text);
  if (!json) throw std::runtime_error(json.error().message);
  return *json;
}
template <class T>
std::string why_not(const Result<T>& result) {
  return result ? "accepted" : result.error().message;
}

TEST(JsonTest, ReadsEveryType) {
  const Json j = parsed(R"({"t":"é","n":-7,"x":1.5,"b":true,"z":null,"o":{"k":1},"a":["x","y"],"h":"00ff","s":"AP8="})");
  EXPECT_EQ(*j.text("t"), "é");
  EXPECT_EQ(*j.integer("n"), -7);
  EXPECT_EQ(*j.number("x"), 1.5);
  EXPECT_EQ(*j.number("n"), -7.0);
  EXPECT_TRUE(*j.boolean("b"));
  EXPECT_TRUE(j.at("z")->is_null());
  EXPECT_EQ(*j.object("o")->integer("k"), 1);
  EXPECT_EQ(*j.texts("a"), (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(*j.hex("h"), (Bytes{0, 255}));
  EXPECT_EQ(*j.base64("s"), (Bytes{0, 255}));
  EXPECT_EQ(*j.optional_text("t"), "é");
  EXPECT_FALSE(j.optional_text("absent")->has_value());
  EXPECT_FALSE(j.optional_integer("absent", 1, 2)->has_value());
}

TEST(JsonTest, FailuresNameTheirPlace) {
  const Json j = parsed(R"({"route":{"hops":["a",2]},"n":5,"t":null,"s":"A","h":"0"})");
  const Json route = *j.object("route");
  EXPECT_EQ(why_not(route.texts("hops")), "route.hops[1]: must be a text");
  EXPECT_EQ(why_not(route.integer("via")), "route.via: is missing");
  EXPECT_EQ(why_not(j.integer("n", 6, 9)), "n: must be between 6 and 9");
  EXPECT_EQ(why_not(j.optional_integer("n", 6, 9)), "n: must be between 6 and 9");
  EXPECT_EQ(why_not(j.object("n")), "n: must be an object");
  EXPECT_EQ(why_not(j.array("n")), "n: must be an array");
  EXPECT_EQ(why_not(j.boolean("n")), "n: must be true or false");
  EXPECT_EQ(why_not(j.optional_text("t")), "t: must be a text");
  EXPECT_EQ(why_not(j.hex("h")), "h: must be hexadecimal");
  EXPECT_EQ(why_not(j.base64("s")), "s: base64: padding is missing");
  EXPECT_EQ(why_not(parsed("[1]").text("x")), "JSON: must be an object");
  EXPECT_EQ(route.path(), "route");
}

TEST(JsonTest, OnlyRefusesUnknownNames) {
  const Json j = parsed(R"({"o":{"a":1,"b":2}})");
  EXPECT_EQ(why_not(j.object("o")->only({"a"})), "o.b: is not known here");
  EXPECT_TRUE(j.object("o")->only({"b", "a", "c"}).has_value());
}

TEST(JsonTest, RefusesDuplicatesDepthSizeAndNonsense) {
  EXPECT_TRUE(why_not(Json::parse(R"({"a":1,"a":2})")).starts_with("JSON: a name stands twice in one object"));
  EXPECT_TRUE(why_not(Json::parse(R"({"a":1,"\u0061":2})")).starts_with("JSON: a name stands twice in one object"));
  const std::string sixteen = std::string(16, '[') + std::string(16, ']');
  EXPECT_TRUE(Json::parse(sixteen).has_value());
  EXPECT_FALSE(Json::parse("[" + sixteen + "]").has_value());
  EXPECT_FALSE(Json::parse('"' + std::string(json_size_max, 'a') + '"').has_value());
  EXPECT_TRUE(Json::parse('"' + std::string(json_size_max - 2, 'a') + '"').has_value());
  for (const char* text :
       {"", " ", "{", "nul", "1 2", "{\"a\":1,}", "[1,]", "'a'", "/**/1", "\"\xff\"", "\"\\ud800\"", "18446744073709551615", "1e999", "NaN", "01", "\"\n\""}) {
    EXPECT_FALSE(Json::parse(text).has_value()) << text;
  }
  EXPECT_TRUE(Json::parse(" {} \n").has_value());
  EXPECT_FALSE(parsed("1.0").as_integer().has_value()) << "a fraction is no integer";
}

TEST(JsonTest, WritesInTheOrderOfBuilding) {
  Json list = Json::array();
  list.push(1).push("two").push(Json());
  const Json j = Json::object({{"z", true}, {"a", 2.5}, {"list", list}, {"nested", Json::object({{"quote\"", "\n"}})}});
  EXPECT_EQ(j.dump(), R"({"z":true,"a":2.5,"list":[1,"two",null],"nested":{"quote\"":"\n"}})");
  EXPECT_EQ(Json::object({{"a", Json::array({1, 2})}, {"e", Json::object()}}).pretty(), "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"e\": {}\n}\n");
  EXPECT_EQ(parsed(j.dump()).dump(), j.dump());
}

// Found by fuzzing: Boost.JSON 1.81 reads some numbers a little off, and integers past 64 bits as doubles.
TEST(JsonTest, NumbersKeepTheirValue) {
  for (const double value : {0.1, 1.0 / 3, 2.2250738585072014e-308, 1.7976931348623157e308, 9007199254740993.0, 1e22, 3.0, -0.0, 123456.789e-20}) {
    const Json back = *Json::parse(Json(value).dump());
    EXPECT_EQ(back.as_number().value(), value);
    EXPECT_FALSE(back.as_integer().has_value());
  }
  EXPECT_EQ(Json(3.0).dump(), "3.0");
  EXPECT_EQ(*Json::parse("9223372036854775807")->as_integer(), INT64_MAX);
  EXPECT_EQ(*Json::parse("-9223372036854775808")->as_integer(), INT64_MIN);
  EXPECT_EQ(*parsed("[1.5,7,\"a\"]").as_array()->at(1).as_integer(), 7);
  for (const char* text : {"9223372036854775808", "-9223372036854775809", "-92280922800689606896", "1e-400"}) EXPECT_FALSE(Json::parse(text)) << text;
}

TEST(JsonTest, CopiesDoNotChangeWithTheOriginal) {
  Json first = Json::object({{"a", 1}});
  const Json second = first;
  first.set("b", 2);
  EXPECT_FALSE(second.has("b"));
  EXPECT_EQ(first.names(), (std::vector<std::string>{"a", "b"}));
}

}  // namespace
}  // namespace qanat::wire
