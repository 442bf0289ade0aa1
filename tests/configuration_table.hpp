// Changes in the text of an element's configuration. For tests and for the load test (bench/soak_network.cpp).
#pragma once

#include <sstream>
#include <string>
#include <string_view>

namespace qanat::test {

/// The configuration with each line of one table ("[node]"), its head included, replaced by what `change` makes of it.
template <class Change>
std::string with_table(const std::string& config, std::string_view table, const Change& change) {
  std::istringstream lines(config);
  std::string out;
  bool within = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('[')) within = line == table;
    out += (within ? change(line) : line) + "\n";
  }
  return out;
}

}  // namespace qanat::test
