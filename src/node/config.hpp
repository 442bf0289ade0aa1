// A configuration file read strictly: every key that is there must be read, every value must be in its bounds, and each complaint
// names file and line: `kms.toml:14: pool.keys_max = 0: must be between 1 and 1000000`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace qanat::node {

/// One table of the file. Getters record the first complaint and return the default; finish() returns it. So a settings struct is read
/// in one go and checked once.
class Config {
 public:
  static Result<Config> read(const std::filesystem::path& file);

  /// The sub-table `name`; an absent one reads as empty.
  [[nodiscard]] Config table(std::string_view name);
  /// Names of the sub-tables, in file order (for [peers.<name>]).
  [[nodiscard]] std::vector<std::string> table_names();

  std::string text(std::string_view key, std::string_view absent);
  /// Must be there and not empty.
  std::string text(std::string_view key);
  std::int64_t integer(std::string_view key, std::int64_t min, std::int64_t max, std::int64_t absent);
  std::int64_t integer(std::string_view key, std::int64_t min, std::int64_t max);
  double real(std::string_view key, double min, double max, double absent);
  bool flag(std::string_view key, bool absent);
  std::vector<std::string> texts(std::string_view key);

  /// A complaint of the caller's own about a key of this table.
  void reject(std::string_view key, std::string why);

  /// The first complaint, or one about a key that nobody read, in the whole file.
  Result<void> finish();

  struct Document;
  struct Place;

 private:
  Config(std::shared_ptr<Document> document, std::shared_ptr<Place> place);
  std::shared_ptr<Document> document_;  // shared by all tables of one file
  std::shared_ptr<Place> place_;        // which table; shared by copies of this value
};

}  // namespace qanat::node
