// An open file, socket or folder that is closed when it goes.
#pragma once

#include <unistd.h>

namespace qanat {

/// What open(2) gave, closed when it goes. A failed open is held too: the caller looks at it with errno untouched.
class FileDescriptor {
 public:
  explicit FileDescriptor(int descriptor) noexcept : descriptor_(descriptor) {}
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() {
    if (is_open()) (void)::close(descriptor_);
  }
  [[nodiscard]] int get() const noexcept { return descriptor_; }
  [[nodiscard]] bool is_open() const noexcept { return descriptor_ >= 0; }

 private:
  int descriptor_;
};

}  // namespace qanat
