#include "services/cmsp/cso/orchestrator.hpp"

#include "node/senders.hpp"
#include "services/cmsp/after_query.hpp"
#include "services/cmsp/known_kms.hpp"
#include "wire/signed_text.hpp"

namespace qanat::cmsp {
namespace {

constexpr std::chrono::milliseconds policy_wait_max{1000};
constexpr std::chrono::milliseconds stop_seen_within{250};

wire::Json named(const points::NamedCounts& counts) {
  wire::Json out = wire::Json::object();
  for (const auto& [name, count] : counts) out.set(name, count);
  return out;
}

}  // namespace

Result<void> Orchestrator::open() {
  ASSIGN_OR_RETURN(std::optional<points::KmsPolicy> latest, policies_.latest());
  const std::lock_guard lock(mutex_);
  latest_ = latest;
  return {};
}

Result<net::Response> Orchestrator::order(const net::Request& request, node::Deed& deed) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
  ASSIGN_OR_RETURN(const points::KmsPolicy policy, points::read_kms_policy_order(json, node_.settings().policy_epoch));
  deed.object = points::to_json(policy).dump();
  {
    const std::lock_guard lock(mutex_);
    TRY(policies_.put(policy, request.peer.identity->uri(), node_.clock().now_ms()));
    latest_ = policy;
  }
  changed_.notify_all();
  return net::Response{.status = 204, .content_type = "", .body = {}};
}

std::optional<points::KmsPolicy> Orchestrator::other_than(std::int64_t version, Deadline deadline) {
  const Deadline until = deadline.sooner_of(std::min(policy_wait_max, deadline.remaining() / 2));
  std::unique_lock lock(mutex_);
  const auto there = [&] { return latest_ && latest_->version != version; };
  if (waiting_ < node_.settings().server.limits.worker_threads / 2) {
    ++waiting_;
    while (!there() && !node_.stopping() && !until.passed()) changed_.wait_until(lock, until.sooner_of(stop_seen_within).at());
    --waiting_;
  }
  return there() ? latest_ : std::nullopt;
}

Result<net::Response> Orchestrator::give(const net::Request& request) {
  TRY(known_kms(node_, *request.peer.identity));
  ASSIGN_OR_RETURN(const std::int64_t version, number_after(request.query, "version of the policy"));
  const std::optional<points::KmsPolicy> policy = other_than(version, request.deadline);
  if (!policy) return net::Response{.status = 204, .content_type = "", .body = {}};
  const std::shared_ptr<const node::MessageSigner> own = node_.signer();
  ASSIGN_OR_RETURN(Bytes document, wire::sign_text(points::kms_policy_label, points::to_json(*policy).dump(), own->signer, own->fps, node_.rng()));
  return net::Response{.status = 200, .content_type = std::string(points::type_octets), .body = node::enclose(*own, std::move(document))};
}

Result<net::Response> Orchestrator::take_state(const net::Request& request) {
  ASSIGN_OR_RETURN(const ElementName kms, known_kms(node_, *request.peer.identity));
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
  ASSIGN_OR_RETURN(const points::KmsState state, points::read_kms_state(json));
  TRY(policies_.take_state(kms, state, node_.clock().now_ms()));
  return net::Response{.status = 204, .content_type = "", .body = {}};
}

void Orchestrator::describe(wire::Json& health) {
  {
    const std::lock_guard lock(mutex_);
    if (latest_) health.set("kms_policy", points::to_json(*latest_));
  }
  const auto states = policies_.states();
  if (!states) return;
  wire::Json out = wire::Json::array();
  for (const KmsPolicies::Said& said : *states) {
    wire::Json one = wire::Json::object(
        {{"kms", said.kms}, {"at_ms", said.at_ms}, {"policy", said.state.policy}, {"delivered_per_minute", said.state.delivered_per_minute}});
    if (said.state.quantum) one.set("quantum", named(*said.state.quantum));
    one.set("stocks", named(said.state.stocks));
    if (said.state.history_keys > 0) one.set("history_keys", said.state.history_keys);
    out.push(one);
  }
  health.set("kms", out);
}

}  // namespace qanat::cmsp
