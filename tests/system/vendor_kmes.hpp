// A maker's two key management entities for one link, in the test's process: ETSI GS QKD 014 over TLS with certificates both ways. Between them lies what a
// maker's devices would do: keys come into being at both at a steady rate.
#pragma once

#include "test_network.hpp"

namespace qanat::test {

class VendorKmes {
 public:
  enum class Side : std::uint8_t { alice, bob };

  /// Both at work, with certificates of their own root, and the link's two QKD processes, which do not run and never did, told to take their keys from them.
  VendorKmes(const app::Network& network, const app::LinkPlan& link);
  VendorKmes(const VendorKmes&) = delete;
  VendorKmes& operator=(const VendorKmes&) = delete;
  ~VendorKmes();

  [[nodiscard]] const app::LinkPlan& link() const { return link_; }
  [[nodiscard]] std::string end(Side side) const;  // the QKD process, "qkd-ar-alice"
  /// Its listener is gone; its keys are not.
  void away(Side side);
  /// On the same port again.
  void back(Side side);
  /// From now on Bob's KME gives other keys under the same ids; they are no keys of the pair.
  void spoil(bool on);

  /// Of the keys that both KMEs gave as the same: how many there are by now, and how many by each side's word.
  [[nodiscard]] std::size_t given(Side side) const;
  /// Judged from what is durable at the link's two QKMs, which are stopped and started again for it: each link key is one of this maker's; none is there
  /// under two names, now or at any earlier look; what both ends have under one name is the same; a block came to both or to neither.
  void expect_stock_in_order(TestNetwork& network);

 private:
  struct Keys;
  class Kme;
  [[nodiscard]] Kme& kme(Side side) const { return side == Side::alice ? *alice_ : *bob_; }

  app::LinkPlan link_;
  std::unique_ptr<Keys> keys_;
  std::unique_ptr<Kme> alice_, bob_;
  std::map<std::string, std::map<KeyId, KeyId>> seen_;  // QKM → the maker's id → the link key's
};

/// The links of a network without optics, each over its own two KMEs. The QKMs always want more keys.
std::vector<std::unique_ptr<VendorKmes>> start_vendor_links(TestNetwork& network);
/// Waits for a further block at both ends of the link. What one end fetched before it was killed takes Bob six attempts to give up.
void await_further_block(TestNetwork& network, const VendorKmes& kmes);

}  // namespace qanat::test
