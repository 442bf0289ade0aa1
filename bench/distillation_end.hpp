// One end of the distillation bench: its lanes, each with a connection and a pool of authentication keys of its own, over keys that were
// made beforehand.
#pragma once

#include <string>
#include <vector>

#include "quantum/qkd/process/frame_stream.hpp"
#include "quantum/qkd/session/settings.hpp"
#include "quantum/qkd/sifting/sifting.hpp"

namespace qanat::bench {

struct DistillationPlan {
  std::string name;
  qkd::SessionSettings settings;  // block_size: sifted bits per block
  double qber = 0.02;
  std::size_t lanes = 2;
  std::size_t blocks = 8;  // per lane
};

/// What one end tells when it is through; goes through a pipe as it is.
struct DistillationTally {
  std::uint64_t sifted_bits = 0;
  std::uint64_t secret_bits = 0;
  std::uint64_t disclosed_bits = 0;     // by Alice
  std::uint64_t disclosed_both = 0;     // by either
  std::uint64_t octets = 0;             // on the wire, both directions
  double cpu_s = 0.0;                   // of the whole process, from the start signal on
  double reconciliation_s = 0.0;        // processor time of all lanes
  double amplification_s = 0.0;         // with assessment and verification
  double channel_s = 0.0;               // frames, tags, socket
  std::array<std::uint8_t, 32> keys{};  // SHA-256 over all secret bits, lane by lane
  bool ok = false;
  std::array<char, 200> error{};
};

enum class End : std::uint8_t { alice, bob };

/// One lane's sifted keys, the same for both ends but for Bob's errors.
std::vector<qkd::SiftedBlock> sifted_blocks(const DistillationPlan& plan, End end, std::size_t lane);
/// All lanes, each in a thread; `channels` has one per lane.
DistillationTally distil(const DistillationPlan& plan, End end, std::vector<qkd::FrameStream> channels, std::vector<std::vector<qkd::SiftedBlock>> keys);

}  // namespace qanat::bench
