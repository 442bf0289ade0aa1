// The twelve steps of a call (the paper's Figure 2) as they happen: each element appends what it did, and how long it took, to
// `<state>/steps.jsonl`, keyed by session. `qanat call` shows them; nothing depends on them.
#pragma once

#include <chrono>
#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>

#include "base/clock.hpp"

namespace qanat::node {

class StepTrace {
 public:
  explicit StepTrace(const std::filesystem::path& state);

  /// One finished step: number 1..12, the session (SID_WK hex; the uid for steps 1 and 2), what was done, how long.
  void done(int step, std::string_view session, std::string_view what, std::chrono::steady_clock::duration took);

  /// Measures from construction to done().
  class Timer {
   public:
    Timer(StepTrace& trace, int step) : trace_(trace), step_(step), start_(std::chrono::steady_clock::now()) {}
    void done(std::string_view session, std::string_view what) { trace_.done(step_, session, what, std::chrono::steady_clock::now() - start_); }

   private:
    StepTrace& trace_;
    int step_;
    std::chrono::steady_clock::time_point start_;
  };

 private:
  std::mutex mutex_;
  int descriptor_;
};

}  // namespace qanat::node
