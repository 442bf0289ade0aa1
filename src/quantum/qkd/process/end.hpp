// One end of a link as its process drives it: carries out what the session asks for, keeps the facts for display. No sockets, no clock of
// its own: AliceEnd and BobEnd are driven by the service, or by a test.
#pragma once

#include <functional>
#include <mutex>

#include "crypto/suite.hpp"
#include "node/log.hpp"
#include "quantum/qkd/process/exchange.hpp"
#include "quantum/qkd/process/records.hpp"

namespace qanat::qkd {

/// What an end works with; all references outlive it.
struct EndParts {
  const SessionSettings& settings;
  Records& records;
  crypto::Rng& random;
  const Clock& clock;
  const crypto::Suite* suite = nullptr;  // for agreeing on a first key; none: the first key was brought
  std::function<void()> block_stored;    // there is something to bring to the QKM
};

struct EndFacts {
  std::uint64_t blocks = 0;  // since the start of the process
  std::uint64_t failed_blocks = 0;
  std::uint64_t sessions = 0;
  bool connected = false;
  std::uint64_t last_block_id = 0;
  std::optional<BlockSummary> last_block;
  std::string last_failure;  // of a block or of a session
};

/// The frames to send, once everything is stored that must be stored before. A failure ends the session: its memory is ahead of the disk.
class StepRunner {
 public:
  explicit StepRunner(EndParts parts) : parts_(std::move(parts)) {}

  Result<std::vector<Bytes>> carry_out(Step step);
  /// From the records.
  Result<DurableState> load_state();
  /// Nothing was agreed yet, or nothing has come of it: no block was ever finished with it.
  Result<bool> may_agree_first_key();
  /// Begins from this secret. Block ids count on from the present time.
  Result<void> begin_from(const Secret& preshared);
  [[nodiscard]] const EndParts& parts() const noexcept { return parts_; }
  [[nodiscard]] EndFacts facts() const;
  void set_connected(bool connected);
  void note_failure(std::string_view what);
  void count_session();

 private:
  const EndParts parts_;
  mutable std::mutex mutex_;
  EndFacts facts_;
};

}  // namespace qanat::qkd
