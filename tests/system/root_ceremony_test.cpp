// The guide to the root ceremony, typed as it stands; and the rollover of the issuing CAs with kill -9 in it.
#include <algorithm>
#include <fstream>
#include <sstream>

#include "network.hpp"
#include "program.hpp"
#include "sdf/sdf_folder.hpp"
#include "skf/skf_folder.hpp"

namespace qanat::test {
namespace {

namespace fs = std::filesystem;

std::string file_text(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class RootCeremony : public testing::Test {
 protected:
  Outcome run(const std::string& arguments, const std::string& before = "") { return run_line(before + " " + QANAT_PROGRAM + " " + arguments, folder_); }
  std::string path(const std::string& name) { return (folder_ / name).string(); }
  /// The code of a command that dies at `place`.
  int crash(const std::string& place, const std::string& arguments) {
    return run_line("QANAT_CRASH_AT=" + place + " timeout 120 " + QANAT_CRASH_PROGRAM + " " + arguments, folder_).code;
  }
  /// A network with its CAs, of which nothing runs.
  Result<app::Network> founded() {
    ASSIGN_OR_RETURN(app::Network network, app::Network::plan(folder_ / "net", {}));
    TRY(network.create());
    return Result<app::Network>(std::move(network));
  }
  TemporaryDirectory folder_;
};

/// Every line between ```sh and ```.
std::string commands_of(const fs::path& guide) {
  std::istringstream in(file_text(guide));
  std::string out;
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("```")) {
      inside = line == "```sh";
      continue;
    }
    if (inside) out += line + "\n";
  }
  return out;
}

TEST_F(RootCeremony, EveryCommandOfTheGuideWorksAsItStands) {
  const std::string commands = commands_of(fs::path(QANAT_SOURCE_DIR) / "docs/operations/root-ceremony.md");
  ASSERT_TRUE(commands.contains("qanat ca ceremony")) << "the guide's commands are found";
  fs::create_directories(folder_ / "bin");
  fs::create_directories(folder_ / "desk");
  fs::create_symlink(QANAT_PROGRAM, folder_ / "bin/qanat");
  std::ofstream(folder_ / "guide.sh") << "set -eu\nset -o pipefail\ntrap 'kill ${UP:-} 2>/dev/null || true' EXIT\ncd " << path("desk")
                                      << "\nexport PATH=" << path("bin") << ":$PATH\n"
                                      << commands;
  const Outcome outcome = run_line("bash " + path("guide.sh"), folder_);
  ASSERT_EQ(outcome.code, 0) << outcome.out << outcome.error;
  EXPECT_TRUE(outcome.out.contains("refused: B is revoked")) << outcome.out;
  EXPECT_TRUE(outcome.error.contains("certificate of CN=B is revoked")) << outcome.error;
  const fs::path network = folder_ / "desk/net";
  for (const char* file : {"root-ml_dsa.pem", "issuing-ml_dsa.pem", "issuing-ml_dsa-2.pem", "issuing-classical-2.pem"})
    EXPECT_TRUE(fs::exists(network / "trust" / file)) << file;
  EXPECT_TRUE(fs::is_empty(network / "offline-root")) << "no key of a root was made or left on the operator's machine";
  EXPECT_TRUE(file_text(network / "state/cas/audit.jsonl").contains("authority.succeeded"));
  EXPECT_FALSE(fs::exists(network / "secrets/cas.master")) << "CAS's master key is in the token alone";
  EXPECT_FALSE(file_text(network / "config/cas.toml").contains(file_text(folder_ / "desk/cas.pin").substr(0, 8)));
}

TEST_F(RootCeremony, ARolloverThatIsKilledLeavesOneGenerationOrTheOtherAndIsCompletedByTheSameCommand) {
  const auto network = founded();
  ASSERT_TRUE(network) << network.error().message;
  const std::string config = " --config " + network->config_of("cas").string();
  const std::string asking = "ca rollover" + config + " --request " + path("requests");
  EXPECT_NE(crash("cas.rollover.requested", asking), 0);
  EXPECT_FALSE(fs::exists(folder_ / "requests"));
  const Outcome asked = run(asking);
  ASSERT_EQ(asked.code, 0) << asked.error;
  EXPECT_TRUE(fs::exists(folder_ / "requests/issuing-ml_dsa-2.csr")) << "the keys that were made before the death, not a third pair";
  const Outcome signing =
      run("ca sign-issuing --root " + (network->folder() / "offline-root").string() + " --request " + path("requests") + " --out " + path("issued"));
  ASSERT_EQ(signing.code, 0) << signing.error;
  const std::string installing = "ca rollover" + config + " --install " + path("issued");
  EXPECT_NE(crash("cas.rollover.trusted", installing), 0);
  EXPECT_TRUE(fs::exists(network->trust() / "issuing-classical-2.pem")) << "trusted before it issues";
  EXPECT_NE(crash("cas.rollover.succeeded", installing), 0) << "it was still to be done";
  const Outcome again = run(installing);
  ASSERT_EQ(again.code, 0) << again.error;
  EXPECT_TRUE(again.out.contains("generation 2 already")) << again.out;
}

TEST_F(RootCeremony, ADeviceRolloverThatIsKilledLeavesTheOldOneOrTheNewAndIsCompletedByTheSameCommand) {
  const auto network = founded();
  ASSERT_TRUE(network) << network.error().message;
  const std::string config = " --config " + network->config_of("cas").string();
  const std::string preparing = "ca rollover-devices" + config + " --prepare";
  const std::string installing = "ca rollover-devices" + config + " --install";
  const Outcome too_early = run(preparing);
  EXPECT_NE(too_early.code, 0);
  EXPECT_TRUE(too_early.error.contains("starts for the first time")) << too_early.error;
  EXPECT_NE(crash("cas.own.issued", "cas" + config), 0);  // CAS dies right after it has made its first device CA

  EXPECT_NE(crash("cas.device_rollover.preparing", preparing), 0);
  EXPECT_NE(run(installing).code, 0) << "nothing was kept that could be installed";
  EXPECT_NE(crash("cas.device_rollover.prepared", preparing), 0);
  const Outcome prepared = run(preparing);
  ASSERT_EQ(prepared.code, 0) << prepared.error;
  EXPECT_TRUE(prepared.out.contains("generation 2")) << prepared.out;
  EXPECT_TRUE(prepared.out.contains("prepared before")) << "the one that was made before the death, not a third: " << prepared.out;
  EXPECT_NE(crash("cas.device_rollover.installing", installing), 0);
  EXPECT_TRUE(run(preparing).out.contains("prepared before")) << "it waits still";
  EXPECT_NE(crash("cas.device_rollover.installed", installing), 0) << "it was still to be done";
  const Outcome again = run(installing);
  ASSERT_EQ(again.code, 0) << again.error;
  EXPECT_TRUE(again.out.contains("CAS issues by it already")) << again.out;
}

/// A device for the roots and one for CAS, and what shows that they are used.
struct DeviceCase {
  std::string options;          // of the commands that need the roots' keys
  std::string keeping;          // in the transcript
  crypto::DeviceSettings root;  // the same device
  crypto::DeviceSettings cas;
  std::string configured;  // in CAS's configuration
  std::string wrapped;     // begins CAS's file of wrapped keys
  std::string absent;      // in the message while the device is away
};

class RootCeremonyUnderDevices : public RootCeremony {
 protected:
  template <class Folder>
  void make_found_and_sign(const Folder& device, const DeviceCase& with);
};

template <class Folder>
void RootCeremonyUnderDevices::make_found_and_sign(const Folder& device, const DeviceCase& with) {
  const Outcome made = run("ca ceremony --out " + path("root") + with.options);
  ASSERT_EQ(made.code, 0) << made.error;
  EXPECT_TRUE(made.out.contains(with.keeping)) << made.out;
  EXPECT_TRUE(fs::exists(folder_ / "root/device.keys"));
  EXPECT_FALSE(fs::exists(folder_ / "root/root-ml_dsa.key"));

  app::NetworkOptions options;
  options.roots = folder_ / "root";
  options.root_device = with.root;
  options.cas_device = with.cas;
  const auto network = app::Network::plan(folder_ / "net", options);
  ASSERT_TRUE(network);
  const auto created = network->create();
  ASSERT_TRUE(created) << created.error().message;
  EXPECT_TRUE(file_text(network->config_of("cas")).contains(with.configured));
  EXPECT_TRUE(file_text(network->secret_of("cas.master")).starts_with(with.wrapped));

  const std::string config = " --config " + network->config_of("cas").string();
  const Outcome asked = run("ca rollover" + config + " --request " + path("requests"));
  ASSERT_EQ(asked.code, 0) << asked.error;
  const std::string signing = "ca sign-issuing --root " + path("root") + " --request " + path("requests") + " --out " + path("issued");
  device.go_away();
  const Outcome without = run(signing + with.options);
  EXPECT_NE(without.code, 0);
  EXPECT_EQ(std::ranges::count(without.error, '\n'), 1) << without.error;
  EXPECT_TRUE(without.error.contains(with.absent)) << without.error;
  EXPECT_FALSE(fs::exists(folder_ / "issued"));
  device.come_back();
  EXPECT_TRUE(run(signing).error.contains("--device")) << "sealed keys want their device";
  const Outcome issued = run(signing + with.options);
  ASSERT_EQ(issued.code, 0) << issued.error;
  const Outcome installed = run("ca rollover" + config + " --install " + path("issued"));
  ASSERT_EQ(installed.code, 0) << installed.error;
  EXPECT_TRUE(installed.out.contains("generation 2")) << installed.out;
  EXPECT_EQ(run("ca transcript --root " + path("root")).code, 0);
}

TEST_F(RootCeremonyUnderDevices, UnderAnSdfDeviceRootsAreMadeFoundANetworkAndSignTheNextIssuingCas) {
  const SdfFolder sdf;  // the commands inherit where it is
  make_found_and_sign(sdf, {.options = " --device sdf --module " + SdfFolder::library().string() + " --key-index 1",
                            .keeping = "KEK 1",
                            .root = SdfFolder::settings(1),
                            .cas = SdfFolder::settings(2),
                            .configured = "key_index = 2",
                            .wrapped = "qanat sdf keys 1\nkek 2\n",
                            .absent = "SDF_OpenDevice"});
}

TEST_F(RootCeremonyUnderDevices, UnderAnSkfDeviceRootsAreMadeFoundANetworkAndSignTheNextIssuingCas) {
  const SkfFolder skf;
  make_found_and_sign(skf, {.options = " --device skf --module " + SkfFolder::library().string() + " --application qkd --pin-file " + skf.pin_file().string(),
                            .keeping = "container 'qanat-root' of application 'qkd'",
                            .root = skf.settings("qanat-root"),
                            .cas = skf.settings("cas"),
                            .configured = "container = \"cas\"",
                            .wrapped = "qanat skf keys 1\ncontainer ",
                            .absent = "SAR_DEVICE_REMOVED"});
  EXPECT_FALSE(skf.has("tries") && fs::file_size(skf.device() / "tries") > 0) << "no wrong PIN was shown";
}

TEST_F(RootCeremony, AnElementThatIsExpectedAnewGetsOneSecretHoweverOftenTheCommandDies) {
  const auto network = founded();
  ASSERT_TRUE(network) << network.error().message;
  const std::string expecting = "ca expect --config " + network->config_of("cas").string() + " --out " + path("secret") + " --element ";
  EXPECT_NE(crash("cas.element.expected", expecting + "qanat://a/kms/kms-new"), 0);
  const std::string secret = file_text(folder_ / "secret");
  EXPECT_EQ(secret.size(), 64U);
  const Outcome done = run(expecting + "qanat://a/kms/kms-new");
  ASSERT_EQ(done.code, 0) << done.error;
  EXPECT_TRUE(done.out.contains("from CAS's next start on")) << done.out;
  EXPECT_TRUE(run(expecting + "qanat://a/kms/kms-new").out.contains("as before"));
  EXPECT_EQ(file_text(folder_ / "secret"), secret);
  EXPECT_FALSE(done.out.contains(secret));
  EXPECT_TRUE(file_text(network->state_of("cas") / "audit.jsonl").contains("element.expected"));
  EXPECT_FALSE(file_text(network->state_of("cas") / "audit.jsonl").contains(secret));
  const Outcome terminal = run(expecting + "qanat://a/app1/A");
  EXPECT_NE(terminal.code, 0);
  EXPECT_TRUE(terminal.error.contains("does not enrol at CAS")) << terminal.error;
  EXPECT_NE(run(expecting + "qanat://a/kms/kms-other").code, 0) << "one secret is for one element";
}

TEST_F(RootCeremony, EachMistakeIsOneLineAndMakesNothing) {
  const std::string out = " --out " + path("root");
  const std::pair<std::string, const char*> cases[] = {
      {"ca ceremony", "--out"},
      {"ca ceremony --suite GM" + out, "--suite"},
      {"ca ceremony --device pkcs11" + out, "--module"},
      {"ca ceremony --token roots" + out, "--device"},
      {"ca ceremony --device pkcs11 --module /nonexistent.so --token roots --pin-file " + path("pin") + out, "/nonexistent.so"},
      {"ca ceremony --device sdf" + out, "--key-index"},
      {"ca ceremony --device sdf --module /nonexistent.so" + out, "--key-index"},
      {"ca ceremony --device sdf --module /nonexistent.so --key-index 0" + out, "--key-index"},
      {"ca ceremony --device sdf --module /nonexistent.so --key-index 1" + out, "/nonexistent.so"},
      {"ca ceremony --device sdf --module /nonexistent.so --key-index 1 --token roots" + out, "--token"},
      {"ca ceremony --device pkcs11 --module /nonexistent.so --token roots --pin-file " + path("pin") + " --key-index 1" + out, "--key-index"},
      {"ca ceremony --key-index 1" + out, "--device"},
      {"ca ceremony --device skf --module /nonexistent.so" + out, "--application"},
      {"ca ceremony --device skf --module /nonexistent.so --application roots --pin-file " + path("pin") + out, "/nonexistent.so"},
      {"ca ceremony --device skf --module /nonexistent.so --application roots --pin-file " + path("pin") + " --key-index 1" + out, "--key-index"},
      {"ca ceremony --device sdf --module /nonexistent.so --key-index 1 --container roots" + out, "--container"},
      {std::string("ca ceremony --device skf --application roots --pin-file ") + path("pin") + " --module " + QANAT_SKF_LIBRARY_WITHOUT_MAC + out, "SKF_Mac"},
      {std::string("ca ceremony --device sdf --key-index 1 --module ") + QANAT_SDF_LIBRARY_WITHOUT_MAC + out, "SDF_CalculateMAC"},
      {"up --state " + path("net") + " --cas-key-index 1", "--module"},
      {"up --state " + path("net") + " --module /nonexistent.so --root-key-index 1", "--roots"},
      {"up --state " + path("net") + " --module /nonexistent.so --cas-key-index 1 --cas-token cas", "--cas-token"},
      {"ca sign-issuing --root " + path("none") + " --request " + path("none") + " --out " + path("issued"), "none"},
      {"ca transcript --root " + path("none"), "none"},
      {"ca rollover --config " + path("none.toml"), "--request"},
      {"ca rollover --config " + path("none.toml") + " --request " + path("requests"), "none.toml"},
  };
  for (const auto& [arguments, mend] : cases) {
    const Outcome outcome = run(arguments);
    EXPECT_NE(outcome.code, 0) << arguments;
    EXPECT_EQ(std::ranges::count(outcome.error, '\n'), 1) << arguments << ": " << outcome.error;
    EXPECT_NE(outcome.error.find(mend), std::string::npos) << arguments << ": " << outcome.error;
  }
  for (const char* name : {"root", "issued", "requests", "net"}) EXPECT_FALSE(fs::exists(folder_ / name)) << name;
}

}  // namespace
}  // namespace qanat::test
