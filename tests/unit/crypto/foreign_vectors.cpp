#include "unit/crypto/foreign_vectors.hpp"

#include <fstream>
#include <iterator>
#include <stdexcept>

namespace qanat::crypto::testing {
namespace {

std::string trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t\r") - first + 1));
}

std::ifstream open_vectors(std::string_view library, std::string_view file) {
  return std::ifstream(std::string(QANAT_SOURCE_DIR "/.deps/") + std::string(library) + "/vectors/" + std::string(file));
}

}  // namespace

void Vector::set(std::string name, std::string value) {
  for (auto& line : lines_) {
    if (line.first == name) {
      line.second = std::move(value);
      return;
    }
  }
  add(std::move(name), std::move(value));
}

const std::string* Vector::find(std::string_view name) const {
  for (const auto& line : lines_) {
    if (line.first == name) return &line.second;
  }
  return nullptr;
}

std::string Vector::text(std::string_view name) const {
  const std::string* value = find(name);
  return value == nullptr ? std::string() : *value;
}

Bytes Vector::octets(std::string_view name) const {
  const std::string value = text(name);
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"') return to_bytes(std::string_view(value).substr(1, value.size() - 2));
  return hex(value.starts_with("0x") ? std::string_view(value).substr(2) : std::string_view(value));
}

std::optional<std::string> Vector::prefixed(std::string_view name, std::string_view prefix) const {
  for (const auto& line : lines_) {
    if (line.first == name && line.second.starts_with(prefix)) return line.second.substr(prefix.size());
  }
  return std::nullopt;
}

std::vector<Vector> openssl_vectors(std::string_view file) {
  std::vector<Vector> out;
  Vector current;
  std::ifstream in = open_vectors("openssl", file);
  const auto finish = [&] {
    if (!current.empty()) out.push_back(std::exchange(current, {}));
  };
  for (std::string line; std::getline(in, line);) {
    if (trimmed(line).empty()) {
      finish();
    } else if (const std::size_t equals = line.find('='); line.front() != '#' && equals != std::string::npos) {
      current.add(trimmed(std::string_view(line).substr(0, equals)), trimmed(std::string_view(line).substr(equals + 1)));
    }
  }
  finish();
  return out;
}

std::vector<Vector> botan_vectors(std::string_view file, std::string_view section, std::string_view last) {
  std::vector<Vector> out;
  Vector current;
  std::string at;
  std::ifstream in = open_vectors("botan", file);
  for (std::string line; std::getline(in, line);) {
    line = trimmed(line);
    if (line.starts_with('[')) {
      at = line.substr(1, line.size() - 2);
      current = {};
      continue;
    }
    const std::size_t equals = line.find('=');
    if (line.starts_with('#') || equals == std::string::npos || at != section) continue;
    const std::string name = trimmed(std::string_view(line).substr(0, equals));
    current.set(name, trimmed(std::string_view(line).substr(equals + 1)));
    if (name == last) out.push_back(current);
  }
  return out;
}

std::vector<std::string> c_strings(std::string_view file, std::string_view marker) {
  std::ifstream in = open_vectors("openssl", file);
  const std::string source{std::istreambuf_iterator<char>(in), {}};
  std::vector<std::string> out;
  std::size_t at = source.find(marker);
  while (at != std::string::npos) {
    const std::size_t open = source.find('"', at);
    if (open == std::string::npos) break;
    const std::size_t close = source.find('"', open + 1);
    if (close == std::string::npos) break;
    out.push_back(source.substr(open + 1, close - open - 1));
    at = close + 1;
  }
  return out;
}

Bytes hex(std::string_view text) {
  auto octets = from_hex(text);
  if (!octets) throw std::invalid_argument("not hexadecimal: " + std::string(text.substr(0, 40)));
  return std::move(*octets);
}

}  // namespace qanat::crypto::testing
