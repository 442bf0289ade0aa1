#include "terminal/gateway/service.hpp"

#include <signal.h>

#include <algorithm>
#include <condition_variable>
#include <thread>

#include "kme/key_id_text.hpp"
#include "node/recorded.hpp"
#include "terminal/gateway/initiator.hpp"
#include "terminal/gateway/responder.hpp"

namespace qanat::terminal::gateway {
namespace {

constexpr timespec signal_look{.tv_sec = 0, .tv_nsec = 200'000'000};

/// Has an agent do what is due, from a thread of its own.
class AgentThread {
 public:
  explicit AgentThread(Agent& agent) : agent_(agent) {}
  void start() {
    thread_ = std::jthread([this](const std::stop_token& stopped) {
      while (!stopped.stop_requested()) {
        const std::chrono::milliseconds pause = agent_.work();
        std::unique_lock lock(mutex_);
        wake_.wait_for(lock, stopped, pause, [this] { return rung_; });
        rung_ = false;
      }
    });
  }
  void ring() {
    {
      const std::lock_guard lock(mutex_);
      rung_ = true;
    }
    wake_.notify_all();
  }
  /// What it does comes to its end soon; stop() waits for it.
  void request_stop() {
    thread_.request_stop();
    agent_.interrupt();
  }
  void stop() {
    request_stop();
    if (thread_.joinable()) thread_.join();
  }

 private:
  Agent& agent_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  bool rung_ = false;
  std::jthread thread_;
};

Result<std::unique_ptr<Tunnel>> open_software(const TunnelSettings& settings, crypto::Rng& rng) {
  if (const auto* const strongswan = std::get_if<StrongSwanSettings>(&settings.software)) return open_strongswan(*strongswan, settings.role);
  return open_wireguard(std::get<WireGuardSettings>(settings.software), rng);
}

wire::Json health_of(const Agent& agent) {
  const TunnelState state = agent.state();
  wire::Json out = wire::Json::object({{"tunnel", agent.plan().name},
                                       {"role", agent.plan().role == Role::initiator ? "initiator" : "responder"},
                                       {"up", state.up},
                                       {"ready", state.ready},
                                       {"changes", state.changes},
                                       {"last_failure", state.last_failure}});
  if (state.key) out.set("key", kme::to_uuid(*state.key)).set("since_ms", state.since_ms);
  return out;
}

}  // namespace

struct GatewayService::Parts {
  struct One {
    std::string peer;
    kme::SaeId peer_sae;
    std::unique_ptr<Agent> agent;
    Responder* responder = nullptr;  // the agent, if it is one
    std::unique_ptr<AgentThread> thread;
  };

  explicit Parts(node::Node& its_node) : node(its_node) {}

  AgentPorts ports_of(const TunnelSettings& tunnel);
  Result<void> add(const TunnelSettings& tunnel);
  /// The tunnel whose responder this is; denied unless the caller is the agent at its other end.
  Result<Responder*> responder_for(const std::string& tunnel, const net::Request& request) const;
  Result<net::Response> take(const net::Request& request, node::Deed& deed) const;
  Result<net::Response> follow(const net::Request& request) const;

  node::Node& node;
  std::unique_ptr<GatewayKeys> keys;
  std::unique_ptr<KeyRecords> records;
  std::vector<One> tunnels;
  std::jthread signals;
};

AgentPorts GatewayService::Parts::ports_of(const TunnelSettings& tunnel) {
  const auto record = [this](std::string_view action, std::string_view object, const Error* why) {
    return node.record({.action = action,
                        .outcome = why == nullptr ? audit::Outcome::success : audit::outcome_of(why->code),
                        .subject = node.identity().uri(),
                        .object = object,
                        .reason = why == nullptr ? std::string_view() : std::string_view(why->message),
                        .request_id = ""});
  };
  const std::string peer = tunnel.peer;
  const kme::SaeId sae = tunnel.peer_sae;
  return {.clock = node.clock(),
          .suite = node.suite(),
          .record = record,
          .fresh = [this, sae](Deadline deadline) { return keys->fresh(sae, deadline); },
          .offer = [this, peer](const Dx1Key& message, Deadline deadline) -> Result<void> {
            TRY(node.call_json(points::Endpoint::dx1_key, peer, write(message), deadline, node.new_request_id()));
            return {};
          },
          .agree = [this, peer](const Dx1Loaded& message, Deadline deadline) -> Result<std::vector<KeyId>> {
            ASSIGN_OR_RETURN(const wire::Json answer, node.call_json(points::Endpoint::dx1_loaded, peer, write(message), deadline, node.new_request_id()));
            return read_loaded(answer);
          },
          .by_id = [this, sae](const KeyId& id, Deadline deadline) { return keys->by_id(sae, id, deadline); }};
}

Result<void> GatewayService::Parts::add(const TunnelSettings& tunnel) {
  const auto peer = node.settings().peers.find(tunnel.peer);
  if (peer == node.settings().peers.end())
    return fail(ErrorCode::invalid_argument, "gateway.tunnels." + tunnel.name + ".peer = " + tunnel.peer + ": is not among [peers]");
  const Identity& other = peer->second.expected;
  if (other.kind != Kind::dev1)
    return fail(ErrorCode::invalid_argument, "gateway.tunnels." + tunnel.name + ".peer = " + tunnel.peer + ": is no gateway (dev1)");
  const bool leads = tunnel.role == Role::initiator;
  const bool ppk = std::holds_alternative<StrongSwanSettings>(tunnel.software);
  TunnelPlan plan{.name = tunnel.name,
                  .role = tunnel.role,
                  .use = ppk ? wire::GatewayUse::ppk : wire::GatewayUse::wireguard_psk,
                  .initiator = leads ? node.identity() : other,
                  .responder = leads ? other : node.identity(),
                  .policy = tunnel.policy};
  ASSIGN_OR_RETURN(std::unique_ptr<Tunnel> software, open_software(tunnel, node.rng()));
  One one{.peer = tunnel.peer, .peer_sae = tunnel.peer_sae, .agent = nullptr, .responder = nullptr, .thread = nullptr};
  if (leads) {
    one.agent = std::make_unique<Initiator>(std::move(plan), ports_of(tunnel), *records, std::move(software));
  } else {
    auto responder = std::make_unique<Responder>(std::move(plan), ports_of(tunnel), *records, std::move(software));
    one.responder = responder.get();
    one.agent = std::move(responder);
  }
  one.thread = std::make_unique<AgentThread>(*one.agent);
  tunnels.push_back(std::move(one));
  return {};
}

Result<Responder*> GatewayService::Parts::responder_for(const std::string& tunnel, const net::Request& request) const {
  const auto found = std::ranges::find_if(tunnels, [&](const One& one) { return one.agent->plan().name == tunnel && one.responder != nullptr; });
  // The same to everybody who is not the other end: a tunnel's name is not theirs to find out.
  if (found == tunnels.end() || !request.peer.identity || found->agent->plan().initiator != *request.peer.identity) {
    return fail(ErrorCode::denied, "no tunnel '" + tunnel + "' that the caller initiates ends here");
  }
  return found->responder;
}

Result<net::Response> GatewayService::Parts::take(const net::Request& request, node::Deed& deed) const {
  ASSIGN_OR_RETURN(const wire::Json body, wire::Json::parse(request.body));
  ASSIGN_OR_RETURN(const Dx1Key message, read_dx1_key(body));
  deed.object = message.tunnel + "/" + kme::to_uuid(message.key);
  ASSIGN_OR_RETURN(Responder* const responder, responder_for(message.tunnel, request));
  TRY(responder->take(message.key, request.deadline));
  return node::json_response(wire::Json::object());
}

Result<net::Response> GatewayService::Parts::follow(const net::Request& request) const {
  ASSIGN_OR_RETURN(const wire::Json body, wire::Json::parse(request.body));
  ASSIGN_OR_RETURN(const Dx1Loaded message, read_dx1_loaded(body));
  ASSIGN_OR_RETURN(Responder* const responder, responder_for(message.tunnel, request));
  ASSIGN_OR_RETURN(const std::vector<KeyId> loaded, responder->follow(message, request.deadline));
  return node::json_response(write_loaded(loaded));
}

GatewayService::GatewayService(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
GatewayService::~GatewayService() { stop(); }

Result<std::unique_ptr<GatewayService>> GatewayService::open(node::Node& node, const GatewaySettings& settings) {
  auto parts = std::make_unique<Parts>(node);
  ASSIGN_OR_RETURN(parts->keys, GatewayKeys::open(settings.kme));
  ASSIGN_OR_RETURN(parts->records, KeyRecords::open(node.settings().state / "gateway.db"));
  for (const TunnelSettings& tunnel : settings.tunnels) TRY(parts->add(tunnel));
  node.describe_health([raw = parts.get()](wire::Json& body) {
    wire::Json tunnels = wire::Json::array(std::vector<wire::Json>());
    for (const Parts::One& one : raw->tunnels) tunnels.push(health_of(*one.agent));
    body.set("tunnels", tunnels);
  });
  return std::unique_ptr<GatewayService>(new GatewayService(std::move(parts)));
}

std::vector<points::Handler> GatewayService::handlers() {
  Parts& parts = *parts_;
  return {{points::Endpoint::dx1_key,
           [&parts](const net::Request& request) {
             return node::recorded(parts.node, "dx-1.key", request, [&](node::Deed& deed) { return parts.take(request, deed); });
           }},
          // It comes every few seconds: what it changes is on record as a change of the key.
          {points::Endpoint::dx1_loaded,
           [&parts](const net::Request& request) { return node::refusal_recorded(parts.node, "dx-1.loaded", request, "", parts.follow(request)); }}};
}

void GatewayService::start() {
  for (Parts::One& one : parts_->tunnels) one.thread->start();
  parts_->signals = std::jthread([parts = parts_.get()](const std::stop_token& stopped) {
    sigset_t hangup;
    sigemptyset(&hangup);
    sigaddset(&hangup, SIGHUP);
    while (!stopped.stop_requested()) {
      if (sigtimedwait(&hangup, nullptr, &signal_look) != SIGHUP) continue;
      for (const Parts::One& one : parts->tunnels) {
        one.agent->ask();
        one.thread->ring();
      }
    }
  });
}

void GatewayService::stop() {
  parts_->signals.request_stop();
  if (parts_->signals.joinable()) parts_->signals.join();
  for (const Parts::One& one : parts_->tunnels) one.thread->request_stop();
  for (const Parts::One& one : parts_->tunnels) one.thread->stop();
}

}  // namespace qanat::terminal::gateway
