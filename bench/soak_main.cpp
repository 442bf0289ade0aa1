// The program of `make soak`. Everything that it starts ends with it.
#include <fmt/format.h>
#include <signal.h>
#include <CLI/CLI.hpp>
#include <fstream>

#include "soak.hpp"

namespace qanat::bench {
namespace {

std::string command_line(int argc, char** argv) {
  std::string out = std::filesystem::path(argv[0]).filename();
  for (int i = 1; i < argc; ++i) out += " " + std::string(argv[i]);
  return out;
}

int run(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);
  SoakPlan plan;
  plan.program = (std::filesystem::path(app::own_program()).parent_path().parent_path() / "apps" / "qanat" / "qanat").string();
  plan.again = command_line(argc, argv);
  std::filesystem::path out = "out/soak";
  std::int64_t seconds = plan.length.count();
  std::int64_t every = plan.every.count();
  CLI::App command("Loads a network of real processes near its capacity, kills parts of it meanwhile, and holds what is left against what was promised.");
  command.footer("\nExample:\n  qanat-soak --seconds 1800 --seed 7 --out out/soak");
  command.add_option("--seconds", seconds, "how long the load lasts")->check(CLI::Range(10, 1000000))->capture_default_str();
  command.add_option("--every", every, "seconds from one disturbance to the next, on average")->check(CLI::Range(5, 100000))->capture_default_str();
  command.add_option("--seed", plan.seed, "what is disturbed when, and who calls whom")->capture_default_str();
  command.add_option("--terminals", plan.terminals, "in each domain")->check(CLI::Range(2, 10000))->capture_default_str();
  command.add_option("--share", plan.share, "of the capacity")->check(CLI::Range(0.01, 2.0))->capture_default_str();
  command.add_option("--rate-max", plan.rate_max, "sessions a second at most")->check(CLI::Range(0.1, 1e6))->capture_default_str();
  command.add_option("--out", out, "folder for report.md and report.json")->capture_default_str();
  command.add_option("--program", plan.program, "the qanat program that is tested")->capture_default_str();
  command.add_option("--within", plan.within, "where the network and the database keep their state meanwhile; the user postgres must be able to enter it");
  try {
    command.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return command.exit(error) == 0 ? 0 : 2;  // --help comes this way too
  }
  plan.length = std::chrono::seconds(seconds);
  plan.every = std::chrono::seconds(every);

  SoakCounts counts;
  const auto done = soak(plan, counts);
  if (!done) {
    fmt::print(stderr, "qanat-soak: {}\n", done.error().message);
    return 1;
  }
  const Report report = report_of(plan, *done, counts);
  if (const auto written = report.write(out); !written) {
    fmt::print(stderr, "qanat-soak: {}\n", written.error().message);
    return 1;
  }
  std::ofstream(std::filesystem::path(out) / "memory.csv") << as_csv(done->memory);
  fmt::print("\n{}\n", report.markdown());
  for (const std::string& what : done->findings) fmt::print(stderr, "qanat-soak: {}\n", what);
  return done->findings.empty() ? 0 : 1;
}

}  // namespace
}  // namespace qanat::bench

int main(int argc, char** argv) { return qanat::bench::run(argc, argv); }
