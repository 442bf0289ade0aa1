// Keys for SAEs, out of the stocks that this element (a QKM, or a KMS) shares with those of other sites: the provider behind ETSI GS QKD 014, 004, 020 and SKIP.
//
// An order at the near end takes keys out of the common stock (one transaction), tells the far end which SAEs they now belong to (X-1 or Km-2 activate; it
// takes them out of its stock and stores them for those SAEs, one transaction), and is answered only then: a key can be fetched at the far end before the
// near end has it. Orders that come together share the transactions, the message and the audit record. Whatever is killed at whatever place: a key whose
// octets have left a stock is never used again, and a key that was answered is at the far end.
#pragma once

#include <atomic>
#include <memory>

#include "audit/audit.hpp"
#include "base/identity.hpp"
#include "kme/sae_registry.hpp"
#include "kme/stock/batches.hpp"
#include "kme/stock/site_stocks.hpp"
#include "kme/stock/activation.hpp"

namespace qanat::kme {

/// What an SAE's key is made from at both ends: keys of the stock, cut to its size, and whose it becomes.
struct KeyMaking {
  KeyId id;
  const SaeId& master;
  const std::vector<SaeId>& slaves;  // of the site that shares the stock
  Secret octets;
};

struct DeliveryPlace {
  std::string kme;     // this element's name
  std::string domain;  // this site's
  std::map<std::string, ElementName> domains;  // who serves each other site
  std::vector<std::string> neighbours{};       // key managers of other makers to which keys are brought
  Limits limits;
  std::int64_t max_key_count = 0;  // that a stock holds, for ETSI 014's status
  std::chrono::milliseconds lifetime{3600000};  // of a key that nobody fetches
  SiteStocks::Paths paths = SiteStocks::Paths::of_stocks;
  std::size_t sellers = 1;  // batches of orders under way at a time; one makes the largest batches, which costs the least processor time per key
};

/// All may block until the deadline; all may be called from several threads.
struct DeliveryPorts {
  /// The far end's answer to an activation.
  std::function<Result<wire::Json>(const ElementName& kme, const wire::Json& activation, Deadline deadline)> activate;
  std::function<Result<void>(const audit::Event& event)> record;
  /// Whether what this element does with keys of this stock is as an order demands (`quantum`). Over how many paths they come and what is proved of them,
  /// stands with the keys and is not asked here.
  std::function<bool(const StockName& stock, const Demands& demands)> meets;
  /// An SAE's key from those of the stock that are its turn; nullptr: it is them. The far end makes the same.
  std::function<Secret(KeyMaking making)> make = nullptr;
  /// Puts `keys` more to the account of the SAE that ordered them, within the transaction that takes them out of the stock: exhausted if it may have no more;
  /// nullptr: nobody counts.
  std::function<Result<void>(store::Transaction& transaction, const Sae& master, std::uint32_t keys)> charge = nullptr;
  /// Keys have left a stock, so that it may be filled again; nullptr where nobody does. Must not block.
  std::function<void()> taken = nullptr;
  /// An order for SAEs that are behind one of the neighbours; nullptr where there are none. Must not block.
  std::function<void(Order order, Done<Delivery> done)> hand_over = nullptr;
};

struct DeliveryParts {
  store::Store& store;
  KeyStock& stock;
  crypto::CryptoDevice& device;
  const Clock& clock;
  const SaeRegistry& registry;
};

class SaeDelivery final : public Provider {
 public:
  SaeDelivery(DeliveryPlace place, DeliveryParts parts, DeliveryPorts ports);
  ~SaeDelivery() override;

  [[nodiscard]] Limits limits() const override { return place_.limits; }
  void status(const Caller& master, const SaeId& slave, Done<StockStatus> done) override;
  void take(Order order, Done<Delivery> done) override;
  void fetch(Fetch fetch, Done<Delivery> done) override;
  void accept(ExternalKeys keys, Done<void> done) override;
  void discard(const SaeId& initiator, std::vector<KeyId> ids, Done<std::vector<KeyId>> done) override;
  Result<Secret> random(std::size_t octets) override { return parts_.device.random(octets); }
  void record_refusal(const Caller& caller, std::string_view action, std::string why, std::move_only_function<void()> then) override;

  /// The far end's half: what another says that it gave to an SAE of its own. The answer names batches that never came here.
  Result<wire::Json> activated(const Identity& sender, const Activation& activation);
  Result<wire::Json> activated(const Identity& sender, ByteView message);
  /// Destroys what nobody fetched in time.
  Result<void> sweep();
  /// Answers what is under way, then takes no more. Idempotent.
  void stop();

  /// "domain/<domain>/<suffix>": the stocks shared with a site.
  static std::string stock_prefix(const std::string& domain) { return std::string(domain_stocks) + domain + "/"; }

 private:
  struct Sale {
    Order order;
    Done<Delivery> done;
    std::optional<Error> failed;
    std::vector<Key> keys;
    bool charged = false;
  };
  struct Group;  // sales that differ in nothing but their number
  class Selling;
  /// One piece of work of the other queue, which shares a transaction and a record with its neighbours.
  struct Errand {
    std::function<Result<void>(store::Transaction&, Assignments::Fetching&)> work;  // stands or falls alone
    std::function<std::pair<std::string_view, std::string>()> evidence;             // action and object, for the audit; empty: none
    std::move_only_function<void(Result<void>)> finish;
    std::string subject;
    std::string request_id;
  };

  /// Whose keys this element can see to, and by which way.
  enum class Way : std::uint8_t { own_sites, neighbours };
  Result<Way> way_of(const Order& order) const;
  /// The master, if it is served here and shares keys with each of the slaves; denied otherwise.
  Result<std::shared_ptr<const Sae>> sharing(const SaeId& master, std::span<const SaeId> slaves) const;
  [[nodiscard]] bool is_behind_neighbour(const Sae& sae) const;
  /// An SAE's keys of `octets` each, one after the other, from as many octets of the stock.
  Secret made_keys(const ActivatedKeys& group, std::span<const IdRun> ids, Secret cut) const;
  void sell(std::vector<Sale> sales);
  void sell_together(std::vector<Sale> sales);
  void run_errands(std::vector<Errand> errands);
  void submit(Errand errand);
  Result<void> take_in(store::Transaction& transaction, const Identity& sender, const Activation& activation, UnixMs now, std::vector<BatchId>& missing,
                       std::vector<std::string>& evidence);
  /// Items that fit into one record stand in one; durable when it returns.
  Result<void> record(std::string_view action, audit::Outcome outcome, std::string_view subject, std::span<const std::string> items, std::string_view why,
                      std::string_view request_id);

  const DeliveryPlace place_;
  DeliveryParts parts_;
  DeliveryPorts ports_;
  Assignments assignments_;
  Quotas quotas_;
  Batches<Sale> sales_;
  Batches<Errand> errands_;
};

}  // namespace qanat::kme
