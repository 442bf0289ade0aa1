#include "node/configured_names.hpp"

#include "node/subscriber.hpp"

namespace qanat::node {
namespace {

std::optional<ElementName> checked(Config& table, std::string_view key, const std::string& text) {
  auto name = parse_element_name(text);
  if (name) return *std::move(name);
  table.reject(key, name.error().message);
  return std::nullopt;
}

}  // namespace

ElementName element_name(Config& table, std::string_view key) { return checked(table, key, table.text(key)).value_or(ElementName()); }

std::optional<ElementName> optional_element_name(Config& table, std::string_view key) {
  const std::string text = table.text(key, "");
  return text.empty() ? std::nullopt : checked(table, key, text);
}

std::vector<ElementName> element_names(Config& table, std::string_view key) {
  std::vector<ElementName> out;
  for (const std::string& text : table.texts(key)) {
    if (auto name = checked(table, key, text)) out.push_back(*std::move(name));
  }
  return out;
}

}  // namespace qanat::node
