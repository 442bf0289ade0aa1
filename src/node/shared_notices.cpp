#include "node/shared_notices.hpp"

#include <algorithm>
#include <vector>

#include "node/log.hpp"

namespace qanat::node {
namespace {

constexpr std::string_view notices_channel = "notices";
constexpr std::chrono::milliseconds look_again{250};  // also without an announcement, which may be lost
constexpr UnixMs notices_kept_ms = 600'000;
constexpr std::int64_t notices_at_once = 64;
constexpr std::int64_t more_than_lost = 1'000'000;  // numbers

struct Notice {
  std::int64_t number = 0;
  std::string kind;
  std::string body;
  std::string told_by;
};

Result<std::int64_t> last_notice(store::Transaction& transaction) {
  std::int64_t out = 0;
  TRY(transaction.query("SELECT last FROM notice_count WHERE id = 1", {}, [&](const store::Row& row) { out = row.integer(0); }));
  return out;
}

Result<std::vector<Notice>> notices_after(store::Transaction& transaction, std::int64_t seen) {
  std::vector<Notice> out;
  TRY(transaction.query(
      "SELECT number, kind, body, told_by FROM notice WHERE number > ? ORDER BY number LIMIT ?", {seen, notices_at_once},
      [&](const store::Row& row) { out.push_back({.number = row.integer(0), .kind = row.text(1), .body = row.text(2), .told_by = row.text(3)}); }));
  return out;
}

}  // namespace

SharedNotices::SharedNotices(store::Store& store, const Clock& clock, std::string process, Ports ports)
    : store_(store), clock_(clock), process_(std::move(process)), ports_(std::move(ports)) {}

Result<void> SharedNotices::begin() {
  ASSIGN_OR_RETURN(seen_, store_.look([](store::Transaction& transaction) { return last_notice(transaction); }));
  return {};
}

Result<void> SharedNotices::tell(std::string_view kind, std::string_view body) {
  const UnixMs now = clock_.now_ms();
  TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
    // The count first: its row is held until the commit, so that numbers become visible in their order.
    TRY(transaction.run("INSERT INTO notice_count (id, last) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET last = notice_count.last + 1", {}));
    ASSIGN_OR_RETURN(const std::int64_t number, last_notice(transaction));
    TRY(transaction.run("DELETE FROM notice WHERE at_ms < ?", {store::column(now - std::min(now, notices_kept_ms))}));
    TRY(transaction.run("INSERT INTO notice (number, kind, body, told_by, at_ms) VALUES (?, ?, ?, ?, ?)",
                        {number, kind, body, std::string_view(process_), store::column(now)}));
    return {};
  }));
  store_.announce(notices_channel);
  return {};
}

Result<void> SharedNotices::pass_over_lost(store::Transaction& transaction) {
  TRY(transaction.run("INSERT INTO notice_count (id, last) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET last = notice_count.last + excluded.last",
                      {more_than_lost}));
  return {};
}

Result<void> SharedNotices::look() {
  ASSIGN_OR_RETURN(const std::int64_t last, store_.look([](store::Transaction& transaction) { return last_notice(transaction); }));
  if (last < seen_) {  // an earlier state of the database: what was told since is not in it
    ports_.missed();
    seen_ = last;
  }
  while (seen_ < last) {
    ASSIGN_OR_RETURN(const std::vector<Notice> unseen, store_.look([&](store::Transaction& transaction) { return notices_after(transaction, seen_); }));
    if (unseen.empty()) {
      ports_.missed();
      seen_ = last;
    }
    for (const Notice& notice : unseen) {
      if (notice.number != seen_ + 1) ports_.missed();
      seen_ = notice.number - 1;
      if (notice.told_by != process_) TRY(ports_.act(notice.kind, notice.body));
      seen_ = notice.number;
    }
  }
  return {};
}

void SharedNotices::start() {
  thread_ = std::jthread([this](const std::stop_token& stopped) { run(stopped); });
}

void SharedNotices::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void SharedNotices::run(const std::stop_token& stopped) {
  const auto watch = store_.watch(notices_channel);
  bool failing = false;
  while (!stopped.stop_requested()) {
    const auto looked = look();
    if (!looked && !failing) log(LogLevel::warning, "notices to the other processes: {}", looked.error().message);
    failing = !looked;
    (void)watch->wait(Deadline::after(look_again));
  }
}

}  // namespace qanat::node
