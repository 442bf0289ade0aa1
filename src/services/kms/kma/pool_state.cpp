#include "services/kms/kma/pool_state.hpp"

#include <algorithm>

#include "store/lifecycle.hpp"

namespace qanat::kms {
namespace {

constexpr UnixMs delivered_within_ms = 60'000;
constexpr std::chrono::milliseconds stock_answer_max{2000};

Result<points::NamedCounts> ready_quantum_keys(node::Node& node, Deadline deadline) {
  ASSIGN_OR_RETURN(const std::string qkm, node.peer_of(Kind::qkm, node.identity().domain));
  ASSIGN_OR_RETURN(const net::Response response, node.call(points::Endpoint::km3_status, qkm, {}, deadline.sooner_of(stock_answer_max), node.new_request_id()));
  ASSIGN_OR_RETURN(const wire::Json answer, wire::Json::parse(response.body));
  ASSIGN_OR_RETURN(const std::vector<wire::Json> peers, answer.array("peers"));
  points::NamedCounts out;
  for (const wire::Json& peer : peers) {
    ASSIGN_OR_RETURN(const std::string domain, peer.text("domain"));
    ASSIGN_OR_RETURN(const std::int64_t stock, peer.integer("stock", 0, INT64_MAX));
    const bool twice = std::ranges::any_of(out, [&](const auto& named) { return named.first == domain; });
    if (twice) return fail(ErrorCode::invalid_argument, "Km-3: the stock for domain " + domain + " stands there twice");
    out.emplace_back(domain, stock);
  }
  return out;
}

}  // namespace

Result<points::KmsState> state_of_pools(node::Node& node, store::Store& store, Ledger& ledger, Deadline deadline) {
  points::KmsState out;
  const UnixMs now = node.clock().now_ms();
  TRY(store.transact([&](store::Transaction& transaction) -> Result<void> {
    ASSIGN_OR_RETURN(const std::vector<std::int64_t> census, ledger.census(transaction));
    out.working_keys.clear();  // a work may run more than once
    for (std::size_t i = 0; i < census.size(); ++i) out.working_keys.emplace_back(store::name(store::all_key_states[i]), census[i]);
    TRY(transaction.query("SELECT count(*) FROM (SELECT 1 FROM history_key WHERE sealed_pair IS NOT NULL LIMIT ?) AS kept", {Ledger::census_max},
                          [&](const store::Row& row) { out.history_keys = row.integer(0); }));
    return transaction.query("SELECT count(*) FROM charging_record WHERE delivered_ms > ?", {store::column(now - std::min(now, delivered_within_ms))},
                             [&](const store::Row& row) { out.delivered_per_minute = row.integer(0); });
  }));
  if (auto quantum = ready_quantum_keys(node, deadline)) out.quantum = *std::move(quantum);
  return out;
}

}  // namespace qanat::kms
