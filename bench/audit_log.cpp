#include "audit_log.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <thread>

#include "audit/chain.hpp"
#include "audit/checkpoints.hpp"
#include "crypto/kdf.hpp"
#include "statistics.hpp"

namespace qanat::bench {
namespace {

constexpr std::string_view element = "qanat://core/operator/bench";
constexpr std::array thread_counts{1U, 4U, 16U, 64U};

struct Span {
  std::chrono::milliseconds run{2000};
  std::size_t runs = 5;
};

double seconds_since(std::chrono::steady_clock::time_point began) { return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count(); }

audit::Event bench_event() {
  return {.action = "kms.wk.delivered",
          .outcome = audit::Outcome::success,
          .subject = "qanat://a/app1/A",
          .object = "0123456789abcdef0123456789abcdef",
          .reason = "",
          .request_id = "0123456789abcdef"};
}

/// Records per second of `threads`, with the checkpoints of a running element.
Result<double> appended_per_s(const std::filesystem::path& folder, unsigned threads, std::chrono::milliseconds span, crypto::Rng& rng) {
  const SystemClock clock;
  std::error_code error;
  std::filesystem::remove_all(folder, error);
  std::filesystem::create_directories(folder, error);
  ASSIGN_OR_RETURN(const auto log, audit::Log::open(folder / "audit.jsonl", std::string(element), clock));
  ASSIGN_OR_RETURN(audit::CheckpointSigner signer, audit::CheckpointSigner::generate(audit::origin_of(element), rng));
  ASSIGN_OR_RETURN(const auto checkpoints, audit::Checkpoints::open(*log, std::move(signer), clock, rng));
  checkpoints->start(std::chrono::seconds(1), {});
  std::atomic<std::size_t> done = 0;
  std::atomic<bool> failed = false;
  const auto began = std::chrono::steady_clock::now();
  {
    std::vector<std::jthread> running;
    for (unsigned i = 0; i < threads; ++i) {
      running.emplace_back([&] {
        while (std::chrono::steady_clock::now() - began < span && !failed) {
          if (log->append(bench_event())) {
            ++done;
          } else {
            failed = true;
          }
        }
      });
    }
  }
  const double per_s = static_cast<double>(done) / seconds_since(began);
  checkpoints->stop();
  if (failed) return fail(ErrorCode::internal, "audit bench: a record was refused");
  return per_s;
}

/// The bare work: for `threads` lines two hashes each, one write and one fdatasync, over and over in one thread.
Result<double> bare_per_s(const std::filesystem::path& folder, unsigned threads, std::size_t line_octets, std::chrono::milliseconds span) {
  const std::filesystem::path file = folder / "bare";
  const int descriptor = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
  if (descriptor < 0) return fail(ErrorCode::internal, file.string() + ": cannot be opened");
  const Bytes line(line_octets, 'x');
  const Bytes batch(line_octets * threads, 'x');
  std::size_t done = 0;
  bool written = true;
  const auto began = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - began < span && written) {
    for (unsigned i = 0; i < 2 * threads; ++i) (void)crypto::digest(crypto::Hash::sha256, line);
    written = ::write(descriptor, batch.data(), batch.size()) == static_cast<ssize_t>(batch.size()) && ::fdatasync(descriptor) == 0;
    done += threads;
  }
  const double per_s = static_cast<double>(done) / seconds_since(began);
  ::close(descriptor);
  if (!written) return fail(ErrorCode::internal, file.string() + ": cannot be written");
  return per_s;
}

Result<void> measure_appends(Report& report, const std::filesystem::path& folder, const Span& span, crypto::Rng& rng) {
  audit::Link link;
  const std::size_t line_octets = audit::render_line(link, element, SystemClock().now_ms(), bench_event()).size();
  for (const unsigned threads : thread_counts) {
    std::vector<double> rates;
    std::vector<double> bares;
    std::vector<double> ratios;
    for (std::size_t i = 0; i < span.runs; ++i) {
      ASSIGN_OR_RETURN(const double rate, appended_per_s(folder / "log", threads, span.run, rng));
      ASSIGN_OR_RETURN(const double bare, bare_per_s(folder, threads, line_octets, span.run / 2));
      rates.push_back(rate);
      bares.push_back(bare);
      ratios.push_back(rate / bare);
    }
    Row row = median_row(
        fmt::format("audit: durable records per second, {} threads", threads), rates, "1/s",
        fmt::format(
            "each thread waits for its record on the disk; a signed checkpoint and tiles each second; limit: {} lines of {} octets hashed twice, written and "
            "fdatasynced in one piece, over and over",
            threads, line_octets));
    row.limit = median(bares);
    row.ratio = median(ratios);
    report.add(std::move(row));
  }
  return {};
}

/// A checkpoint over one more line, as it falls each second, in a log of that many lines.
Result<void> measure_checkpoints(Report& report, const std::filesystem::path& folder, std::size_t turns, crypto::Rng& rng) {
  const SystemClock clock;
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  ASSIGN_OR_RETURN(const auto log, audit::Log::open(folder / "audit.jsonl", std::string(element), clock));
  ASSIGN_OR_RETURN(audit::CheckpointSigner signer, audit::CheckpointSigner::generate(audit::origin_of(element), rng));
  ASSIGN_OR_RETURN(const auto checkpoints, audit::Checkpoints::open(*log, std::move(signer), clock, rng));
  std::vector<double> milliseconds;
  for (std::size_t i = 0; i < turns; ++i) {
    TRY(log->append(bench_event()));
    const auto began = std::chrono::steady_clock::now();
    TRY(checkpoints->make());
    milliseconds.push_back(1e3 * seconds_since(began));
  }
  report.add(median_row("audit: one checkpoint", milliseconds, "ms", "tiles, ML-DSA-44 and SM2 signatures, the file on the disk; by the clock"));
  return {};
}

}  // namespace

Result<void> measure_audit(Report& report, const std::filesystem::path& within, bool quick) {
  const std::filesystem::path folder = (within.empty() ? std::filesystem::temp_directory_path() : within) / fmt::format("qanat-bench-audit-{}", ::getpid());
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  const auto measure = [&]() -> Result<void> {
    ASSIGN_OR_RETURN(const auto rng, crypto::open_rng());
    TRY(measure_appends(report, folder, quick ? Span{.run = std::chrono::milliseconds(200), .runs = 1} : Span{}, *rng));
    return measure_checkpoints(report, folder / "checkpoints", quick ? 10 : 200, *rng);
  };
  const Result<void> done = measure();
  std::filesystem::remove_all(folder, error);
  return done;
}

}  // namespace qanat::bench
