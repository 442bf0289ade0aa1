// What one process of an element is told and all of them must act on (X-10, Pm-1): it stands in the database that they share, and each acts on what it has
// not seen yet, within a second.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <thread>

#include "base/clock.hpp"
#include "store/store.hpp"

namespace qanat::node {

/// For the element's list of migrations.
inline constexpr std::string_view notice_schema = R"sql(
      -- Notices for all processes: one number each, without gaps, in the order in which they became durable. Kept for minutes.
      CREATE TABLE notice (
        number INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        body TEXT NOT NULL,           -- no secret
        told_by TEXT NOT NULL,        -- the process that was told, and has acted
        at_ms INTEGER NOT NULL
      ) STRICT;
      CREATE INDEX notice_at ON notice (at_ms);
      CREATE TABLE notice_count (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        last INTEGER NOT NULL
      ) STRICT)sql";

class SharedNotices {
 public:
  struct Ports {
    /// Acts on what another process was told. The same may come twice; after a failure it comes again.
    std::function<Result<void>(std::string_view kind, const std::string& body)> act;
    /// Notices are gone that this process has not seen: it was cut off from the database for longer than they are kept. Whatever they may have said counts.
    std::function<void()> missed;
  };
  /// `process` is this process's name among those of the element.
  SharedNotices(store::Store& store, const Clock& clock, std::string process, Ports ports);
  ~SharedNotices() { stop(); }
  SharedNotices(const SharedNotices&) = delete;
  SharedNotices& operator=(const SharedNotices&) = delete;

  /// Notices from here on are for this process. To be called before it remembers anything that a notice could be about.
  Result<void> begin();
  /// Durable before it returns: who told this process may be answered then. This process acts by itself.
  Result<void> tell(std::string_view kind, std::string_view body);
  /// The database may lack notices that were told and seen, and would give their numbers again: it is of another history. Every process finds that it missed
  /// some.
  static Result<void> pass_over_lost(store::Transaction& transaction);
  /// Acts on what has not been seen, in order. After start() the background does it, at each announcement and a few times a second.
  Result<void> look();
  void start();
  void stop();

 private:
  void run(const std::stop_token& stopped);

  store::Store& store_;
  const Clock& clock_;
  const std::string process_;
  const Ports ports_;
  std::int64_t seen_ = 0;  // of whoever looks: begin(), then the thread
  std::jthread thread_;
};

}  // namespace qanat::node
