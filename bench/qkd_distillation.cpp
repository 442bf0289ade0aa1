#include "qkd_distillation.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <fstream>

#include "distillation_end.hpp"
#include "quantum/qkd/keyrate/statistics.hpp"
#include "statistics.hpp"

namespace qanat::bench {
namespace {

using namespace qkd;

constexpr double published_mbps = 115.8;  // Li et al., Nature Photonics (2023), arXiv:2307.02364: the fastest QKD system published
constexpr double target_mbps = 80.0;
constexpr std::size_t rounds = 5;

Error system_error(const std::string& what) { return {.code = ErrorCode::internal, .message = "bench: " + what + ": " + std::strerror(errno)}; }

Result<void> write_all(int fd, const void* data, std::size_t size) {
  if (::write(fd, data, size) == static_cast<ssize_t>(size)) return {};
  return fail(system_error("pipe"));
}

Result<void> read_all(int fd, void* data, std::size_t size) {
  auto* at = static_cast<std::uint8_t*>(data);
  while (size > 0) {
    const ssize_t count = ::read(fd, at, size);
    if (count <= 0) return fail(ErrorCode::unavailable, "bench: an end is gone");
    at += count;
    size -= static_cast<std::size_t>(count);
  }
  return {};
}

void send_at_once(int socket) {
  const int on = 1;
  (void)::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/// A listening socket on the loopback interface, at a port that the system chose.
struct Listener {
  int socket = -1;
  sockaddr_in address{};

  static Result<Listener> open(int backlog) {
    Listener out;
    out.socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    out.address.sin_family = AF_INET;
    out.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof out.address;
    auto* address = reinterpret_cast<sockaddr*>(&out.address);
    if (out.socket < 0 || ::bind(out.socket, address, size) != 0 || ::listen(out.socket, backlog) != 0 || ::getsockname(out.socket, address, &size) != 0) {
      return fail(system_error("loopback socket"));
    }
    return out;
  }
};

/// In the child: makes its keys, says that it is ready, waits for the signal, works, tells its tally. Never returns.
[[noreturn]] void run_end(const DistillationPlan& plan, End end, const Listener& listener, int control, int results) {
  DistillationTally tally;
  std::vector<std::vector<SiftedBlock>> keys;
  std::vector<FrameStream> channels;
  for (std::size_t lane = 0; lane < plan.lanes; ++lane) {
    keys.push_back(sifted_blocks(plan, end, lane));
    int socket = -1;
    if (end == End::alice) {
      socket = ::accept(listener.socket, nullptr, nullptr);
    } else {
      socket = ::socket(AF_INET, SOCK_STREAM, 0);
      if (::connect(socket, reinterpret_cast<const sockaddr*>(&listener.address), sizeof listener.address) != 0) std::_Exit(1);
    }
    if (socket < 0) std::_Exit(1);
    send_at_once(socket);
    channels.emplace_back(socket);
  }
  std::uint8_t signal = 1;
  if (!write_all(results, &signal, 1) || !read_all(control, &signal, 1)) std::_Exit(1);
  tally = distil(plan, end, std::move(channels), std::move(keys));
  std::_Exit(write_all(results, &tally, sizeof tally) ? 0 : 1);
}

struct Child {
  pid_t pid = -1;
  int control = -1;
  int results = -1;

  ~Child() {
    if (control >= 0) ::close(control);
    if (results >= 0) ::close(results);
    if (pid > 0) ::waitpid(pid, nullptr, 0);
  }
};

Result<void> start(Child& child, const DistillationPlan& plan, End end, const Listener& listener) {
  std::array<int, 2> control{};
  std::array<int, 2> results{};
  if (::pipe(control.data()) != 0 || ::pipe(results.data()) != 0) return fail(system_error("pipe"));
  child.pid = ::fork();
  if (child.pid < 0) return fail(system_error("fork"));
  if (child.pid == 0) {
    ::close(control[1]);
    ::close(results[0]);
    run_end(plan, end, listener, control[0], results[1]);
  }
  ::close(control[0]);
  ::close(results[1]);
  child.control = control[1];
  child.results = results[0];
  return {};
}

struct Measured {
  double wall_s = 0.0;
  DistillationTally alice;
  DistillationTally bob;

  [[nodiscard]] double secret_mbps() const { return static_cast<double>(alice.secret_bits) / wall_s / 1e6; }
  [[nodiscard]] double sifted_mbps() const { return static_cast<double>(alice.sifted_bits) / wall_s / 1e6; }
  [[nodiscard]] double cpu_s() const { return alice.cpu_s + bob.cpu_s; }
};

Result<Measured> run_once(const DistillationPlan& plan) {
  ASSIGN_OR_RETURN(const Listener listener, Listener::open(static_cast<int>(plan.lanes)));
  Measured out;
  {
    Child alice;
    Child bob;
    TRY(start(alice, plan, End::alice, listener));
    TRY(start(bob, plan, End::bob, listener));
    ::close(listener.socket);
    std::uint8_t signal = 0;
    TRY(read_all(alice.results, &signal, 1));
    TRY(read_all(bob.results, &signal, 1));
    const auto began = std::chrono::steady_clock::now();
    TRY(write_all(alice.control, &signal, 1));
    TRY(write_all(bob.control, &signal, 1));
    TRY(read_all(alice.results, &out.alice, sizeof out.alice));
    TRY(read_all(bob.results, &out.bob, sizeof out.bob));
    out.wall_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  }
  for (const DistillationTally* tally : {&out.alice, &out.bob}) {
    if (!tally->ok) return fail(ErrorCode::internal, std::string("bench, distillation: ") + tally->error.data());
  }
  if (out.alice.keys != out.bob.keys || out.alice.secret_bits != out.bob.secret_bits)
    return fail(ErrorCode::internal, "bench, distillation: the ends hold different keys");
  return out;
}

/// The link whose sifted bits are distilled: 2.5 GHz, 10 km, superconducting detectors. Error rate 2 % by misalignment.
LinkParameters fast_link() {
  LinkParameters link;
  link.distance_km = 10.0;
  link.receiver_loss_db = 1.0;
  link.detector_efficiency = 0.8;
  link.dark_count_probability = 4e-8;
  link.afterpulse_probability = 0.0;
  link.misalignment_error = 0.02;
  link.gate_rate_hz = 2.5e9;
  link.dead_time_s = 0.0;
  return link;
}

SessionSettings settings_for(const LinkParameters& link, ReconciliationMethod method, LeakModel leak, std::size_t bits) {
  SessionSettings out;
  out.link = LinkId("bench");
  out.parameters = link;
  out.block_size = bits;
  out.reconciliation = method;
  out.leak_model = leak;
  return out;
}

std::vector<DistillationPlan> plans() {
  LinkParameters faint = fast_link();
  faint.intensity = {0.05, 0.025, 2e-4};
  faint.intensity_probability = {0.5, 0.35, 0.15};
  faint.key_basis_probability = 0.5;
  LinkParameters bright = fast_link();
  bright.intensity = {0.5, 0.25, 2e-4};
  bright.intensity_probability = {0.5, 0.35, 0.15};
  bright.key_basis_probability = 0.9;
  // With what sifting brings beyond them, blocks stay below 2^24 and 2^22: one transform. The longer ones lose less to their statistics, the shorter ones
  // are corrected in less memory.
  constexpr std::size_t bits = 16'700'000;
  constexpr std::size_t bits_short = 4'170'000;
  const auto cascade = ReconciliationMethod::cascade;
  return {
      {.name = "faint pulses, Cascade, one-way leak", .settings = settings_for(faint, cascade, LeakModel::one_way, bits)},
      {.name = "faint pulses, Cascade, one-way leak, short blocks",
       .settings = settings_for(faint, cascade, LeakModel::one_way, bits_short),
       .blocks = 32},
      {.name = "faint pulses, Cascade, leak of both directions", .settings = settings_for(faint, cascade, LeakModel::both_directions, bits)},
      {.name = "bright pulses (best for the optics), Cascade, one-way leak", .settings = settings_for(bright, cascade, LeakModel::one_way, bits)},
      {.name = "faint pulses, LDPC (one-way by nature)",
       .settings = settings_for(faint, ReconciliationMethod::ldpc, LeakModel::one_way, bits_short),
       .blocks = 2},
  };
}

std::string operating_point(const DistillationPlan& plan) {
  const SessionSettings& s = plan.settings;
  const LinkParameters& link = s.parameters;
  return fmt::format(
      "QBER {:.1f} %, blocks of at least {} sifted bits, {} of them in {} lanes; bound {}, length rule {}, eps_sec {}, eps_cor {}, leak {}; mu {}/{}/{} with p {}/{}/{}, key "
      "basis "
      "{}; check basis as the model of a {} GHz link over {} km expects",
      100.0 * plan.qber, s.block_size, plan.blocks * plan.lanes, plan.lanes, name(s.effective_bound()), name(s.length_rule), s.eps_sec, s.eps_cor,
      name(s.leak_model), link.intensity[0], link.intensity[1], link.intensity[2], link.intensity_probability[0], link.intensity_probability[1],
      link.intensity_probability[2], link.key_basis_probability, link.gate_rate_hz / 1e9, link.distance_km);
}

std::string cpu_model() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown CPU";
}

std::string cpu_features() {
  std::string out;
  const auto note = [&out](bool has, std::string_view what) {
    if (has) out += (out.empty() ? "" : " ") + std::string(what);
  };
  note(__builtin_cpu_supports("pclmul") != 0, "pclmul");
  note(__builtin_cpu_supports("vpclmulqdq") != 0, "vpclmulqdq");
  note(__builtin_cpu_supports("avx2") != 0, "avx2");
  note(__builtin_cpu_supports("bmi2") != 0, "bmi2");
  note(__builtin_cpu_supports("gfni") != 0, "gfni");
  note(__builtin_cpu_supports("avx512f") != 0, "avx512f");
  return out;
}

void add_rows(const DistillationPlan& plan, const std::vector<Measured>& runs, Report& report) {
  std::vector<double> secret;
  std::vector<double> sifted;
  std::vector<double> cpu_ns;
  for (const Measured& run : runs) {
    secret.push_back(run.secret_mbps());
    sifted.push_back(run.sifted_mbps());
    cpu_ns.push_back(1e9 * run.cpu_s() / static_cast<double>(run.alice.sifted_bits));
  }
  const Measured& last = runs.back();
  const double leak = static_cast<double>(last.alice.disclosed_bits) / static_cast<double>(last.alice.sifted_bits);
  const auto part = [&last](double DistillationTally::*share) { return 100.0 * (last.alice.*share + last.bob.*share) / last.cpu_s(); };
  const double amplified = part(&DistillationTally::amplification_s);
  report.add(
      {.name = "QKD sifted to secret: " + plan.name,
       .value = median(secret),
       .unit = "Mb/s secret",
       .limit = published_mbps,
       .ratio = median(secret) / published_mbps,
       .value_spread = spread_of(secret),
       .ratio_spread = {},
       .note = fmt::format("limit: the fastest QKD system published, 115.8 Mb/s; must reach {} Mb/s. Both ends on this machine, wall clock; {}. Per sifted "
                           "bit {:.3f} secret, {:.4f} disclosed by Alice (f = {:.3f})",
                           target_mbps, operating_point(plan), static_cast<double>(last.alice.secret_bits) / static_cast<double>(last.alice.sifted_bits), leak,
                           leak / binary_entropy(plan.qber))});
  report.add({.name = "QKD sifted bits taken: " + plan.name,
              .value = median(sifted),
              .unit = "Mb/s sifted",
              .limit = {},
              .ratio = {},
              .value_spread = spread_of(sifted),
              .ratio_spread = {},
              .note = fmt::format("processor time of both ends {:.2f} ns per sifted bit: error correction {:.0f} %, assessment, verification and privacy "
                                  "amplification {:.0f} %, frames, tags and socket {:.0f} %; {:.2f} octets on the wire per sifted octet",
                                  median(cpu_ns), part(&DistillationTally::reconciliation_s), amplified, part(&DistillationTally::channel_s),
                                  8.0 * static_cast<double>(last.alice.octets) / static_cast<double>(last.alice.sifted_bits))});
}

}  // namespace

Result<void> measure_distillation(Report& report) {
  report.remark(fmt::format("QKD distillation on {} ({}), {} processors online; sifted keys from a pseudo-random generator, made before the clock starts",
                            cpu_model(), cpu_features(), ::sysconf(_SC_NPROCESSORS_ONLN)));
  for (const DistillationPlan& plan : plans()) {
    TRY(plan.settings.validate());
    std::vector<Measured> runs;
    for (std::size_t i = 0; i < rounds; ++i) {
      ASSIGN_OR_RETURN(Measured run, run_once(plan));
      runs.push_back(run);
    }
    add_rows(plan, runs, report);
  }
  return {};
}

}  // namespace qanat::bench
