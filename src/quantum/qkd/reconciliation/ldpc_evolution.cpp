#include "quantum/qkd/reconciliation/ldpc_evolution.hpp"

#include <algorithm>
#include <cmath>
#include <span>

namespace qanat::qkd {
namespace {

// The decoder goes through the rows one after the other; the evolution in this many groups.
constexpr std::size_t groups = 4;
constexpr int sum_max = 2 * message_max + 1;
constexpr double settled = 1e-5;

using Messages = std::array<float, 2 * message_max + 1>;
using Sums = std::array<float, 2 * sum_max + 1>;

double power(double base, std::size_t exponent) {
  double result = 1;
  for (; exponent > 0; exponent >>= 1) {
    if (exponent & 1U) result *= base;
    base *= base;
  }
  return result;
}

/// The distribution of the sum, kept within sum_max.
Sums convolved(const Sums& sum, const Messages& message) {
  std::array<float, 2 * (sum_max + message_max) + 1> wide{};
  for (std::size_t i = 0; i < message.size(); ++i) {
    if (message[i] < 1e-12F) continue;
    for (std::size_t j = 0; j < sum.size(); ++j) wide[i + j] += message[i] * sum[j];
  }
  Sums out{};
  for (std::size_t j = 0; j < wide.size(); ++j) {
    const auto at = std::clamp(static_cast<int>(j) - message_max, 0, 2 * sum_max);
    out[static_cast<std::size_t>(at)] += wide[j];
  }
  return out;
}

/// What columns send when each other check sends messages so distributed.
Messages from_columns(const Ensemble& ensemble, const Messages& incoming) {
  double edges = 0;
  for (std::size_t d = 0; d < ensemble.column_share.size(); ++d) edges += static_cast<double>(d) * ensemble.column_share[d];
  Sums sum{};
  sum[sum_max + channel_message] = static_cast<float>(1 - ensemble.error_rate);
  sum[sum_max - channel_message] = static_cast<float>(ensemble.error_rate);
  Messages out{};
  double total = 0;
  for (std::size_t d = 1; d < ensemble.column_share.size(); ++d) {
    if (d > 1) sum = convolved(sum, incoming);
    const auto weight = static_cast<float>(ensemble.column_share[d] * static_cast<double>(d) / edges);
    if (weight == 0) continue;
    for (std::size_t j = 0; j < sum.size(); ++j) {
      const auto at = std::clamp(static_cast<int>(j) - sum_max + message_max, 0, 2 * message_max);
      out[static_cast<std::size_t>(at)] += weight * sum[j];
      total += static_cast<double>(weight * sum[j]);
    }
  }
  for (float& p : out) p = static_cast<float>(static_cast<double>(p) / total);
  return out;
}

/// Probabilities that the smallest of degree-1 magnitudes is k and that the product of the signs is right or wrong.
struct Smallest {
  std::array<double, message_max + 2> right{};
  std::array<double, message_max + 2> wrong{};
};
Smallest smallest_of(const Messages& messages, std::size_t degree) {
  Smallest out;
  double above_right = 0;  // for at least k + 1
  double above_wrong = 0;
  double positive = 0;
  double negative = 0;
  constexpr auto middle = static_cast<std::size_t>(message_max);
  for (std::size_t k = middle; k >= 1; --k) {
    positive += static_cast<double>(messages[middle + k]);
    negative += static_cast<double>(messages[middle - k]);
    const double both = power(positive + negative, degree - 1);
    const double signs = power(positive - negative, degree - 1);
    out.right[k] = std::max(0.0, (both + signs) / 2 - above_right);
    out.wrong[k] = std::max(0.0, (both - signs) / 2 - above_wrong);
    above_right = (both + signs) / 2;
    above_wrong = (both - signs) / 2;
  }
  return out;
}

CheckTable table_of(const Smallest& smallest, double unit) {
  CheckTable table{};
  for (std::size_t k = 1; k <= message_max; ++k) {
    const double right = smallest.right[k];
    const double wrong = smallest.wrong[k];
    // A magnitude that practically does not occur says nothing about itself: three quarters, as in normalised min-sum.
    const double value = right + wrong < 1e-12 ? 0.75 * static_cast<double>(k) : std::log(std::max(right, 1e-30) / std::max(wrong, 1e-30)) / unit;
    table[k] = static_cast<std::uint8_t>(std::clamp(std::lround(value), 0L, static_cast<long>(message_max)));
    table[k] = std::max(table[k], table[k - 1]);
  }
  return table;
}

double unit_of(double error_rate) { return std::log((1 - error_rate) / error_rate) / channel_message; }

/// What the rows send back.
Messages from_rows(const Ensemble& ensemble, const Messages& messages) {
  const double unit = unit_of(ensemble.error_rate);
  double edges = 0;
  for (std::size_t d = 0; d < ensemble.row_share.size(); ++d) edges += static_cast<double>(d) * ensemble.row_share[d];
  Messages out{};
  double sent = 0;
  for (std::size_t d = 2; d < ensemble.row_share.size(); ++d) {
    if (ensemble.row_share[d] == 0) continue;
    const double weight = static_cast<double>(d) * ensemble.row_share[d] / edges;
    const Smallest smallest = smallest_of(messages, d);
    const CheckTable table = table_of(smallest, unit);
    for (std::size_t k = 1; k <= message_max; ++k) {
      out[message_max + table[k]] += static_cast<float>(weight * smallest.right[k]);
      out[static_cast<std::size_t>(message_max - table[k])] += static_cast<float>(weight * smallest.wrong[k]);
      sent += weight * (smallest.right[k] + smallest.wrong[k]);
    }
  }
  out[message_max] += static_cast<float>(std::max(0.0, 1 - sent));
  return out;
}

double mean_sign(const Messages& messages) {
  double mean = 0;
  for (std::size_t k = 1; k <= message_max; ++k) mean += static_cast<double>(messages[message_max + k]) - static_cast<double>(messages[message_max - k]);
  return mean;
}

}  // namespace

std::vector<EvolutionStep> evolve(const Ensemble& ensemble, std::size_t iterations_max) {
  Messages silent{};
  silent[message_max] = 1;
  std::array<Messages, groups> sent;
  sent.fill(silent);
  std::vector<EvolutionStep> steps;
  while (steps.size() < iterations_max) {
    EvolutionStep step;
    for (Messages& of_group : sent) {
      Messages mixed{};
      for (const Messages& one : sent)
        for (std::size_t i = 0; i < mixed.size(); ++i) mixed[i] += one[i] / static_cast<float>(groups);
      const Messages messages = from_columns(ensemble, mixed);
      of_group = from_rows(ensemble, messages);
      for (std::size_t i = 0; i < messages.size(); ++i) step.messages[i] += messages[i] / static_cast<float>(groups);
    }
    step.mean_sign = mean_sign(step.messages);
    const bool stuck = steps.size() > 4 && step.mean_sign < steps.back().mean_sign + 1e-5;
    steps.push_back(step);
    if (1 - step.mean_sign < 2 * settled) return steps;
    if (stuck) break;
  }
  return {};
}

CheckTable check_table(const EvolutionStep& step, std::size_t degree, double error_rate) {
  return table_of(smallest_of(step.messages, degree), unit_of(error_rate));
}

}  // namespace qanat::qkd
