#include "qkd_laboratory.hpp"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <sstream>

#include "crypto/kdf.hpp"
#include "quantum/qkd/process/direct.hpp"

namespace qanat::app {
namespace {

using qkd::AuthenticationPool;

constexpr std::size_t spare_keys = 64;

Error system_error(const char* what) { return {.code = ErrorCode::internal, .message = std::string(what) + ": " + std::strerror(errno)}; }

double cpu_s(const rusage& usage) {
  const auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double own_cpu_s() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return cpu_s(usage);
}

/// What both ends compare: not the key, for it leaves neither process.
std::string fingerprint_of(const qkd::KeyBlock& block) {
  return std::to_string(block.block_id) + " " + to_hex(crypto::digest(crypto::Hash::sha256, block.bits.reveal())) + "\n";
}

/// The octets come from before the fork in ordinary memory: a Secret would be empty in the other process.
Result<qkd::DurableState> first_state(Bytes preshared) {
  const Secret secret = Secret::copy_of(preshared);
  wipe(preshared);
  return qkd::DurableState::fresh(secret);
}

/// In the other process. What it says on `out`: the fingerprints of its blocks, or "! " and why it failed.
Result<std::string> be_bob(const LaboratoryPlan& plan, int socket, Bytes preshared) {
  const SystemClock clock;
  ASSIGN_OR_RETURN(const auto random, crypto::open_rng());
  ASSIGN_OR_RETURN(const auto device, plan.open_bob(*random));
  ASSIGN_OR_RETURN(qkd::DurableState state, first_state(std::move(preshared)));
  qkd::FrameStream channel(socket);
  std::string fingerprints;
  TRY(qkd::run_bob(channel, {plan.settings, *device, *random, clock}, std::move(state),
                   {.finished = [&](const qkd::KeyBlock& block) { fingerprints += fingerprint_of(block); }, .failed = [](const qkd::BlockFailure&) {}}));
  return fingerprints;
}

Result<std::string> be_alice(const LaboratoryPlan& plan, int socket, Bytes preshared, LaboratoryOutcome& outcome) {
  const SystemClock clock;
  qkd::FrameStream channel(socket);
  ASSIGN_OR_RETURN(const auto random, crypto::open_rng());
  ASSIGN_OR_RETURN(const auto device, plan.open_alice(*random));
  ASSIGN_OR_RETURN(qkd::DurableState state, first_state(std::move(preshared)));
  std::string fingerprints;
  bool failed = false;
  const qkd::DirectEvents events{
      .finished =
          [&](const qkd::KeyBlock& block) {
            fingerprints += fingerprint_of(block);
            outcome.blocks.push_back({.block_id = block.block_id, .summary = qkd::summary_of(block), .failure = {}});
            plan.progress(fmt::format("block {} of {}: {} secret bits of {} sifted, error rate {:.2f} %, {} ms", outcome.blocks.size(), plan.blocks,
                                      block.report.length, block.report.n_sift, 100.0 * block.report.qber_key, block.report.times.wall_ms));
          },
      .failed =
          [&](const qkd::BlockFailure& failure) {
            failed = true;
            outcome.blocks.push_back({.block_id = failure.block_id, .summary = std::nullopt, .failure = failure.error.message});
            plan.progress(fmt::format("block {} of {} gives no key: {}", outcome.blocks.size(), plan.blocks, failure.error.message));
          }};
  const auto more = [&] { return outcome.blocks.size() < plan.blocks && !(failed && plan.stop_at_failure); };
  TRY(qkd::run_alice(channel, {plan.settings, *device, *random, clock}, std::move(state), more, events));
  outcome.octets = channel.octets_sent() + channel.octets_received();
  return fingerprints;
}

void write_out(int out, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(out, text.data(), text.size());
    if (count <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(count));
  }
}

std::string read_out(int in) {
  std::string out;
  std::array<char, 4096> chunk{};
  ssize_t count = 0;
  while ((count = ::read(in, chunk.data(), chunk.size())) > 0) out.append(chunk.data(), static_cast<std::size_t>(count));
  return out;
}

}  // namespace

std::size_t LaboratoryOutcome::finished() const {
  return static_cast<std::size_t>(std::ranges::count_if(blocks, [](const LaboratoryBlock& block) { return block.summary.has_value(); }));
}

std::uint64_t LaboratoryOutcome::secret_bits() const {
  std::uint64_t sum = 0;
  for (const LaboratoryBlock& block : blocks) sum += block.summary ? block.summary->report.length : 0;
  return sum;
}

double LaboratoryOutcome::simulated_s() const {
  double sum = 0.0;
  for (const LaboratoryBlock& block : blocks) sum += block.summary ? block.summary->report.simulated_time_s : 0.0;
  return sum;
}

double LaboratoryOutcome::rate_bps() const {
  const std::size_t good = finished();
  if (good == 0 || simulated_s() <= 0.0) return 0.0;
  return static_cast<double>(secret_bits()) / simulated_s() * static_cast<double>(good) / static_cast<double>(blocks.size());
}

Result<LaboratoryOutcome> run_laboratory(const LaboratoryPlan& plan) {
  TRY(plan.settings.validate());
  std::array<int, 2> line{};
  std::array<int, 2> results{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, line.data()) != 0) return fail(system_error("socket"));
  if (::pipe(results.data()) != 0) return fail(system_error("pipe"));
  ASSIGN_OR_RETURN(const auto random, crypto::open_rng());
  const std::size_t keys = std::min(qkd::pool_keys_max, 2 * plan.blocks + plan.settings.authentication_reserve + spare_keys);
  Bytes preshared = random->bytes(2 * keys * qkd::one_time_key_size);
  const auto began = std::chrono::steady_clock::now();
  const double cpu_before = own_cpu_s();
  const pid_t bob = ::fork();
  if (bob < 0) return fail(system_error("fork"));
  if (bob == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::close(line[0]);
    ::close(results[0]);
    const auto said = be_bob(plan, line[1], std::move(preshared));
    write_out(results[1], said ? *said : "! " + said.error().message);
    std::_Exit(said ? 0 : 1);
  }
  ::close(line[1]);
  ::close(results[1]);
  LaboratoryOutcome outcome;
  const auto mine = be_alice(plan, line[0], preshared, outcome);
  wipe(preshared);
  const std::string theirs = read_out(results[0]);
  ::close(results[0]);
  rusage usage{};
  int status = 0;
  ::wait4(bob, &status, 0, &usage);
  outcome.wall_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  outcome.alice_cpu_s = own_cpu_s() - cpu_before;
  outcome.bob_cpu_s = cpu_s(usage);
  // Bob's reason says more than that Alice lost him.
  if (theirs.starts_with("! ")) return fail(ErrorCode::internal, "Bob's end: " + theirs.substr(2));
  if (!mine) return fail(ErrorCode::internal, "Alice's end: " + mine.error().message);
  if (*mine != theirs) return fail(ErrorCode::internal, "the two ends hold different keys");
  return outcome;
}

}  // namespace qanat::app
