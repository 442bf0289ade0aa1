#include "node/config.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "node/settings.hpp"
#include "temporary_directory.hpp"

namespace qanat::node {
namespace {

class ConfigTest : public testing::Test {
 protected:
  Config read(const std::string& text) {
    std::ofstream(file()) << text;
    auto config = Config::read(file());
    EXPECT_TRUE(config) << config.error().message;
    return *config;
  }
  std::filesystem::path file() const { return folder_ / "kms.toml"; }

  test::TemporaryDirectory folder_;
};

TEST_F(ConfigTest, ReadsValuesAndAbsentOnesAreTheDefault) {
  Config config = read("[pool]\nkeys_max = 7\nname = \"x\"\non = true\nlist = [\"a\", \"b\"]\nratio = 0.5\n");
  Config pool = config.table("pool");
  EXPECT_EQ(pool.integer("keys_max", 1, 10, 3), 7);
  EXPECT_EQ(pool.integer("other", 1, 10, 3), 3);
  EXPECT_EQ(pool.text("name", ""), "x");
  EXPECT_TRUE(pool.flag("on", false));
  EXPECT_EQ(pool.texts("list"), (std::vector<std::string>{"a", "b"}));
  EXPECT_DOUBLE_EQ(pool.real("ratio", 0, 1, 0.1), 0.5);
  EXPECT_EQ(config.table("absent").integer("keys_max", 1, 10, 4), 4);
  EXPECT_TRUE(config.finish());
}

TEST_F(ConfigTest, ComplaintNamesFileLineKeyAndBounds) {
  Config config = read("\n\n[pool]\nkeys_max = 0\n");
  (void)config.table("pool").integer("keys_max", 1, 1000000, 1);
  EXPECT_EQ(config.finish().error().message, "kms.toml:4: pool.keys_max = 0: must be between 1 and 1000000");
}

TEST_F(ConfigTest, RefusesAKeyThatNobodyReads) {
  Config config = read("[pool]\nkeys_max = 2\nkeys_mx = 3\n");
  (void)config.table("pool").integer("keys_max", 1, 10, 1);
  EXPECT_EQ(config.finish().error().message, "kms.toml:3: pool.keys_mx: no such setting");
}

TEST_F(ConfigTest, RefusesATableThatNobodyReads) {
  Config config = read("[pol]\nx = 1\n");
  EXPECT_EQ(config.finish().error().message, "kms.toml:1: pol: no such setting");
}

TEST_F(ConfigTest, RefusesAValueOfAnotherType) {
  const std::pair<const char*, const char*> cases[] = {{"number = \"7\"", "must be a whole number"}, {"text = 7", "must be a text in quotes"}, {"flag = 1", "must be true or false"}};
  for (const auto& [line, complaint] : cases) {
    Config config = read(line);
    (void)config.integer("number", 0, 9, 0);
    (void)config.text("text", "");
    (void)config.flag("flag", false);
    const auto done = config.finish();
    ASSERT_FALSE(done) << line;
    EXPECT_NE(done.error().message.find(complaint), std::string::npos) << done.error().message;
  }
}

TEST_F(ConfigTest, RequiredKeyIsRequired) {
  Config config = read("");
  (void)config.text("site_key");
  EXPECT_EQ(config.finish().error().message, "kms.toml:1: site_key: is required");
}

TEST_F(ConfigTest, MalformedFileAndMissingFileAreFailures) {
  std::ofstream(file()) << "[pool\n";
  EXPECT_EQ(Config::read(file()).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(Config::read(folder_ / "none.toml").error().code, ErrorCode::not_found);
}

TEST_F(ConfigTest, CommonSettingsRefuseABadIdentityAndAnUnknownSuite) {
  const std::string rest = "state = \"/tmp/x\"\ntrust = \"/tmp/y\"\nmaster_key = \"/tmp/z\"\n";
  for (const std::string& bad : {std::string("identity = \"qanat://a/kmss/kms-a\"\n"), std::string("identity = \"qanat://a/kms/kms-a\"\nsuite = \"GM\"\n")}) {
    Config config = read("[node]\n" + bad + rest);
    (void)Settings::read(config);
    EXPECT_FALSE(config.finish()) << bad;
  }
  Config config = read("[node]\nidentity = \"qanat://a/kms/kms-a\"\n" + rest + "[peers.cas]\nidentity = \"qanat://core/cas/cas\"\nport = 4000\n");
  const Settings settings = Settings::read(config);
  ASSERT_TRUE(config.finish());
  EXPECT_EQ(settings.identity.name, "kms-a");
  EXPECT_EQ(settings.peers.at("cas").expected.kind, Kind::cas);
  EXPECT_EQ(settings.peers.at("cas").port, 4000);
}

TEST_F(ConfigTest, TheMasterKeyIsInAFileUnlessATokenIsNamed) {
  const std::string node = "[node]\nidentity = \"qanat://a/kms/kms-a\"\nstate = \"/tmp/x\"\ntrust = \"/tmp/y\"\n";
  const std::string token = "[device]\nkind = \"pkcs11\"\nmodule = \"/lib/m.so\"\ntoken = \"kms\"\n";
  const auto complaint = [&](const std::string& text) {
    Config config = read(text);
    (void)Settings::read(config);
    const auto done = config.finish();
    return done ? std::string() : done.error().message;
  };
  EXPECT_EQ(complaint(node + "master_key = \"/tmp/z\"\n"), "");
  EXPECT_TRUE(complaint(node).contains("master_key")) << "the software device needs its file";
  EXPECT_EQ(complaint(node + "master_key = \"/tmp/z\"\n[device]\nkind = \"software\"\n"), "");
  EXPECT_EQ(complaint(node + token + "pin_file = \"/tmp/pin\"\n"), "");
  EXPECT_TRUE(complaint(node + token).contains("device.pin_file")) << "a PIN is never in the configuration itself";
  EXPECT_TRUE(complaint(node + token + "pin_file = \"/tmp/pin\"\npin = \"1234\"\n").contains("device.pin"));
  EXPECT_TRUE(complaint(node + "master_key = \"/tmp/z\"\n[device]\nkind = \"hsm\"\n").contains("device.kind"));
  Config config = read(node + token + "pin_file = \"/tmp/pin\"\n");
  const Settings settings = Settings::read(config);
  ASSERT_TRUE(settings.device);
  const auto& chosen = std::get<crypto::Pkcs11Settings>(*settings.device);
  EXPECT_EQ(chosen.module, "/lib/m.so");
  EXPECT_EQ(chosen.token, "kms");
  EXPECT_EQ(chosen.key, "qanat master key");
  EXPECT_EQ(chosen.pin_file, "/tmp/pin");
}

TEST_F(ConfigTest, AnSdfDeviceNeedsALibraryAKeyIndexAndAFileForWhatItWraps) {
  const std::string node = "[node]\nidentity = \"qanat://a/kms/kms-a\"\nstate = \"/tmp/x\"\ntrust = \"/tmp/y\"\n";
  const std::string file = "master_key = \"/tmp/z\"\n";
  const std::string sdf = "[device]\nkind = \"sdf\"\n";
  const std::string library = "module = \"/lib/sdf.so\"\n";
  const auto complaint = [&](const std::string& text) {
    Config config = read(text);
    (void)Settings::read(config);
    const auto done = config.finish();
    return done ? std::string() : done.error().message;
  };
  EXPECT_EQ(complaint(node + file + sdf + library + "key_index = 3\n"), "");
  EXPECT_TRUE(complaint(node + file + sdf + library).contains("device.key_index"));
  EXPECT_TRUE(complaint(node + file + sdf + "key_index = 3\n").contains("device.module"));
  EXPECT_TRUE(complaint(node + sdf + library + "key_index = 3\n").contains("node.master_key"));
  for (const char* index : {"0", "-1", "4294967296", "\"3\""})
    EXPECT_TRUE(complaint(node + file + sdf + library + "key_index = " + index + "\n").contains("device.key_index")) << index;
  EXPECT_TRUE(complaint(node + file + sdf + library + "key_index = 3\ntoken = \"kms\"\n").contains("device.token")) << "a token's settings are none of it";
  EXPECT_TRUE(complaint(node + file + sdf + library + "key_index = 3\npin_file = \"/tmp/pin\"\n").contains("device.pin_file"));
  EXPECT_TRUE(complaint(node + file + "[device]\nkey_index = 3\n").contains("device.key_index")) << "the software device has no key index";
  Config config = read(node + file + sdf + library + "key_index = 4294967295\n");
  const Settings settings = Settings::read(config);
  ASSERT_TRUE(settings.device);
  const auto& chosen = std::get<crypto::SdfSettings>(*settings.device);
  EXPECT_EQ(chosen.module, "/lib/sdf.so");
  EXPECT_EQ(chosen.key_index, 4294967295U);
  EXPECT_EQ(settings.master_key, "/tmp/z");
}

TEST_F(ConfigTest, OneLineKeepsTheStateOfAKmsOnAServer) {
  const std::string rest = "state = \"/tmp/x\"\ntrust = \"/tmp/y\"\nmaster_key = \"/tmp/z\"\n";
  const auto settings_of = [&](const std::string& kind, const std::string& text) -> Result<Settings> {
    Config config = read("[node]\nidentity = \"qanat://a/" + kind + "/x\"\n" + rest + text);
    Settings out = Settings::read(config);
    TRY(config.finish());
    return Result<Settings>(std::move(out));
  };
  const std::string line = "[store]\npostgresql = \"host=/run/postgresql dbname=kms\"\n";
  const auto one = settings_of("kms", line);
  ASSERT_TRUE(one) << one.error().message;
  EXPECT_EQ(one->store->front_end, 1U);
  EXPECT_EQ(one->store->connections, 8U);
  EXPECT_EQ(one->log_name(), "qanat://a/kms/x/1");
  EXPECT_EQ(settings_of("kms", line + "front_end = 64\n")->log_name(), "qanat://a/kms/x/64");
  const auto none = settings_of("kms", "");
  ASSERT_TRUE(none);
  EXPECT_FALSE(none->store);
  EXPECT_EQ(none->log_name(), "qanat://a/kms/x");
  EXPECT_FALSE(settings_of("iam", line)) << "the tables of others are SQLite's";
  for (const std::string bad : {"front_end = 0\n", "front_end = 65\n", "connections = 1\n", "connections = 61\n", "password = \"x\"\n"}) EXPECT_FALSE(settings_of("kms", line + bad)) << bad;
  const auto secret = settings_of("kms", "[store]\npostgresql = \"host=/run dbname=kms password=hush\"\n");
  ASSERT_FALSE(secret);
  EXPECT_TRUE(secret.error().message.contains("store.postgresql") && secret.error().message.contains("passfile=")) << secret.error().message;
  EXPECT_FALSE(secret.error().message.contains("hush")) << secret.error().message;
}

TEST_F(ConfigTest, PeerMayHaveFurtherPlaces) {
  const std::string node = "[node]\nidentity = \"qanat://a/kms/kms-a\"\nstate = \"/tmp/x\"\ntrust = \"/tmp/y\"\nmaster_key = \"/tmp/z\"\n";
  const std::string peer = node + "[peers.kms-b]\nidentity = \"qanat://b/kms/kms-b\"\nport = 4000\n";
  Config config = read(peer + "others = [\"127.0.0.1:4001\", \"[::1]:4002\"]\n");
  const Settings settings = Settings::read(config);
  ASSERT_TRUE(config.finish());
  const auto& others = settings.peers.at("kms-b").others;
  ASSERT_EQ(others.size(), 2U);
  EXPECT_EQ(others[0].host, "127.0.0.1");
  EXPECT_EQ(others[0].port, 4001);
  EXPECT_EQ(others[1].port, 4002);
  for (const std::string bad : {"127.0.0.1", ":4001", "a:", "a:0", "a:65536", "a:x", "a:1x"}) {
    Config refused = read(peer + "others = [\"" + bad + "\"]\n");
    (void)Settings::read(refused);
    EXPECT_FALSE(refused.finish()) << bad;
  }
}

TEST_F(ConfigTest, AnSkfDeviceNeedsALibraryAnApplicationAPinFileAndAFileForWhatItWraps) {
  const std::string node = "[node]\nidentity = \"qanat://a/kms/kms-a\"\nstate = \"/tmp/x\"\ntrust = \"/tmp/y\"\n";
  const std::string file = "master_key = \"/tmp/z\"\n";
  const std::string library = "[device]\nkind = \"skf\"\nmodule = \"/lib/skf.so\"\n";
  const std::string application = "application = \"qkd\"\n";
  const std::string pin = "pin_file = \"/tmp/pin\"\n";
  const auto complaint = [&](const std::string& text) {
    Config config = read(text);
    (void)Settings::read(config);
    const auto done = config.finish();
    return done ? std::string() : done.error().message;
  };
  EXPECT_EQ(complaint(node + file + library + application + pin), "");
  EXPECT_TRUE(complaint(node + library + application + pin).contains("node.master_key"));
  EXPECT_TRUE(complaint(node + file + library + pin).contains("device.application"));
  EXPECT_TRUE(complaint(node + file + library + application).contains("device.pin_file"));
  EXPECT_TRUE(complaint(node + file + library + application + pin + "pin = \"1234\"\n").contains("device.pin"));
  EXPECT_TRUE(complaint(node + file + library + application + pin + "key_index = 1\n").contains("device.key_index"));
  EXPECT_TRUE(complaint(node + file + library + application + pin + "sessions = 0\n").contains("device.sessions"));
  EXPECT_TRUE(complaint(node + file + library + application + pin + "sessions = 65\n").contains("device.sessions"));
  EXPECT_TRUE(complaint(node + file + library + application + pin + "wait_ms = 60001\n").contains("device.wait_ms"));
  Config config = read(node + file + library + application + pin + "sessions = 3\nwait_ms = 250\nauth_key_file = \"/tmp/auth\"\n");
  const Settings settings = Settings::read(config);
  EXPECT_TRUE(config.finish());
  ASSERT_TRUE(settings.device);
  const auto& chosen = std::get<crypto::SkfSettings>(*settings.device);
  EXPECT_EQ(chosen.application, "qkd");
  EXPECT_EQ(chosen.container, "qanat");
  EXPECT_EQ(chosen.device, "");
  EXPECT_EQ(chosen.auth_key_file, "/tmp/auth");
  EXPECT_EQ(chosen.pool, (crypto::PoolSettings{.sessions_max = 3, .wait_max = std::chrono::milliseconds(250)}));
}

TEST_F(ConfigTest, APairNamesTwoDevicesWithAFileEachAndNeedsNoMasterKey) {
  const std::string node = "[node]\nidentity = \"qanat://a/kms/kms-a\"\nstate = \"/tmp/x\"\ntrust = \"/tmp/y\"\n[device]\nkind = \"pair\"\n";
  const std::string token = "[device.first]\nkind = \"pkcs11\"\nmodule = \"/lib/m.so\"\ntoken = \"kms\"\npin_file = \"/tmp/pin\"\n";
  const std::string software = "[device.second]\nkind = \"software\"\n";
  const auto complaint = [&](const std::string& text) {
    Config config = read(text);
    (void)Settings::read(config);
    const auto done = config.finish();
    return done ? std::string() : done.error().message;
  };
  EXPECT_EQ(complaint(node + token + software + "file = \"/tmp/z\"\n"), "");
  EXPECT_TRUE(complaint(node + token + software).contains("device.second.file"));
  EXPECT_TRUE(complaint(node + token).contains("device.second.kind"));
  EXPECT_TRUE(complaint(node + token + "file = \"/tmp/y\"\n" + software + "file = \"/tmp/z\"\n").contains("device.first.file")) << "a token has none";
  EXPECT_TRUE(complaint(node + token + "[device.second]\nkind = \"pair\"\nfile = \"/tmp/z\"\n").contains("device.second.kind")) << "no pairs of pairs";
  EXPECT_TRUE(complaint(node + "[device.first]\nkind = \"software\"\nfile = \"/tmp/z\"\n" + software + "file = \"/tmp/z\"\n").contains("share a file"));
  EXPECT_TRUE(complaint(node + "retry_ms = -1\n" + token + software + "file = \"/tmp/z\"\n").contains("device.retry_ms"));
  Config config = read(node + "retry_ms = 20\n" + token + software + "file = \"/tmp/z\"\n");
  const Settings settings = Settings::read(config);
  ASSERT_TRUE(settings.device);
  const auto& pair = std::get<crypto::PairSettings>(*settings.device);
  EXPECT_EQ(std::get<crypto::Pkcs11Settings>(pair.members[0].device).token, "kms");
  EXPECT_TRUE(std::holds_alternative<std::monostate>(pair.members[1].device));
  EXPECT_EQ(pair.members[1].file, "/tmp/z");
  EXPECT_EQ(pair.retry_after, std::chrono::milliseconds(20));
}

}  // namespace
}  // namespace qanat::node
