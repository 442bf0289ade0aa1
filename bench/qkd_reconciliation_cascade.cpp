#include "qkd_reconciliation_cascade.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <random>

#include "cpu_clock.hpp"
#include "noisy_keys.hpp"
#include "quantum/qkd/keyrate/statistics.hpp"
#include "quantum/qkd/reconciliation/reconciliation.hpp"
#include "statistics.hpp"

namespace qanat::bench {
namespace {

/// 64 frames, whose keys and trees take 6 MB at both ends together, and 256 frames with 23 MB: beside other programs, which share the caches, they differ.
constexpr std::array key_exponents{22U, 24U};
constexpr std::size_t runs = 5;

/// What was published about cascade-cpp (its stored data, keys of 10,000 bits, 10,000 runs per point): efficiency of three variants.
struct Published {
  double error_rate;
  const char* efficiencies;
};
constexpr std::array published{Published{0.005, "none"},
                               Published{0.01, "original 1.143, biconf 1.101, yanetal 1.095"},
                               Published{0.02, "original 1.159, biconf 1.090, yanetal 1.084"},
                               Published{0.03, "original 1.174, biconf 1.087, yanetal 1.078"},
                               Published{0.05, "original 1.185, biconf 1.093, yanetal 1.077"},
                               Published{0.08, "original 1.217, biconf 1.107, yanetal 1.097"},
                               Published{0.11, "none"}};

struct Run {
  double efficiency = 0;
  double bits_per_s = 0;
  double alice_s = 0;
  double bob_s = 0;
  std::size_t rounds = 0;
  std::size_t octets = 0;
  std::size_t wrong_frames = 0;
};

/// Adds what `work` takes of the thread's time.
template <class Work>
auto timed(double& total_s, Work&& work) {
  const double before = thread_cpu_s();
  auto result = work();
  total_s += thread_cpu_s() - before;
  return result;
}

/// Frames' worth of the key that still differ. The interleaver distributes a frame's bits over the key, so this counts stretches, not frames, but
/// is zero exactly when no frame is wrong.
std::size_t wrong_stretches(const Secret& a, const Secret& b) {
  const ByteView left = a.reveal();
  const ByteView right = b.reveal();
  std::size_t wrong = 0;
  for (std::size_t at = 0; at < left.size(); at += qkd::frame_bits / 8) {
    const std::size_t count = std::min(qkd::frame_bits / 8, left.size() - at);
    if (!equal(left.subspan(at, count), right.subspan(at, count))) ++wrong;
  }
  return wrong;
}

Result<Run> reconcile(std::size_t key_bits, double error_rate, std::uint64_t seed) {
  std::mt19937_64 engine(seed);
  NoisyKeys keys = draw_noisy_keys(key_bits, error_rate, engine);
  const qkd::ReconciliationSetup setup{.method = qkd::ReconciliationMethod::cascade,
                                       .key_bits = key_bits,
                                       .error_rate = error_rate,
                                       .seed = Bytes(qkd::reconciliation_seed_size, static_cast<std::uint8_t>(seed))};
  Run run;
  ASSIGN_OR_RETURN(auto reference, timed(run.alice_s, [&] { return qkd::make_reference(setup, keys.alice); }));
  ASSIGN_OR_RETURN(auto corrector, timed(run.bob_s, [&] { return qkd::make_corrector(setup, std::move(keys.bob)); }));
  while (true) {
    ASSIGN_OR_RETURN(const std::optional<Bytes> question, timed(run.bob_s, [&] { return corrector->next(); }));
    if (!question) break;
    ASSIGN_OR_RETURN(const Bytes answer, timed(run.alice_s, [&] { return reference->answer(*question); }));
    TRY(timed(run.bob_s, [&] { return corrector->learn(answer); }));
    ++run.rounds;
    run.octets += question->size() + answer.size();
  }
  const double told = static_cast<double>(reference->disclosed().by_alice);
  run.efficiency = told / (static_cast<double>(key_bits) * qkd::binary_entropy(static_cast<double>(keys.errors) / static_cast<double>(key_bits)));
  // Wiping and giving back what they hold is work of theirs, too.
  const Secret corrected = timed(run.bob_s, [&] {
    Secret bits = corrector->take_bits();
    corrector.reset();
    return bits;
  });
  timed(run.alice_s, [&] {
    reference.reset();
    return 0;
  });
  run.wrong_frames = wrong_stretches(corrected, keys.alice);
  run.bits_per_s = static_cast<double>(key_bits) / (run.alice_s + run.bob_s);
  return Result<Run>(run);
}

Result<void> measure(Report& report, const Published& point, unsigned exponent) {
  const std::size_t key_bits = std::size_t{1} << exponent;
  std::vector<double> efficiency;
  std::vector<double> speed;
  std::vector<double> alice;
  std::vector<double> bob;
  std::vector<double> rounds;
  std::vector<double> octets;
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < runs; ++i) {
    ASSIGN_OR_RETURN(const Run run, reconcile(key_bits, point.error_rate, i + 1));
    efficiency.push_back(run.efficiency);
    speed.push_back(run.bits_per_s / 1e6);
    alice.push_back(static_cast<double>(key_bits) / run.alice_s / 1e6);
    bob.push_back(static_cast<double>(key_bits) / run.bob_s / 1e6);
    rounds.push_back(static_cast<double>(run.rounds));
    octets.push_back(static_cast<double>(run.octets) / static_cast<double>(key_bits));
    wrong += run.wrong_frames;
  }
  const std::size_t frames = key_bits / qkd::frame_bits;
  const std::string at = fmt::format("Cascade, QBER {} %, 2^{} bits", 100 * point.error_rate, exponent);
  Row f = median_row(at + ": efficiency f", efficiency, "",
                     fmt::format("{:.4f}: Alice's parities / (n h(q)); peer cascade-cpp, as published, n = 10,000: {}", median(efficiency),
                                 point.efficiencies));
  f.limit = 1.0;
  f.ratio = 1.0 / f.value;
  report.add(std::move(f));
  report.add(median_row(at + ": both sides on one core", speed, "Mb/s",
                        fmt::format("key bits / (processor time of Alice and Bob), messages written and parsed; Alice alone {:.0f}, Bob alone {:.0f} Mb/s",
                                    median(alice), median(bob))));
  report.add(median_row(at + ": frame error rate", {static_cast<double>(wrong) / static_cast<double>(runs * frames)}, "",
                        fmt::format("of {} frames of 2^16 bits", runs * frames)));
  report.add(median_row(at + ": round trips", rounds, "", fmt::format("for all {} frames together", frames)));
  report.add(median_row(at + ": messages", octets, "octets per key bit", "both directions"));
  return {};
}

}  // namespace

Result<void> measure_cascade(Report& report) {
  for (const Published& point : published) {
    for (const unsigned exponent : key_exponents) TRY(measure(report, point, exponent));
  }
  return {};
}

}  // namespace qanat::bench
