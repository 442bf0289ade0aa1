// Makes a log's checkpoints: one each second if something was appended, signed, durable, in the file `checkpoint` beside the tiles. A thread of its own; a
// checkpoint that cannot be written makes the log refuse every further action.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "audit/audit.hpp"
#include "audit/checkpoint.hpp"

namespace qanat::audit {

class Checkpoints {
 public:
  /// Told, from the thread, why there will be no further checkpoint.
  using Failed = std::function<void(const Error&)>;
  /// Reads the last checkpoint: `denied` if it bears one of the signer's key ids and its signatures do not hold, or another log's origin. One by other
  /// keys altogether is passed over and recorded: whoever replaces the element's keys begins anew. Log, clock and generator outlive the object.
  static Result<std::unique_ptr<Checkpoints>> open(Log& log, CheckpointSigner signer, const Clock& clock, crypto::Rng& rng);
  ~Checkpoints();
  Checkpoints(const Checkpoints&) = delete;
  Checkpoints& operator=(const Checkpoints&) = delete;

  void start(std::chrono::milliseconds every, Failed failed);
  /// Ends the thread and makes a last checkpoint. Idempotent.
  void stop();

  /// A checkpoint now, if lines came since the last one. After a failure the log refuses everything.
  Result<void> make();
  /// Further signatures over the checkpoint of that size (a witness's), put under it; `conflict` if there is a newer one by now.
  Result<void> add_signatures(std::uint64_t size, const std::vector<NoteSignature>& signatures);
  /// The last one; a size of 0 and an empty text if there is none yet.
  struct Latest {
    TreeHead head;
    Note note;
  };
  [[nodiscard]] Latest latest() const;
  [[nodiscard]] const CheckpointSigner& signer() const noexcept { return signer_; }

 private:
  Checkpoints(Log& log, CheckpointSigner signer, const Clock& clock, crypto::Rng& rng);
  Result<void> write(const Note& note);

  Log& log_;
  const CheckpointSigner signer_;
  const Clock& clock_;
  crypto::Rng& rng_;
  mutable std::mutex mutex_;  // guards latest_ and the file
  Latest latest_;
  std::mutex wake_mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;
};

}  // namespace qanat::audit
