// A real directory (slapd, started here on a socket of its own) that CAS publishes in, read with ldapsearch: certificates, CAs, lists; over outages of either.
#include <algorithm>
#include <fstream>

#include "crypto/foreign_issue.hpp"
#include "crypto/x509_crl.hpp"
#include "program.hpp"
#include "services/cas/ceis/own_server.hpp"
#include "test_network.hpp"
#include "wire/base64.hpp"

namespace qanat::test {
namespace {

constexpr const char* directory_server = "/usr/sbin/slapd";
constexpr std::chrono::milliseconds published_max{60'000};

/// slapd in a folder of its own: on ldapi, and on a port of loopback with a certificate of its own.
class Slapd {
 public:
  explicit Slapd(const TemporaryDirectory& folder) : folder_(folder) {
    port_ = app::free_ports(1).value().front();
    const std::filesystem::path home = folder / "slapd";
    std::filesystem::create_directories(home / "db");
    const crypto::PemFiles root{.certificate = home / "root.pem", .key = home / "root.key"};
    EXPECT_TRUE(crypto::make_foreign_root(root, "Directory CA", crypto::ForeignKey::ecdsa_p256));
    EXPECT_TRUE(crypto::make_foreign_leaf({.certificate = home / "server.pem", .key = home / "server.key"},
                                          {.common_name = "localhost", .uris = {}, .dns = {"localhost"}, .addresses = {"127.0.0.1"}},
                                          crypto::ForeignKey::ecdsa_p256, root));
    std::ofstream(home / "slapd.conf") << "include /etc/ldap/schema/core.schema\npidfile " << (home / "pid").string() << "\nmodulepath /usr/lib/ldap\n"
                                       << "moduleload back_mdb\nTLSCACertificateFile " << root.certificate.string() << "\nTLSCertificateFile "
                                       << (home / "server.pem").string() << "\nTLSCertificateKeyFile " << (home / "server.key").string()
                                       << "\ndatabase mdb\nsuffix \"o=network\"\nrootdn \"cn=cas,o=network\"\nrootpw " << password << "\ndirectory "
                                       << (home / "db").string() << "\nmaxsize 1073741824\naccess to * by * read\n";
    const std::filesystem::path secret = home / "password";
    std::ofstream(secret) << password << '\n';
    std::filesystem::permissions(secret, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  }

  void start() {
    const std::filesystem::path home = folder_ / "slapd";
    auto child = app::Child::start({.program = directory_server,
                                    .arguments = {"-d", "0", "-f", (home / "slapd.conf").string(), "-h", uri() + " ldap://127.0.0.1:" + std::to_string(port_)},
                                    .environment = {},
                                    .standard_error = home / "log"});
    ASSERT_TRUE(child) << child.error().message;
    child_ = *std::move(child);
    TestNetwork::await("slapd to answer", [&] { return search("", "", "-s base").code == 0; });
    if (search("o=network", "", "-s base").code == 0) return;
    std::ofstream(home / "base.ldif") << "dn: o=network\nobjectClass: organization\no: network\n";
    const Outcome added = run_line("ldapadd -x -H " + uri() + " -D cn=cas,o=network -y " + bare_password() + " -f " + (home / "base.ldif").string(), folder_);
    ASSERT_EQ(added.code, 0) << added.error;
  }
  void kill() {
    ASSERT_EQ(::kill(child_->pid(), SIGKILL), 0);
    child_->stop(std::chrono::milliseconds(1000));
    child_.reset();
  }
  Outcome search(const std::string& base, const std::string& filter, const std::string& more = "") const {
    return run_line("ldapsearch -x -LLL -o ldif-wrap=no -H " + uri() + " -b '" + base + "' " + more + (filter.empty() ? "" : " '" + filter + "'"), folder_);
  }
  /// The values of an attribute in what ldapsearch printed.
  static std::vector<Bytes> values(const Outcome& outcome, const std::string& attribute) {
    std::vector<Bytes> out;
    std::istringstream lines(outcome.out);
    for (std::string line; std::getline(lines, line);) {
      if (!line.starts_with(attribute + ":: ")) continue;
      const auto octets = wire::from_base64(line.substr(attribute.size() + 3));
      if (octets) out.push_back(*octets);
    }
    return out;
  }
  [[nodiscard]] std::string uri() const {
    std::string out = "ldapi://";
    for (const char c : (folder_ / "slapd" / "socket").string()) out += c == '/' ? std::string("%2F") : std::string(1, c);
    return out;
  }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::filesystem::path password_file() const { return folder_ / "slapd" / "password"; }
  [[nodiscard]] std::filesystem::path ca_file() const { return folder_ / "slapd" / "root.pem"; }
  [[nodiscard]] bool lives() const { return child_ != nullptr; }

 private:
  /// ldapadd takes a new line for a part of the password.
  [[nodiscard]] std::string bare_password() const {
    const std::filesystem::path file = folder_ / "slapd" / "bare";
    std::ofstream(file) << password;
    return file.string();
  }
  static constexpr const char* password = "only-for-this-test";
  const TemporaryDirectory& folder_;
  std::uint16_t port_ = 0;
  std::unique_ptr<app::Child> child_;
};

class DirectoryPublication : public SharedNetwork {
 protected:
  static void SetUpTestSuite() {
    options_.spares = {{.domain = "a", .kind = Kind::kms, .name = "kms-spare"}, {.domain = "b", .kind = Kind::kms, .name = "kms-other"}};
    options_.optics = false;
    SharedNetwork::SetUpTestSuite();
    ASSERT_TRUE(std::filesystem::exists(directory_server)) << "run `make setup`: it installs slapd";
    folder_ = std::make_unique<TemporaryDirectory>();
    slapd_ = std::make_unique<Slapd>(*folder_);
    slapd_->start();
    plain_ = text_of(net().network().config_of("cas"));
    publish_at("uri = \"" + slapd_->uri() + "\"\n");
  }
  static void TearDownTestSuite() {
    SharedNetwork::TearDownTestSuite();
    slapd_.reset();
    folder_.reset();
  }
  /// CAS anew, with a directory at this address.
  static void publish_at(const std::string& where) {
    net().running().stop_element("cas", app::RunningNetwork::Ending::orderly);
    std::ofstream(net().network().config_of("cas")) << plain_ << "\n[cas.directory]\n"
                                                    << where << "base = \"o=network\"\nbind_dn = \"cn=cas,o=network\"\npassword_file = \""
                                                    << slapd_->password_file().string() << "\"\n";
    const auto started = net().running().start_element("cas");
    ASSERT_TRUE(started) << started.error().message;
  }
  static wire::Json health() {
    const auto health = net().op().health("cas");
    const auto csp = health ? health->object("csp") : Result<wire::Json>(fail(health.error()));
    return csp ? csp->object("directory").value_or(wire::Json::object()) : wire::Json::object();
  }
  static void await_all_published() {
    TestNetwork::await("an empty outbox", [] { return health().integer("waiting").value_or(-1) == 0; }, published_max);
  }
  static std::vector<Bytes> certificates_of(const std::string& element) {
    return Slapd::values(slapd_->search("ou=elements,o=network", "(cn=" + element + ")", ""), "userCertificate;binary");
  }
  static const crypto::Certificate& issuing() { return *net().trust().issuer_of(net().identity_of("kms-a")->chain.front()); }
  static std::vector<Bytes> of_ca(const std::string& attribute) {
    return Slapd::values(slapd_->search("ou=authorities,o=network", "(cn=" + issuing().names().common_name + ")"), attribute);
  }

  static std::unique_ptr<TemporaryDirectory> folder_;
  static std::unique_ptr<Slapd> slapd_;
  static std::string plain_;
};
std::unique_ptr<TemporaryDirectory> DirectoryPublication::folder_;
std::unique_ptr<Slapd> DirectoryPublication::slapd_;
std::string DirectoryPublication::plain_;

TEST_F(DirectoryPublication, LdapsearchFindsCertificatesCasAndLists) {
  await_all_published();
  const std::vector<Bytes> found = certificates_of("kms-a");
  EXPECT_EQ(found.size(), 2U) << "of both branches";
  EXPECT_NE(std::ranges::find(found, net().identity_of("kms-a")->chain.front().der()), found.end());
  EXPECT_EQ(of_ca("cACertificate;binary"), std::vector<Bytes>{issuing().der()});
  const std::vector<Bytes> lists = of_ca("certificateRevocationList;binary");
  ASSERT_EQ(lists.size(), 1U);
  const auto list = crypto::read_revocation_list(lists.front(), issuing());
  ASSERT_TRUE(list) << list.error().message;
  EXPECT_EQ(of_ca("deltaRevocationList;binary").size(), 1U);
  const Outcome shard = slapd_->search("cn=3,cn=" + issuing().names().common_name + ",ou=authorities,o=network", "", "-s base");
  const std::vector<Bytes> shards = Slapd::values(shard, "certificateRevocationList;binary");
  ASSERT_EQ(shards.size(), 1U) << shard.out << shard.error;
  EXPECT_TRUE(crypto::read_revocation_list(shards.front(), issuing()).value().distribution_point.ends_with("/crl/ml_dsa-3.crl"));
}

TEST_F(DirectoryPublication, SoftwareOfOthersIsFoundUnderItsUidUntilItIsRevoked) {
  const auto ask = [](const char* element, points::Endpoint endpoint, const wire::Json& body) {
    const auto answer = net().op().ask(endpoint, element, body);
    EXPECT_TRUE(answer) << (answer ? "" : answer.error().message);
    return answer.value_or(wire::Json::object());
  };
  const wire::Json box = wire::Json::object({{"uid", "box-9"}, {"class", "application"}, {"domain", "a"}});
  ask("iam", points::Endpoint::x5_identity, wire::Json::object({{"op", "create"}, {"identity", box}}));
  const wire::Json made =
      ask("cas", points::Endpoint::x5_registration, wire::Json::object({{"op", "create"}, {"subject", "box-9"}, {"profile", "device"}}));
  const crypto::PrivateKey key{.algorithm = crypto::KeyAlgorithm::ml_dsa_65, .secret = net().rng().secret(32)};
  const Bytes request = crypto::make_request(key, {.common_name = "box-9", .element = {}, .number = {}, .dns = {}}).value();
  const wire::Json given = ask("cas", points::Endpoint::x5_registration,
                               wire::Json::object({{"op", "issue"}, {"reference", made.text("reference").value()}, {"request", wire::to_base64(request)}}));
  const auto found = [] { return Slapd::values(slapd_->search("ou=subjects,o=network", "(cn=box-9)"), "userCertificate;binary"); };
  await_all_published();
  EXPECT_EQ(found(), std::vector<Bytes>{given.base64("certificate").value()});
  ask("cas", points::Endpoint::x5_registration,
      wire::Json::object({{"op", "revoke"}, {"certificate", given.text("certificate").value()}, {"reason", "cessationOfOperation"}}));
  TestNetwork::await("the entry's end", [&] { return found().empty(); });
}

TEST_F(DirectoryPublication, TheDeviceCasStandUnderTheirOneNameFromThePreparationOn) {
  const auto device_ca = [] { return crypto::Certificate::parse_pem_chain(text_of(net().network().state_of("cas") / cas::device_ca_file)).value(); };
  const auto step = [](const std::string& what) {
    net().running().stop_element("cas", app::RunningNetwork::Ending::orderly);
    const Outcome outcome = run_line(std::string(QANAT_PROGRAM) + " ca rollover-devices " + what + " --config " + net().network().config_of("cas").string(), *folder_);
    EXPECT_EQ(outcome.code, 0) << outcome.error;
    const auto started = net().running().start_element("cas");
    ASSERT_TRUE(started) << started.error().message;
    await_all_published();
  };
  const auto published = [&] {
    std::vector<Bytes> out =
        Slapd::values(slapd_->search("ou=authorities,o=network", "(cn=" + device_ca().front().names().common_name + ")"), "cACertificate;binary");
    std::ranges::sort(out);
    return out;
  };
  await_all_published();
  const Bytes first = device_ca().front().der();
  EXPECT_EQ(published(), std::vector<Bytes>{first});
  step("--prepare");
  ASSERT_EQ(device_ca().size(), 2U) << "whoever trusts the device CA can learn of the next one";
  std::vector<Bytes> both{first, device_ca().back().der()};
  std::ranges::sort(both);
  EXPECT_EQ(published(), both);
  step("--install");
  EXPECT_EQ(published(), both) << "the one before answers for what it issued";
}

TEST_F(DirectoryPublication, NothingInItNamesASubscriber) {
  net().enrol("A");
  await_all_published();
  const crypto::Certificate certificate = net().identity_of("A")->chain.front();
  const std::string fingerprint = to_hex(certificate.fingerprint(crypto::Hash::sha256));
  const Outcome entry = slapd_->search("ou=terminals,o=network", "(cn=" + fingerprint + ")");
  EXPECT_TRUE(entry.out.contains("serialNumber: " + to_hex(certificate.serial()))) << entry.out << entry.error;
  EXPECT_FALSE(entry.out.contains("userCertificate"));
  const Outcome all = slapd_->search("o=network", "(objectClass=*)");
  ASSERT_EQ(all.code, 0) << all.error;
  const std::string number = (*net().network().terminal("A"))->number;
  EXPECT_FALSE(all.out.contains(number));
  for (const Bytes& value : Slapd::values(all, "userCertificate;binary")) EXPECT_FALSE(as_text(value).contains("tel:"));
  ASSERT_TRUE(net().op().revoke({.domain = "a", .kind = Kind::app1, .name = "A"}));
  TestNetwork::await(
      "its entry to go", [&] { return !slapd_->search("ou=terminals,o=network", "(cn=" + fingerprint + ")").out.contains(fingerprint); }, published_max);
}

TEST_F(DirectoryPublication, StrangersReadAndDoNotWrite) {
  const std::filesystem::path change = *folder_ / "change.ldif";
  std::ofstream(change) << "dn: cn=evil,ou=elements,o=network\nobjectClass: device\ncn: evil\n";
  const Outcome refused = run_line("ldapadd -x -H " + slapd_->uri() + " -f " + change.string(), *folder_);
  EXPECT_NE(refused.code, 0);
}

TEST_F(DirectoryPublication, ResumesAfterAnOutageOfTheDirectory) {
  await_all_published();
  slapd_->kill();
  const auto identity = net().enrol_spare("kms-spare");
  ASSERT_TRUE(net().op().revoke({.domain = "b", .kind = Kind::kms, .name = "kms-b"})) << "issuing and revoking go on without a directory";
  TestNetwork::await("errands that wait, and the reason", [] {
    const wire::Json state = health();
    return state.integer("waiting").value_or(0) > 0 && state.has("error");
  });
  slapd_->start();
  TestNetwork::await("the certificate issued meanwhile", [&] { return certificates_of("kms-spare").size() == 2; }, published_max);
  await_all_published();
  EXPECT_TRUE(certificates_of("kms-b").empty()) << "revoked meanwhile";
  const auto list = crypto::read_revocation_list(of_ca("certificateRevocationList;binary").front(), issuing());
  ASSERT_TRUE(list) << list.error().message;
  const Bytes revoked = net().identity_of("kms-b")->chain.front().serial();
  EXPECT_TRUE(std::ranges::any_of(list->revoked, [&](const crypto::RevokedSerial& entry) { return entry.serial == revoked; }));
  EXPECT_FALSE(health().has("error"));
}

TEST_F(DirectoryPublication, ResumesAfterTheEndOfItsOwnProcess) {
  await_all_published();
  slapd_->kill();
  static_cast<void>(net().enrol_spare("kms-other"));
  net().running().stop_element("cas", app::RunningNetwork::Ending::kill);
  slapd_->start();
  EXPECT_TRUE(certificates_of("kms-other").empty());
  const auto started = net().running().start_element("cas");
  ASSERT_TRUE(started) << started.error().message;
  TestNetwork::await("the certificate issued before", [&] { return certificates_of("kms-other").size() == 2; }, published_max);
  await_all_published();
}

TEST_F(DirectoryPublication, SpeaksTlsToADirectoryThatItCanVerifyAndToNoOther) {
  await_all_published();
  const std::string address = "uri = \"ldap://127.0.0.1:" + std::to_string(slapd_->port()) + "\"\nstart_tls = true\nca_file = ";
  publish_at(address + "\"" + slapd_->ca_file().string() + "\"\n");
  await_all_published();
  EXPECT_FALSE(health().has("error"));
  // A directory under another CA is not told anything.
  const crypto::PemFiles other{.certificate = *folder_ / "other.pem", .key = *folder_ / "other.key"};
  ASSERT_TRUE(crypto::make_foreign_root(other, "Another CA", crypto::ForeignKey::ecdsa_p256));
  publish_at(address + "\"" + other.certificate.string() + "\"\n");
  TestNetwork::await("a refusal", [] { return health().has("error"); });
  EXPECT_GT(health().integer("waiting").value_or(0), 0) << "the lists that were made at the start";
  publish_at("uri = \"" + slapd_->uri() + "\"\n");
  await_all_published();
}

}  // namespace
}  // namespace qanat::test
