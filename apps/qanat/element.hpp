// The common frame of an element's process: read settings, open the node, enrol, serve, stop in order. One small wiring file per element
// (element_<kind>.cpp) fills it in.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "node/node.hpp"

namespace qanat::app {

/// An element's service: whatever owns its handlers. Destroyed after the server has stopped.
class Service {
 public:
  virtual ~Service() = default;
  virtual std::vector<points::Handler> handlers() = 0;
  /// Called when the server is up, before run_until_stopped: starts background work.
  virtual Result<void> started() { return {}; }
  /// Called after the server has stopped: ends background work.
  virtual void stopped() {}
};

/// Reads the element's own tables from `config` (before finish() is called) and returns what builds the service once the node is enrolled.
using BuildService = std::function<Result<std::unique_ptr<Service>>(node::Node&)>;
using ReadSettings = std::function<BuildService(node::Config&)>;

/// Exit code 0 after an orderly stop; 1 with one line on standard error otherwise.
int run_element(const std::filesystem::path& config, Kind kind, const ReadSettings& read, bool enrols_itself = true);

int run_cas(const std::filesystem::path& config);
int run_iam(const std::filesystem::path& config);
int run_cmsp(const std::filesystem::path& config);
int run_ccs(const std::filesystem::path& config);
int run_kms(const std::filesystem::path& config);
int run_qkm(const std::filesystem::path& config);
int run_qkdnc(const std::filesystem::path& config);
int run_qkd(const std::filesystem::path& config);

}  // namespace qanat::app
