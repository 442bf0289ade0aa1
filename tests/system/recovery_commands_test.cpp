// `qanat kms history`, `recover-key`, `sign-recovery`, `collect-key`: an order that two operators have signed is not spent where its keys have no place to go.
// `destroy-key`, `sign-destruction`: what two operators have destroyed is gone, and history says how.
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
    net().enrol("C");
  }
  Outcome at_kms(const std::string& arguments) const {
    net().close_op();  // the command opens the same identity
    return run_program("kms " + arguments + " --kms kms-a --state " + net().network().folder().string(), folder_);
  }
  static std::string order_in(const Outcome& asked) {
    EXPECT_EQ(asked.code, 0) << asked.error;
    const std::string mark = "--order ";
    const std::size_t at = asked.out.find(mark);
    EXPECT_NE(at, std::string::npos) << asked.out;
    return at == std::string::npos ? "none" : asked.out.substr(at + mark.size(), 32);
  }
  /// An order for A's keys that two operators have signed; its file.
  std::string signed_order() const {
    const Outcome history = at_kms("history --uid A");
    EXPECT_TRUE(history.out.ends_with("recoverable\n")) << history.out << history.error;
    const std::string enc_kid = history.out.substr(2, history.out.find("  ", 2) - 2);
    std::string file = (folder_ / "order").string();
    const std::string order = order_in(at_kms("recover-key --uid A --enc-kid " + enc_kid + " --reason test --out " + file));
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

TEST_F(KeysFromHistory, TwoOperatorsDestroyThemAndHistorySaysHow) {
  const Outcome before = at_kms("history --uid C");
  ASSERT_TRUE(before.out.ends_with("recoverable\n")) << before.out << before.error;
  const std::string enc_kid = before.out.substr(2, before.out.find("  ", 2) - 2);
  const std::string order = order_in(at_kms("destroy-key --uid C --enc-kid " + enc_kid + " --reason test"));
  const Outcome mistaken = at_kms("sign-recovery --order " + order + " --as operator");
  EXPECT_EQ(mistaken.code, 1);
  EXPECT_TRUE(mistaken.error.contains("is no order to recover-key")) << mistaken.error;
  const Outcome one = at_kms("sign-destruction --order " + order + " --as operator");
  EXPECT_EQ(one.code, 0) << one.error;
  EXPECT_TRUE(one.out.ends_with("signed by 1 of 2\n")) << one.out;
  EXPECT_TRUE(at_kms("history --uid C").out.ends_with("recoverable\n"));
  const Outcome two = at_kms("sign-destruction --order " + order + " --as administrator");
  EXPECT_EQ(two.code, 0) << two.error;
  EXPECT_TRUE(two.out.contains("The key is destroyed; commitment ")) << two.out;
  const std::string commitment = two.out.substr(two.out.size() - 65, 64);
  const Outcome after = at_kms("history --uid C");
  EXPECT_TRUE(after.out.contains("destroyed ")) << after.out;
  EXPECT_TRUE(after.out.ends_with("(commitment " + commitment + ")\n")) << after.out;
}

}  // namespace
}  // namespace qanat::test
