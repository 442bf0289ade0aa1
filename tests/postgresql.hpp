// A PostgreSQL server for tests (postgresql_server.hpp): one per test program, started at the first use, gone with the program however it ends.
#pragma once

#include <gtest/gtest.h>

#include <atomic>

#include "postgresql_server.hpp"
#include "store/store.hpp"

namespace qanat::test {

class PostgresqlCluster : public PostgresqlServer {
 public:
  static PostgresqlCluster& instance() {
    static PostgresqlCluster only;
    return only;
  }

  /// A new, empty database.
  std::string new_database() {
    const std::string name = "test" + std::to_string(++names_);
    (void)ask("CREATE DATABASE " + name + " TEMPLATE template0");
    return name;
  }
  /// A schema that nobody else has, in a database that others share.
  store::PostgresqlPlace new_place() { return {.conninfo = conninfo(), .schema = "test" + std::to_string(++names_), .connections = 8}; }

  /// Every value of the answer's first column, as text; a gtest failure if it is refused.
  std::vector<std::string> ask(const std::string& sql, const std::string& database = "postgres") const {
    const auto answered = answer(sql, database);
    EXPECT_TRUE(answered) << answered.error().message;
    return answered.value_or(std::vector<std::string>{});
  }
  /// Ends every other connection to the database; how many.
  std::size_t end_connections(const std::string& database = "postgres") const {
    const auto ended = end_connections_to(database);
    EXPECT_TRUE(ended) << ended.error().message;
    return ended.value_or(0);
  }

 private:
  PostgresqlCluster() = default;

  std::atomic<int> names_ = 0;
};

}  // namespace qanat::test
