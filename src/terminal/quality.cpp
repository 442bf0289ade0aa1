#include "terminal/quality.hpp"

#include <algorithm>
#include <cmath>
#include <string>

namespace qanat::terminal {
namespace {

using Samples = std::span<const std::int16_t>;

double energy(Samples samples) {
  double sum = 0;
  for (const std::int16_t sample : samples) sum += static_cast<double>(sample) * sample;
  return sum;
}

double mean(Samples samples) {
  double sum = 0;
  for (const std::int16_t sample : samples) sum += sample;
  return sum / static_cast<double>(samples.size());
}

/// The beginning of what `said` and `heard` share at this offset; equally long.
std::pair<Samples, Samples> overlap(Samples said, Samples heard, std::int64_t offset) {
  const auto skip_heard = static_cast<std::size_t>(std::max<std::int64_t>(offset, 0));
  const auto skip_said = static_cast<std::size_t>(std::max<std::int64_t>(-offset, 0));
  if (skip_heard >= heard.size() || skip_said >= said.size()) return {};
  const std::size_t size = std::min({said.size() - skip_said, heard.size() - skip_heard, search_samples_max});
  return {said.subspan(skip_said, size), heard.subspan(skip_heard, size)};
}

// Integers: exact, and the compiler makes vector code of it.
std::int64_t product(Samples a, Samples b) {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += std::int32_t{a[i]} * std::int32_t{b[i]};
  return sum;
}

std::int64_t best_offset(Samples said, Samples heard) {
  const auto limit = static_cast<std::int64_t>(alignment_samples_max);
  std::int64_t best = 0;
  const auto [said_now, heard_now] = overlap(said, heard, 0);
  std::int64_t best_product = product(said_now, heard_now);
  for (std::int64_t offset = -limit; offset <= limit; ++offset) {
    const auto [a, b] = overlap(said, heard, offset);
    if (const std::int64_t here = product(a, b); here > best_product) {
      best = offset;
      best_product = here;
    }
  }
  return best;
}

std::int16_t at(Samples samples, std::int64_t index) {
  return index < 0 || index >= static_cast<std::int64_t>(samples.size()) ? std::int16_t{0} : samples[static_cast<std::size_t>(index)];
}

}  // namespace

Result<Quality> compare_quality(Samples said, Samples heard) {
  if (said.size() < compared_samples_min || heard.size() < compared_samples_min) {
    return fail(ErrorCode::invalid_argument, "quality: " + std::to_string(said.size()) + " samples said and " + std::to_string(heard.size()) +
                                                 " heard, at least " + std::to_string(compared_samples_min) + " of each are compared");
  }
  if (energy(said) == 0 || energy(heard) == 0) return fail(ErrorCode::invalid_argument, "quality: one of the signals is silent all through");

  const std::int64_t offset = best_offset(said, heard);
  const double said_mean = mean(said);
  const double heard_mean = mean(heard);
  double noise = 0;
  double joint = 0;
  double said_variance = 0;
  double heard_variance = 0;
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(said.size()); ++i) {
    const double a = at(said, i);
    const double b = at(heard, i + offset);
    noise += (a - b) * (a - b);
    joint += (a - said_mean) * (b - heard_mean);
    said_variance += (a - said_mean) * (a - said_mean);
    heard_variance += (b - heard_mean) * (b - heard_mean);
  }
  const double scale = std::sqrt(said_variance * heard_variance);
  const double ratio_db = noise > 0 ? 10 * std::log10(energy(said) / noise) : snr_db_max;
  return Quality{
      .offset_samples = offset, .correlation = scale > 0 ? joint / scale : 0, .snr_db = std::min(ratio_db, snr_db_max), .compared_samples = said.size()};
}

}  // namespace qanat::terminal
