#include "kms_memory.hpp"

#include <fmt/format.h>

#include <array>
#include <fstream>

#include "process_figures.hpp"

namespace qanat::bench {
namespace {

constexpr std::chrono::milliseconds answer_max{10000};

/// Octets of a stopped KMS's files.
struct Files {
  double database = 0;
  double record = 0;  // the audit record with its tree
  double steps = 0;   // the trace of steps
};

/// What is free in a SQLite file for its next rows, by its header (SQLite's file format, §1.3): such pages grow nothing when they are used.
double free_octets(const std::filesystem::path& file) {
  std::array<char, 40> head{};
  if (!std::ifstream(file, std::ios::binary).read(head.data(), head.size())) return 0;
  const auto number = [&](std::size_t at, std::size_t octets) {
    std::uint32_t out = 0;
    for (std::size_t i = at; i < at + octets; ++i) out = out << 8U | static_cast<std::uint8_t>(head[i]);
    return static_cast<double>(out);
  };
  const double page = number(16, 2);
  return number(36, 4) * (page == 1 ? 65536 : page);
}

Files files_in(const std::filesystem::path& state) {
  Files out;
  std::error_code error;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(state, error)) {
    if (!entry.is_regular_file(error)) continue;
    const auto octets = static_cast<double>(entry.file_size(error));
    const std::string first = entry.path().lexically_relative(state).begin()->string();
    if (first.starts_with("kms.db")) out.database += octets;
    if (first == "kms.db") out.database -= free_octets(entry.path());
    if (first.starts_with("audit")) out.record += octets;
    if (first.starts_with("steps")) out.steps += octets;
  }
  return out;
}

class Measurement {
 public:
  Measurement(ApplicationLoad& load, const MemoryPlan& plan, Report& report) : load_(load), ground_(load.ground()), plan_(plan), report_(report) {}

  Result<void> connections(const BenchTerminal& terminal) {
    ASSIGN_OR_RETURN(const node::Credentials kms, ground_.credentials_of(load_.kms()));
    ASSIGN_OR_RETURN(const net::Target target, ground_.target(load_.kms()));
    const points::EndpointRow& line = points::row(points::Endpoint::km1_certificates);
    const net::Call question{.method = std::string(line.method),
                             .path = std::string(line.path),
                             .query = "since=" + to_hex(kms.messages->fps.pq),
                             .content_type = "",
                             .body = {},
                             .request_id = ""};
    ASSIGN_OR_RETURN(const Memory before, settled());
    ASSIGN_OR_RETURN(const ProcessClock clock, ground_.clock_of(load_.kms()));
    const double cpu_before = clock.cpu_s();
    std::vector<std::unique_ptr<net::Client>> open;
    for (std::size_t i = 0; i < plan_.connections; ++i) {
      open.push_back(net::Client::create(target, terminal.tls(), ground_.trust(), {}));
      ASSIGN_OR_RETURN(const net::Response answer, open.back()->call(question, Deadline::after(answer_max)));
      if (answer.status != 200) return fail_in("a further connection", net::error_of(answer));
    }
    ASSIGN_OR_RETURN(const Memory after, settled());
    const double cpu_ms = 1000 * (clock.cpu_s() - cpu_before) / static_cast<double>(plan_.connections);
    report_.add(plain_row(
        "KMS: processor time per new terminal connection", cpu_ms, "CPU ms",
        fmt::format("{} of them one after the other: mutual TLS 1.3 with ML-DSA certificates and X25519MLKEM768, the certificate's chain, and one small "
                    "request; its status known",
                    plan_.connections)));
    add_memory(
        "KMS: memory per open terminal connection", before, after, plan_.connections,
        fmt::format("{} connections with mutual TLS, each after one small request, kept open; growth of the process's own pages (smaps_rollup: private), in "
                    "pages of 4 KiB",
                    plan_.connections));
    return {};
  }

  Result<void> terminals() {
    ASSIGN_OR_RETURN(const Files before, stopped());
    ASSIGN_OR_RETURN(const Memory memory_before, settled());
    for (std::size_t i = 0; i < plan_.terminals; ++i) {
      const app::TerminalPlan one{.uid = fmt::format("further-{:04}", i), .number = fmt::format("+86551191{:05}", i), .domain = "a", .kms = load_.kms()};
      TRY(BenchTerminal::enrol(ground_, one));
    }
    ASSIGN_OR_RETURN(const Memory memory_after, settled());
    add_memory(
        "KMS: memory per enrolled terminal", memory_before, memory_after, plan_.terminals,
        fmt::format("{} enrolled, their connections closed again; what the KMS keeps in memory of each: its certificates' status and chains, and what the "
                    "allocator has not given back",
                    plan_.terminals));
    ASSIGN_OR_RETURN(const Files after, stopped());
    const auto count = static_cast<double>(plan_.terminals);
    report_.add(plain_row("KMS: database octets per terminal", (after.database - before.database) / count, "octets",
                          "growth of what is in kms.db with its indexes, the KMS stopped in order before and after; four certificates, the encryption key"));
    report_.add(
        plain_row("KMS: audit octets per enrolment", (after.record - before.record) / count, "octets", "the same enrolments; with the tree over the lines"));
    return {};
  }

  Result<void> deliveries() {
    ASSIGN_OR_RETURN(const Files before, stopped());
    TRY(load_.warm_up(Legs::both));
    auto count = static_cast<double>(load_.legs().size());
    TRY(load_.prepare(plan_.sessions, Legs::both));
    const auto counted = static_cast<double>(load_.legs().size());
    const pid_t kms = ground_.running().pid_of(load_.kms());
    ASSIGN_OR_RETURN(const double written_before, octets_written_by(kms));
    TRY(load_.saturate(plan_.senders));
    TRY(load_.finish(plan_.senders));
    ASSIGN_OR_RETURN(const double written_after, octets_written_by(kms));
    count += counted;
    ASSIGN_OR_RETURN(const Files after, stopped());
    report_.add(plain_row(
        "KMS: database octets per delivery", (after.database - before.database) / count, "octets",
        fmt::format("growth of kms.db over {:.0f} deliveries and their acknowledgements, the KMS stopped in order before and after: the destroyed key's "
                    "row, the charging record, the replay entry, which goes after two minutes",
                    count)));
    report_.add(plain_row("KMS: audit octets per delivery", (after.record - before.record) / count, "octets",
                          "the same: audit.jsonl and the tree over its lines, delivery and destruction on record, checkpoints included"));
    report_.add(plain_row("KMS: trace octets per delivery", (after.steps - before.steps) / count, "octets",
                          "the same: steps.jsonl, which is no record and may be rotated away"));
    report_.add(
        plain_row("KMS: octets written to storage per delivery", (written_after - written_before) / counted, "octets",
                  fmt::format("write_bytes of the KMS's process over {:.0f} deliveries and acknowledgements from {} senders: write-ahead log and checkpoint, "
                              "audit record, in whole pages; commits shared where they meet",
                              counted, plan_.senders)));
    return {};
  }

 private:
  Result<Memory> settled() {
    ASSIGN_OR_RETURN(const ProcessClock clock, ground_.clock_of(load_.kms()));
    (void)settled_cpu_s(clock);
    return memory_of(ground_.running().pid_of(load_.kms()));
  }

  /// The sizes while it is stopped; it runs again afterwards.
  Result<Files> stopped() {
    Files out;
    TRY(ground_.restart(load_.kms(), [&](std::string config) -> Result<std::string> {
      out = files_in(ground_.network().state_of(load_.kms()));
      return config;
    }));
    return out;
  }

  void add_memory(const std::string& name, const Memory& before, const Memory& after, std::size_t count, const std::string& note) {
    const auto each = [&](double Memory::*of) { return (after.*of - before.*of) / static_cast<double>(count); };
    report_.add(plain_row(name, each(&Memory::own), "KiB",
                          fmt::format("{}; resident set {:.1f} KiB each, from {:.0f} to {:.0f} KiB (proportional set size {:.0f} KiB then)", note,
                                      each(&Memory::resident), before.resident, after.resident, after.proportional)));
  }

  ApplicationLoad& load_;
  Ground& ground_;
  const MemoryPlan plan_;
  Report& report_;
};

}  // namespace

Result<void> measure_memory(ApplicationLoad& load, const BenchTerminal& terminal, const MemoryPlan& plan, Report& report) {
  Measurement measurement(load, plan, report);
  TRY(load.warm_up(Legs::both));
  TRY(measurement.connections(terminal));
  TRY(measurement.terminals());
  return measurement.deliveries();
}

}  // namespace qanat::bench
