// A closed-loop HTTP client over mutual TLS: many kept connections on one thread, each with one request under way.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/foreign_issue.hpp"

namespace qanat::bench {

struct HttpLoadPlan {
  std::uint16_t port = 0;
  crypto::PemFiles client;  // certificate and key to show
  std::string root;         // file
  std::size_t connections = 64;
  std::size_t warm_up = 0;   // requests before those that count, on the same connections
  std::size_t requests = 0;  // that count, all together
  std::string request;       // the whole of one
  std::function<std::string()> make = {};  // each one anew, in place of `request`
};

struct HttpLoad {
  double seconds = 0;     // wall, from the first request to the last answer; the handshakes came before
  double client_cpu_s = 0;
  std::vector<double> latency_ms;  // sorted
  std::string group;      // of the key exchange
  [[nodiscard]] double per_second() const { return static_cast<double>(latency_ms.size()) / seconds; }
  [[nodiscard]] double percentile(double p) const { return latency_ms.at(static_cast<std::size_t>(p * static_cast<double>(latency_ms.size() - 1))); }
};

/// `before` runs when every connection stands, is warm and rests; `body` sees each answer's, those of the warm-up too. unavailable at the first answer that is not 200.
Result<HttpLoad> drive(const HttpLoadPlan& plan, const std::function<Result<void>()>& before, const std::function<void(std::string_view)>& body);

}  // namespace qanat::bench
