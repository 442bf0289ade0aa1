// How many parities a frame needs.
#pragma once

#include <cstddef>

namespace qanat::qkd {

/// Of Shannon's binary entropy, bits per bit.
double entropy_of_error_rate(double error_rate) noexcept;
/// The inverse, 0 .. 1/2.
double error_rate_of_entropy(double entropy) noexcept;

/// Rows of 128 parities for Alice to begin with: enough for most frames of `columns` columns at this error rate. Within the code's limits.
std::size_t first_rows(std::size_t columns, double error_rate) noexcept;
/// Rows with which a frame that shows this error rate about decodes.
std::size_t needed_rows(std::size_t columns, double error_rate) noexcept;
/// Rows below which an attempt at such a frame is in vain.
std::size_t hopeless_rows(std::size_t columns, double error_rate) noexcept;

}  // namespace qanat::qkd
