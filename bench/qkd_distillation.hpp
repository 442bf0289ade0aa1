// Sifted to secret, both ends: two processes joined by TCP over the loopback interface, several lanes each. Everything between the sifted bits
// and the secret ones is timed: error correction, assessment, verification, privacy amplification, framing, tags, the socket.
// Not in it: sifting, the optics, writing to disk.
#pragma once

#include "report.hpp"

namespace qanat::bench {

/// Adds a row per operating point. Starts two processes by fork: call it while this process has one thread.
Result<void> measure_distillation(Report& report);

}  // namespace qanat::bench
