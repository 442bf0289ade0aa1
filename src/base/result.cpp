#include "base/result.hpp"

#include <array>

namespace qanat {
namespace {

struct Row {
  ErrorCode code;
  std::string_view name;
};
constexpr std::array rows{
    Row{ErrorCode::invalid_argument, "invalid_argument"}, Row{ErrorCode::unauthenticated, "unauthenticated"},
    Row{ErrorCode::denied, "denied"},                     Row{ErrorCode::not_found, "not_found"},
    Row{ErrorCode::conflict, "conflict"},                 Row{ErrorCode::exhausted, "exhausted"},
    Row{ErrorCode::unavailable, "unavailable"},           Row{ErrorCode::deadline_exceeded, "deadline_exceeded"},
    Row{ErrorCode::internal, "internal"},
};

}  // namespace

std::string_view name(ErrorCode code) noexcept {
  for (const Row& row : rows) {
    if (row.code == code) return row.name;
  }
  return "internal";
}

ErrorCode error_code_from_name(std::string_view text) noexcept {
  for (const Row& row : rows) {
    if (row.name == text) return row.code;
  }
  return ErrorCode::internal;
}

}  // namespace qanat
