// Armed crash points, linked into qanat-crashtest only. QANAT_CRASH_AT names the place,
// QANAT_CRASH_ONCE a file that is made at the crash and prevents further ones, so that the
// restarted process lives.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

#include "node/crash_point.hpp"

namespace qanat::node {

void crash_point(std::string_view place) noexcept {
  const char* at = std::getenv("QANAT_CRASH_AT");
  if (at == nullptr || place != at) return;
  if (const char* once = std::getenv("QANAT_CRASH_ONCE")) {
    const int descriptor = ::open(once, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (descriptor < 0) return;
    ::close(descriptor);
  }
  ::kill(::getpid(), SIGKILL);
}

}  // namespace qanat::node
