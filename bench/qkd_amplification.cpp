#include "qkd_amplification.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "cpu_clock.hpp"
#include "crypto/random.hpp"
#include "quantum/qkd/amplification/polynomial.hpp"
#include "quantum/qkd/amplification/toeplitz.hpp"
#include "quantum/qkd/authentication/polynomial_hash.hpp"
#include "statistics.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace qanat::bench {
namespace {

namespace gf2 = qkd::gf2;

constexpr std::size_t samples = 9;
constexpr double sample_s_min = 0.02;  // of processor time, so that the clock's steps do not count
constexpr double output_ratio = 0.4;

/// Processor seconds of one `work`, each of several samples.
template <class Work>
Result<std::vector<double>> seconds_of_work(Work&& work) {
  double before = thread_cpu_s();
  TRY(work());
  const double once = std::max(thread_cpu_s() - before, 1e-7);
  const auto turns = static_cast<std::size_t>(std::max(1.0, sample_s_min / once));
  std::vector<double> out;
  for (std::size_t sample = 0; sample < samples; ++sample) {
    before = thread_cpu_s();
    for (std::size_t i = 0; i < turns; ++i) TRY(work());
    out.push_back((thread_cpu_s() - before) / static_cast<double>(turns));
  }
  return out;
}

Row rate_row(std::string name, double amount, const std::vector<double>& seconds, std::string unit, std::optional<double> limit, std::string note) {
  const double value = amount / median(seconds);
  const auto [low, high] = std::ranges::minmax(seconds);
  std::optional<double> ratio;
  if (limit) ratio = value / *limit;
  return {.name = std::move(name),
          .value = value,
          .unit = std::move(unit),
          .limit = limit,
          .ratio = ratio,
          .value_spread = Spread{.low = amount / high, .high = amount / low, .samples = seconds.size()},
          .ratio_spread = {},
          .note = std::move(note)};
}

#if defined(__x86_64__)
constexpr std::size_t chains = 10;  // independent, so that the throughput counts and not the latency
constexpr std::size_t turns_of_chains = 1'000'000;

__attribute__((target("pclmul"))) void run_pclmul() {
  std::array<__m128i, chains> value;
  for (std::size_t i = 0; i < chains; ++i) value[i] = _mm_set1_epi64x(static_cast<long long>(i) + 0x1234567);
  const __m128i factor = _mm_set1_epi64x(0x123456789abcdef);
  for (std::size_t turn = 0; turn < turns_of_chains; ++turn) {
    for (__m128i& v : value) v = _mm_clmulepi64_si128(v, factor, 0x10);
  }
  for (__m128i& v : value) asm volatile("" : : "x"(v));
}

__attribute__((target("avx2,vpclmulqdq"))) void run_vpclmul() {
  std::array<__m256i, chains> value;
  for (std::size_t i = 0; i < chains; ++i) value[i] = _mm256_set1_epi64x(static_cast<long long>(i) + 0x1234567);
  const __m256i factor = _mm256_set1_epi64x(0x123456789abcdef);
  for (std::size_t turn = 0; turn < turns_of_chains; ++turn) {
    for (__m256i& v : value) v = _mm256_clmulepi64_epi128(v, factor, 0x10);
  }
  for (__m256i& v : value) asm volatile("" : : "x"(v));
}
#endif

/// Seconds per 64 x 64 bit carry-less product at the processor's full throughput, or nothing if it has no instruction for it.
std::optional<double> carryless_product_s(gf2::CarrylessPath path) {
#if defined(__x86_64__)
  if (path == gf2::CarrylessPath::portable) return {};
  const bool wide = path == gf2::CarrylessPath::vpclmul;
  std::vector<double> seconds;
  for (std::size_t sample = 0; sample < samples; ++sample) {
    const double before = thread_cpu_s();
    wide ? run_vpclmul() : run_pclmul();
    seconds.push_back((thread_cpu_s() - before) / static_cast<double>(chains * turns_of_chains * (wide ? 2 : 1)));
  }
  return *std::ranges::min_element(seconds);
#else
  (void)path;
  return {};
#endif
}

/// Carry-less products that the transforms of one block take.
double products_of_block(std::size_t key_bits, std::size_t output_bits) {
  const gf2::TransformSplit split = gf2::best_split(key_bits - output_bits, output_bits);
  const unsigned points_log = split.bits_log - gf2::element_bits_log;
  const auto points = static_cast<double>(std::size_t{1} << points_log);
  const auto chunks = static_cast<double>(split.chunks);
  return (2 * chunks + 1) * 5 * points_log * points / 2 + chunks * 6 * points;
}

Result<void> measure_blocks(crypto::Rng& random, gf2::CarrylessPath path, std::optional<double> product_s, std::span<const unsigned> logs, Report& report) {
  for (const unsigned log : logs) {
    const std::size_t key_bits = std::size_t{1} << log;
    const auto output_bits = static_cast<std::size_t>(output_ratio * static_cast<double>(key_bits));
    const Secret key = random.secret(key_bits / 8);
    const Bytes seed = random.bytes(qkd::toeplitz_seed_size(key_bits, output_bits));
    std::optional<double> limit;
    if (product_s) limit = static_cast<double>(key_bits) / (products_of_block(key_bits, output_bits) * *product_s) / 1e6;
    qkd::ToeplitzHasher hasher(path);
    const auto work = [&]() -> Result<void> {
      TRY(hasher.hash(key, key_bits, seed, output_bits));
      return {};
    };
    ASSIGN_OR_RETURN(const std::vector<double> seconds, seconds_of_work(work));
    const auto megabits = static_cast<double>(key_bits) / 1e6;
    report.add(rate_row(
        fmt::format("privacy amplification, n = 2^{}, {}", log, name(path)), megabits, seconds, "Mb/s", limit,
        fmt::format("bits of reconciled key per processor second of one core, output {} of them; block after block in one ToeplitzHasher. The limit is "
                    "the time of the transforms' carry-less products alone at the throughput measured in this run",
                    output_ratio)));
    if (path != gf2::fastest_path()) continue;
    ASSIGN_OR_RETURN(const std::vector<double> alone, seconds_of_work([&]() -> Result<void> {
                       TRY(qkd::toeplitz_hash(key, key_bits, seed, output_bits));
                       return {};
                     }));
    report.add(rate_row(fmt::format("… a single block, 2^{}", log), megabits, alone, "Mb/s", limit,
                        "the same by toeplitz_hash(): its memory is mapped and locked anew"));
  }
  return {};
}

Result<void> measure_hash(crypto::Rng& random, gf2::CarrylessPath path, std::optional<double> product_s, Report& report) {
  constexpr std::size_t size = std::size_t{1} << 18;
  const Secret key = random.secret(qkd::hash_key_size);
  const Bytes message = random.bytes(size);
  ASSIGN_OR_RETURN(const std::vector<double> seconds, seconds_of_work([&]() -> Result<void> {
                     qkd::PolynomialHash hash(key, path);
                     hash.update(message);
                     (void)hash.finish();
                     return {};
                   }));
  std::optional<double> limit;
  if (product_s) limit = 16.0 / (4 * *product_s) / 1e6;  // four products per block of 16 octets; the reductions are shared by eight
  report.add(rate_row(fmt::format("polynomial hash over GF(2^128), {}", name(path)), static_cast<double>(size) / 1e6, seconds, "MB/s", limit,
                      "10^6 octets per processor second, messages of 256 KiB; the limit is four carry-less products per 16 octets"));
  return {};
}

}  // namespace

Result<void> measure_amplification(Report& report, BlockSizes sizes) {
  ASSIGN_OR_RETURN(const auto random, crypto::open_rng());
  static constexpr std::array<unsigned, 4> logs{20, 22, 24, 26};
  for (const gf2::CarrylessPath path : {gf2::CarrylessPath::vpclmul, gf2::CarrylessPath::pclmul, gf2::CarrylessPath::portable}) {
    if (!gf2::supported(path)) continue;
    const std::optional<double> product_s = carryless_product_s(path);
    const bool main = path == gf2::fastest_path();
    const std::size_t count = sizes == BlockSizes::with_large ? logs.size() : logs.size() - 1;
    TRY(measure_blocks(*random, path, product_s, std::span(logs).first(main ? count : 1), report));
    TRY(measure_hash(*random, path, product_s, report));
  }
  return {};
}

}  // namespace qanat::bench
