// The near end of one batch of orders: which keys of which stocks become whose. Private to sae_delivery.
#pragma once

#include "kme/stock/delivery.hpp"
#include "kme/stock/site_stocks.hpp"

namespace qanat::kme {

/// Sales for the same master, slaves, size and demands: they share keys that follow each other in the stock.
struct SaeDelivery::Group {
  std::vector<Sale*> sales;
  std::map<std::string, std::vector<SaeId>> slaves_at;  // by domain
  std::string home;                                          // the first slave's domain that is not ours, whose stock the keys come from; empty: none
  std::uint32_t octets = 0;
  std::uint32_t stride = 1;
  std::uint32_t other_sites = 0;  // that have slaves

  // What one attempt made of it.
  Demands demands;
  std::vector<StockRun> runs;
  std::vector<IdRun> ids;
  Secret keys;  // one after the other
  std::map<std::string, ActivatedKeys> messages;  // by domain

  [[nodiscard]] std::uint32_t number() const {
    std::uint32_t out = 0;
    for (const Sale* sale : sales) out += sale->order.number;
    return out;
  }
  [[nodiscard]] const Order& order() const { return sales.front()->order; }
  [[nodiscard]] std::int64_t stock_keys() const { return std::int64_t{number()} * stride; }
  /// What each stock key must be worth so that a key which is made of several, or that reaches further sites under more as pads, meets `whole`: what is used
  /// together fails with at most the sum of the eps, so that each has its part of eps_max.
  [[nodiscard]] Demands of_each(Demands whole) const {
    const std::uint32_t together = whole.paths * stride * std::max(1U, other_sites);
    if (whole.proof.eps_max < 1.0) whole.proof.eps_max /= together;
    return whole;
  }
  void fail_all(const Error& error) {
    for (Sale* sale : sales) sale->failed = error;
    sales.clear();
  }
};

class SaeDelivery::Selling {
 public:
  Selling(SaeDelivery& delivery, std::vector<Sale>& sales);

  /// Until every sale has its keys, at the far ends too, or its failure.
  void run();
  [[nodiscard]] const ActivationId& id() const { return id_; }
  /// "sae-a > sae-b 3 x 256 bit over X25519: <ids>".
  [[nodiscard]] std::vector<std::string> evidence() const;

 private:
  std::vector<Group> gather(std::vector<Sale>& sales) const;
  /// A group's sales as they stand before an attempt: a work that is run again begins with these.
  struct Standing {
    Group* group = nullptr;
    std::vector<Sale*> sales;
    std::vector<bool> charged;
  };
  [[nodiscard]] std::vector<Standing> standing() const;
  static void stand_again(const std::vector<Standing>& before);
  Result<void> claim(store::Transaction& transaction);
  Result<void> claim(store::Transaction& transaction, Group& group);
  Result<void> choose_demands(store::Transaction& transaction, Group& group) const;
  Result<void> leave_out_unmet(store::Transaction& transaction, Group& group) const;
  void charge(store::Transaction& transaction, Group& group) const;
  [[nodiscard]] SiteStocks stocks(const std::string& domain) const;
  [[nodiscard]] std::uint32_t shares(const Demands& demands) const { return SiteStocks::shares_of(demands, delivery_.place_.paths); }
  [[nodiscard]] static std::string holder_of(const Group& group) { return "sae " + group.order().master.sae.text(); }
  Result<void> make_local(Group& group, std::uint32_t stock_keys, std::vector<Secret>& parts);
  Result<void> keep_local(store::Transaction& transaction, const Group& group);
  Result<void> carry(store::Transaction& transaction, Group& group, const std::string& domain, std::vector<SaeId> slaves);
  /// The groups that must be tried anew because the far end never had the chunk.
  std::vector<Group*> activate();
  void drop(const std::string& domain, std::span<const BatchId> missing);
  void deal_out();

  SaeDelivery& delivery_;
  ActivationId id_;
  std::vector<Group> groups_;
  std::vector<Group*> open_;  // those that the present attempt is about
  Deadline deadline_;
};

}  // namespace qanat::kme
