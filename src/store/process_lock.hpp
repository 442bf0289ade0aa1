// One process per database: an flock on `<file>.lock`, which the kernel gives back however the process ends.
#pragma once

#include <filesystem>

#include "base/result.hpp"

namespace qanat::store {

class ProcessLock {
 public:
  /// `conflict`, naming the lock file, if another holder has it; never waits. The lock file stays behind: removing it would let two
  /// processes hold locks on two files of one name.
  static Result<ProcessLock> acquire(const std::filesystem::path& file);
  ProcessLock(ProcessLock&& other) noexcept;
  ProcessLock(const ProcessLock&) = delete;
  ProcessLock& operator=(const ProcessLock&) = delete;
  ProcessLock& operator=(ProcessLock&&) = delete;
  ~ProcessLock();

 private:
  explicit ProcessLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

/// Creates the file with mode 0600 if there is none, takes group's and others' rights from one that exists, and makes its directory
/// entry durable. A symbolic link or anything but a regular file is refused.
Result<void> make_private_file(const std::filesystem::path& file);

}  // namespace qanat::store
