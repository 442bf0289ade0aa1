// A next generation of issuing CAs: what they issue, what the earlier ones issued, and crashes between.
#include "services/cas/rollover.hpp"

#include "cas_fixture.hpp"
#include "services/cas/whole_files.hpp"

namespace qanat::cas {
namespace {

namespace fs = std::filesystem;

class RolloverTest : public CasFixture {
 protected:
  Result<std::vector<std::string>> request(const std::string& folder) {
    close_service();
    return request_rollover(settings(), directory_ / folder);
  }
  Result<std::string> sign(const std::string& requests, const std::string& out) {
    return sign_issuing_requests({.folder = offline(), .device = {}}, directory_ / requests, directory_ / out, SystemClock().now_ms());
  }
  Result<RolledOver> install(const std::string& folder) {
    close_service();
    return install_rollover(settings(), directory_ / folder, {});
  }
  void roll_over(const std::string& mark) {
    must(request("requests-" + mark));
    must(sign("requests-" + mark, "issued-" + mark));
    must(install("issued-" + mark));
    open_service();
  }
  std::vector<crypto::Certificate> enrol(const Identity& who) {
    if (!known_.contains(who.name)) known_.emplace(who.name, requester(who));
    const Requester& one = known_.at(who.name);
    const bool kms = who.kind == Kind::kms;
    std::vector<crypto::Certificate> out{must(enrol_one(kms ? Endpoint::ce1_enrol : Endpoint::ce4_enrol, who, one.ml_dsa, secret_of(who)))};
    if (kms) out.push_back(must(enrol_one(Endpoint::ce1_enrol, who, one.classical, secret_of(who))));
    for (const crypto::Certificate& leaf : out) EXPECT_NE(node_->trust().issuer_of(leaf), nullptr) << "the trust folder has its issuer";
    return out;
  }
  crypto::CertStatus status(const crypto::Certificate& leaf) {
    const crypto::Certificate& named = *node_->trust().issuer_of(leaf);
    const Bytes nonce = rng_->bytes(32);
    const Bytes response = must(call(Endpoint::cq1_status, test::request_from(qkm_a, must(crypto::make_status_request(leaf, named, nonce))))).body;
    return must(crypto::verify_status_response(response, leaf, named, nonce, SystemClock().now_ms())).status;
  }

  std::map<std::string, Requester> known_;
};

TEST_F(RolloverTest, CasIssuesByTheNewAndTheOldStaysGoodAndIsAnswered) {
  const auto old_leaves = enrol(kms_a);
  roll_over("2");
  const auto new_leaves = enrol(qkm_a);
  for (const crypto::Certificate& leaf : old_leaves) {
    EXPECT_TRUE(node_->trust().verify(leaf, SystemClock().now_ms()));
    EXPECT_EQ(status(leaf), crypto::CertStatus::good);
  }
  for (const crypto::Certificate& leaf : new_leaves) {
    EXPECT_TRUE(node_->trust().verify(leaf, SystemClock().now_ms()));
    EXPECT_EQ(status(leaf), crypto::CertStatus::good);
    EXPECT_TRUE(node_->trust().issuer_of(leaf)->names().common_name.ends_with(" 2"));
    EXPECT_FALSE(node_->trust().issuer_of(old_leaves[0])->names().common_name.ends_with(" 2"));
  }
  json_of(revoke(kms_a));
  for (const crypto::Certificate& leaf : old_leaves) EXPECT_EQ(status(leaf), crypto::CertStatus::revoked);
  EXPECT_EQ(status(new_leaves[0]), crypto::CertStatus::good);
  close_service();
  const auto device = must(crypto::open_software_device(plan().master_key, *rng_));
  const auto records = must(Records::open(state() / "cas.db", *device));
  EXPECT_EQ(must(records->status(Branch::ml_dsa, 2, new_leaves[0].serial())), crypto::CertStatus::good);
  EXPECT_EQ(must(records->status(Branch::ml_dsa, 1, new_leaves[0].serial())), crypto::CertStatus::unknown) << "each generation answers for its own";
}

TEST_F(RolloverTest, ARequestThatComesAgainGetsItsOldCertificateWithItsOldIssuer) {
  const auto first = enrol(kms_a);
  roll_over("2");
  EXPECT_EQ(enrol(kms_a)[0].der(), first[0].der());
}

TEST_F(RolloverTest, CanBeDoneAgainAndAgain) {
  const auto first = enrol(kms_a);
  roll_over("2");
  const auto second = enrol(qkm_a);
  roll_over("3");
  EXPECT_EQ(status(first[0]), crypto::CertStatus::good);
  EXPECT_EQ(status(second[0]), crypto::CertStatus::good);
  EXPECT_EQ(must(request("requests-4")), (std::vector<std::string>{"issuing-ml_dsa-4.csr", "issuing-classical-4.csr"}));
}

TEST_F(RolloverTest, TheSameRequestsAreGivenUntilTheyAreAnswered) {
  must(request("one"));
  must(request("two"));
  for (const char* file : {"issuing-ml_dsa-2.csr", "issuing-classical-2.csr"}) {
    EXPECT_EQ(must(read_whole_file(directory_ / "one" / file, 100'000)), must(read_whole_file(directory_ / "two" / file, 100'000)));
  }
  EXPECT_EQ(refusal(request("two")), ErrorCode::conflict);
  open_service();
  EXPECT_EQ(enrol(kms_a).size(), 2U) << "CAS goes on meanwhile";
}

TEST_F(RolloverTest, ACrashBeforeTheSwitchLeavesTheOldAndTheSameCallCompletesIt) {
  must(request("requests"));
  must(sign("requests", "issued"));
  // As after a death between the two steps: the trust folder has the new certificates, the database has the old keys.
  for (const char* file : {"issuing-ml_dsa-2.pem", "issuing-classical-2.pem"}) fs::copy_file(directory_ / "issued" / file, trust() / file);
  open_service();
  const auto leaf = enrol(kms_a);
  EXPECT_FALSE(node_->trust().issuer_of(leaf[0])->names().common_name.ends_with(" 2"));
  EXPECT_FALSE(must(install("issued")).before);
  EXPECT_TRUE(must(install("issued")).before) << "done already, and said so";
  open_service();
  EXPECT_TRUE(node_->trust().issuer_of(enrol(qkm_a)[0])->names().common_name.ends_with(" 2"));
}

TEST_F(RolloverTest, OnlyWhatTheOwnRootsSignedForTheWaitingKeysIsTaken) {
  EXPECT_EQ(refusal(install("nothing")), ErrorCode::not_found);
  must(request("requests"));
  // Signed by another network's roots.
  must(hold_root_ceremony({.network = "Other", .suite = &suite_, .folder = directory_ / "other", .device = {}, .now_ms = SystemClock().now_ms()}));
  must(sign_issuing_requests({.folder = directory_ / "other", .device = {}}, directory_ / "requests", directory_ / "foreign", SystemClock().now_ms()));
  EXPECT_EQ(refusal(install("foreign")), ErrorCode::denied);
  // The own roots' signature over another key.
  fs::create_directories(directory_ / "swapped");
  const KeyPair keys = must(make_keys(suite_, *rng_));
  for (const Branch branch : all_branches) {
    const Bytes der = must(crypto::make_request(keys.of(branch), {.common_name = "Qanat issuing 2", .element = {}, .number = {}, .dns = {}}));
    must(write_new_file(directory_ / "swapped" / file_of("issuing", branch, ".csr", 2), der, public_file));
  }
  must(sign("swapped", "swapped-issued"));
  EXPECT_EQ(refusal(install("swapped-issued")), ErrorCode::denied);
  EXPECT_FALSE(fs::exists(trust() / "issuing-ml_dsa-2.pem")) << "what was refused is not trusted";
  open_service();
  EXPECT_EQ(enrol(kms_a).size(), 2U);
}

TEST_F(RolloverTest, ACasThatRunsIsNotTouched) {
  EXPECT_FALSE(request_rollover(settings(), directory_ / "requests"));
  EXPECT_FALSE(fs::exists(directory_ / "requests"));
}

}  // namespace
}  // namespace qanat::cas
