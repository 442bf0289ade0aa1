// `qanat sae` as a user meets it: the network of `qanat up`, the commands on it, and the lines of curl that they print, run for real.
#include <sys/stat.h>

#include "crypto/kdf.hpp"
#include "launch.hpp"
#include "program.hpp"
#include "test_network.hpp"

namespace qanat::test {
namespace {

using wire::Json;

/// A network that `qanat up` runs, in its own process.
class SaeCommands : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TemporaryDirectory>();
    auto up =
        app::Child::start({.program = QANAT_PROGRAM, .arguments = {"up", "--state", network()}, .environment = {}, .standard_error = *folder_ / "up.err"});
    ASSERT_TRUE(up) << up.error().message;
    up_ = *std::move(up);
    const Deadline deadline = Deadline::after(std::chrono::seconds(60));
    bool runs = false;
    while (!runs) {
      const auto line = up_->read_line(deadline);
      ASSERT_TRUE(line && *line) << up_->last_words();
      table_ += **line + "\n";
      runs = (*line)->find("The network runs") != std::string::npos;
    }
    one_ = json("add enc1 --domain a");
    two_ = json("add enc2 --domain b --out '" + (*folder_ / "enc 2").string() + "'");  // a path that a shell must have in quotes
  }
  static void TearDownTestSuite() {
    if (up_) EXPECT_EQ(up_->stop(std::chrono::seconds(20)), 0) << up_->last_words();
    up_.reset();
    folder_.reset();
  }
  static std::string network() { return (*folder_ / "network").string(); }
  static Outcome sae(const std::string& arguments) { return run_program("sae " + arguments + " --state " + network(), *folder_); }
  static Outcome shell(const std::string& line) { return run_line(line, *folder_); }
  static Json json(const std::string& arguments) {
    const Outcome outcome = sae(arguments + " --json");
    EXPECT_EQ(outcome.code, 0) << arguments << ": " << outcome.error;
    return outcome.json();
  }
  static void expect_mistake(const std::string& arguments, const std::string& mend) {
    const Outcome outcome = sae(arguments);
    EXPECT_NE(outcome.code, 0) << arguments;
    EXPECT_EQ(std::ranges::count(outcome.error, '\n'), 1) << arguments << ": " << outcome.error;
    EXPECT_NE(outcome.error.find(mend), std::string::npos) << arguments << ": " << outcome.error;
  }
  static std::string base64_digest(const std::string& key) {
    const auto octets = Json::object({{"key", key}}).base64("key");
    return octets ? to_hex(crypto::digest(crypto::Hash::sha256, {*octets})) : "no base64";
  }

  static std::unique_ptr<TemporaryDirectory> folder_;
  static std::unique_ptr<app::Child> up_;
  static std::string table_;
  static Json one_;  // SAE enc1 in domain a
  static Json two_;  // SAE enc2 in domain b
};
std::unique_ptr<TemporaryDirectory> SaeCommands::folder_;
std::unique_ptr<app::Child> SaeCommands::up_;
std::string SaeCommands::table_;
Json SaeCommands::one_;
Json SaeCommands::two_;

TEST_F(SaeCommands, UpSaysWhereOwnSoftwareGetsKeys) {
  EXPECT_NE(table_.find("keys for own software in domain a: qkm-a at https://127.0.0.1:"), std::string::npos) << table_;
  EXPECT_NE(table_.find("keys for own software in domain b: qkm-b at https://127.0.0.1:"), std::string::npos) << table_;
  const Outcome status = run_program("status --json --state " + network(), *folder_);
  std::size_t serving = 0;
  for (const Json& element : status.json().as_array().value()) {
    if (element.has("saes")) ++serving;
  }
  EXPECT_EQ(serving, 4U) << "both domains' QKMs and KMSs, not the relay";
}

TEST_F(SaeCommands, AKeyStreamRunsBetweenTwoNewSaes) {
  std::string command = "python3 " QANAT_SOURCE_DIR "/tests/system/etsi004_client.py chunk";
  const Outcome status = run_program("status --json --state " + network(), *folder_);
  std::map<std::string, std::string> ports;
  for (const Json& element : status.json().as_array().value()) {
    if (element.has("saes")) ports[element.text("identity").value_or("")] = std::to_string(element.object("saes").value().integer("stream_port", 1, 65535).value_or(0));
  }
  for (const auto& [name, domain] : {std::pair{"sae-a", "a"}, std::pair{"sae-b", "b"}}) {
    const Json added = json(std::string("add ") + name + " --domain " + domain);
    if (std::string(name) == "sae-a") command += " " + added.text("ca").value();
    command += " " + added.text("certificate").value() + " " + added.text("key").value() + " " + ports[std::string("qanat://") + domain + "/qkm/qkm-" + domain];
  }
  const Outcome chunk = shell(command + " new 0");
  ASSERT_EQ(chunk.code, 0) << chunk.out << chunk.error;
  const std::vector<std::string> both = chunk.json().texts("chunk").value();
  ASSERT_EQ(both.size(), 2U);
  EXPECT_EQ(both[0], both[1]);
  EXPECT_EQ(both[0].size(), 64U) << "32 octets";
}

TEST_F(SaeCommands, TwoNewSaesGetTheSameKeysByTheCommandAndByItsLinesOfCurl) {
  for (const Json& added : {one_, two_}) {
    EXPECT_TRUE(added.boolean("in_force").value());
    EXPECT_EQ(added.text("state").value(), "valid");
    struct stat key {};
    ASSERT_EQ(::stat(added.text("key").value().c_str(), &key), 0);
    EXPECT_EQ(key.st_mode & 0777U, 0600U);
    EXPECT_TRUE(std::filesystem::exists(added.text("ca").value()));
  }
  EXPECT_EQ(two_.text("certificate").value(), (*folder_ / "enc 2").string() + "/enc2.pem");

  const Json keys = json("key --from enc1 --to enc2 --number 3 --size 512");
  EXPECT_TRUE(keys.boolean("equal").value());
  ASSERT_EQ(keys.array("keys").value().size(), 3U);
  for (const Json& key : keys.array("keys").value()) {
    EXPECT_EQ(key.text("fingerprint_from").value(), key.text("fingerprint_to").value());
    EXPECT_FALSE(key.has("key"));
  }

  std::vector<Json> answers;
  TestNetwork::await(
      "keys by curl",
      [&] {
        // The pools are filled again between one order and the next.
        const Outcome both = shell(keys.text("curl_enc_keys").value() + "\nprintf '%s\\n' \"$keys\"\n" + keys.text("curl_dec_keys").value());
        const std::size_t line = both.out.find('\n');
        const auto ordered = Json::parse(std::string_view(both.out).substr(0, line));
        const auto collected = Json::parse(std::string_view(both.out).substr(std::min(both.out.size(), line + 1)));
        if (!ordered || !ordered->has("keys")) return false;
        EXPECT_TRUE(collected) << both.out << both.error;
        answers = {*ordered, collected.value_or(Json())};
        return true;
      },
      std::chrono::seconds(30));
  ASSERT_EQ(answers.size(), 2U);
  const auto near = answers[0].array("keys").value();
  const auto far = answers[1].array("keys").value_or(std::vector<Json>());
  ASSERT_EQ(near.size(), 3U);
  ASSERT_EQ(far.size(), 3U);
  for (std::size_t i = 0; i < near.size(); ++i) {
    EXPECT_EQ(near[i].text("key_ID").value(), far[i].text("key_ID").value());
    EXPECT_TRUE(near[i].text("key").value() == far[i].text("key").value());
  }
}

TEST_F(SaeCommands, AKeyIsShownOnlyWhereItIsAskedFor) {
  const Outcome plain = sae("key --from enc1 --to enc2");
  ASSERT_EQ(plain.code, 0) << plain.error;
  EXPECT_NE(plain.out.find("equal"), std::string::npos);
  const Outcome shown = sae("key --from enc1 --to enc2 --show");
  ASSERT_EQ(shown.code, 0) << shown.error;
  const std::size_t at = shown.out.find("SHA-256 ") + 8;
  const std::string fingerprint = shown.out.substr(at, 16);
  const std::size_t line = shown.out.find('\n') + 1;
  std::string key = shown.out.substr(line, shown.out.find('\n', line) - line);
  key.erase(0, key.find_first_not_of(' '));
  EXPECT_EQ(key.size(), 44U) << "256 bits in base64";
  EXPECT_EQ(base64_digest(key).substr(0, 16), fingerprint);
  // The same lines without the key.
  EXPECT_EQ(std::ranges::count(shown.out, '\n'), std::ranges::count(plain.out, '\n') + 1);
}

TEST_F(SaeCommands, SaesOfOneSiteShareKeysToo) {
  json("add enc3 --domain a --key ml-dsa-65");
  const Json keys = json("key --from enc3 --to enc1 --size 128");
  EXPECT_TRUE(keys.boolean("equal").value());
}

TEST_F(SaeCommands, StatusAsksEachListenerAndItsLineOfCurlDoesTheSame) {
  json("add ksae1 --domain a --at kms --peer-domain b");
  json("add ksae2 --domain b --at kms --peer-domain a --keys-per-day 100");
  const auto listeners = json("status").as_array().value();
  ASSERT_EQ(listeners.size(), 4U);
  for (const Json& listener : listeners) {
    const Json status = listener.object("status").value_or(Json());
    EXPECT_EQ(status.text("source_KME_ID").value_or(""), listener.text("kme").value());
    EXPECT_NE(status.text("target_KME_ID").value_or(""), listener.text("kme").value());
    const Outcome curl = shell(listener.text("curl").value());
    EXPECT_EQ(curl.code, 0) << curl.error;
    EXPECT_EQ(curl.json().text("source_KME_ID").value_or(""), listener.text("kme").value());
  }
  const Outcome table = sae("status");
  EXPECT_NE(table.out.find("keys of 256 bits ready"), std::string::npos) << table.out;
}

TEST_F(SaeCommands, AnSaeOfAKmsIsAnIdentityOfIam) {
  const Json near = json("add kone --domain a --at kms --peer-domain b --keys-per-second 50");
  EXPECT_EQ(near.text("kme").value(), "kms-a");
  EXPECT_TRUE(near.boolean("in_force").value());
  json("add ktwo --domain b --at kms --peer-domain '*'");
  const Outcome found = run_program("iam show kone --json --state " + network(), *folder_);
  EXPECT_EQ(found.json().text("home_kms").value_or(""), "kms-a") << found.error;
  EXPECT_EQ(found.json().integer("keys_per_second").value_or(0), 50);
  const Outcome changed = run_program("iam change kone --keys-per-day 1000 --peer-domain b --json --state " + network(), *folder_);
  EXPECT_EQ(changed.json().integer("keys_per_day").value_or(0), 1000) << changed.error;
  EXPECT_EQ(changed.json().integer("keys_per_second").value_or(0), 50) << "as it was";
  EXPECT_NE(run_program("iam change kone --state " + network(), *folder_).code, 0) << "nothing to change";
  // Until IAM has told the KMSs what it now is, it is unknown to them.
  Outcome delivered;
  TestNetwork::await("keys for an SAE that was changed", [&] {
    delivered = sae("key --from kone --to ktwo --number 2 --size 512 --json");
    return delivered.code == 0;
  });
  const Json keys = delivered.json();
  EXPECT_TRUE(keys.boolean("equal").value());
  expect_mistake("add kthree --domain a --peer-domain b", "--at kms");
  expect_mistake("add kone --domain a", "is served by kms-a");
  json("remove kone");
  EXPECT_NE(run_program("iam show kone --state " + network(), *folder_).code, 0);
}

TEST_F(SaeCommands, ARevokedCertificateIsLetInNoLongerAndAnotherOneIs) {
  const Json added = json("add enc4 --domain a");
  const std::string files = std::filesystem::path(added.text("certificate").value()).parent_path().string();
  const std::string kept = (*folder_ / "kept").string();
  const auto curl = [&](const std::string& from) {
    const Outcome outcome = shell("curl -sS --max-time 10 --cacert '" + from + "/ca.pem' --cert '" + from + "/enc4.pem' --key '" + from + "/enc4.key' '" +
                                  added.text("url").value() + "/api/v1/keys/enc1/status'");
    const auto answer = Json::parse(std::string_view(outcome.out));
    return outcome.code == 0 && answer && answer->has("stored_key_count");
  };
  std::filesystem::copy(files, kept);
  ASSERT_TRUE(curl(kept));
  EXPECT_TRUE(json("revoke enc4").boolean("in_force").value());
  EXPECT_FALSE(curl(kept));
  expect_mistake("key --from enc4 --to enc2", "qanat sae add enc4 --domain a");
  expect_mistake("revoke enc4", "qanat sae add enc4 --domain a");
  EXPECT_EQ(json("add enc4 --domain a").text("state").value(), "valid");
  EXPECT_TRUE(curl(files));
  EXPECT_FALSE(curl(kept)) << "the name is back, the old certificate is not";
  EXPECT_TRUE(json("key --from enc4 --to enc2").boolean("equal").value());
}

TEST_F(SaeCommands, ARemovedSaeIsUnknownEverywhere) {
  json("add enc5 --domain b");
  EXPECT_TRUE(json("key --from enc1 --to enc5").boolean("equal").value());
  EXPECT_EQ(json("remove enc5").text("removed").value(), "enc5");
  expect_mistake("key --from enc1 --to enc5", "use one of");
  for (const Json& sae : json("list").as_array().value()) EXPECT_NE(sae.text("name").value(), "enc5");
  const Json one = json("list").as_array().value().front();
  const Outcome curl = shell("curl -sS --cacert '" + one.text("ca").value() + "' --cert '" + one.text("certificate").value() + "' --key '" +
                             one.text("key").value() + "' '" + one.text("url").value() + "/api/v1/keys/enc5/status'");
  EXPECT_NE(curl.out.find("enc5 is not known"), std::string::npos) << curl.out << curl.error;
}

TEST_F(SaeCommands, EachMistakeSaysTheMend) {
  expect_mistake("add enc1 --domain a", "qanat sae revoke enc1");
  expect_mistake("add enc1 --domain b", "qanat sae remove enc1");
  expect_mistake("add enc9 --domain nowhere", "--domain a or b");
  expect_mistake("add '../enc9' --domain a", "letters");
  expect_mistake("add qkm-a --domain a", "another name");
  expect_mistake("add enc2b --domain b --out /proc/nothing", "/proc/nothing");
  expect_mistake("remove enc9", "use one of");
  expect_mistake("key --from enc1 --to enc1", "--to");
  expect_mistake("key --from enc9 --to enc1", "use one of");
}

/// A network that does not run.
class SaeRegister : public testing::Test {
 protected:
  Outcome sae(const std::string& arguments) { return run_program("sae " + arguments + " --state " + (folder_ / "network").string(), folder_); }
  void make(app::NetworkOptions options) {
    const auto network = app::Network::plan(folder_ / "network", std::move(options));
    ASSERT_TRUE(network && network->create());
  }
  TemporaryDirectory folder_;
};

TEST_F(SaeRegister, IsKeptWhileTheNetworkRestsAndTakenUpLater) {
  app::NetworkOptions options;
  options.saes = true;
  make(options);
  const Outcome none = sae("key --from enc1 --to enc2");
  EXPECT_NE(none.error.find("qanat up"), std::string::npos) << none.error;
  const Outcome empty = sae("remove enc1");
  EXPECT_NE(empty.error.find("qanat sae add enc1"), std::string::npos) << empty.error;
  const Outcome added = sae("add enc1 --domain b --json");
  ASSERT_EQ(added.code, 0) << added.error;
  EXPECT_FALSE(added.json().boolean("in_force").value());
  const Outcome list = sae("list --json");
  ASSERT_EQ(list.json().as_array().value().size(), 1U);
  EXPECT_EQ(list.json().as_array().value().front().text("kme").value(), "qkm-b");
}

TEST_F(SaeRegister, ANetworkThatWasMadeWithoutSaysSo) {
  make({});
  const Outcome outcome = sae("add enc1 --domain a");
  EXPECT_NE(outcome.code, 0);
  EXPECT_NE(outcome.error.find("--no-sae"), std::string::npos) << outcome.error;
  EXPECT_EQ(std::ranges::count(outcome.error, '\n'), 1) << outcome.error;
}

}  // namespace
}  // namespace qanat::test
