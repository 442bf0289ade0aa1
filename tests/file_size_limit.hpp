// Stands for a full disk: while it lives, no file of this process grows past `octets`; the write fails with EFBIG.
#pragma once

#include <signal.h>
#include <sys/resource.h>

#include "base/check.hpp"

namespace qanat::test {

class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t octets) {
    previous_action_ = ::signal(SIGXFSZ, SIG_IGN);
    CHECK(::getrlimit(RLIMIT_FSIZE, &previous_) == 0);
    const rlimit limit{.rlim_cur = octets, .rlim_max = previous_.rlim_max};
    CHECK(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  }
  ~FileSizeLimit() {
    CHECK(::setrlimit(RLIMIT_FSIZE, &previous_) == 0);
    (void)::signal(SIGXFSZ, previous_action_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit previous_{};
  void (*previous_action_)(int) = nullptr;
};

}  // namespace qanat::test
