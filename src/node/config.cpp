#include "node/config.hpp"

#include <fmt/format.h>

#include <functional>
#include <optional>
#include <set>
#include <toml++/toml.h>

namespace qanat::node {

struct Config::Document {
  std::string file;
  toml::table root;
  std::optional<Error> complaint;
  std::set<std::string> read;  // full paths of keys and tables that somebody asked for

  void complain(std::uint32_t line, const std::string& what) {
    if (!complaint) complaint = Error{ErrorCode::invalid_argument, fmt::format("{}:{}: {}", file, line, what)};
  }
};

struct Config::Place {
  const toml::table* table;  // nullptr: absent
  std::string path;          // "kms.pool."
};

Config::Config(std::shared_ptr<Document> document, std::shared_ptr<Place> place) : document_(std::move(document)), place_(std::move(place)) {}

Result<Config> Config::read(const std::filesystem::path& file) {
  auto document = std::make_shared<Document>();
  document->file = file.filename().string();
  try {
    document->root = toml::parse_file(file.string());
  } catch (const toml::parse_error& error) {
    if (error.source().begin.line == 0) return fail(ErrorCode::not_found, fmt::format("{}: {}", file.string(), error.description()));
    return fail(ErrorCode::invalid_argument, fmt::format("{}:{}: {}", document->file, error.source().begin.line, error.description()));
  }
  auto place = std::make_shared<Place>(&document->root, "");
  return Config(std::move(document), std::move(place));
}

namespace {

template <class T>
const T* value_of(const toml::node* node) {
  const auto* value = node == nullptr ? nullptr : node->as<T>();
  return value == nullptr ? nullptr : &value->get();
}

}  // namespace

#define QANAT_LOOK_UP(key)                                               \
  const std::string path = place_->path + std::string(key);             \
  document_->read.insert(path);                                          \
  const toml::node* node = place_->table == nullptr ? nullptr : place_->table->get(key); \
  const std::uint32_t line = node == nullptr ? 1 : node->source().begin.line

Config Config::table(std::string_view name) {
  QANAT_LOOK_UP(name);
  const toml::table* inner = node == nullptr ? nullptr : node->as_table();
  if (node != nullptr && inner == nullptr) document_->complain(line, fmt::format("{}: must be a table", path));
  return Config(document_, std::make_shared<Place>(inner, path + "."));
}

std::vector<std::string> Config::table_names() {
  std::vector<std::string> out;
  if (place_->table == nullptr) return out;
  for (const auto& [key, node] : *place_->table) {
    if (node.is_table()) out.emplace_back(key.str());
  }
  return out;
}

std::string Config::text(std::string_view key, std::string_view absent) {
  QANAT_LOOK_UP(key);
  if (node == nullptr) return std::string(absent);
  if (const std::string* value = value_of<std::string>(node)) return *value;
  document_->complain(line, fmt::format("{}: must be a text in quotes", path));
  return std::string(absent);
}

std::string Config::text(std::string_view key) {
  std::string out = text(key, "");
  if (out.empty()) {
    QANAT_LOOK_UP(key);
    document_->complain(line, fmt::format("{}: is required", path));
  }
  return out;
}

std::int64_t Config::integer(std::string_view key, std::int64_t min, std::int64_t max, std::int64_t absent) {
  QANAT_LOOK_UP(key);
  if (node == nullptr) return absent;
  const std::int64_t* value = value_of<std::int64_t>(node);
  if (value == nullptr) {
    document_->complain(line, fmt::format("{}: must be a whole number", path));
    return absent;
  }
  if (*value < min || *value > max) {
    document_->complain(line, fmt::format("{} = {}: must be between {} and {}", path, *value, min, max));
    return absent;
  }
  return *value;
}

std::int64_t Config::integer(std::string_view key, std::int64_t min, std::int64_t max) {
  QANAT_LOOK_UP(key);
  if (node == nullptr) document_->complain(line, fmt::format("{}: is required", path));
  return integer(key, min, max, min);
}

double Config::real(std::string_view key, double min, double max, double absent) {
  QANAT_LOOK_UP(key);
  if (node == nullptr) return absent;
  const std::optional<double> value = node->value<double>();
  if (!value || !(*value >= min && *value <= max)) {
    document_->complain(line, fmt::format("{}: must be a number between {} and {}", path, min, max));
    return absent;
  }
  return *value;
}

bool Config::flag(std::string_view key, bool absent) {
  QANAT_LOOK_UP(key);
  if (node == nullptr) return absent;
  if (const bool* value = value_of<bool>(node)) return *value;
  document_->complain(line, fmt::format("{}: must be true or false", path));
  return absent;
}

std::vector<std::string> Config::texts(std::string_view key) {
  QANAT_LOOK_UP(key);
  std::vector<std::string> out;
  if (node == nullptr) return out;
  const toml::array* array = node->as_array();
  if (array == nullptr) {
    document_->complain(line, fmt::format("{}: must be a list of texts", path));
    return out;
  }
  for (const toml::node& element : *array) {
    const std::string* value = value_of<std::string>(&element);
    if (value == nullptr) {
      document_->complain(line, fmt::format("{}: must be a list of texts", path));
      return {};
    }
    out.push_back(*value);
  }
  return out;
}

void Config::reject(std::string_view key, std::string why) {
  QANAT_LOOK_UP(key);
  document_->complain(line, fmt::format("{}: {}", path, why));
}

#undef QANAT_LOOK_UP

namespace {

void find_unread(const toml::table& table, const std::string& path, const std::set<std::string>& read, const std::function<void(std::uint32_t, std::string)>& found) {
  for (const auto& [key, node] : table) {
    const std::string full = path + std::string(key.str());
    if (!read.contains(full)) {
      found(key.source().begin.line, full);
    } else if (const toml::table* inner = node.as_table()) {
      find_unread(*inner, full + ".", read, found);
    }
  }
}

}  // namespace

Result<void> Config::finish() {
  find_unread(document_->root, "", document_->read,
              [&](std::uint32_t line, const std::string& path) { document_->complain(line, fmt::format("{}: no such setting", path)); });
  if (document_->complaint) return fail(*document_->complaint);
  return {};
}

}  // namespace qanat::node
