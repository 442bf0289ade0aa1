#include "access_tokens.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include "cpu_clock.hpp"
#include "crypto/device.hpp"
#include "services/iam/schema.hpp"
#include "services/iam/upm/access_tokens.hpp"
#include "statistics.hpp"
#include "wire/base64.hpp"

namespace qanat::bench {
namespace {

constexpr double must_reach = 8000;  // checks per second of one core

struct Turns {
  std::size_t checks = 2000;
  std::size_t batches = 7;
};

/// Of one thread, per second of its processor time.
template <class Work>
Result<double> per_cpu_s(std::size_t turns, Work&& work) {
  const double before = thread_cpu_s();
  for (std::size_t i = 0; i < turns; ++i) TRY(work());
  return static_cast<double>(turns) / (thread_cpu_s() - before);
}

/// `check` beside `bare`, which is the signature of the same token alone, in turns.
template <class Check, class Bare>
Result<void> compare(Report& report, const std::string& name, const Turns& turns, const std::string& note, Check&& check, Bare&& bare) {
  std::vector<double> rates;
  std::vector<double> bares;
  std::vector<double> ratios;
  for (std::size_t i = 0; i < turns.batches; ++i) {
    ASSIGN_OR_RETURN(const double rate, per_cpu_s(turns.checks, check));
    ASSIGN_OR_RETURN(const double limit, per_cpu_s(turns.checks, bare));
    rates.push_back(rate);
    bares.push_back(limit);
    ratios.push_back(rate / limit);
  }
  Row row = median_row(name, rates, "1/CPU s", note);
  row.limit = median(bares);
  row.ratio = median(ratios);
  row.ratio_spread = spread_of(ratios);
  report.add(std::move(row));
  return {};
}

Result<void> measure_checks(Report& report, const std::filesystem::path& folder, const Turns& turns) {
  ASSIGN_OR_RETURN(const auto rng, crypto::open_rng());
  ASSIGN_OR_RETURN(const auto device, crypto::open_software_device(folder / "master.key", *rng));
  ASSIGN_OR_RETURN(const auto store, store::Store::open(folder / "iam.db", iam::migrations));
  const UnixMs now = SystemClock().now_ms();
  ASSIGN_OR_RETURN(const iam::AccessTokens tokens, iam::AccessTokens::open(*store, *device, *rng, "qanat://core/iam/iam", {}, now));
  const iam::AccessOrder order{.subject = "A", .client = "A", .audience = "kms-a", .scope = "key.apply", .holder = rng->bytes(32), .epoch = 1};
  const auto note = [](std::string_view what) {
    return fmt::format("must reach {:.0f}; parsed, signature, issuer, times, and that it is for this audience, holder and epoch; limit: {}", must_reach, what);
  };
  const wire::AccessExpectation expected{
      .issuer = tokens.issuer(), .audience = order.audience, .holder = order.holder, .epoch_min = 1, .now_s = static_cast<std::int64_t>(now / 1000)};

  ASSIGN_OR_RETURN(const auto cwt, tokens.cwt(order, now));
  ASSIGN_OR_RETURN(const Bytes octets, wire::from_base64url(cwt.token));
  ASSIGN_OR_RETURN(const wire::CoseSign1 message, wire::parse_cose_sign1(octets));
  const Bytes signed_octets = wire::cose_sign1_tbs(message.protected_header, message.payload);
  ASSIGN_OR_RETURN(const wire::TokenKey* ml_dsa, tokens.keys().find(message.key_id));
  TRY(compare(
      report, "access token checks, CWT, ML-DSA-44", turns, note("its ML-DSA-44 signature alone, key parsed before"),
      [&]() -> Result<void> {
        ASSIGN_OR_RETURN(const wire::AccessClaims claims, wire::open_cwt(octets, tokens.keys()));
        return wire::check_access(claims, expected);
      },
      [&] { return ml_dsa->verify(signed_octets, message.signature); }));

  for (const wire::TokenAlgorithm algorithm : {wire::TokenAlgorithm::ml_dsa_44, wire::TokenAlgorithm::es256}) {
    ASSIGN_OR_RETURN(const auto jwt, tokens.jwt(order, algorithm, now));
    const std::size_t dot = jwt.token.rfind('.');
    const std::string_view input = std::string_view(jwt.token).substr(0, dot);
    ASSIGN_OR_RETURN(const Bytes signature, wire::from_base64url(std::string_view(jwt.token).substr(dot + 1)));
    const auto key = std::ranges::find(tokens.keys().all(), algorithm, &wire::TokenKey::algorithm);
    TRY(compare(
        report, fmt::format("access token checks, JWT, {}", wire::name(algorithm)), turns, note(fmt::format("its {} signature alone", wire::name(algorithm))),
        [&]() -> Result<void> {
          ASSIGN_OR_RETURN(const wire::AccessClaims claims, wire::open_jwt(jwt.token, tokens.keys()));
          return wire::check_access(claims, expected);
        },
        [&] { return key->verify(as_bytes(input), signature); }));
  }
  return {};
}

}  // namespace

Result<void> measure_access_tokens(Report& report, const std::filesystem::path& within, bool quick) {
  const std::filesystem::path folder = (within.empty() ? std::filesystem::temp_directory_path() : within) / fmt::format("qanat-bench-tokens-{}", ::getpid());
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  const Result<void> done = measure_checks(report, folder, quick ? Turns{.checks = 100, .batches = 2} : Turns{});
  std::filesystem::remove_all(folder, error);
  return done;
}

}  // namespace qanat::bench
