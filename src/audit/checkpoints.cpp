#include "audit/checkpoints.hpp"

#include <algorithm>

#include "audit/files.hpp"
#include "audit/opening.hpp"

namespace qanat::audit {

Checkpoints::Checkpoints(Log& log, CheckpointSigner signer, const Clock& clock, crypto::Rng& rng)
    : log_(log), signer_(std::move(signer)), clock_(clock), rng_(rng) {}
Checkpoints::~Checkpoints() { stop(); }

Result<std::unique_ptr<Checkpoints>> Checkpoints::open(Log& log, CheckpointSigner signer, const Clock& clock, crypto::Rng& rng) {
  std::unique_ptr<Checkpoints> out(new Checkpoints(log, std::move(signer), clock, rng));
  const std::filesystem::path file = checkpoint_file(log.folder());
  ASSIGN_OR_RETURN(const std::optional<Bytes> octets, read_small_file(file, note_octets_max));
  if (!octets) return Result<std::unique_ptr<Checkpoints>>(std::move(out));
  ASSIGN_OR_RETURN(Note note, parse_note(as_text(*octets)));
  ASSIGN_OR_RETURN(const Checkpoint last, parse_checkpoint(note.text));
  if (last.origin != out->signer_.name()) return fail(ErrorCode::denied, file.string() + ": is of the log of " + last.origin);
  const std::vector<LogKey> keys = out->signer_.keys();
  if (!std::ranges::any_of(keys, [&](const LogKey& key) { return names_key(note, key); })) {
    TRY(log.append({.action = "audit.keys_changed",
                    .outcome = Outcome::failure,
                    .subject = {},
                    .object = std::to_string(last.head.size),
                    .reason = "the last checkpoint bears no signature of this element's keys",
                    .request_id = {}}));
    return Result<std::unique_ptr<Checkpoints>>(std::move(out));
  }
  if (const auto held = verify_signatures(keys, last, note); !held) return fail_in(file.string(), held.error());
  out->latest_ = {.head = last.head, .note = std::move(note)};
  return Result<std::unique_ptr<Checkpoints>>(std::move(out));
}

void Checkpoints::start(std::chrono::milliseconds every, Failed failed) {
  thread_ = std::jthread([this, every, failed = std::move(failed)](const std::stop_token& stopped) {
    while (true) {
      {
        std::unique_lock lock(wake_mutex_);
        wake_.wait_for(lock, stopped, every, [] { return false; });
      }
      if (stopped.stop_requested()) return;
      if (const auto made = make(); !made) {
        if (failed) failed(made.error());
        return;
      }
    }
  });
}

void Checkpoints::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
  (void)make();  // what fails here shows at the next opening: lines without a checkpoint, which is what they are
}

Result<void> Checkpoints::write(const Note& note) { return replace_file(checkpoint_file(log_.folder()), as_bytes(note_text(note)), Durability::now); }

Result<void> Checkpoints::make() {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const TreeHead head, log_.publish());
  if (head.size == latest_.head.size) return {};
  const Checkpoint checkpoint{.origin = signer_.name(), .head = head};
  Note note{.text = checkpoint_text(checkpoint), .signatures = signer_.sign(checkpoint, clock_.now_ms() / 1000, rng_)};
  if (const auto written = write(note); !written) {
    log_.refuse(written.error());
    return fail(written.error());
  }
  latest_ = {.head = head, .note = std::move(note)};
  return {};
}

Result<void> Checkpoints::add_signatures(std::uint64_t size, const std::vector<NoteSignature>& signatures) {
  const std::lock_guard lock(mutex_);
  if (latest_.head.size != size) return fail(ErrorCode::conflict, "checkpoint " + std::to_string(size) + ": there is a newer one");
  Note note = latest_.note;
  note.signatures.insert(note.signatures.end(), signatures.begin(), signatures.end());
  TRY(write(note));
  latest_.note = std::move(note);
  return {};
}

Checkpoints::Latest Checkpoints::latest() const {
  const std::lock_guard lock(mutex_);
  return latest_;
}

}  // namespace qanat::audit
