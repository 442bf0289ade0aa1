#include "audit/audit.hpp"

#include <condition_variable>
#include <mutex>
#include <optional>

#include "audit/chain.hpp"
#include "audit/log_file.hpp"

namespace qanat::audit {
namespace {

/// Group commit: a record joins `pending_` in chain order. The first thread that finds nobody writing takes all that is pending, writes it
/// and waits for the disk while further records gather; everybody whose record was in that batch returns together.
class FileLog final : public Log {
 public:
  FileLog(LogFile file, Link link, std::string element, const Clock& clock)
      : file_(std::move(file)), element_(std::move(element)), clock_(clock), durable_lines_(link.lines), link_(std::move(link)) {}

  Result<void> append(const Event& event) override {
    std::unique_lock lock(mutex_);
    if (broken_) return fail(*broken_);
    pending_.append(render_line(link_, element_, clock_.now_ms(), event));
    const std::uint64_t mine = link_.lines;
    while (durable_lines_ < mine && !broken_) {
      if (writing_) {
        written_.wait(lock);
      } else {
        write_pending(lock);
      }
    }
    if (durable_lines_ < mine) return fail(*broken_);
    return {};
  }

 private:
  /// Called and left with the lock held; gives it up while the disk works. `writing_` keeps file_ to one thread meanwhile.
  void write_pending(std::unique_lock<std::mutex>& lock) {
    writing_ = true;
    const std::string batch = std::exchange(pending_, {});
    const std::uint64_t last = link_.lines;
    lock.unlock();
    const Result<void> done = file_.append_durably(as_bytes(batch));
    // What is refused shall not stand in the log as done. If even this fails, the next open() finds and cuts a half-written line.
    if (!done) (void)file_.truncate(file_.size());
    lock.lock();
    writing_ = false;
    if (done) {
      durable_lines_ = last;
    } else {
      broken_ = done.error();
    }
    written_.notify_all();
  }

  LogFile file_;
  const std::string element_;
  const Clock& clock_;
  std::mutex mutex_;  // guards everything below
  std::condition_variable written_;
  std::uint64_t durable_lines_;
  Link link_;
  std::string pending_;  // at most one record per thread: each waits for its own
  bool writing_ = false;
  std::optional<Error> broken_;  // why the log refuses everything until it is opened again
};

}  // namespace

std::string_view name(Outcome outcome) noexcept {
  switch (outcome) {
    case Outcome::success:
      return "success";
    case Outcome::refused:
      return "refused";
    case Outcome::failure:
      return "failure";
  }
  return "failure";
}

Outcome outcome_of(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::invalid_argument:
      return Outcome::refused;
    case ErrorCode::unauthenticated:
      return Outcome::refused;
    case ErrorCode::denied:
      return Outcome::refused;
    case ErrorCode::not_found:
      return Outcome::refused;
    case ErrorCode::conflict:
      return Outcome::refused;
    case ErrorCode::exhausted:
      return Outcome::failure;
    case ErrorCode::unavailable:
      return Outcome::failure;
    case ErrorCode::deadline_exceeded:
      return Outcome::failure;
    case ErrorCode::internal:
      return Outcome::failure;
  }
  return Outcome::failure;
}

Result<std::unique_ptr<Log>> Log::open(const std::filesystem::path& path, std::string element, const Clock& clock) {
  if (element.empty()) return fail(ErrorCode::invalid_argument, "audit log " + path.string() + ": no element is named");
  ASSIGN_OR_RETURN(LogFile file, LogFile::open(path));
  ChainVerifier verifier(element);
  TRY(file.verify(verifier));
  const std::size_t unfinished = verifier.unfinished_octets();
  if (unfinished > 0) TRY(file.truncate(file.size() - unfinished));
  auto log = std::make_unique<FileLog>(std::move(file), verifier.link(), std::move(element), clock);
  if (unfinished > 0) {
    const std::string cut = std::to_string(unfinished) + " octets after line " + std::to_string(verifier.link().lines);
    TRY(log->append({.action = "audit.line_cut",
                     .outcome = Outcome::failure,
                     .subject = {},
                     .object = cut,
                     .reason = "the last line was not complete when the log was opened",
                     .request_id = {}}));
  }
  return Result<std::unique_ptr<Log>>(std::move(log));
}

Result<std::size_t> verify(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(LogFile file, LogFile::open_to_read(path));
  ChainVerifier verifier;
  TRY(file.verify(verifier));
  if (verifier.unfinished_octets() > 0) {
    return fail(ErrorCode::internal, "audit log " + path.string() + ": line " + std::to_string(verifier.link().lines + 1) + ": not complete");
  }
  return static_cast<std::size_t>(verifier.link().lines);
}

}  // namespace qanat::audit
