// How a process that distils keeps its ordinary memory: frames of megabytes come and go with every block, and giving their pages back to the system each
// time costs about a tenth of all that is done to a block (page faults, clearing). Secrets keep theirs by themselves (base/secret.cpp).
#pragma once

#include <malloc.h>

namespace qanat::qkd {

/// For the whole process: freed memory stays with it, up to keep_octets_max on top of what is in use. Harmless to call again.
inline void keep_large_blocks() {
  constexpr int keep_octets_max = 128 << 20;
  constexpr int own_mapping_from = 32 << 20;  // the largest that glibc takes
  (void)::mallopt(M_MMAP_THRESHOLD, own_mapping_from);
  (void)::mallopt(M_TRIM_THRESHOLD, keep_octets_max);
}

}  // namespace qanat::qkd
