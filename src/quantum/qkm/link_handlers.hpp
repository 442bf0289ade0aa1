// Kq-1 on the wire: blocks from the site's QKDs, and their orders to run or to rest.
#pragma once

#include "node/node.hpp"
#include "quantum/qkm/settings.hpp"
#include "quantum/qkm/supply_handlers.hpp"

namespace qanat::qkm {

class LinkHandlers {
 public:
  struct Parts {
    node::Node& node;
    GroupCommit& commits;
    LinkKeys& link_keys;
    Links& links;
    Arrivals& arrivals;
    const SiteWrapping& wrapping;
    const QkmSettings& settings;
  };
  explicit LinkHandlers(Parts parts) : parts_(parts) {}

  Result<net::Response> block(const net::Request& request);
  Result<net::Response> control(const net::Request& request);
  /// Reads all stocks anew; run orders follow.
  Result<void> refresh_stock();

 private:
  struct Incoming {
    LinkBlock block;
    LinkReport report;
  };
  Result<Incoming> read_block(const net::Request& request) const;
  /// The link's settings; denied unless the caller is its QKD.
  Result<const LinkSettings*> check_caller(const net::Request& request, const LinkId& link) const;
  const Parts parts_;
};

}  // namespace qanat::qkm
