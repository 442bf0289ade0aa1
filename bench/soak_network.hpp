// The network of the load test: two domains of real processes, where the KMS of domain a is two front ends on one PostgreSQL server, and the means to disturb
// it.
#pragma once

#include <map>
#include <mutex>
#include <optional>

#include "ground.hpp"
#include "postgresql_server.hpp"
#include "soak_memory.hpp"
#include "soak_schedule.hpp"

namespace qanat::bench {

class SoakNetwork {
 public:
  /// Of this name there is no element in the network's plan: the second process of kms-a.
  static constexpr std::string_view second_front_end = "kms-a-2";

  /// `within`: where the network's and the database's folders are made, which the user postgres must be able to enter; empty: the system's place for such.
  static Result<std::unique_ptr<SoakNetwork>> lay(const std::string& program, const std::filesystem::path& within);
  ~SoakNetwork();
  SoakNetwork(const SoakNetwork&) = delete;
  SoakNetwork& operator=(const SoakNetwork&) = delete;

  [[nodiscard]] Ground& ground() { return *ground_; }
  [[nodiscard]] const test::PostgresqlServer& database() const { return *server_; }
  /// Where a terminal of this domain reaches its KMS: each place alone, so that the terminal chooses.
  [[nodiscard]] Result<std::vector<net::Target>> places_of_kms(const std::string& domain) const;

  /// Kills or cuts, and brings back; from the thread that laid the network. A value when what was disturbed serves again.
  Result<void> disturb(const Planned& planned);
  /// The first process that has ended by itself, with its last words; from the same thread.
  std::optional<std::string> casualty();
  /// All elements, in order; the database server stays, to be asked.
  void stop();

  /// Elements that run now. From any thread.
  [[nodiscard]] std::vector<NamedProcess> processes() const;
  /// KiB that an element says it has allocated and not freed, without the pages that SQLite keeps. Nothing while it does not answer. From one thread.
  std::optional<double> memory_in_use(const std::string& element);
  /// The state folders of everything that keeps an audit record.
  [[nodiscard]] std::map<std::string, std::filesystem::path> states() const;

  static constexpr std::string_view database_name = "kms_a";

 private:
  SoakNetwork() = default;
  Result<void> prepare(const app::Network& network);
  Result<void> tell_of_both(const app::Network& network) const;
  Result<void> start_second();
  Result<void> restart(const std::string& element);
  [[nodiscard]] Result<std::unique_ptr<net::Client>> client_of(const std::string& element) const;
  void note_processes();
  [[nodiscard]] std::filesystem::path second_config(const app::Network& network) const { return network.config_of(std::string(second_front_end)); }

  std::unique_ptr<test::PostgresqlServer> server_;
  std::uint16_t second_port_ = 0;
  std::unique_ptr<Ground> ground_;
  std::unique_ptr<app::Child> second_;
  std::map<std::string, std::unique_ptr<net::Client>> asked_;  // memory_in_use()'s thread
  mutable std::mutex mutex_;
  std::vector<NamedProcess> processes_;  // under mutex_
};

}  // namespace qanat::bench
