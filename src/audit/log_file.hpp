// The file under the audit log: locked, mode 0600, append-only, and no write counts before it is on the disk. Private to audit.
#pragma once

#include <cstdint>
#include <filesystem>

#include "audit/chain.hpp"
#include "base/result.hpp"

namespace qanat::audit {

class LogFile {
 public:
  /// Opens or creates for appending. `conflict` if another process writes this log, `internal` if it is not a regular file.
  static Result<LogFile> open(const std::filesystem::path& file);
  /// For verification alone: no lock, nothing created.
  static Result<LogFile> open_to_read(const std::filesystem::path& file);
  LogFile(LogFile&& other) noexcept;
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;
  LogFile& operator=(LogFile&&) = delete;
  ~LogFile();

  /// Reads the whole file through the verifier, in pieces; afterwards size() is the file's.
  Result<void> verify(ChainVerifier& verifier);
  /// On the disk when it returns a value. After a failure the file may end in a part of `octets`.
  Result<void> append_durably(ByteView octets);
  Result<void> truncate(std::uint64_t size);
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }

 private:
  LogFile(int descriptor, std::string name) : descriptor_(descriptor), name_(std::move(name)) {}
  [[nodiscard]] std::unexpected<Error> failure(std::string_view step, int error) const;
  int descriptor_;
  std::string name_;
  std::uint64_t size_ = 0;  // what is known to be on the disk
};

}  // namespace qanat::audit
