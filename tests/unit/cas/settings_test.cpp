// What of CAS's configuration stops its start, and what it stands for.
#include "services/cas/settings.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "temporary_directory.hpp"

namespace qanat::cas {
namespace {

class CasSettingsTest : public testing::Test {
 protected:
  CasSettings read(const std::string& lines) {
    const std::filesystem::path file = folder_ / "cas.toml";
    std::ofstream(file) << lines;
    auto config = node::Config::read(file);
    EXPECT_TRUE(config) << config.error().message;
    CasSettings out = CasSettings::read(*config);
    const auto finished = config->finish();
    complaint_ = finished ? "" : finished.error().message;
    return out;
  }
  void expect_refused(const std::string& lines, std::string_view why) {
    static_cast<void>(read(lines));
    EXPECT_TRUE(complaint_.contains(why)) << lines << "said: " << complaint_;
  }
  test::TemporaryDirectory folder_;
  std::string complaint_;
};

TEST_F(CasSettingsTest, WithoutAListenerCertificatesNameNone) {
  const CasSettings settings = read("[cas]\ncrl_lifetime_s = 60\napproval_retry_s = 5\napproval_expires_s = 7\n");
  EXPECT_EQ(settings.approval_expires, std::chrono::seconds(7));
  EXPECT_EQ(settings.approval_retry, std::chrono::seconds(5));
  EXPECT_EQ(complaint_, "");
  EXPECT_EQ(settings.front.url, "");
  EXPECT_EQ(settings.directory.uri, "");
  EXPECT_EQ(settings.crl_lifetime, std::chrono::seconds(60));
}

TEST_F(CasSettingsTest, AListenerIsNamedByItsAddressUnlessAnotherNameIsSaid) {
  EXPECT_EQ(read("[cas.listener]\nport = 8080\n").front.url, "http://127.0.0.1:8080");
  EXPECT_EQ(read("[cas.listener]\nport = 8080\naddress = \"::1\"\n").front.url, "http://[::1]:8080");
  EXPECT_EQ(read("[cas.listener]\nport = 8080\naddress = \"0.0.0.0\"\nurl = \"http://status.example\"\n").front.url, "http://status.example");
  EXPECT_EQ(complaint_, "");
}

TEST_F(CasSettingsTest, ANameThatNobodyCouldAskAtStopsTheStart) {
  expect_refused("[cas.listener]\nport = 8080\naddress = \"0.0.0.0\"\n", "all interfaces");
  expect_refused("[cas.listener]\nport = 8080\naddress = \"::\"\n", "all interfaces");
  expect_refused("[cas.listener]\nport = 8080\nurl = \"https://status.example\"\n", "http://");
  expect_refused("[cas.listener]\nport = 8080\nurl = \"http://status.example/\"\n", "must not end");
  expect_refused("[cas.listener]\nport = 8080\nurl = \"http://status example\"\n", "without spaces");
  expect_refused("[cas.listener]\nport = 8080\nurl = \"http://" + std::string(200, 'a') + "\"\n", "at most 200");
  expect_refused("[cas.listener]\nurl = \"http://status.example\"\n", "must be there where url is");
}

TEST_F(CasSettingsTest, EnrolmentIsNamedByItsFirstNameUnlessAnotherUrlIsSaid) {
  EXPECT_EQ(read("").enrolment.url, "");
  const EnrolmentSettings local = read("[cas.enrolment]\nport = 8443\ndns = [\"LocalHost\"]\n").enrolment;
  EXPECT_EQ(local.url, "https://localhost:8443");
  EXPECT_EQ(local.addresses, std::vector<std::string>{"127.0.0.1"});
  EXPECT_EQ(read("[cas.enrolment]\nport = 8443\ndns = [\"ra\"]\naddress = \"::1\"\n").enrolment.addresses, std::vector<std::string>{"0000:0000:0000:0000:0000:0000:0000:0001"});
  const EnrolmentSettings named = read("[cas.enrolment]\nport = 8443\naddress = \"0.0.0.0\"\ndns = [\"ra.example\", \"ra\"]\n").enrolment;
  EXPECT_EQ(named.url, "https://ra.example:8443");
  EXPECT_EQ(named.addresses, std::vector<std::string>{});
  EXPECT_EQ(named.dns, (std::vector<std::string>{"ra.example", "ra"}));
  EXPECT_EQ(read("[cas.enrolment]\nport = 8443\ndns = [\"ra\"]\nurl = \"https://ra.example\"\n").enrolment.url, "https://ra.example");
  EXPECT_EQ(complaint_, "");
}

TEST_F(CasSettingsTest, AnEnrolmentThatNobodyCouldFindOrVerifyStopsTheStart) {
  const std::string named = "[cas.enrolment]\nport = 8443\ndns = [\"ra.example\"]\n";
  expect_refused("[cas.enrolment]\nport = 8443\n", "must name the listener");
  expect_refused("[cas.enrolment]\nport = 8443\ndns = [\"not a name\"]\n", "is no DNS name");
  expect_refused(named + "addresses = [\"ra.example\"]\n", "is no IP address");
  expect_refused(named + "url = \"http://ra.example\"\n", "https://");
  expect_refused(named + "url = \"https://ra.example/\"\n", "must not end");
  expect_refused("[cas.enrolment]\ndns = [\"ra.example\"]\nurl = \"https://ra.example\"\n", "must be there where url is");
  expect_refused(named + "workers = 0\n", "between");
}

TEST_F(CasSettingsTest, ADirectoryIsToldNothingInClear) {
  const std::string base = "base = \"o=x\"\n";
  const std::string bind = base + "bind_dn = \"cn=cas\"\npassword_file = \"p\"\n";
  read("[cas.directory]\nuri = \"ldapi://%2Frun%2Fldapi\"\n" + base);
  EXPECT_EQ(complaint_, "");
  read("[cas.directory]\nuri = \"ldaps://directory.example\"\n" + bind);
  EXPECT_EQ(complaint_, "");
  read("[cas.directory]\nuri = \"ldap://directory.example\"\nstart_tls = true\n" + bind);
  EXPECT_EQ(complaint_, "");
  expect_refused("[cas.directory]\nuri = \"ldap://directory.example\"\n" + bind, "start_tls = true");
  expect_refused("[cas.directory]\nuri = \"ldaps://directory.example\"\nstart_tls = true\n" + bind, "for ldap:// alone");
  expect_refused("[cas.directory]\nuri = \"http://directory.example\"\n" + bind, "must begin with");
  expect_refused("[cas.directory]\nuri = \"ldaps://directory.example\"\n" + base, "bind_dn is missing");
  expect_refused("[cas.directory]\nuri = \"ldapi://x\"\nbind_dn = \"cn=cas\"\n" + base, "belong together");
  expect_refused("[cas.directory]\nuri = \"ldapi://x\"\n", "must name the entry");
}

TEST(DirectoryNames, AreEscapedAsRfc4514Says) {
  EXPECT_EQ(escaped_rdn("kms-a"), "kms-a");
  EXPECT_EQ(escaped_rdn("a,b+c=d;e<f>g\\h\"i#"), "a\\,b\\+c\\=d\\;e\\<f\\>g\\\\h\\\"i\\#");
  EXPECT_EQ(escaped_rdn(" a b "), "\\ a b\\ ");
  EXPECT_EQ(escaped_rdn(std::string_view("a\0b\n", 4)), "a\\00b\\0a");
}

}  // namespace
}  // namespace qanat::cas
