#include "node/configured_names.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "temporary_directory.hpp"

namespace qanat::node {
namespace {

class ConfiguredNamesTest : public testing::Test {
 protected:
  Config config(const std::string& lines) {
    const std::filesystem::path file = folder_ / "qkm.toml";
    std::ofstream(file) << "[qkm]\n" << lines;
    return *Config::read(file);
  }
  test::TemporaryDirectory folder_;
};

TEST_F(ConfiguredNamesTest, NamesAreReadWhereTheyBelong) {
  Config all = config("peer = \"qkm-r\"\nothers = [\"qkdnc\", \"qkdnc-2\"]\n");
  Config table = all.table("qkm");
  EXPECT_EQ(element_name(table, "peer"), ElementName("qkm-r"));
  EXPECT_EQ(element_names(table, "others"), (std::vector<ElementName>{ElementName("qkdnc"), ElementName("qkdnc-2")}));
  EXPECT_FALSE(optional_element_name(table, "absent"));
  EXPECT_TRUE(all.finish());
}

TEST_F(ConfiguredNamesTest, WhatIsNoNameIsComplainedOfWithFileAndLine) {
  for (const char* lines : {"peer = \"two words\"\n", "peer = \"\"\n", "", "peer = 5\n"}) {
    Config all = config(lines);
    Config table = all.table("qkm");
    EXPECT_TRUE(element_name(table, "peer").empty());
    EXPECT_FALSE(all.finish()) << lines;
  }
  Config one = config("other = \"a/b\"\n");
  Config table = one.table("qkm");
  EXPECT_FALSE(optional_element_name(table, "other"));
  EXPECT_TRUE(one.finish().error().message.starts_with("qkm.toml:2: qkm.other: ")) << one.finish().error().message;
  Config list = config("others = [\"qkdnc\", \"?\"]\n");
  Config others = list.table("qkm");
  EXPECT_EQ(element_names(others, "others").size(), 1U);
  EXPECT_FALSE(list.finish());
}

}  // namespace
}  // namespace qanat::node
