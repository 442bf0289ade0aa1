// A connection in the words of swanctl.conf.
#include "terminal/gateway/connection_file.hpp"

#include <gtest/gtest.h>

namespace qanat::terminal::gateway {
namespace {

constexpr const char* good_connection = R"(
# between two sites
ab {
  local_addrs = 192.0.2.1, 192.0.2.3   # both
  encap = yes
  local {
    auth = pubkey
    certs = a.pem
  }
  children {
    net {
      local_ts = 10.1.0.0/16
      start_action = none
    }
  }
}
)";

Result<std::string> named(const std::string& path) {
  if (path == "a.pem") return std::string("the certificate");
  return fail(ErrorCode::not_found, path + ": is not there");
}

std::string refusal(const std::string& text) {
  const auto got = parse_connection(text, named);
  return got ? "accepted" : got.error().message;
}
std::string with_line(const std::string& line) { return "ab {\n" + line + "\n  children {\n net {\n x = y\n }\n }\n}\n"; }

TEST(ConnectionFileTest, IsReadAsStrongSwanWantsIt) {
  const auto got = parse_connection(good_connection, named);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->name, "ab");
  EXPECT_EQ(got->child, "net");
  ASSERT_NE(got->settings.list("local_addrs"), nullptr);
  EXPECT_EQ(*got->settings.list("local_addrs"), (ViciSection::List{"192.0.2.1", "192.0.2.3"}));
  EXPECT_EQ(got->settings.text("encap"), "yes");
  ASSERT_NE(got->settings.section("local"), nullptr);
  EXPECT_EQ(*got->settings.section("local")->list("certs"), ViciSection::List{"the certificate"});
}

TEST(ConnectionFileTest, LeavesToTheAgentWhatIsTheAgents) {
  for (const char* key : {"version", "unique", "ppk_id", "ppk_required"}) {
    EXPECT_EQ(refusal(with_line("  " + std::string(key) + " = no")), "line 2: " + std::string(key) + " is set by the agent");
  }
}

TEST(ConnectionFileTest, SaysInWhichLineSomethingIsWrong) {
  EXPECT_EQ(refusal(with_line("mobike")), "line 2: `key = value`, `name {` or `}` belongs here");
  EXPECT_EQ(refusal(with_line("mobike =")), "line 2: mobike has no value");
  EXPECT_EQ(refusal(with_line("a b = c")), "line 2: 'a b' is no name");
  EXPECT_EQ(refusal(with_line("mobike = \"no\"")), "line 2: quotes, braces and variables are not known in values");
  EXPECT_EQ(refusal(with_line("local_ts = a,,b")), "line 2: local_ts has an empty entry");
  EXPECT_EQ(refusal(with_line("certs = b.pem")), "line 2: b.pem: is not there");
  EXPECT_EQ(refusal(with_line("encap = no\nencap = yes")), "line 3: encap twice");
  EXPECT_EQ(refusal(good_connection + std::string("more {\n}\n")), "line 17: a second connection, or something after the first");
  EXPECT_EQ(refusal("ab {\n"), "line 1: a section is not closed");
  EXPECT_EQ(refusal("= {\n}\n"), "line 1: `name {` belongs here");
  EXPECT_EQ(refusal("ab {\n}\n"), "connection ab must have one section in children");
  EXPECT_EQ(refusal("ab {\nchildren {\na {\n}\nb {\n}\n}\n}\n"), "connection ab must have one section in children");
}

TEST(ConnectionFileTest, RefusesWhatIsTooDeepOrTooLong) {
  std::string deep = "ab {\n";
  for (std::size_t i = 0; i < vici_depth_max; ++i) deep += "s {\n";
  EXPECT_EQ(refusal(deep), "line 9: sections too deep");
  EXPECT_NE(refusal(std::string(connection_file_max + 1, '#')), "accepted");
}

}  // namespace
}  // namespace qanat::terminal::gateway
