// Child processes of `qanat up` and `qanat call`: started from this same program, awaited by their readiness lines, stopped in order.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "network.hpp"

namespace qanat::app {

/// What to start.
struct ProcessPlan {
  std::string program;
  std::vector<std::string> arguments;
  std::vector<std::string> environment;  // "NAME=value", added to this process's own
  std::filesystem::path standard_error;  // appended to
};

/// One child: its standard output comes back line by line, its standard error goes to a file. It is told to end when this object goes,
/// and by the kernel when this process dies.
class Child {
 public:
  static Result<std::unique_ptr<Child>> start(const ProcessPlan& plan);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// The next line of standard output; nothing at its end; deadline_exceeded.
  Result<std::optional<std::string>> read_line(Deadline deadline);
  /// SIGTERM; then SIGKILL after the grace. Idempotent. Returns the exit status (negative: ended by that signal).
  int stop(std::chrono::milliseconds grace);
  /// Asks without waiting.
  void terminate() const;
  /// The exit status if it has ended.
  std::optional<int> ended();
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] int output() const { return output_; }
  /// The last line of its standard error, for messages.
  [[nodiscard]] std::string last_words() const;

 private:
  Child(pid_t pid, int output, std::filesystem::path standard_error, std::uintmax_t words_from)
      : pid_(pid), output_(output), standard_error_(std::move(standard_error)), words_from_(words_from) {}
  pid_t pid_;
  int output_;
  std::filesystem::path standard_error_;
  std::uintmax_t words_from_;  // what the file held before this child began
  std::string buffer_;
  std::optional<int> status_;
};

/// All elements of a network, running. Holds the network's lock: only one at a time.
class RunningNetwork {
 public:
  /// Starts CAS, then the others together, all from `program`; value when all are ready. `progress` is told each name as it becomes ready.
  /// `network` outlives the object.
  static Result<std::unique_ptr<RunningNetwork>> start(const Network& network, std::string program, const std::function<void(const std::string&)>& progress);
  ~RunningNetwork();
  /// Starts an element that is not running (again), from another program or with further environment if given; value when it is ready.
  Result<void> start_element(const std::string& name, const std::string& program = "", std::vector<std::string> environment = {});
  /// SIGTERM and wait, or SIGKILL.
  enum class Ending : std::uint8_t { orderly, kill };
  void stop_element(const std::string& name, Ending ending);
  /// What a running element shows: "ML-DSA-65 3f2a… until 2027-02-20".
  [[nodiscard]] std::string certificate_of(const std::string& name) const;
  /// True while the element's process lives.
  bool lives(const std::string& name);
  /// The element's process, while it is one of this network's; -1 otherwise.
  [[nodiscard]] pid_t pid_of(const std::string& name) const;
  void stop();
  /// The first element that has ended by itself, with its last words.
  std::optional<std::string> casualty();

 private:
  struct Running {
    std::string name;
    std::unique_ptr<Child> child;
    std::string certificate;
  };
  RunningNetwork(const Network& network, std::string program, int lock) : network_(network), program_(std::move(program)), lock_(lock) {}
  Result<void> launch(const ElementPlan& element, const std::string& program, std::vector<std::string> environment);
  static Result<void> await_ready(Running& running);

  const Network& network_;
  std::string program_;
  int lock_;
  std::vector<Running> running_;
};

/// True while some process holds the network's lock.
bool network_is_running(const Network& network);

/// This program's own path.
std::string own_program();

}  // namespace qanat::app
