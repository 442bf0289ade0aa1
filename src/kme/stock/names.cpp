#include "kme/stock/names.hpp"

namespace qanat::kme {
namespace {

constexpr char between_names = '\n';

}  // namespace

std::string joined_names(const std::vector<SaeId>& names) {
  std::string out;
  for (const SaeId& name : names) out.append(out.empty() ? "" : std::string(1, between_names)).append(name.text());
  return out;
}

std::vector<SaeId> split_names(std::string_view text) {
  std::vector<SaeId> out;
  while (true) {
    const std::size_t end = text.find(between_names);
    out.emplace_back(std::string(text.substr(0, end)));
    if (end == std::string_view::npos) return out;
    text.remove_prefix(end + 1);
  }
}

}  // namespace qanat::kme
