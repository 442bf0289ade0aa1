#include "quantum/qkd/process/service.hpp"

#include <thread>

#include "base/secret_file.hpp"
#include "crypto/site_key.hpp"
#include "node/crash_point.hpp"
#include "quantum/qkd/process/account.hpp"
#include "quantum/qkd/process/driver.hpp"
#include "quantum/qkd/process/large_blocks.hpp"
#include "wire/base64.hpp"

namespace qanat::qkd {
namespace {

constexpr std::chrono::milliseconds hold_max{1000};       // how long Alice keeps an exchange waiting
constexpr std::chrono::milliseconds exchange_max{30000};  // with the processing of a whole block's step
constexpr std::chrono::milliseconds control_max{3000};    // the QKM holds a poll for half of it
constexpr std::chrono::milliseconds delivery_max{10000};
constexpr std::chrono::milliseconds pause_first{500};
constexpr std::chrono::milliseconds pause_max{15000};
constexpr std::uint64_t backlog_blocks_max = 8;  // undelivered; with more the link rests
constexpr std::size_t pre_shared_unit = 2 * one_time_key_size;

Result<crypto::SiteKey> read_site_key(const std::filesystem::path& file) {
  if (file.empty()) return Result<crypto::SiteKey>(crypto::SiteKey::from_secret(Secret(link_key_bits / 8)));
  return crypto::SiteKey::read(file);
}

/// The state that an end begins with. Block ids count on from the time of installation: a link that is charged anew does not repeat them, so
/// its keys have ids that no QKM has seen.
Result<void> make_first_state(Records& records, const QkdSettings& settings, UnixMs now) {
  ASSIGN_OR_RETURN(const auto known, records.load_state());
  if (known || settings.session.first_key == FirstKey::pqc) return {};
  ASSIGN_OR_RETURN(const Secret preshared, read_secret_file(settings.pre_shared_key, pre_shared_unit, pool_keys_max));
  ASSIGN_OR_RETURN(DurableState state, DurableState::fresh(preshared));
  state.last_started = now;
  return records.commit(state.encode(), {});
}

Bytes wrapping_context(const LinkId& link, std::uint64_t block_id) {
  OctetWriter out;
  out.octets(as_bytes("kq-1"));
  out.octets(link.view());
  out.u64(block_id);
  return out.take();
}

}  // namespace

struct QkdService::Parts {
  Parts(node::Node& node_, QkdSettings settings_, std::unique_ptr<Records> records_, crypto::SiteKey site_key_)
      : node(node_), settings(std::move(settings_)), records(std::move(records_)), site_key(std::move(site_key_)) {}

  node::Node& node;
  QkdSettings settings;
  std::unique_ptr<Records> records;
  crypto::SiteKey site_key;
  DrivenEnd end;

  std::mutex mutex;
  std::condition_variable changed;
  bool stopping = false;
  bool block_waits = false;
  std::thread controller;
  std::thread deliverer;
  std::thread dialler;

  Result<void> make_end();
  bool pause(std::chrono::milliseconds span);
  void obey_qkm();
  void bring_blocks();
  void dial();
  Result<bool> ask_orders(bool have);
  Result<bool> bring_one();
  Result<net::Response> exchange(const net::Request& request);
  void describe_source(wire::Json& body) const;
  void describe_health(wire::Json& body);
};

Result<void> QkdService::Parts::make_end() {
  const EndParts parts{
      .settings = settings.session, .records = *records, .random = node.rng(), .clock = node.clock(), .suite = &node.suite(), .block_stored = [this] {
        {
          const std::lock_guard lock(mutex);
          block_waits = true;
        }
        changed.notify_all();
      }};
  ASSIGN_OR_RETURN(end, open_end(settings, parts, [this](ByteView octets, Deadline deadline) -> Result<Bytes> {
                     ASSIGN_OR_RETURN(net::Response response,
                                      node.call(points::Endpoint::x2_channel, settings.peer.text(), octets, deadline, node.new_request_id()));
                     return std::move(response.body);
                   }));
  return {};
}

bool QkdService::Parts::pause(std::chrono::milliseconds span) {
  std::unique_lock lock(mutex);
  return !changed.wait_for(lock, span, [this] { return stopping; });
}

Result<bool> QkdService::Parts::ask_orders(bool have) {
  const std::string query = "link=" + settings.session.link.text() + "&have=" + (have ? "1" : "0");
  ASSIGN_OR_RETURN(const net::Response response,
                   node.call(points::Endpoint::kq1_control, settings.qkm.text(), {}, Deadline::after(control_max), node.new_request_id(), query));
  ASSIGN_OR_RETURN(const wire::Json answer, wire::Json::parse(response.body));
  TRY(answer.only({"run"}));
  return answer.boolean("run");
}

void QkdService::Parts::obey_qkm() {
  bool run = false;
  const auto backlog_max = static_cast<std::int64_t>(backlog_blocks_max * settings.session.ids_per_block());
  while (pause(std::chrono::milliseconds(0))) {
    const auto orders = ask_orders(run);
    const auto backlog = records->backlog();
    run = orders.value_or(false);
    end.set_run(run && backlog && *backlog < backlog_max);
    if (orders) continue;
    node::log(node::LogLevel::warning, "orders: {}", orders.error().message);
    pause(pause_first);
  }
}

/// True if a block was brought; false if there is none.
Result<bool> QkdService::Parts::bring_one() {
  ASSIGN_OR_RETURN(const auto block, records->next_undelivered());
  if (!block) return false;
  const LinkId& link = settings.session.link;
  const Bytes wrapped = site_key.wrap(wrapping_context(link, block->block_id), block->keys, node.rng());
  const wire::Json body = wire::Json::object({{"link", link.text()},
                                              {"block_id", block->block_id},
                                              {"keys", wire::to_base64(wrapped)},
                                              {"count", block->keys.size() * 8 / link_key_bits},
                                              {"report", end.describe_block(block->block_id, block->summary)}});
  const auto told = node.call_json(points::Endpoint::kq1_block, settings.qkm.text(), body, Deadline::after(delivery_max), node.new_request_id());
  // conflict: the QKM has a later block already and will never take this one.
  if (!told && told.error().code != ErrorCode::conflict) return fail(told.error());
  if (!told) node::log(node::LogLevel::error, "block {} is lost: {}", block->block_id, told.error().message);
  node::crash_point("qkd.block.accepted");
  TRY(records->delivered(block->block_id));
  node.report({.about = "", .action = "key_block", .outcome = told ? "delivered" : "failure", .object = link.text()}, node::Telling::together);
  return true;
}

void QkdService::Parts::bring_blocks() {
  std::chrono::milliseconds wait = pause_first;
  while (true) {
    const auto brought = bring_one();
    if (!brought) node::log(node::LogLevel::warning, "block: {}", brought.error().message);
    std::unique_lock lock(mutex);
    if (stopping) return;
    if (brought && *brought) {
      wait = pause_first;
      continue;
    }
    if (brought) {
      changed.wait(lock, [this] { return stopping || block_waits; });
    } else {
      changed.wait_for(lock, wait, [this] { return stopping; });
      wait = std::min(2 * wait, pause_max);
    }
    block_waits = false;
  }
}

void QkdService::Parts::dial() {
  std::chrono::milliseconds wait = pause_first;
  std::uint64_t blocks = 0;
  bool up = false;
  const auto becomes = [&](bool now_up) {
    if (up == now_up) return;
    up = now_up;
    node.report({.about = "", .action = "link", .outcome = up ? "up" : "down", .object = settings.session.link.text()});
  };
  while (pause(std::chrono::milliseconds(0))) {
    const auto done = end.turn(Deadline::after(exchange_max));
    if (const std::uint64_t now = end.facts().blocks; now != blocks) {
      blocks = now;
      wait = pause_first;
      becomes(true);
    }
    if (done) continue;
    becomes(false);
    node::log(node::LogLevel::warning, "link {}: {}", settings.session.link.text(), done.error().message);
    pause(wait);
    wait = std::min(2 * wait, pause_max);
  }
}

Result<net::Response> QkdService::Parts::exchange(const net::Request& request) {
  const auto peer = node.settings().peers.find(settings.peer.text());
  const bool is_peer =
      peer != node.settings().peers.end() ? peer->second.expected == *request.peer.identity : request.peer.identity->name == settings.peer.text();
  auto answer = [&]() -> Result<Bytes> {
    if (!is_peer) return fail(ErrorCode::denied, request.peer.identity->uri() + " is not at the other end of link " + settings.session.link.text());
    if (!end.answer) return fail(ErrorCode::conflict, "X-2: this end dials itself");
    return end.answer(request.body, request.deadline.sooner_of(hold_max), request.deadline);
  }();
  if (!answer) {
    TRY(node.record({.action = "x-2.channel",
                     .outcome = audit::outcome_of(answer.error().code),
                     .subject = request.peer.identity->uri(),
                     .object = settings.session.link.text(),
                     .reason = answer.error().message,
                     .request_id = request.request_id}));
    return fail(answer.error());
  }
  return net::Response{.status = 200, .content_type = std::string(points::type_octets), .body = std::move(*answer)};
}

void QkdService::Parts::describe_source(wire::Json& body) const {
  const LinkParameters& optics = settings.session.parameters;
  switch (settings.driver) {
    case Driver::simulated:
      body.set("simulated_fibre", wire::Json::object({{"distance_km", optics.distance_km},
                                                      {"attenuation_db_per_km", optics.attenuation_db_per_km},
                                                      {"gate_rate_hz", optics.gate_rate_hz},
                                                      {"eavesdropper", name(optics.eavesdropper.attack)},
                                                      {"eavesdropper_share", optics.eavesdropper.attacked_share()}}));
      break;
    case Driver::files:
      body.set("recording", wire::Json::object({{"events", settings.recording.events.string()}, {"gate_rate_hz", optics.gate_rate_hz}}));
      break;
    case Driver::etsi014:
      body.set("vendor", wire::Json::object({{"kme", settings.vendor.kme.host + ":" + std::to_string(settings.vendor.kme.port)},
                                             {"peer_sae", settings.vendor.peer_sae.text()},
                                             {"keys_per_block", settings.vendor.keys_per_block}}));
      return;
  }
  body.set("post_processing", describe(settings.session));
}

void QkdService::Parts::describe_health(wire::Json& body) {
  const EndFacts now = end.facts();
  body.set("simulated", end.origin == RecordingOrigin::simulated);
  body.set("driver", name(settings.driver));
  body.set("link", settings.session.link.text());
  body.set("role", name(settings.role));
  describe_source(body);
  body.set("connected", now.connected);
  body.set("sessions", now.sessions);
  body.set("blocks", now.blocks);
  body.set("failed_blocks", now.failed_blocks);
  if (now.last_block) body.set("last_block", end.describe_block(now.last_block_id, *now.last_block));
  body.set("last_failure", now.last_failure);
  if (const auto backlog = records->backlog()) body.set("undelivered_blocks", *backlog);
  if (settings.driver == Driver::etsi014) return;
  if (const auto state = records->load_state(); state && *state) {
    body.set("authentication_keys", wire::Json::object({{"alice_to_bob", (*state)->pool.stock(Direction::alice_to_bob)},
                                                        {"bob_to_alice", (*state)->pool.stock(Direction::bob_to_alice)}}));
  }
}

QkdService::QkdService(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
QkdService::~QkdService() { stop(); }

Result<std::unique_ptr<QkdService>> QkdService::open(node::Node& node, QkdSettings settings) {
  ASSIGN_OR_RETURN(auto records, Records::open(node.settings().state / "qkd.db", node.device()));
  ASSIGN_OR_RETURN(auto site_key, read_site_key(settings.site_key));
  if (settings.driver != Driver::etsi014) TRY(make_first_state(*records, settings, node.clock().now_ms()));
  keep_large_blocks();
  auto parts = std::make_unique<Parts>(node, std::move(settings), std::move(records), std::move(site_key));
  TRY(parts->make_end());
  node.describe_health([&those = *parts](wire::Json& body) { those.describe_health(body); });
  return std::unique_ptr<QkdService>(new QkdService(std::move(parts)));
}

std::vector<points::Handler> QkdService::handlers() {
  return {{points::Endpoint::x2_channel, [this](const net::Request& request) { return parts_->exchange(request); }}};
}

void QkdService::start() {
  Parts& parts = *parts_;
  parts.controller = std::thread([&parts] { parts.obey_qkm(); });
  parts.deliverer = std::thread([&parts] { parts.bring_blocks(); });
  if (parts.end.turn) parts.dialler = std::thread([&parts] { parts.dial(); });
}

void QkdService::stop() {
  {
    const std::lock_guard lock(parts_->mutex);
    parts_->stopping = true;
  }
  parts_->changed.notify_all();
  for (std::thread* thread : {&parts_->controller, &parts_->deliverer, &parts_->dialler}) {
    if (thread->joinable()) thread->join();
  }
}

}  // namespace qanat::qkd
