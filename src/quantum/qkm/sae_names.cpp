#include "quantum/qkm/sae_names.hpp"

namespace qanat::qkm {
namespace {

constexpr char between_names = '\n';

}  // namespace

std::string joined_names(const std::vector<kme::SaeId>& names) {
  std::string out;
  for (const kme::SaeId& name : names) out.append(out.empty() ? "" : std::string(1, between_names)).append(name.text());
  return out;
}

std::vector<kme::SaeId> split_names(std::string_view text) {
  std::vector<kme::SaeId> out;
  while (true) {
    const std::size_t end = text.find(between_names);
    out.emplace_back(std::string(text.substr(0, end)));
    if (end == std::string_view::npos) return out;
    text.remove_prefix(end + 1);
  }
}

}  // namespace qanat::qkm
