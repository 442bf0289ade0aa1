#include "audit/audit.hpp"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>

#include "audit/chain.hpp"
#include "audit/log_file.hpp"
#include "audit/opening.hpp"
#include "audit/tile_folder.hpp"

namespace qanat::audit {
namespace {

/// Lines whose hashes wait for publish(), 32 MiB: beyond that, the thread that appends publishes.
constexpr std::size_t waiting_leaves_max = 1U << 20U;

/// Group commit: a record joins `pending_` in chain order. The first thread that finds nobody writing takes all that is pending, writes it
/// and waits for the disk while further records gather; everybody whose record was in that batch returns together. The tiles come later, from the
/// leaves that have gathered until publish().
class FileLog final : public Log {
 public:
  FileLog(LogFile file, Link link, Opened opened, std::string element, const Clock& clock)
      : folder_(std::move(opened.folder)),
        tiles_(folder_),
        file_(std::move(file)),
        element_(std::move(element)),
        clock_(clock),
        tree_(std::move(opened.tree)),
        durable_lines_(link.lines),
        link_(std::move(link)) {}

  using Log::append;
  Result<void> append(std::span<const Event> events) override {
    std::unique_lock lock(mutex_);
    if (broken_) return fail(*broken_);
    for (const Event& event : events) {
      const std::string line = render_line(link_, element_, clock_.now_ms(), event);
      pending_.append(line);
      leaves_.push_back(leaf_hash(std::string_view(line).substr(0, line.size() - 1)));
    }
    const std::uint64_t mine = link_.lines;
    while (durable_lines_ < mine && !broken_) {
      if (writing_) {
        written_.wait(lock);
      } else {
        write_pending(lock);
      }
    }
    if (durable_lines_ < mine) return fail(*broken_);
    const bool many_wait = leaves_.size() > waiting_leaves_max;
    lock.unlock();
    if (many_wait) TRY(publish());
    return {};
  }

  Result<TreeHead> publish() override {
    const std::lock_guard publishing(tree_mutex_);
    std::vector<TreeHash> fresh;
    {
      const std::lock_guard lock(mutex_);
      if (broken_) return fail(*broken_);
      const auto end = leaves_.begin() + static_cast<std::ptrdiff_t>(durable_lines_ - tree_.size());
      fresh.assign(leaves_.begin(), end);
      leaves_.erase(leaves_.begin(), end);
    }
    if (const Result<void> written = write_tiles(fresh); !written) {
      refuse(written.error());
      return fail(written.error());
    }
    return TreeHead{.size = tree_.size(), .root = tree_.root()};
  }

  void refuse(Error why) override {
    const std::lock_guard lock(mutex_);
    if (!broken_) broken_ = std::move(why);
    written_.notify_all();
  }

  [[nodiscard]] const std::filesystem::path& folder() const noexcept override { return folder_; }
  [[nodiscard]] SubtreeReader published(std::uint64_t size) const override {
    return subtrees_of_tiles(size, [this](const Tile& tile) { return tiles_.read(tile); });
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

  Result<void> write_tiles(const std::vector<TreeHash>& fresh) {
    if (fresh.empty()) return {};
    for (const TreeHash& leaf : fresh) {
      TRY(tree_.append(leaf, [this](const Tile& tile, std::span<const TreeHash> hashes) { return tiles_.write_full(tile, hashes); }));
    }
    for (const TileTree::Partial& partial : tree_.partial()) TRY(tiles_.write(partial.tile, partial.hashes));
    return {};
  }

  const std::filesystem::path folder_;
  const TileFolder tiles_;
  LogFile file_;
  const std::string element_;
  const Clock& clock_;
  std::mutex tree_mutex_;  // guards tree_ and the tiles; taken before mutex_
  TileTree tree_;          // over the published lines
  std::mutex mutex_;       // guards everything below
  std::condition_variable written_;
  std::uint64_t durable_lines_;
  Link link_;
  std::string pending_;          // of threads that wait, each for its own
  std::deque<TreeHash> leaves_;  // of the lines behind tree_, durable or about to be
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
  ASSIGN_OR_RETURN(Opening opening, Opening::begin(tree_folder(path)));
  ChainVerifier verifier(element);
  verifier.on_line([&](std::string_view line) { return opening.take(line); });
  TRY(file.verify(verifier));
  auto opened = std::move(opening).finish();
  if (!opened) return fail_in("audit log " + path.string(), opened.error());
  const std::size_t unfinished = verifier.unfinished_octets();
  if (unfinished > 0) TRY(file.truncate(file.size() - unfinished));
  const std::string cut = std::to_string(unfinished) + " octets after line " + std::to_string(verifier.link().lines);
  const std::vector<std::string> rebuilt = opened->rebuilt;
  auto log = std::make_unique<FileLog>(std::move(file), verifier.link(), std::move(*opened), std::move(element), clock);
  const auto record = [&](std::string_view action, std::string_view object, std::string_view reason) {
    return log->append({.action = action, .outcome = Outcome::failure, .subject = {}, .object = object, .reason = reason, .request_id = {}});
  };
  if (unfinished > 0) TRY(record("audit.line_cut", cut, "the last line was not complete when the log was opened"));
  for (const std::string& tile : rebuilt) TRY(record("audit.tile_rebuilt", tile, "the tile did not fit the lines when the log was opened"));
  return Result<std::unique_ptr<Log>>(std::move(log));
}

std::filesystem::path tree_folder(const std::filesystem::path& file) {
  std::filesystem::path out = file;
  return out.replace_extension();
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
