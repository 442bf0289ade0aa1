// Keys into the stocks of KMEs that run and are measured, as quantum links would bring them: both ends in lockstep, the far one first, so that the near one
// never chooses a key that the other has not got. The KME's side runs on a thread of its own, whose processor time it tells: what serving costs and what
// filling costs stay apart.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <thread>

#include "crypto/random.hpp"
#include "quantum/qkm/stock.hpp"

namespace qanat::bench {

/// In a KME's process: takes chunks from a socket in the file system.
class StockIntake {
 public:
  static Result<std::unique_ptr<StockIntake>> open(const std::filesystem::path& socket, store::Store& store, qkm::KeyStock& stock, Secret octets);
  ~StockIntake();

 private:
  StockIntake(int listener, store::Store& store, qkm::KeyStock& stock, Secret octets);
  void run(const std::stop_token& stopping);
  void serve(int connection, const std::stop_token& stopping);
  Result<std::string> add(const std::string& order);
  int listener_;
  store::Store& store_;
  qkm::KeyStock& stock_;
  Secret octets_;  // of every chunk
  std::jthread thread_;
};

/// In the bench: one KME's stock.
class StockFeed {
 public:
  static Result<std::unique_ptr<StockFeed>> connect(const std::filesystem::path& socket, qkm::StockName name, qkm::Owner owner);
  ~StockFeed();
  /// A chunk of qkm::chunk_keys_max keys under each id: durable when it returns. None: to see the level.
  Result<void> add(std::span<const BatchId> batches);
  [[nodiscard]] double cpu_s() const noexcept { return cpu_s_; }        // of the KME's intake, so far
  [[nodiscard]] std::int64_t level() const noexcept { return level_; }  // keys of the owner's, after the last add()

 private:
  StockFeed(int connection, qkm::StockName name, qkm::Owner owner) : connection_(connection), name_(std::move(name)), owner_(owner) {}
  int connection_;
  qkm::StockName name_;
  qkm::Owner owner_;
  double cpu_s_ = 0;
  std::int64_t level_ = 0;
};

/// Keeps both ends' stock where it is while keys are used.
class StockUpkeep {
 public:
  /// `missing`: keys that the stock lacks already.
  StockUpkeep(StockFeed& near, StockFeed& far, crypto::Rng& rng, std::size_t missing);
  ~StockUpkeep();
  /// A key was used. Waits while two chunks are missing: a client that has 256 requests under way then never finds a stock of 1000 empty.
  void used();
  /// Waits until less than a chunk is missing and nothing is under way.
  Result<void> settle();
  /// Processor seconds of both intakes. Between settle() and the next used() it stands still.
  [[nodiscard]] double cpu_s() const { return near_.cpu_s() + far_.cpu_s(); }
  [[nodiscard]] std::size_t replaced() const { return replaced_; }
  [[nodiscard]] std::int64_t lowest() const { return lowest_; }  // level of the near end's stock; after settle()
  [[nodiscard]] std::int64_t highest() const { return highest_; }

 private:
  void run();
  Result<void> replace(std::size_t chunks);
  StockFeed& near_;
  StockFeed& far_;
  crypto::Rng& rng_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t used_ = 0;
  std::size_t replaced_ = 0;
  std::int64_t lowest_ = INT64_MAX;
  std::int64_t highest_ = 0;
  bool stopping_ = false;
  Result<void> failed_;
  std::thread thread_;
};

}  // namespace qanat::bench
