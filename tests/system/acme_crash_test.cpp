// ACME while CAS dies by kill -9: an order whose certificate was on its way gets that one and no other, accounts are there or not there.
#include <set>

#include "acme_client.hpp"
#include "acme_suite.hpp"

namespace qanat::test {
namespace {

class AcmeUnderCrashes : public AcmeNetwork {
 protected:
  void SetUp() override {
    AcmeNetwork::SetUp();
    name_ = "box-" + std::to_string(++count_) + ".example";
    registered_ = registered("box-" + std::to_string(count_), {name_});
  }
  /// CAS, armed to die at the place, does `work`; then it is started again.
  void crash(const std::string& place, const std::function<AcmeClient::Reply()>& work) {
    const std::filesystem::path mark = folder_ / "crashed";
    net().running().stop_element("cas", app::RunningNetwork::Ending::orderly);
    ASSERT_TRUE(net().running().start_element("cas", QANAT_CRASH_PROGRAM, {"QANAT_CRASH_AT=" + place, "QANAT_CRASH_ONCE=" + mark.string()}));
    EXPECT_EQ(work().status, 0) << "CAS answered";
    TestNetwork::await("its death", [&] { return !net().running().lives("cas"); });
    EXPECT_TRUE(std::filesystem::exists(mark)) << "the place was not reached";
    net().running().stop_element("cas", app::RunningNetwork::Ending::kill);
    ASSERT_TRUE(net().running().start_element("cas"));
  }
  /// Serials of the certificates that the desk gave for this registration, as they stand on record.
  std::set<std::string> serials() const {
    std::set<std::string> out;
    for (const wire::Json& record : net().audit("cas", "ceis.order")) {
      const std::string object = record.text("object").value_or("");
      const std::string mine = registered_.reference + " acme ";
      if (object.starts_with(mine)) out.insert(object.substr(mine.size()));
    }
    return out;
  }
  void expect_one_certificate(const std::string& order, const Bytes& csr) {
    const AcmeClient::Reply polled = client_.get(order);
    EXPECT_EQ(polled.text("status"), "valid") << polled.body;
    const std::string first = client_.get(polled.text("certificate")).body;
    EXPECT_TRUE(first.starts_with("-----BEGIN CERTIFICATE-----")) << first;
    const AcmeClient::Reply again = client_.finalize(order, csr);
    EXPECT_EQ(again.text("status"), "valid") << again.body;
    EXPECT_EQ(client_.get(again.text("certificate")).body, first);
    EXPECT_EQ(serials().size(), 1U) << "one certificate for one request";
  }
  void register_account() {
    const AcmeClient::Reply made = client_.new_account(registered_.reference, registered_.secret);
    ASSERT_EQ(made.status, 201) << made.body;
  }

  TemporaryDirectory folder_;
  std::string name_;
  Registered registered_;
  AcmeClient client_{folder_, base(), device_ca()};
  const JoseSigner key_{crypto::JoseAlgorithm::es256};
  static int count_;
};
int AcmeUnderCrashes::count_ = 0;

TEST_F(AcmeUnderCrashes, TheRequestIsDurableAndTheDeskHasNotBeenAsked) {
  register_account();
  const std::string order = client_.new_order(name_).field("location");
  const Bytes csr = key_.request("", {name_});
  crash("cas.acme.finalizing", [&] { return client_.finalize(order, csr); });
  expect_one_certificate(order, csr);
}

TEST_F(AcmeUnderCrashes, TheCertificateIsIssuedAndTheOrderDoesNotSaySo) {
  register_account();
  const std::string order = client_.new_order(name_).field("location");
  const Bytes csr = key_.request("", {name_});
  crash("cas.acme.issued", [&] { return client_.finalize(order, csr); });
  EXPECT_EQ(serials().size(), 1U) << "it was issued before the death";
  expect_one_certificate(order, csr);
}

TEST_F(AcmeUnderCrashes, TheAccountIsMadeAndNotAnswered) {
  crash("cas.acme.account", [&] { return client_.new_account(registered_.reference, registered_.secret); });
  const AcmeClient::Reply found = client_.find_account();
  EXPECT_EQ(found.status, 200) << found.body;
  EXPECT_EQ(client_.get(client_.account()).text("status"), "valid");
  net().expect_audit("cas", "acme.account", "");
}

TEST_F(AcmeUnderCrashes, TheKeyIsChangedAndNotAnswered) {
  register_account();
  const std::string account = client_.account();
  const auto next = std::make_shared<const JoseSigner>(crypto::JoseAlgorithm::ml_dsa_65);
  crash("cas.acme.key_changed", [&] { return client_.change_key(next); });
  EXPECT_EQ(client_.find_account().text("type"), "urn:ietf:params:acme:error:accountDoesNotExist");
  client_.use(next);
  EXPECT_EQ(client_.find_account().status, 200);
  EXPECT_EQ(client_.account(), account);
}

}  // namespace
}  // namespace qanat::test
