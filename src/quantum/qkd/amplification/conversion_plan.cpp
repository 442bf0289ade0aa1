#include "quantum/qkd/amplification/conversion_plan.hpp"

#include <algorithm>
#include <bit>

namespace qanat::qkd::gf2 {

void ConversionPlan::push(unsigned block, unsigned distance) {
  steps.at(count++) = {.block = static_cast<std::uint8_t>(block), .distance = static_cast<std::uint8_t>(distance)};
}

void ConversionPlan::add(unsigned m, unsigned k, unsigned unit) {
  if (k >= m) k = m - 1;  // the topmost bit of i is a power 0 or 1 of one s_b in either basis
  if (k == 0) return;
  if (m == 8 && unit == 0) {
    rows_wait = true;
    return;
  }
  if (m == 4 && k == 3 && unit == 8 && rows_wait) {
    push(12, 9);
    push(11, sequence_eight_rows);
    push(12, 10);
    rows_wait = false;
    return;
  }
  const unsigned q = std::bit_floor(k);
  for (unsigned level = m; level > q; --level) {
    if (level == 11 && q == 8 && unit == 0) {
      push(11, sequence_levels);
      break;
    }
    push(level + unit, level - 1 - q + unit);
  }
  add(q, q, unit);
  add(m - q, k - q, unit + q);
}

void ConversionPlan::add_all(unsigned bits_log) {
  add(bits_log, bits_log - element_bits_log, 0);
  if (rows_wait) push(8, sequence_rows);
  rows_wait = false;
}

ConversionPlan conversion_plan(unsigned bits_log, bool reversed) {
  ConversionPlan plan;
  plan.add_all(bits_log);
  if (reversed) std::reverse(plan.steps.begin(), plan.steps.begin() + static_cast<std::ptrdiff_t>(plan.count));
  return plan;
}

}  // namespace qanat::qkd::gf2
