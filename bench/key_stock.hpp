// The QKM's key stock by itself: how fast keys come in, and what one costs to claim and to redeem, with 10^3 to 10^7 of them in stock.
#pragma once

#include <filesystem>

#include "report.hpp"

namespace qanat::bench {

Result<void> measure_key_stock(Report& report, const std::filesystem::path& within, std::size_t keys_max);

}  // namespace qanat::bench
