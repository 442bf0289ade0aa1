// Revocation lists out of a real directory (slapd, started here on a socket of its own).
#include "node/list_directory.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <thread>

#include "node/status.hpp"
#include "temporary_directory.hpp"
#include "trusted_network.hpp"
#include "unit/net/pki.hpp"
#include "wire/base64.hpp"

namespace qanat::node {
namespace {

using net::test::pki;
using test::refusal;

class ListsFromADirectory : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(std::filesystem::exists("/usr/sbin/slapd")) << "run `make setup`: it installs slapd";
    std::filesystem::create_directories(folder_ / "db");
    std::ofstream(folder_ / "slapd.conf") << "include /etc/ldap/schema/core.schema\npidfile " << (folder_ / "pid").string() << "\nmodulepath /usr/lib/ldap\n"
                                          << "moduleload back_mdb\ndatabase mdb\nsuffix \"o=network\"\ndirectory " << (folder_ / "db").string()
                                          << "\nmaxsize 67108864\naccess to * by * read\n";
    for (const char c : (folder_ / "socket").string()) settings_.uri += c == '/' ? std::string("%2F") : std::string(1, c);
    settings_.base = "o=network";
  }
  void TearDown() override {
    pid_t pid = 0;
    if (std::ifstream(folder_ / "pid") >> pid && pid > 1) ::kill(pid, SIGKILL);
  }

  /// A directory with this list in the issuing CA's entry (nothing: without one), which answers when this returns.
  void serve(const std::optional<Bytes>& list) {
    std::ofstream ldif(folder_ / "content.ldif");
    ldif << "dn: o=network\nobjectClass: organization\no: network\n\ndn: ou=authorities,o=network\nobjectClass: organizationalUnit\nou: authorities\n\n"
         << "dn: cn=" << issuer().names().common_name
         << ",ou=authorities,o=network\nobjectClass: applicationProcess\nobjectClass: pkiCA\ncn: " << issuer().names().common_name << "\n";
    if (list) ldif << "certificateRevocationList;binary:: " << wire::to_base64(*list) << "\n";
    ldif << std::flush;
    const std::string conf = " -f " + (folder_ / "slapd.conf").string();
    ASSERT_EQ(std::system(("/usr/sbin/slapadd" + conf + " -l " + (folder_ / "content.ldif").string()).c_str()), 0);
    // It leaves for the background when it has its sockets; on a busy machine it may not listen at once.
    ASSERT_EQ(std::system(("/usr/sbin/slapd" + conf + " -h " + settings_.uri).c_str()), 0);
    const Deadline deadline = test::soon();
    while (!takes_connections()) ASSERT_FALSE(deadline.passed()) << "slapd does not listen";
  }
  [[nodiscard]] bool takes_connections() const {
    sockaddr_un place{};
    place.sun_family = AF_UNIX;
    const std::string path = (folder_ / "socket").string();
    CHECK(path.size() < sizeof place.sun_path);
    std::ranges::copy(path, place.sun_path);
    const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool taken = ::connect(socket, reinterpret_cast<const sockaddr*>(&place), sizeof place) == 0;
    ::close(socket);
    if (!taken) std::this_thread::yield();
    return taken;
  }
  Bytes list_of(std::uint64_t number, std::vector<crypto::RevokedSerial> revoked) const {
    const UnixMs now = net::test::now_ms();
    return pki().revocation_list({.number = number,
                                  .base_number = {},
                                  .this_update = now,
                                  .next_update = now + net::test::hour_ms,
                                  .distribution_point = {},
                                  .delta_url = {},
                                  .revoked = std::move(revoked)});
  }
  [[nodiscard]] const crypto::Certificate& issuer() const { return *pki().trust()->issuer_of(certificate_); }

  test::TemporaryDirectory folder_;
  ListDirectorySettings settings_{.uri = "ldapi://", .base = "", .ca_file = {}};
  crypto::Certificate certificate_ = pki().leaf(Kind::app1, "A")->chain.front();
};

TEST_F(ListsFromADirectory, TheIssuersListIsReadAsItWasPublished) {
  const Bytes list = list_of(3, {{.serial = certificate_.serial(), .revoked_at = net::test::now_ms(), .reason = 1}});
  serve(list);
  EXPECT_EQ(test::must(read_list(settings_, issuer(), test::soon())), list);

  const SystemClock clock;
  RevocationLists lists([&](const crypto::Certificate& of, Deadline deadline) { return read_list(settings_, of, deadline); }, clock);
  EXPECT_EQ(test::must(lists.status(certificate_, issuer(), test::soon())).status, crypto::CertStatus::revoked);
  const crypto::Certificate other = pki().leaf(Kind::app1, "B")->chain.front();
  EXPECT_EQ(test::must(lists.status(other, issuer(), test::soon())).status, crypto::CertStatus::good);
}

TEST_F(ListsFromADirectory, EntryWithoutAListAndADirectoryThatIsAwayAreSilence) {
  EXPECT_EQ(refusal(read_list(settings_, issuer(), test::soon())), ErrorCode::unavailable) << "nobody listens";
  serve(std::nullopt);
  EXPECT_EQ(refusal(read_list(settings_, issuer(), test::soon())), ErrorCode::unavailable);
  ListDirectorySettings elsewhere = settings_;
  elsewhere.base = "o=elsewhere";
  EXPECT_EQ(refusal(read_list(elsewhere, issuer(), test::soon())), ErrorCode::unavailable);
}

/// CAS, which does not answer.
class SilentCas final : public net::Client {
 public:
  Result<net::Response> call(const net::Call& /*call*/, Deadline /*deadline*/) override {
    ++asked;
    return fail(ErrorCode::unavailable, "silent");
  }
  [[nodiscard]] const net::Target& target() const noexcept override { return target_; }
  void chain(net::Chaining) override {}
  Result<void> show(const net::TlsIdentity&) override { return {}; }
  void drop_servers(const std::function<bool(const crypto::Certificate&)>&) override {}

  int asked = 0;

 private:
  net::Target target_;
};

TEST_F(ListsFromADirectory, WhereCasIsSilentTheDirectorySaysWhoIsRevokedIfTheOrderNamesIt) {
  serve(list_of(3, {{.serial = certificate_.serial(), .revoked_at = net::test::now_ms(), .reason = 1}}));
  const crypto::Certificate other = pki().leaf(Kind::app1, "B")->chain.front();
  const std::unique_ptr<crypto::Rng> rng = test::must(crypto::open_rng());
  const SystemClock clock;
  SilentCas cas;
  const auto check = [&](std::vector<StatusSource> order, const crypto::Certificate& certificate) {
    StatusChecker by({.fresh = std::chrono::milliseconds(0), .serve_unexpired_when_down = false, .order = std::move(order), .directory = settings_},
                     points::Endpoint::cq1_status, cas, *pki().trust(), *rng, clock);
    return by.check(certificate, test::soon());
  };
  const auto revoked = check({StatusSource::ocsp, StatusSource::ldap}, certificate_);
  EXPECT_EQ(refusal(revoked), ErrorCode::denied);
  EXPECT_TRUE(revoked.error().message.contains("is revoked")) << revoked.error().message;
  EXPECT_TRUE(check({StatusSource::ocsp, StatusSource::ldap}, other));
  EXPECT_EQ(cas.asked, 2) << "each time before the directory, and for its lists not at all";
  EXPECT_EQ(refusal(check({StatusSource::ocsp}, other)), ErrorCode::unavailable) << "what the order does not name is not asked";
}

TEST(ListDirectorySettingsTest, SayWhatTheyLack) {
  const auto why = [](ListDirectorySettings settings) { return check_list_directory(settings).error().message; };
  EXPECT_TRUE(check_list_directory({.uri = "ldap://d.example", .base = "o=network", .ca_file = {}}));
  EXPECT_TRUE(check_list_directory({.uri = "ldaps://d.example", .base = "o=network", .ca_file = "ca.pem"}));
  EXPECT_EQ(why({.uri = "http://d.example", .base = "o=network", .ca_file = {}}), "must begin with ldap://, ldaps:// or ldapi://");
  EXPECT_EQ(why({.uri = "ldaps://d.example", .base = "o=network", .ca_file = {}}), "ca_file is for ldaps://, and ldaps:// takes one");
  EXPECT_EQ(why({.uri = "ldap://d.example", .base = "o=network", .ca_file = "ca.pem"}), "ca_file is for ldaps://, and ldaps:// takes one");
  EXPECT_EQ(why({.uri = "ldap://d.example", .base = "", .ca_file = {}}), "base is missing");
}

}  // namespace
}  // namespace qanat::node
