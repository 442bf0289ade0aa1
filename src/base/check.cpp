#include "base/check.hpp"

#include <cstdio>
#include <cstdlib>

namespace qanat {

void check_failed(const char* condition, const char* file, int line) noexcept {
  std::fprintf(stderr, "%s:%d: CHECK(%s) failed: a bug in this program; stopping\n", file, line, condition);
  std::abort();
}

}  // namespace qanat
