// What a list of measurements says.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

namespace qanat::bench {

/// The smallest value that at least the fraction `part` (0..1] of the values do not exceed (nearest rank). 0 if there is none.
inline double quantile(std::vector<double> values, double part) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const auto rank = static_cast<std::size_t>(std::ceil(part * static_cast<double>(values.size())));
  return values[std::clamp<std::size_t>(rank, 1, values.size()) - 1];
}

/// The middle value; of an even number of values the mean of the two in the middle.
inline double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

}  // namespace qanat::bench
