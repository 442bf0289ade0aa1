// A provider that answers at once, and what a request of the adapters' listener looks like.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <set>

#include "kme/key_id_text.hpp"
#include "kme/sae_registry.hpp"
#include "net/foreign.hpp"

namespace qanat::kme::test {

inline KeyId key_id(std::uint8_t n) {
  Bytes octets(16, 0xA0);
  octets.back() = n;
  return KeyId(octets);
}

/// Hands out keys whose octets all are `n` of their id; remembers who may fetch what.
class ProviderDouble final : public Provider {
 public:
  [[nodiscard]] Limits limits() const override { return {}; }
  void status(const Caller&, const SaeId&, Done<StockStatus> done) override {
    done(StockStatus{.source_kme = "kme-a", .target_kme = "kme-b", .stored_key_count = 25000, .max_key_count = 100000, .limits = limits()});
  }
  void take(Order order, Done<Delivery> done) override {
    orders.push_back(order);
    if (fails) return done(fail(*fails));
    Delivery out;
    for (std::uint32_t i = 0; i < order.number; ++i) {
      const std::uint8_t n = next++;
      out.keys.push_back({.id = key_id(n), .octets = Secret::copy_of(Bytes(order.size / 8, n))});
      for (const SaeId& slave : order.slaves) waiting[key_id(n)].insert(slave);
    }
    done(std::move(out));
  }
  void fetch(Fetch fetch, Done<Delivery> done) override {
    fetches.push_back(fetch);
    if (fails) return done(fail(*fails));
    Delivery out;
    for (const KeyId& id : fetch.ids) {
      const auto found = waiting.find(id);
      if (found == waiting.end()) return done(fail(ErrorCode::not_found, "key " + id.hex() + ": not here"));
      if (!found->second.contains(fetch.slave.sae)) return done(fail(ErrorCode::denied, "not named"));
      out.keys.push_back({.id = id, .octets = Secret::copy_of(Bytes(32, id.view().back()))});
    }
    for (const KeyId& id : fetch.ids) waiting.erase(id);
    done(std::move(out));
  }
  void accept(ExternalKeys keys, Done<void> done) override {
    if (fails) return done(fail(*fails));
    for (const Key& key : keys.keys) {
      for (const SaeId& target : keys.targets) waiting[key.id].insert(target);
    }
    accepted.push_back(std::move(keys));
    done({});
  }
  void discard(const SaeId&, std::vector<KeyId> ids, Done<std::vector<KeyId>> done) override {
    std::vector<KeyId> out;
    for (const KeyId& id : ids) {
      if (waiting.erase(id) > 0) out.push_back(id);
    }
    done(std::move(out));
  }
  Result<Secret> random(std::size_t octets) override { return Secret::copy_of(Bytes(octets, 0x5A)); }
  void record_refusal(const Caller& caller, std::string_view action, std::string why, std::move_only_function<void()> then) override {
    refusals.push_back(caller.sae.text() + " " + std::string(action) + ": " + why);
    then();
  }

  std::vector<Order> orders;
  std::vector<Fetch> fetches;
  std::vector<ExternalKeys> accepted;
  std::vector<std::string> refusals;
  std::map<KeyId, std::set<SaeId>> waiting;
  std::optional<Error> fails;
  std::uint8_t next = 1;
};

inline const SaeRegistry& registry() {
  static const SaeRegistry shared = *SaeRegistry::make({{.id = SaeId("sae-a"), .domain = "a", .kme = "kme-a", .here = true},
                                                        {.id = SaeId("sae-c"), .domain = "a", .kme = "kme-a", .here = true},
                                                        {.id = SaeId("sae-b"), .domain = "b", .kme = "kme-b", .here = false},
                                                        {.id = SaeId("sae b/ü"), .domain = "b", .kme = "kme-b", .here = false}});
  return shared;
}

struct Asked {
  std::string method = "GET";
  std::string pattern{};
  std::vector<std::string> parameters{};
  std::string query{};
  std::string body{};
  std::string content_type = "application/json";
  std::string sae = "sae-a";
  bool quantum_safe = true;
};

struct Answered {
  unsigned status = 0;
  std::string body;
  std::string content_type;
};

/// Straight into the service's route, as the listener would.
inline Answered ask(const net::ForeignService& service, const Asked& asked) {
  for (const net::ForeignRoute& route : service.routes) {
    if (route.method != asked.method || route.pattern != asked.pattern) continue;
    std::optional<Answered> out;
    auto peer = std::make_shared<net::ForeignPeer>(net::ForeignPeer{.names = {asked.sae},
                                                                    .address = "192.0.2.1:4711",
                                                                    .protocol = "TLSv1.3",
                                                                    .group = asked.quantum_safe ? "X25519MLKEM768" : "x25519",
                                                                    .quantum_safe = asked.quantum_safe});
    route.answer({.peer = peer,
                  .parameters = asked.parameters,
                  .query = asked.query,
                  .content_type = asked.content_type,
                  .body = to_bytes(asked.body),
                  .deadline = Deadline::after(std::chrono::seconds(5)),
                  .request_id = "0123456789abcdef"},
                 [&](const net::ForeignResponse& response) {
                   out = Answered{.status = response.status, .body = std::string(as_text(response.body.reveal())), .content_type = response.content_type};
                 });
    EXPECT_TRUE(out.has_value());
    return out.value_or(Answered{});
  }
  ADD_FAILURE() << "no route " << asked.method << ' ' << asked.pattern;
  return {};
}

}  // namespace qanat::kme::test
