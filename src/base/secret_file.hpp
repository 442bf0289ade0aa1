// Secrets that an operator charges by file: lower-case hexadecimal digits or a line of text, mode 0600, read into locked memory and nowhere before; and
// files that a secret is put into.
#pragma once

#include <filesystem>
#include <utility>

#include "base/result.hpp"
#include "base/secret.hpp"

namespace qanat {

/// The octets that the digits stand for: a whole multiple of `unit`, at most `units_max` times. One new line may follow. not_found, denied if
/// others can read the file, invalid_argument for anything else in it, internal if it cannot be read.
Result<Secret> read_secret_file(const std::filesystem::path& file, std::size_t unit, std::size_t units_max = 1);

/// A password: the file's one line, 1 to `octets_max` octets.
Result<Secret> read_secret_line(const std::filesystem::path& file, std::size_t octets_max);

/// The digits themselves, where it is the text that keys something: 2 · `octets` of them.
Result<Secret> read_secret_digits(const std::filesystem::path& file, std::size_t octets);

/// A new file of mode 0600 that is there before the secret is, so that nothing is spent for one that has no place to go. It is removed again unless it is kept.
class NewSecretFile {
 public:
  /// conflict if there is such a file already, internal if it cannot be made.
  static Result<NewSecretFile> make(const std::filesystem::path& file);
  NewSecretFile(NewSecretFile&& other) noexcept : file_(std::exchange(other.file_, {})), descriptor_(std::exchange(other.descriptor_, -1)) {}
  NewSecretFile(const NewSecretFile&) = delete;
  NewSecretFile& operator=(const NewSecretFile&) = delete;
  NewSecretFile& operator=(NewSecretFile&&) = delete;
  ~NewSecretFile();

  /// The octets as they are, whole on the disk; once.
  Result<void> write(const Secret& octets);
  void keep() noexcept { file_.clear(); }

 private:
  NewSecretFile(std::filesystem::path file, int descriptor) : file_(std::move(file)), descriptor_(descriptor) {}
  std::filesystem::path file_;  // empty: it stays
  int descriptor_;
};
/// All of it at once: a new file that holds the octets.
Result<void> write_secret_file(const std::filesystem::path& file, const Secret& octets);

}  // namespace qanat
