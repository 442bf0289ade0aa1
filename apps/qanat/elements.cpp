// The wiring of every element. A service has open(node, settings) and handlers(); where it has work in the background, start() and stop().
#include "elements.hpp"

#include <fmt/format.h>
#include <signal.h>

#include <cstdio>
#include <memory>
#include <vector>

#include "node/node.hpp"
#include "node/process_memory.hpp"
#include "quantum/qkd/process/service.hpp"
#include "quantum/qkdnc/service.hpp"
#include "quantum/qkm/service.hpp"
#include "services/cas/service.hpp"
#include "services/cmsp/service.hpp"
#include "services/iam/service.hpp"
#include "services/kms/service.hpp"
#include "terminal/gateway/service.hpp"

namespace qanat::app {
namespace {

constexpr std::chrono::seconds enrol_max{30};  // waiting for CAS at start

/// Who issues an element's certificates: CAS; CAS's own come from its own hands when its service is opened.
enum class Certificates : std::uint8_t { from_cas, own };

/// Before any other thread.
void prepare_process() {
  node::share_arenas();
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // every thread inherits it; Node::run_until_stopped waits for them
}

template <class S>
Result<void> serve(node::Node& node, S& service) {
  constexpr bool can_fail = requires { Result<void>(service.start()); };
  if constexpr (can_fail) TRY(service.start());  // what must stand before the element says that it is ready
  TRY(node.serve(service.handlers()));
  if constexpr (!can_fail && requires { service.start(); }) service.start();
  node.run_until_stopped();
  if constexpr (requires { service.stop(); }) service.stop();
  return {};
}

/// `read` takes the element's own tables from the configuration; `open` makes the service of them once the node has its certificates.
template <class Read, class Open>
Result<void> run(const std::filesystem::path& file, Kind kind, Certificates certificates, const Read& read, const Open& open) {
  ASSIGN_OR_RETURN(node::Config config, node::Config::read(file));
  node::Settings settings = node::Settings::read(config);
  const auto own = read(config);
  TRY(config.finish());
  if (settings.identity.kind != kind) {
    return fail(ErrorCode::invalid_argument, fmt::format("{}: node.identity = {}: is no {}", file.filename().string(), settings.identity.uri(), name(kind)));
  }
  std::error_code error;
  std::filesystem::create_directories(settings.state, error);
  TRY(node::open_log(settings.state, settings.identity.name, settings.log_level));
  ASSIGN_OR_RETURN(const std::unique_ptr<node::Node> node, node::Node::open(std::move(settings)));
  if (certificates == Certificates::from_cas) TRY(node->enrol(Deadline::after(enrol_max)));
  ASSIGN_OR_RETURN(const auto service, open(*node, own));
  return serve(*node, *service);
}

int finish(const Result<void>& done, Kind kind) {
  if (done) return 0;
  fmt::print(stderr, "qanat {}: {}\n", name(kind), done.error().message);
  node::log(node::LogLevel::error, "stopped: {}", done.error().message);
  return 1;
}

template <class S, class Own>
int run_service(const std::filesystem::path& file, Kind kind, Certificates certificates = Certificates::from_cas) {
  prepare_process();
  const auto open = [](node::Node& node, const Own& own) { return S::open(node, own); };
  return finish(run(file, kind, certificates, Own::read, open), kind);
}

/// CCS has its identity, its certificate and its place in the network, and answers health. Two-party signing, decapsulation and joint key
/// generation (Cs-1, Cc-1, Ck-1) are not offered: those points have no endpoint.
struct CcsService {
  static std::vector<points::Handler> handlers() { return {}; }
};

struct Nothing {};

}  // namespace

int run_cas(const std::filesystem::path& config) { return run_service<cas::CasService, cas::CasSettings>(config, Kind::cas, Certificates::own); }
int run_iam(const std::filesystem::path& config) { return run_service<iam::IamService, iam::IamSettings>(config, Kind::iam); }
int run_kms(const std::filesystem::path& config) { return run_service<kms::KmsService, kms::KmsSettings>(config, Kind::kms); }
int run_qkm(const std::filesystem::path& config) { return run_service<qkm::QkmService, qkm::QkmSettings>(config, Kind::qkm); }
int run_qkdnc(const std::filesystem::path& config) { return run_service<qkdnc::QkdncService, qkdnc::QkdncSettings>(config, Kind::qkdnc); }
int run_qkd(const std::filesystem::path& config) { return run_service<qkd::QkdService, qkd::QkdSettings>(config, Kind::qkd); }

int run_gateway(const std::filesystem::path& config) {
  sigset_t hangup;
  sigemptyset(&hangup);
  sigaddset(&hangup, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &hangup, nullptr);  // a thread of the service waits for it
  return run_service<terminal::gateway::GatewayService, terminal::gateway::GatewaySettings>(config, Kind::dev1);
}

int run_cmsp(const std::filesystem::path& config) {
  prepare_process();
  const auto open = [](node::Node& node, Nothing) { return cmsp::CmspService::open(node); };
  return finish(run(config, Kind::cmsp, Certificates::from_cas, [](node::Config&) { return Nothing{}; }, open), Kind::cmsp);
}

int run_ccs(const std::filesystem::path& config) {
  prepare_process();
  const auto open = [](node::Node&, Nothing) -> Result<std::unique_ptr<CcsService>> { return std::make_unique<CcsService>(); };
  return finish(run(config, Kind::ccs, Certificates::from_cas, [](node::Config&) { return Nothing{}; }, open), Kind::ccs);
}

}  // namespace qanat::app
