// `qanat kms history`, `recover-key`, `sign-recovery`, `collect-key`: an order that two operators have signed is not spent where its keys have no place to go.
#include <fstream>

#include "crypto/suite.hpp"
#include "program.hpp"
#include "test_network.hpp"

namespace qanat::test {
namespace {

class KeysFromHistory : public SharedNetwork {
 protected:
  static void SetUpTestSuite() {
    options_.optics = false;
    SharedNetwork::SetUpTestSuite();
    if (!net().ok()) return;
    net().running().stop_element("kms-a", app::RunningNetwork::Ending::orderly);
    const std::filesystem::path file = net().network().config_of("kms-a");
    std::ifstream in(file, std::ios::binary);
    std::string config(std::istreambuf_iterator<char>(in), {});
    in.close();
    const std::string table = "[kms]\n";
    config.insert(config.find(table) + table.size(), "history = \"encryption_keys\"\n");
    std::ofstream(file, std::ios::binary | std::ios::trunc) << config;
    ASSERT_TRUE(net().running().start_element("kms-a"));
    net().enrol("A");
  }
  Outcome at_kms(const std::string& arguments) const {
    net().close_op();  // the command opens the same identity
    return run_program("kms " + arguments + " --kms kms-a --state " + net().network().folder().string(), folder_);
  }
  /// An order for A's keys that two operators have signed; its file.
  std::string signed_order() const {
    const Outcome history = at_kms("history --uid A");
    EXPECT_TRUE(history.out.ends_with("recoverable\n")) << history.out << history.error;
    const std::string enc_kid = history.out.substr(2, history.out.find("  ", 2) - 2);
    std::string file = (folder_ / "order").string();
    const Outcome asked = at_kms("recover-key --uid A --enc-kid " + enc_kid + " --reason test --out " + file);
    EXPECT_EQ(asked.code, 0) << asked.error;
    const std::string mark = "--order ";
    const std::size_t at = asked.out.find(mark);
    EXPECT_NE(at, std::string::npos) << asked.out;
    if (at == std::string::npos) return file;
    const std::string order = asked.out.substr(at + mark.size(), 32);
    for (const char* name : {"operator", "administrator"}) {
      const Outcome done = at_kms("sign-recovery --order " + order + " --as " + name);
      EXPECT_EQ(done.code, 0) << done.error;
    }
    return file;
  }
  TemporaryDirectory folder_;
};

TEST_F(KeysFromHistory, AnOrderIsNotSpentWhereItsKeysHaveNoPlace) {
  const std::string collect = "collect-key --order-file " + signed_order() + " --out ";
  const std::filesystem::path taken = folder_ / "taken";
  std::ofstream(taken) << "mine";
  const Outcome no_place = at_kms(collect + taken.string());
  EXPECT_EQ(no_place.code, 1);
  EXPECT_TRUE(no_place.error.contains("is there already")) << no_place.error;
  EXPECT_EQ(std::filesystem::file_size(taken), 4U);

  const std::filesystem::path keys = folder_ / "keys";
  const Outcome collected = at_kms(collect + keys.string());
  ASSERT_EQ(collected.code, 0) << collected.error;
  EXPECT_EQ(std::filesystem::file_size(keys), net().suite().scalar + crypto::seed_ml_kem);
  EXPECT_EQ(std::filesystem::status(keys).permissions(), std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);

  const std::filesystem::path again = folder_ / "again";
  const Outcome spent = at_kms(collect + again.string());
  EXPECT_EQ(spent.code, 1);
  EXPECT_TRUE(spent.error.contains("its key was collected")) << spent.error;
  EXPECT_FALSE(std::filesystem::exists(again)) << "a file without keys is not left behind";
}

}  // namespace
}  // namespace qanat::test
