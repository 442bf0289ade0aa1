// Numbers as text for plots: the same in every locale.
#pragma once

#include <string>

namespace qanat::qkd {

/// With this many digits after the point: "12.50".
std::string fixed_text(double value, int decimals);
/// As short as six digits allow: "0.2", "1e-06".
std::string general_text(double value);
/// The exponent raised: "10⁻³".
std::string power_of_ten(int exponent);
/// "10⁷", "2.5·10⁵", "500": a block size or rate for a label.
std::string short_number(double value);

}  // namespace qanat::qkd
