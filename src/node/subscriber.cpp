#include "node/subscriber.hpp"

#include <algorithm>

namespace qanat::node {
namespace {

constexpr std::size_t name_max = 64;
constexpr std::size_t number_min = 3;
constexpr std::size_t number_max = 32;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_name(std::string_view text) {
  constexpr std::string_view further = "._-";
  return !text.empty() && text.size() <= name_max &&
         std::ranges::all_of(text, [&](char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || further.contains(c); });
}

}  // namespace

Result<Uid> parse_uid(std::string_view text) {
  if (!is_name(text)) return fail(ErrorCode::invalid_argument, "a uid must be 1 to 64 letters, digits, '.', '_' or '-'");
  return Uid(std::string(text));
}

Result<ElementName> parse_element_name(std::string_view text) {
  if (!is_name(text)) return fail(ErrorCode::invalid_argument, "an element's name must be 1 to 64 letters, digits, '.', '_' or '-'");
  return ElementName(std::string(text));
}

Result<Number> parse_number(std::string_view text) {
  if (text.size() < number_min || text.size() > number_max || text.front() != '+' || !std::ranges::all_of(text.substr(1), is_digit)) {
    return fail(ErrorCode::invalid_argument, "a number must be '+' and 2 to 31 digits");
  }
  return Number(std::string(text));
}

Result<Kind> parse_device(std::string_view text) {
  ASSIGN_OR_RETURN(const Kind kind, parse_kind(text));
  if (!apps.has(kind)) return fail(ErrorCode::invalid_argument, "'" + std::string(text) + "' is no kind of terminal");
  return kind;
}

}  // namespace qanat::node
