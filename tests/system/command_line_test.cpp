// The program as people and scripts meet it: help with an example everywhere, one line that says the mend for every mistake, JSON that parses.
#include <algorithm>
#include <set>

#include "network.hpp"
#include "program.hpp"

namespace qanat::test {
namespace {

class CommandLine : public testing::Test {
 protected:
  Outcome run(const std::string& arguments) { return run_program(arguments, folder_); }
  TemporaryDirectory folder_;
};

TEST_F(CommandLine, EveryCommandHasHelpWithAnExample) {
  for (const char* command : {"", "cas", "iam", "cmsp", "ccs", "kms", "qkm", "qkdnc", "qkd", "up", "enrol", "status", "revoke", "subscriber", "service", "call", "demo", "points", "audit",
                              "audit verify", "terminal", "terminal enrol", "terminal call", "terminal answer", "sae", "sae add", "sae list",
                              "sae remove", "sae revoke", "sae key", "sae status", "csa", "csa create", "csa list", "csa show", "csa rotate", "csa public-key", "csa policy",
                              "csa state", "csa enable", "csa encrypt", "csa decrypt", "csa sign", "csa verify", "iam create", "iam show", "iam change", "iam suspend", "iam resume", "iam delete",
                              "iam list", "iam export", "iam import", "iam roles", "iam define", "iam undefine", "iam grants", "iam grant", "iam ungrant", "iam why", "iam revoke",
                              "iam behaviour", "iam anomalies", "iam rules", "ca", "ca ceremony", "ca sign-issuing", "ca transcript", "ca rollover",
                              "ca rollover-devices", "kms accept-database", "kms history", "kms recover-key", "kms sign-recovery", "kms collect-key", "kms destroy-key",
                              "kms sign-destruction", "kms charges", "kms archive", "kms verify-archive", "kms search-archive", "kms suspend", "kms recover", "kms destroy", "kms encryption-key", "kms backup", "kms restore", "kms medium", "kms medium register", "kms medium list",
                              "kms medium lock", "kms medium wipe", "kms charge", "kms approve", "kms collect", "kms reject", "terminal make-medium", "terminal medium",
                              "terminal charge", "terminal load-charge", "gateway", "group", "group open", "group join", "group leave", "group show", "group key"}) {
    const Outcome outcome = run(std::string(command) + " --help");
    EXPECT_EQ(outcome.code, 0) << command;
    EXPECT_NE(outcome.out.find("Example:"), std::string::npos) << command;
  }
}

TEST_F(CommandLine, EachMistakeIsOneLineThatSaysTheMend) {
  const std::string nowhere = "--state " + (folder_ / "nothing").string();  // `call` makes one there
  const std::string none_here = "--state " + (folder_ / "none").string();
  const std::pair<std::string, const char*> cases[] = {
      {"", "--help"},
      {"cal", "see qanat --help"},
      {"call --form A", "see qanat call --help"},
      {"status --network lab " + nowhere, "--network"},
      {"kms", "--config"},
      {"kms --config /nonexistent/kms.toml", "/nonexistent/kms.toml"},
      {"kms charges " + none_here, "--kms"},
      {"kms charges --kms kms-a " + none_here, "qanat up"},
      {"kms destroy --kms kms-a --subscriber A " + none_here, "--reason"},
      {"kms destroy --kms kms-a --reason test " + none_here, "--subscriber"},
      {"kms destroy --kms kms-a --subscriber A --session 00 --reason test " + none_here, "--session"},
      {"kms charges --kms kms-a --config /nonexistent/operator.toml", "/nonexistent/operator.toml"},
      {"kms charges --kms kms-a --config operator.toml " + none_here, "--state"},
      {"kms approve 00 --out A.charge --as auditor --config operator.toml", "--as"},
      {"kms charge --medium 00 --authentication 0 --call 0 --distribution 0 " + none_here, "--authentication"},
      {"kms charge --medium 00 --out A.charge " + none_here, "--second"},
      {"kms medium register 00 --terminal A --transport-key A.transport --config operator.toml", "--transport-key"},
      {"kms archive " + none_here, "--kms"},
      {"kms verify-archive --kms kms-a " + none_here, "folder"},
      {"kms search-archive --kms kms-a here " + none_here, "qanat up"},
      {"kms medium list " + none_here, "qanat up"},
      {"kms approve 00 " + none_here, "--out"},
      {"kms restore --config /nonexistent/kms.toml --from backup.db", "/nonexistent/kms.toml"},
      {"terminal make-medium --config /nonexistent/A.toml --kind usb", "--kind"},
      {"terminal charge --config /nonexistent/A.toml --authentication 0 --call 0 --distribution 0", "--call"},
      {"terminal call --config /nonexistent/A.toml --number 8655120000002 --port 5060 --say a.wav --record b.wav", "--number"},
      {"terminal call --config /nonexistent/A.toml --number +8655120000002 --port 0 --say a.wav --record b.wav", "--port"},
      {"gateway", "--config"},
      {"up --suite GM", "--suite"},
      {"enrol A " + nowhere, "qanat up"},
      {"status " + nowhere, "qanat up"},
      {"call --from A --to A " + nowhere, "--to"},
      {"sae", "sae --help"},
      {"sae ad enc1", "sae --help"},
      {"sae add enc1 " + none_here, "--domain"},
      {"sae add enc1 --domain a --key rsa " + none_here, "ecdsa-p256"},
      {"sae add enc1 --domain a " + none_here, "qanat up"},
      {"sae list " + none_here, "qanat up"},
      {"sae remove enc1 " + none_here, "qanat up"},
      {"sae key --from enc1 " + none_here, "--to"},
      {"sae key --from enc1 --to enc2 --size 16 " + none_here, "--size"},
      {"sae key --from enc1 --to enc2 --size 100 " + none_here, "multiple of 8"},
      {"sae key --from enc1 --to enc2 --number 0 " + none_here, "--number"},
      {"sae key --from enc1 --to enc2 --show --json " + none_here, "--json"},
      {"sae key --from enc1 --to enc2 " + none_here, "qanat up"},
      {"sae status " + none_here, "qanat up"},
      {"csa list " + none_here, "qanat up"},
      {"csa create --algorithm SM4-GCM " + none_here, "--usage"},
      {"csa enable " + none_here, "--all-after-restoration"},
      {"csa enable --all-after-restoration " + none_here, "qanat up"},
      {"csa encrypt 00 book.pdf " + none_here, "--out"},
      {"csa decrypt book.q --out book.pdf --config /nonexistent/billing.toml", "/nonexistent/billing.toml"},
      {"group open --member B " + none_here, "--as"},
      {"group open --as A --member B " + none_here, "qanat up"},
      {"audit verify /nonexistent/audit.jsonl --json", ""},
      {"ca register box-7 --profile device --hours 169 " + none_here, "--hours"},
      {"ca register box-7 --profile device --hours 24 --days 1 " + none_here, "--days"},
      {"ca register box-7 --profile device --hours 24 " + none_here, "qanat up"},
      {"ca rollover-devices --config /nonexistent/cas.toml", "--prepare"},
      {"ca rollover-devices --config /nonexistent/cas.toml --prepare --install", "--install"},
      {"ca rollover-devices --config /nonexistent/cas.toml --prepare", "/nonexistent/cas.toml"},
  };
  for (const auto& [arguments, mend] : cases) {
    const Outcome outcome = run(arguments);
    EXPECT_NE(outcome.code, 0) << arguments;
    if (*mend == '\0') continue;
    EXPECT_EQ(std::ranges::count(outcome.error, '\n'), 1) << arguments << ": " << outcome.error;
    EXPECT_NE(outcome.error.find(mend), std::string::npos) << arguments << ": " << outcome.error;
  }
}

TEST_F(CommandLine, UpDoesNotRunANetworkInAnotherWayThanItIsToldTo) {
  const auto network = app::Network::plan(folder_ / "network", {});
  ASSERT_TRUE(network && network->create());
  const Outcome outcome = run("up --relay centralised --state " + (folder_ / "network").string());
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(std::ranges::count(outcome.error, '\n'), 1) << outcome.error;
  EXPECT_NE(outcome.error.find("qanat up --fresh --relay centralised"), std::string::npos) << outcome.error;
}

TEST_F(CommandLine, PointsAreAListOfFiftyFiveObjects) {
  const auto parse = [](const Outcome& outcome) {
    const auto json = wire::Json::parse(outcome.out);
    EXPECT_TRUE(json) << json.error().message;
    return json->as_array().value();
  };
  const auto paper = parse(run("points --json"));
  ASSERT_EQ(paper.size(), 55U);
  std::set<std::string> working;
  std::set<std::string> on_both;
  for (const wire::Json& point : paper) {
    for (const char* member : {"id", "between"}) EXPECT_FALSE(point.text(member).value().empty());
    const bool works = point.boolean("working").value();
    EXPECT_TRUE(point.array("endpoints"));
    if (!works) continue;
    working.insert(point.text("id").value());
    if (point.texts("kms_databases").value() == std::vector<std::string>{"SQLite", "PostgreSQL"}) on_both.insert(point.text("id").value());
    EXPECT_GE(point.texts("tests").value().size(), 2U) << "a working point has a test that is accepted and one that is refused";
    EXPECT_FALSE(point.texts("endpoints").value().empty());
  }
  for (const char* id : {"Km-1", "Km-2", "Km-3", "Kq-1", "Kq-2", "Ce-1", "Ce-4", "Cq-1", "Cq-2", "Cq-3", "Ma-1", "Ma-2", "Id-1", "Pm-1", "Ua-1", "Ax-1", "Ia-2", "Ia-6", "Ia-7", "Ia-8", "Ia-9",
                         "Ia-12", "Ia-13", "Ia-15", "Ia-16"}) {
    EXPECT_TRUE(working.contains(id)) << id;
  }
  EXPECT_EQ(on_both, (std::set<std::string>{"Cd-1", "Cq-1", "Dx-1", "Id-1", "Km-1", "Km-2", "Km-3", "Ma-2", "Mc-2", "Mo-2", "Pm-1", "Ua-1"}));
  EXPECT_FALSE(working.contains("Cs-1")) << "co-signing is not there yet";
  EXPECT_GT(parse(run("points --json --all")).size(), 55U);
}

}  // namespace
}  // namespace qanat::test
