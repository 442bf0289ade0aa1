// The load: sessions between terminals of one domain and of two, both ends applying at the same time; as many at once as wanted, or as many a second as wanted,
// however long each takes.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <thread>

#include "soak_terminal.hpp"

namespace qanat::bench {

/// Under way at most.
inline constexpr std::size_t soak_sessions_at_once = 32;

/// Sessions that wait in the generator, of a few seconds at the rates of this test. Who calls for longer than that without hearing anything hangs up: were they
/// kept, all would come to their turn when their time is nearly over, and what is done for them would be in vain.
inline constexpr std::size_t soak_waiting_max = 256;

/// One end of a session, as it is looked for in the KMS's database afterwards.
struct LegRecord {
  std::string domain;  // whose KMS served it
  SidWk session;
  wire::Role role{};
  bool acknowledged = false;
};

/// A session of which both ends have the key.
struct Served {
  double planned_s = 0;  // since the load object was made
  double done_s = 0;
  bool across = false;   // two domains
  bool quantum = false;  // the key rests on a quantum key
};

/// One of which at least one end has none.
struct GivenUp {
  double planned_s = 0;
  double ended_s = 0;
};

struct LoadTally {
  std::uint64_t begun = 0;
  std::uint64_t not_begun = 0;                   // too many waited
  std::map<std::string, std::uint64_t> reasons;  // of those given up, session numbers left out
  std::vector<Served> served;
  std::vector<GivenUp> given_up;
  std::vector<LegRecord> legs;  // of which the terminal has the key
};

class Load {
 public:
  using clock = std::chrono::steady_clock;
  /// Terminals of both domains; all outlive the load.
  Load(Ground& ground, std::span<const std::unique_ptr<SoakTerminal>> terminals, Promises& promises, SoakCounts& counts, std::uint64_t seed);
  /// What waits is given up, what is under way is awaited.
  ~Load();
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  /// Closed: `at_once` sessions, each followed by another, for so long; sessions served in that time by the second.
  double saturate(std::size_t at_once, std::chrono::milliseconds span);
  /// Open: sessions begin at random times, so many a second on average, until finish().
  void begin(double per_second);
  /// No further session begins; value when all have ended.
  void finish();

  [[nodiscard]] double now_s() const { return std::chrono::duration<double>(clock::now() - made_).count(); }
  /// While nothing is under way.
  [[nodiscard]] const LoadTally& tally() const { return tally_; }
  [[nodiscard]] std::uint64_t begun() const;

 private:
  struct Session;
  struct Work {
    std::shared_ptr<Session> session;  // of its two legs
    wire::Role role{};
  };

  /// Under mutex_.
  void add_session();
  [[nodiscard]] std::shared_ptr<Session> next_session();
  void work(const std::stop_token& stopped);
  void carry_out(const Work& one);
  void ended(const Session& session);
  void pace(const std::stop_token& stopped, double per_second);

  Ground& ground_;
  std::vector<SoakTerminal*> of_a_;
  std::vector<SoakTerminal*> of_b_;
  Promises& promises_;
  SoakCounts& counts_;
  const clock::time_point made_ = clock::now();
  mutable std::mutex mutex_;
  std::condition_variable_any to_do_;    // `waiting_` has more
  std::condition_variable_any changed_;  // a session has ended
  std::mt19937_64 random_;               // under mutex_, as all below
  std::deque<Work> waiting_;
  std::size_t under_way_ = 0;  // sessions that have not ended
  bool follow_ = false;        // each that ends is followed by another
  LoadTally tally_;
  std::vector<std::jthread> workers_;
  std::jthread pacer_;
};

}  // namespace qanat::bench
