#include "kme_process.hpp"

#include <fmt/format.h>
#include <signal.h>

#include <condition_variable>

#include "network_session.hpp"
#include "node/log.hpp"
#include "quantum/qkm/sae_front.hpp"
#include "quantum/qkm/schema.hpp"
#include "quantum/qkm/settings.hpp"
#include "stock_feed.hpp"

namespace qanat::bench {
namespace {

constexpr std::chrono::seconds enrol_max{30};
// As qkm/service.cpp has them.
constexpr std::chrono::milliseconds sweep_every{1000};
constexpr std::size_t swept_at_once_max = 1000;
constexpr UnixMs forget_after_ms = 24ULL * 3600 * 1000;
constexpr std::int64_t evidence_max = 1000000;

Result<void> sweep(store::Store& store, qkm::KeyStock& stock, qkm::SaeFront& front) {
  TRY(store.transact([&](store::Transaction& transaction) -> Result<void> {
    const UnixMs now = SystemClock().now_ms();
    TRY(stock.sweep(transaction, swept_at_once_max, now));
    return stock.forget(transaction, now - forget_after_ms, evidence_max);
  }));
  return front.sweep();
}

Result<void> run(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(node::Config config, node::Config::read(file));
  node::Settings settings = node::Settings::read(config);
  const qkm::QkmSettings own = qkm::QkmSettings::read(config);
  TRY(config.finish());
  if (!own.sae) return fail(ErrorCode::invalid_argument, file.string() + ": has no table [sae]");
  TRY(node::open_log(settings.state, settings.identity.name, settings.log_level));
  ASSIGN_OR_RETURN(const std::unique_ptr<node::Node> node, node::Node::open(std::move(settings)));
  TRY(node->enrol(Deadline::after(enrol_max)));
  ASSIGN_OR_RETURN(const auto store, store::Store::open(node->settings().state / "qkm.db", qkm::migrations));
  qkm::KeyStock stock(node->device());
  qkm::SaeFront front({.kme = node->identity().name, .domain = node->identity().domain, .domains = own.domains},
                      {.store = *store, .stock = stock, .device = node->device(), .clock = node->clock()},
                      {.activate =
                           [&](const ElementName& qkm, const wire::Json& activation, Deadline deadline) {
                             return node->call_json(points::Endpoint::x1_activate, qkm.text(), activation, deadline, node->new_request_id());
                           },
                       .record = [&](const audit::Event& event) { return node->record(event); }},
                      *own.sae);
  TRY(front.start());
  ASSIGN_OR_RETURN(const auto intake, StockIntake::open(node->settings().state / "bench.sock", *store, stock,
                                                        node->rng().secret(std::size_t{qkm::chunk_keys_max} * qkm::stock_key_size)));
  std::mutex mutex;
  std::condition_variable_any rest;
  std::jthread housekeeper([&](const std::stop_token& stopping) {
    std::unique_lock lock(mutex);
    while (!rest.wait_for(lock, stopping, sweep_every, [&] { return stopping.stop_requested(); })) {
      if (const auto swept = sweep(*store, stock, front); !swept) node::log(node::LogLevel::error, "sweep: {}", swept.error().message);
    }
  });
  TRY(node->serve({{points::Endpoint::x1_activate, [&](const net::Request& request) -> Result<net::Response> {
                      ASSIGN_OR_RETURN(const wire::Json answer, front.activated(*request.peer.identity, request.body));
                      return node::json_response(answer);
                    }}}));
  node->run_until_stopped();
  housekeeper.request_stop();
  housekeeper.join();
  front.stop();
  return {};
}

}  // namespace

int run_kme(const std::filesystem::path& config) {
  app::block_signals();
  ::signal(SIGPIPE, SIG_IGN);
  const auto done = run(config);
  if (done) return 0;
  fmt::print(stderr, "qanat-bench qkm: {}\n", done.error().message);
  return 1;
}

}  // namespace qanat::bench
