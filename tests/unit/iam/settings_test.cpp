// [iam.web]: what it takes, and what it complains of.
#include "services/iam/settings.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "temporary_directory.hpp"

namespace qanat::iam {
namespace {

class IamSettingsTest : public testing::Test {
 protected:
  static constexpr const char* files = "certificate = \"/tmp/iam.pem\"\nkey = \"/tmp/iam.key\"\nroots = \"/tmp/roots.pem\"\n";

  /// The settings with these lines in [iam.web].
  Result<IamSettings> read(const std::string& lines) {
    const std::filesystem::path file = folder_ / "iam.toml";
    std::ofstream(file) << "[iam]\n[iam.web]\n" << lines;
    ASSIGN_OR_RETURN(node::Config config, node::Config::read(file));
    IamSettings out = IamSettings::read(config);
    TRY(config.finish());
    return out;
  }
  std::string complaint(const std::string& lines) {
    const auto settings = read(files + lines);
    EXPECT_FALSE(settings) << lines;
    return settings ? "" : settings.error().message;
  }

  test::TemporaryDirectory folder_;
};

TEST_F(IamSettingsTest, TheListenerHasAnAddressForOutsideAndADomainForPeople) {
  const auto settings = read(std::string(files) + "port = 8443\nurl = \"https://iam.example:8443\"\nscim_domain = \"a\"\n");
  ASSERT_TRUE(settings) << settings.error().message;
  EXPECT_EQ(settings->web.url, "https://iam.example:8443");
  EXPECT_EQ(settings->web.scim_domain, "a");
  EXPECT_EQ(settings->web.listener->port, 8443);
  const auto bare = read(files);
  ASSERT_TRUE(bare) << bare.error().message;
  EXPECT_TRUE(bare->web.url.empty());
}

TEST_F(IamSettingsTest, AGatewayIsAnElementAndATerminalIsNot) {
  const std::filesystem::path file = folder_ / "elements.toml";
  const auto elements = [&](const std::string& uri) -> Result<std::vector<Identity>> {
    std::ofstream(file) << "[iam]\nelements = [\"" << uri << "\"]\n";
    ASSIGN_OR_RETURN(node::Config config, node::Config::read(file));
    const IamSettings out = IamSettings::read(config);
    TRY(config.finish());
    return out.founders.elements;
  };
  for (const char* uri : {"qanat://a/kms/kms-a", "qanat://a/dev1/gw-a"}) {
    const auto read = elements(uri);
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->front().uri(), uri);
  }
  for (const char* uri : {"qanat://a/app1/A", "qanat://a/dev2/meter", "qanat://core/operator/operator"}) {
    const auto refused = elements(uri);
    ASSERT_FALSE(refused) << uri;
    EXPECT_TRUE(refused.error().message.contains("is no element")) << refused.error().message;
  }
}

TEST_F(IamSettingsTest, WhatIsNoAddressOrNoDomainIsComplainedOf) {
  for (const char* url : {"http://iam.example", "https://", "https://iam.example/", "https://iam.example/path", "https://iam.example?x",
                          "https://iam.example#x", "https://u@iam.example", "iam.example"}) {
    EXPECT_NE(complaint("url = \"" + std::string(url) + "\"\n").find("url"), std::string::npos) << url;
  }
  EXPECT_NE(complaint("scim_domain = \"No!\"\n").find("scim_domain"), std::string::npos);
  EXPECT_NE(complaint("colour = \"red\"\n").find("colour"), std::string::npos);
  EXPECT_FALSE(read("certificate = \"/tmp/iam.pem\"\n")) << "without its key";
}

}  // namespace
}  // namespace qanat::iam
