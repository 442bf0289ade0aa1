#include "certificates.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "issuing.hpp"
#include "statistics.hpp"

namespace qanat::bench {
namespace {

constexpr double must_reach = 500;  // ML-DSA-65 certificates per second on two cores
constexpr unsigned threads = 16;    // requests at a time: most of them wait for the disk

struct Amount {
  std::size_t certificates = 2000;  // per run
  std::size_t runs = 5;
};

double seconds_since(std::chrono::steady_clock::time_point began) { return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count(); }

/// Everything from a request that has passed the policy to what may be handed out.
Result<double> issued_per_s(Issuing& with, std::size_t count) {
  ASSIGN_OR_RETURN(const std::vector<cas::Order> orders, make_orders(with, count));
  cas::Issuer issuer(*with.records, *with.authorities, *with.rng);
  std::atomic<std::size_t> next = 0;
  std::atomic<bool> failed = false;
  const auto began = std::chrono::steady_clock::now();
  {
    std::vector<std::jthread> running;
    for (unsigned i = 0; i < threads; ++i) {
      running.emplace_back([&] {
        for (std::size_t at = next++; at < orders.size() && !failed; at = next++) {
          const auto issued = issuer.issue(orders[at], with.clock.now_ms());
          const std::string subject = orders[at].names.element->uri();
          const std::string serial = issued ? to_hex(issued->ml_dsa->serial()) : "";
          const audit::Event event{.action = "ce-1.terminal",
                                   .outcome = audit::Outcome::success,
                                   .subject = subject,
                                   .object = serial,
                                   .reason = "",
                                   .request_id = "0123456789abcdef"};
          if (!issued || !with.log->append(event)) failed = true;
        }
      });
    }
  }
  if (failed) return fail(ErrorCode::internal, "certificates bench: a certificate was refused");
  return static_cast<double>(count) / seconds_since(began);
}

/// The same certificates signed over and over, one loop per processor.
Result<double> signed_per_s(Issuing& with, std::size_t count) {
  ASSIGN_OR_RETURN(const std::vector<cas::Order> orders, make_orders(with, 1));
  const cas::Authority& authority = with.authorities->ml_dsa;
  const unsigned processors = std::max(1U, std::thread::hardware_concurrency());
  const UnixMs now = with.clock.now_ms();
  std::atomic<std::size_t> next = 0;
  std::atomic<bool> failed = false;
  const auto began = std::chrono::steady_clock::now();
  {
    std::vector<std::jthread> running;
    for (unsigned i = 0; i < processors; ++i) {
      running.emplace_back([&] {
        while (next++ < count && !failed) {
          const auto certificate = crypto::issue({.use = crypto::CertificateUse::tls_and_signing,
                                                  .names = orders[0].names,
                                                  .key_algorithm = orders[0].ml_dsa->key_algorithm(),
                                                  .public_key = orders[0].ml_dsa->public_key(),
                                                  .serial = cas::draw_serial(*with.rng),
                                                  .not_before = now,
                                                  .not_after = now + 86'400'000},
                                                 &authority.certificate, authority.key);
          if (!certificate) failed = true;
        }
      });
    }
  }
  if (failed) return fail(ErrorCode::internal, "certificates bench: a signature failed");
  return static_cast<double>(count) / seconds_since(began);
}

Result<void> measure_issuing(Report& report, const std::filesystem::path& folder, const Amount& amount) {
  ASSIGN_OR_RETURN(const auto issuing, open_issuing(folder));
  std::vector<double> rates;
  std::vector<double> bares;
  std::vector<double> ratios;
  for (std::size_t i = 0; i < amount.runs; ++i) {
    ASSIGN_OR_RETURN(const double rate, issued_per_s(*issuing, amount.certificates));
    ASSIGN_OR_RETURN(const double bare, signed_per_s(*issuing, amount.certificates));
    rates.push_back(rate);
    bares.push_back(bare);
    ratios.push_back(rate / bare);
  }
  issuing->checkpoints->stop();
  Row row =
      median_row("certificates per second, ML-DSA-65, durable, audited", rates, "1/s",
                 fmt::format("must reach {:.0f}; {} requests at a time; intention durable, linted, signed, recorded, on the audit record with its checkpoints; "
                             "limit: the same certificates built and signed on all processors, nothing kept",
                             must_reach, threads));
  row.limit = median(bares);
  row.ratio = median(ratios);
  row.ratio_spread = spread_of(ratios);
  report.add(std::move(row));
  return {};
}

}  // namespace

Result<void> measure_certificates(Report& report, const std::filesystem::path& within, bool quick) {
  const std::filesystem::path folder = (within.empty() ? std::filesystem::temp_directory_path() : within) / fmt::format("qanat-bench-cas-{}", ::getpid());
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  const Result<void> done = measure_issuing(report, folder, quick ? Amount{.certificates = 50, .runs = 1} : Amount{});
  std::filesystem::remove_all(folder, error);
  return done;
}

}  // namespace qanat::bench
