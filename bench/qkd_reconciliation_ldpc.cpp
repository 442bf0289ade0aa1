#include "qkd_reconciliation_ldpc.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "cpu_clock.hpp"
#include "noisy_keys.hpp"
#include "quantum/qkd/reconciliation/ldpc.hpp"
#include "quantum/qkd/reconciliation/ldpc_rate.hpp"
#include "statistics.hpp"

namespace qanat::bench {
namespace {

constexpr std::size_t frames = 24;
constexpr std::size_t runs = 3;

struct Run {
  double efficiency = 0;
  double failed_first = 0;  // fraction of the frames
  double retries = 0;       // per frame
  double alice_mbps = 0;
  double bob_mbps = 0;
  double bob_octets = 0;  // bits of verdicts per bit of key
};

Result<Run> correct_once(double error_rate, std::mt19937_64& random) {
  const std::size_t bits = frames * qkd::frame_bits;
  NoisyKeys keys = draw_noisy_keys(bits, error_rate, random);
  qkd::ReconciliationSetup setup{
      .method = qkd::ReconciliationMethod::ldpc, .key_bits = bits, .error_rate = error_rate, .seed = Bytes(qkd::reconciliation_seed_size)};
  for (std::uint8_t& octet : setup.seed) octet = static_cast<std::uint8_t>(random());
  double alice_s = -thread_cpu_s();
  ASSIGN_OR_RETURN(const auto reference, qkd::make_ldpc_reference(setup, keys.alice));
  alice_s += thread_cpu_s();
  double bob_s = -thread_cpu_s();
  ASSIGN_OR_RETURN(const auto corrector, qkd::make_ldpc_corrector(setup, std::move(keys.bob)));
  Run run;
  for (std::size_t round = 0;; ++round) {
    ASSIGN_OR_RETURN(const std::optional<Bytes> question, corrector->next());
    bob_s += thread_cpu_s();
    if (!question) break;
    if (round > 0) {
      const auto failed = static_cast<double>(question->size() - 1 - static_cast<std::size_t>(std::ranges::count(*question, std::uint8_t{0})));
      if (round == 1) run.failed_first = failed / frames;
      run.retries += failed / frames;
    }
    alice_s -= thread_cpu_s();
    ASSIGN_OR_RETURN(const Bytes answer, reference->answer(*question));
    alice_s += thread_cpu_s();
    bob_s -= thread_cpu_s();
    TRY(corrector->learn(answer));
  }
  if (!equal_secret(corrector->take_bits(), keys.alice)) return fail(ErrorCode::internal, "one-way error correction left a difference");
  const auto key_bits = static_cast<double>(bits);
  const double shannon = key_bits * qkd::entropy_of_error_rate(static_cast<double>(keys.errors) / key_bits);
  run.efficiency = static_cast<double>(reference->disclosed().by_alice) / shannon;
  run.bob_octets = static_cast<double>(reference->disclosed().by_bob) / key_bits;
  run.alice_mbps = key_bits / alice_s * 1e-6;
  run.bob_mbps = key_bits / bob_s * 1e-6;
  return run;
}

}  // namespace

Result<void> measure_ldpc(Report& report) {
  std::mt19937_64 random(2026);
  for (const double error_rate : {0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.11}) {
    TRY(correct_once(error_rate, random));  // makes the codes, once per process
    std::vector<Run> all;
    for (std::size_t i = 0; i < runs; ++i) {
      ASSIGN_OR_RETURN(const Run run, correct_once(error_rate, random));
      all.push_back(run);
    }
    const auto add = [&](std::string_view what, double Run::*of, std::string unit, std::string note) {
      std::vector<double> values;
      for (const Run& run : all) values.push_back(run.*of);
      report.add(median_row(fmt::format("LDPC, QBER {} %: {}", error_rate * 100, what), values, std::move(unit), std::move(note)));
    };
    add("f", &Run::efficiency, "", "bits about Alice's key, retries and checks included, over n h(errors / n)");
    add("first attempt fails", &Run::failed_first, "of frames", fmt::format("{} frames of 2^16 bits a run", frames));
    add("retries", &Run::retries, "per frame", "times that more parities were asked for a frame");
    add("verdicts of Bob", &Run::bob_octets, "bit/bit", "by_bob: eight bits per frame and answer");
    add("Alice", &Run::alice_mbps, "Mb/s", "sifted bits per second of processor time, one thread");
    add("Bob", &Run::bob_mbps, "Mb/s", "sifted bits per second of processor time, one thread, retries included");
  }
  return {};
}

}  // namespace qanat::bench
