// `make bench`: starts a network, measures it, writes the report. Everything that it starts ends with it.
#include <fmt/format.h>
#include <signal.h>
#include <stdlib.h>
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>

#include "access_tokens.hpp"
#include "audit_log.hpp"
#include "call_setup.hpp"
#include "certificate_status.hpp"
#include "certificates.hpp"
#include "controller.hpp"
#include "deliveries.hpp"
#include "etsi014.hpp"
#include "key_stock.hpp"
#include "kme_process.hpp"
#include "kms_element.hpp"
#include "kms_etsi014.hpp"
#include "qkd_amplification.hpp"
#include "qkd_distillation.hpp"
#include "qkd_reconciliation_cascade.hpp"
#include "qkd_reconciliation_ldpc.hpp"
#include "recovery.hpp"
#include "relay.hpp"
#include "relay_processes.hpp"

namespace qanat::bench {
namespace {

constexpr std::chrono::milliseconds calm_max{60000};

struct Options {
  std::filesystem::path out = "out/bench";
  std::filesystem::path within;
  std::string program;
  std::size_t rounds = 7;
  bool quick = false;
  std::vector<std::string> only;

  [[nodiscard]] bool wants(std::string_view part) const { return only.empty() || std::ranges::find(only, part) != only.end(); }
};

/// What is measured how often.
struct Amounts {
  DeliveryPlan deliveries;
  CallPlan calls;
  std::size_t turns = 100;
  std::size_t writes = 300;
};

Amounts amounts_of(const Options& options) {
  Amounts out;
  out.deliveries.rounds = options.rounds;
  if (options.quick) {
    out.deliveries = {.terminals = 8, .rounds = 1, .senders = 4};
    out.calls.calls = 3;
    out.turns = 10;
    out.writes = 20;
  }
  return out;
}

void say(const std::string& text) {
  fmt::print("  {}\n", text);
  std::fflush(stdout);
}

/// Whoever else used the machine shows here: calls wait for the processor and the disk, processor time does not.
double load() {
  double one_minute = 0;
  ::getloadavg(&one_minute, 1);
  return one_minute;
}

void await_calm(Ground& ground, Report& report, const std::string& before) {
  if (!ground.await_calm(calm_max)) report.remark("the QKD simulators were still at work before: " + before);
}

/// WK deliveries and calls, over a network of real processes.
Result<void> measure_calls_over_network(const Options& options, Report& report) {
  const Amounts amounts = amounts_of(options);
  say("starting a network");
  ASSIGN_OR_RETURN(const auto ground, Ground::lay({.program = options.program, .within = options.within}));
  say(fmt::format("enrolling {} terminals", amounts.deliveries.terminals));
  ASSIGN_OR_RETURN(const auto terminals, enrol_terminals(*ground, amounts.deliveries.terminals));

  await_calm(*ground, report, "deliveries");
  say("working key deliveries");
  TRY(measure_deliveries(*ground, terminals, amounts.deliveries, report));
  say("primitives and round trips");
  Report context;  // comes behind the calls
  ASSIGN_OR_RETURN(const Primitives primitives, measure_primitives(*ground, amounts.turns, context));
  ASSIGN_OR_RETURN(const Travel travel, measure_travel(*ground, *terminals.front(), amounts.turns, context));
  TRY(measure_durable_writes(*ground, amounts.writes, context));
  say("calls across two domains");
  TRY(measure_calls(*ground, amounts.calls, primitives, travel, report));
  report.append(std::move(context));
  if (const auto casualty = ground->running().casualty()) return fail(ErrorCode::internal, "an element ended during the run: " + *casualty);
  return {};
}

/// The parts of the report, each measured by itself: `--only` names them.
struct Part {
  std::string_view name;
  std::string_view what;
  Result<void> (*measure)(const Options&, Report&);
};
// The order matters to one: measuring both ends of a QKD link forks, and so comes before anything that starts threads.
constexpr std::array parts{
    Part{"qkd", "sifted key to secret key, two processes", [](const Options&, Report& report) { return measure_distillation(report); }},
    Part{"cascade", "interactive error correction", [](const Options&, Report& report) { return measure_cascade(report); }},
    Part{"ldpc", "one-way error correction", [](const Options&, Report& report) { return measure_ldpc(report); }},
    Part{"amplification", "privacy amplification and the polynomial hash", [](const Options&, Report& report) { return measure_amplification(report); }},
    Part{"calls", "working key deliveries and call set-up", measure_calls_over_network},
    Part{"kms", "a KMS by itself: latency, memory, workers, processor time by phase",
         [](const Options& options, Report& report) {
           KmsPlan plan{.program = options.program, .within = options.within};
           if (options.quick) {
             plan.terminals = 8;
             plan.latency = {.sessions = 8, .rounds = 1, .senders = 4};
             plan.memory = {.connections = 8, .terminals = 4, .sessions = 8, .senders = 4};
             plan.workers = {.sessions = 8, .rounds = 1, .turns = 1, .senders = 4};
             plan.phases = {.sessions = 8, .turns = 1, .threads = 2};
           }
           return measure_kms(report, plan);
         }},
    Part{"audit", "durable audit records and checkpoints",
         [](const Options& options, Report& report) { return measure_audit(report, options.within, options.quick); }},
    Part{"tokens", "checks of access tokens",
         [](const Options& options, Report& report) { return measure_access_tokens(report, options.within, options.quick); }},
    Part{"certificates", "certificates issued",
         [](const Options& options, Report& report) { return measure_certificates(report, options.within, options.quick); }},
    Part{"status", "certificate status",
         [](const Options& options, Report& report) { return measure_certificate_status(report, options.within, options.quick); }},
    Part{"controller", "routes in networks of 100 to 10,000 QKMs", [](const Options&, Report& report) { return measure_controller(report); }},
    Part{"relay", "relays over chains of nodes", [](const Options& options, Report& report) { return measure_relay(report, options.within); }},
    Part{"stock", "the key stock by itself, up to 10^7 keys",
         [](const Options& options, Report& report) { return measure_key_stock(report, options.within, options.quick ? 10000 : 10000000); }},
    Part{"relay-processes", "relays over chains of QKM processes with mutual TLS",
         [](const Options& options, Report& report) {
           RelayProcessesPlan plan{.program = options.program, .within = options.within};
           if (options.quick) plan.batches = plan.singles = 3;
           return measure_relay_processes(report, plan);
         }},
    Part{"recovery", "keys after a kill -9 of a link, a QKM, a controller",
         [](const Options& options, Report& report) {
           return measure_recovery(report, {.program = options.program, .within = options.within, .rounds = options.quick ? 1U : 5U});
         }},
    Part{"etsi014", "keys to SAEs by ETSI GS QKD 014",
         [](const Options& options, Report& report) {
           Etsi014Plan plan{.program = options.program, .within = options.within};
           if (options.quick) plan = {.program = plan.program, .within = plan.within, .stocks = {1000, 10000}, .requests = 2000, .warm_up = 500, .runs = 1};
           return measure_etsi014(report, plan);
         }},
    Part{"kms-etsi014", "keys to SAEs by ETSI GS QKD 014 at the KMS, stocks up to 10^7 keys",
         [](const Options& options, Report& report) {
           KmsEtsi014Plan plan{.program = options.program, .within = options.within};
           if (options.quick) {
             plan.stocks = {1000, 10000};
             plan.requests = 500;
             plan.warm_up = 100;
             plan.runs = 1;
             plan.connections = 16;
           }
           return measure_kms_etsi014(report, plan);
         }},
};

Result<void> measure(const Options& options) {
  Report report;
  const double load_before = load();
  if (options.quick) report.remark("a quick run, to see that everything works: its numbers say little");
  for (const Part& part : parts) {
    if (!options.wants(part.name)) continue;
    say(std::string(part.what));
    TRY(part.measure(options, report));
  }
  report.remark(fmt::format("load average of the machine: {:.1f} before the run, {:.1f} at its end", load_before, load()));
  TRY(report.write(options.out));
  fmt::print("\n{}\n", report.markdown());
  return {};
}

std::string part_names() {
  std::string out;
  for (const Part& part : parts) out += (out.empty() ? "" : ", ") + std::string(part.name);
  return out;
}

int run(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  Options options;
  options.program = (std::filesystem::path(app::own_program()).parent_path().parent_path() / "apps" / "qanat" / "qanat").string();
  CLI::App command("Measures a network of real processes on this machine; each figure as a ratio to what cannot be surpassed in the same run.");
  command.footer("\nExample:\n  qanat-bench --out out/bench");
  command.add_option("--out", options.out, "folder for report.md and report.json")->capture_default_str();
  command.add_option("--program", options.program, "the qanat program that is measured")->capture_default_str();
  command.add_option("--within", options.within, "where the network's temporary folder is made");
  command.add_option("--rounds", options.rounds, "rounds of working key deliveries")->check(CLI::Range(1, 1000))->capture_default_str();
  std::vector<std::string> known;
  for (const Part& part : parts) known.emplace_back(part.name);
  command.add_option("--only", options.only, "measure these parts alone: " + part_names())->check(CLI::IsMember(known))->delimiter(',');
  command.add_flag("--quick", options.quick, "small amounts, to see whether it runs");
  try {
    command.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return command.exit(error) == 0 ? 0 : 2;  // --help comes this way too
  }
  if (const auto done = measure(options); !done) {
    fmt::print(stderr, "qanat-bench: {}\n", done.error().message);
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace qanat::bench

int main(int argc, char** argv) {
  // As a KME of its own measurement (etsi014.cpp): called like an element, `qanat-bench qkm --config FILE`.
  if (argc == 4 && std::string_view(argv[1]) == "qkm" && std::string_view(argv[2]) == "--config") return qanat::bench::run_kme(argv[3]);
  return qanat::bench::run(argc, argv);
}
