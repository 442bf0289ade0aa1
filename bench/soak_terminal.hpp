// A terminal of the load test: it asks its KMS for working keys until it has them, at whichever front end answers, as a terminal's process does.
#pragma once

#include <atomic>
#include <mutex>

#include "bench_terminal.hpp"
#include "soak_promises.hpp"

namespace qanat::bench {

/// What all terminals together have sent and got.
struct SoakCounts {
  std::atomic<std::uint64_t> applications = 0;    // signed, each sent at least once
  std::atomic<std::uint64_t> sent_again = 0;      // the same octets once more, since no answer came
  std::atomic<std::uint64_t> deliveries = 0;      // opened
  std::atomic<std::uint64_t> acknowledged = 0;    // and the KMS said that it knows
  std::atomic<std::uint64_t> repetitions = 0;     // an application that had been answered, sent again at another place: the same octets came
  std::atomic<std::uint64_t> second_refused = 0;  // another application for a key that had been delivered, refused
};

/// What became of one end of a session.
struct Leg {
  bool opened = false;        // the terminal has the key
  bool acknowledged = false;  // the KMS has said that it knows
  wire::Assurance assurance{};
  Error reason{};  // why it has none
};

/// What is tried besides, to see it refused.
enum class Probing : std::uint8_t { none, repeats };

class SoakTerminal {
 public:
  /// Enrols; `places` are those of its KMS, of which it begins with number `first`.
  static Result<std::unique_ptr<SoakTerminal>> enrol(Ground& ground, const app::TerminalPlan& plan, const std::vector<net::Target>& places, std::size_t first);

  /// Applies until it has the key, or is refused for good, or the deadline passes; acknowledges. Thread-safe.
  Leg obtain(const terminal::KeyWanted& wanted, Deadline deadline, Probing probing, Promises& promises, SoakCounts& counts);

  [[nodiscard]] const Number& number() const { return terminal_->number(); }
  [[nodiscard]] const std::string& domain() const { return domain_; }

 private:
  SoakTerminal(Ground& ground, std::unique_ptr<BenchTerminal> terminal, std::string domain, std::size_t first)
      : ground_(ground), terminal_(std::move(terminal)), domain_(std::move(domain)), first_(first) {}

  Result<terminal::KeyApplication> make(const terminal::KeyWanted& wanted, SoakCounts& counts);
  Result<Bytes> post(std::size_t place, points::Endpoint endpoint, ByteView message, Deadline deadline);
  bool acknowledge(const terminal::KeyApplication& application, const Bytes& h_deliver, std::size_t place, Deadline deadline);
  /// An answer has come from this place.
  struct Taking {
    std::size_t place = 0;
    Deadline deadline;
    Probing probing{};
    Promises& promises;
    SoakCounts& counts;
  };
  void take(Leg& out, const terminal::KeyWanted& wanted, const terminal::KeyApplication& application, const Bytes& answer, const Taking& how);
  void ask_again(const terminal::KeyApplication& application, const Bytes& answer, const Taking& how);
  void ask_anew(const terminal::KeyWanted& wanted, const Taking& how);

  Ground& ground_;
  std::mutex mutex_;
  std::unique_ptr<BenchTerminal> terminal_;  // under mutex_, but for its number
  const std::string domain_;
  const std::size_t first_;
  std::vector<std::unique_ptr<net::Client>> places_;
};

}  // namespace qanat::bench
