// The offline ceremony: roots in files or sealed by a token or an SDF device, what they sign, and the transcript of it.
#include <sys/stat.h>

#include "cas_fixture.hpp"
#include "sdf/sdf_folder.hpp"
#include "skf/skf_folder.hpp"
#include "services/cas/transcript.hpp"
#include "softhsm.hpp"

namespace qanat::cas {
namespace {

namespace fs = std::filesystem;
using test::SoftHsm;

std::string octets_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void write_over(const fs::path& file, const std::string& text) { std::ofstream(file, std::ios::binary | std::ios::trunc) << text; }

class RootTest : public testing::Test {
 protected:
  RootTest() : rng_(must(crypto::open_rng())) {}
  [[nodiscard]] fs::path root() const { return directory_ / "root"; }
  [[nodiscard]] RootPlan plan(std::optional<crypto::DeviceSettings> device = {}) const {
    return {.network = "Test", .suite = suite_of_roots_, .folder = root(), .device = std::move(device), .now_ms = SystemClock().now_ms()};
  }
  /// Requests as a CAS makes them; the keys stay here.
  fs::path requests(std::string_view common_name = "Test issuing", std::optional<Branch> wrong_key = {}) {
    fs::path folder = directory_ / ("requests-" + to_hex(rng_->bytes(4)));
    fs::create_directories(folder);
    const KeyPair keys = must(make_keys(*suite_of_roots_, *rng_));
    for (const Branch branch : all_branches) {
      const Branch of = wrong_key == branch ? (branch == Branch::ml_dsa ? Branch::classical : Branch::ml_dsa) : branch;
      const Bytes der = must(crypto::make_request(keys.of(of), {.common_name = std::string(common_name), .element = {}, .number = {}, .dns = {}}));
      write_over(folder / file_of("issuing", branch, ".csr"), std::string(as_text(der)));
    }
    return folder;
  }
  Result<std::string> sign(const fs::path& requests, const std::string& out, std::optional<crypto::DeviceSettings> device = {}) {
    return sign_issuing_requests({.folder = root(), .device = std::move(device)}, requests, directory_ / out, SystemClock().now_ms());
  }

  test::TemporaryDirectory directory_;
  const crypto::Suite* suite_of_roots_ = &crypto::suite(crypto::SuiteId::gm_hybrid);
  std::unique_ptr<crypto::Rng> rng_;
};

TEST_F(RootTest, SignsIssuingCasThatChainToItAndSaysSoInItsTranscript) {
  const std::string first = must(hold_root_ceremony(plan()));
  EXPECT_TRUE(first.contains("\"act\": \"ceremony\"")) << first;
  EXPECT_TRUE(first.contains("Test root"));
  const std::string second = must(sign(requests(), "issued"));
  const auto records = must(verify_transcript(root()));
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(records[0].text, first);
  EXPECT_EQ(records[1].text, second);
  for (const Branch branch : all_branches) {
    const auto issuing = must(crypto::Certificate::parse_pem_chain(octets_of(directory_ / "issued" / file_of("issuing", branch, ".pem")))).front();
    const auto top = must(crypto::Certificate::parse_pem_chain(octets_of(directory_ / "issued" / file_of("root", branch, ".pem")))).front();
    EXPECT_NE(crypto::TrustStore({}, {top}).issuer_of(issuing), nullptr);
    EXPECT_TRUE(issuing.is_ca());
    EXPECT_LE(issuing.not_after(), top.not_after());
    EXPECT_TRUE(second.contains(to_hex(issuing.fingerprint(crypto::Hash::sha256))));
    EXPECT_TRUE(second.contains(to_hex(issuing.fingerprint(crypto::Hash::sm3))));
  }
}

TEST_F(RootTest, NothingIsEverOverwritten) {
  must(hold_root_ceremony(plan()));
  const std::string key = octets_of(root() / "root-ml_dsa.key");
  EXPECT_EQ(refusal(hold_root_ceremony(plan())), ErrorCode::conflict);
  EXPECT_EQ(octets_of(root() / "root-ml_dsa.key"), key);
  must(sign(requests(), "issued"));
  EXPECT_EQ(refusal(sign(requests(), "issued")), ErrorCode::conflict);
  EXPECT_EQ(must(verify_transcript(root())).size(), 2U) << "what was not handed out was not signed";
  const auto left = std::distance(fs::directory_iterator(directory_ / "."), fs::directory_iterator());
  EXPECT_EQ(left, 4) << "root, issued and two folders of requests; nothing half-made beside them";
}

TEST_F(RootTest, KeysAreForTheOwnerAlone) {
  must(hold_root_ceremony(plan()));
  struct stat status {};
  ASSERT_EQ(::stat(root().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0700U);
  for (const Branch branch : all_branches) {
    ASSERT_EQ(::stat((root() / file_of("root", branch, ".key")).c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
  }
  ASSERT_EQ(::chmod((root() / "root-classical.key").c_str(), 0644), 0);
  EXPECT_EQ(refusal(sign(requests(), "issued")), ErrorCode::denied);
}

TEST_F(RootTest, AKeyThatIsNotItsCertificatesSignsNothing) {
  must(hold_root_ceremony(plan()));
  write_over(root() / "root-ml_dsa.key", to_hex(rng_->bytes(crypto::seed_ml_dsa)));
  const auto signed_with_it = sign(requests(), "issued");
  ASSERT_FALSE(signed_with_it);
  EXPECT_TRUE(signed_with_it.error().message.contains("root-ml_dsa.key: is not the key of ")) << signed_with_it.error().message;
}

TEST_F(RootTest, ARootInATokenSignsWithItAndNotWithoutIt) {
  SoftHsm& hsm = SoftHsm::instance();
  hsm.make_token("roots");
  crypto::Pkcs11Settings token = hsm.settings("roots");
  token.key = "qanat root";
  EXPECT_TRUE(must(hold_root_ceremony(plan(token))).contains("token 'roots'"));
  for (const Branch branch : all_branches) {
    EXPECT_FALSE(fs::exists(root() / file_of("root", branch, ".key")));
    EXPECT_TRUE(fs::exists(root() / file_of("root", branch, ".sealed")));
  }
  must(sign(requests(), "issued", token));
  EXPECT_EQ(refusal(sign(requests(), "without")), ErrorCode::invalid_argument);
  hsm.make_token("others");
  EXPECT_EQ(refusal(sign(requests(), "other", hsm.settings("others"))), ErrorCode::denied);
  EXPECT_EQ(refusal(sign(requests(), "gone", hsm.settings("nobody"))), ErrorCode::not_found);
  // The box of one branch is none of the other's.
  fs::remove(root() / "root-classical.sealed");
  fs::copy_file(root() / "root-ml_dsa.sealed", root() / "root-classical.sealed");
  EXPECT_EQ(refusal(sign(requests(), "moved", token)), ErrorCode::denied);
}

TEST_F(RootTest, ARootUnderAnSdfDeviceSignsWithItAndNotWithoutItInBothSuites) {
  const test::SdfFolder sdf;
  const auto device = test::SdfFolder::settings();
  for (const crypto::SuiteId id : {crypto::SuiteId::gm_hybrid, crypto::SuiteId::intl_hybrid}) {
    suite_of_roots_ = &crypto::suite(id);
    EXPECT_TRUE(must(hold_root_ceremony(plan(device))).contains("KEK 1"));
    struct stat status {};
    ASSERT_EQ(::stat((root() / wrapped_keys_file).c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
    for (const Branch branch : all_branches) {
      EXPECT_FALSE(fs::exists(root() / file_of("root", branch, ".key")));
      EXPECT_TRUE(fs::exists(root() / file_of("root", branch, ".sealed")));
    }
    const std::string name(suite_of_roots_->name);
    EXPECT_TRUE(must(sign(requests(), "issued-" + name, device)).contains("KEK 1"));
    EXPECT_EQ(refusal(sign(requests(), "without", std::nullopt)), ErrorCode::invalid_argument);
    EXPECT_EQ(refusal(sign(requests(), "other", test::SdfFolder::settings(2))), ErrorCode::invalid_argument) << "KEK 2 did not wrap";
    sdf.make_kek(1, 'x');
    EXPECT_EQ(refusal(sign(requests(), "another", device)), ErrorCode::denied) << "another device";
    sdf.make_kek(1, 'a');
    fs::rename(root() / wrapped_keys_file, directory_ / "aside");
    EXPECT_EQ(refusal(sign(requests(), "lost", device)), ErrorCode::not_found);
    EXPECT_FALSE(fs::exists(root() / wrapped_keys_file)) << "no new keys are made where something is sealed";
    fs::rename(directory_ / "aside", root() / wrapped_keys_file);
    EXPECT_EQ(must(verify_transcript(root())).size(), 2U) << "what was refused was not signed";
    fs::rename(root(), directory_ / ("kept-" + name));
  }
}

TEST_F(RootTest, NoSdfDeviceNoRoot) {
  const test::SdfFolder sdf;
  EXPECT_EQ(refusal(hold_root_ceremony(plan(test::SdfFolder::settings(9)))), ErrorCode::not_found);
  for (int call = 1; call < 12; ++call) {
    sdf.order("* fail " + std::to_string(call));
    EXPECT_FALSE(hold_root_ceremony(plan(test::SdfFolder::settings()))) << call;
  }
  EXPECT_FALSE(fs::exists(root()));
  EXPECT_TRUE(fs::is_empty(directory_ / ".")) << "nothing half-made is left";
}

TEST_F(RootTest, ARootUnderAnSkfDeviceSignsWithItAndNotWithoutIt) {
  const test::SkfFolder skf;
  const auto device = skf.settings("roots");
  EXPECT_TRUE(must(hold_root_ceremony(plan(device))).contains("container 'roots' of application 'qkd'"));
  for (const Branch branch : all_branches) EXPECT_FALSE(fs::exists(root() / file_of("root", branch, ".key")));
  EXPECT_TRUE(must(sign(requests(), "issued", device)).contains("container 'roots'"));
  EXPECT_EQ(refusal(sign(requests(), "without", std::nullopt)), ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(sign(requests(), "other", skf.settings("others"))), ErrorCode::internal) << "there is no such container, and none is made";
  EXPECT_FALSE(skf.has("container-qkd-others"));
  fs::rename(root() / wrapped_keys_file, directory_ / "aside");
  EXPECT_EQ(refusal(sign(requests(), "lost", device)), ErrorCode::not_found);
  EXPECT_FALSE(fs::exists(root() / wrapped_keys_file)) << "no new keys are made where something is sealed";
  fs::rename(directory_ / "aside", root() / wrapped_keys_file);
  EXPECT_EQ(must(verify_transcript(root())).size(), 2U) << "what was refused was not signed";
}

TEST_F(RootTest, NoTokenNoRoot) {
  EXPECT_EQ(refusal(hold_root_ceremony(plan(SoftHsm::instance().settings("absent")))), ErrorCode::not_found);
  EXPECT_FALSE(fs::exists(root()));
}

TEST_F(RootTest, RequestsThatAreNoIssuingCasAreRefused) {
  must(hold_root_ceremony(plan()));
  EXPECT_EQ(refusal(sign(requests("Test issuing", Branch::ml_dsa), "a")), ErrorCode::denied) << "the other branch's key";
  EXPECT_EQ(refusal(sign(requests("Test root ML-DSA-65"), "b")), ErrorCode::denied) << "the root's own name";
  const fs::path named = requests();
  const KeyPair keys = must(make_keys(*suite_of_roots_, *rng_));
  write_over(named / "issuing-ml_dsa.csr", std::string(as_text(must(crypto::make_request(keys.ml_dsa, element_names(kms_a))))));
  EXPECT_EQ(refusal(sign(named, "c")), ErrorCode::denied) << "an element's names";
  const Roots roots = must(read_roots(root(), nullptr));
  const fs::path own = requests();
  const Bytes over_own = must(crypto::make_request(roots.pair.ml_dsa.key, {.common_name = "Test issuing", .element = {}, .number = {}, .dns = {}}));
  write_over(own / "issuing-ml_dsa.csr", std::string(as_text(over_own)));
  EXPECT_EQ(refusal(sign(own, "g")), ErrorCode::denied) << "the root's own key";
  const fs::path changed = requests();
  std::string der = octets_of(changed / "issuing-classical.csr");
  der[der.size() / 2] = static_cast<char>(der[der.size() / 2] ^ 1);
  write_over(changed / "issuing-classical.csr", der);
  EXPECT_FALSE(sign(changed, "d"));
  const fs::path half = requests();
  fs::remove(half / "issuing-classical.csr");
  EXPECT_EQ(refusal(sign(half, "e")), ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(sign(directory_ / "nowhere", "f")), ErrorCode::not_found);
  EXPECT_EQ(must(verify_transcript(root())).size(), 1U);
}

TEST_F(RootTest, ATranscriptThatWasChangedShortenedInsideOrReorderedDoesNotHold) {
  must(hold_root_ceremony(plan()));
  must(sign(requests(), "one"));
  must(sign(requests(), "two"));
  const fs::path second = root() / "transcript-0002.json";
  const std::string text = octets_of(second);
  std::string other = text;
  other.replace(other.find("issuing"), 7, "forging");
  write_over(second, other);
  EXPECT_EQ(refusal(verify_transcript(root())), ErrorCode::denied);
  EXPECT_EQ(refusal(sign(requests(), "three")), ErrorCode::denied) << "nothing more is signed over it";
  write_over(second, text);
  EXPECT_EQ(must(verify_transcript(root())).size(), 3U);
  fs::rename(second, directory_ / "aside");
  EXPECT_EQ(refusal(verify_transcript(root())), ErrorCode::denied) << "a gap";
  fs::rename(directory_ / "aside", second);
  for (const std::string ending : {".json", ".sig"}) {
    fs::rename(root() / ("transcript-0002" + ending), directory_ / "aside");
    fs::rename(root() / ("transcript-0003" + ending), root() / ("transcript-0002" + ending));
    fs::rename(directory_ / "aside", root() / ("transcript-0003" + ending));
  }
  EXPECT_EQ(refusal(verify_transcript(root())), ErrorCode::denied) << "well signed, in another order";
}

}  // namespace
}  // namespace qanat::cas
