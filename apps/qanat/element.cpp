#include "element.hpp"

#include <fmt/format.h>
#include <signal.h>

#include <cstdio>

namespace qanat::app {
namespace {

constexpr std::chrono::seconds enrol_max{30};  // waiting for CAS at start

Result<void> run(const std::filesystem::path& file, Kind kind, const ReadSettings& read, bool enrols_itself) {
  ASSIGN_OR_RETURN(node::Config config, node::Config::read(file));
  node::Settings settings = node::Settings::read(config);
  const BuildService build = read(config);
  TRY(config.finish());
  if (settings.identity.kind != kind) {
    return fail(ErrorCode::invalid_argument, fmt::format("{}: node.identity = {}: is no {}", file.filename().string(), settings.identity.uri(), name(kind)));
  }
  std::error_code error;
  std::filesystem::create_directories(settings.state, error);
  TRY(node::open_log(settings.state, settings.identity.name, settings.log_level));
  ASSIGN_OR_RETURN(const std::unique_ptr<node::Node> node, node::Node::open(std::move(settings)));
  if (enrols_itself) TRY(node->enrol(Deadline::after(enrol_max)));
  ASSIGN_OR_RETURN(const std::unique_ptr<Service> service, build(*node));
  TRY(node->serve(service->handlers()));
  TRY(service->started());
  node->run_until_stopped();
  service->stopped();
  return {};
}

}  // namespace

int run_element(const std::filesystem::path& config, Kind kind, const ReadSettings& read, bool enrols_itself) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // every thread inherits it; run_until_stopped waits for them
  signal(SIGPIPE, SIG_IGN);
  const Result<void> done = run(config, kind, read, enrols_itself);
  if (done) return 0;
  fmt::print(stderr, "qanat {}: {}\n", name(kind), done.error().message);
  node::log(node::LogLevel::error, "stopped: {}", done.error().message);
  return 1;
}

}  // namespace qanat::app
