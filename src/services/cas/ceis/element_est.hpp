// EST (RFC 7030) for the elements of the network, on their own listener: Ce-1, Ce-4 and X-4. The first time an element proves who it is by its one-time secret
// (HTTP Basic, RFC 7030 §3.2.3); from then on it renews by the certificate in force (§3.3.2). Each request is for one certificate: the request's key says of
// which branch. Their certificates differ from those of other software (desk.hpp) in name and use, so that neither can pass for the other.
// And for a CCS (Ce-3), which asks for certificates of keys that a terminal or application and the CCS hold together, as their registration agent: the
// request's signature is one that both had to make. Such a certificate is for signatures; at no end of a connection is it taken for the terminal's own.
#pragma once

#include <functional>
#include <vector>

#include "node/node.hpp"
#include "node/recorded.hpp"
#include "services/cas/ceis/issuer.hpp"

namespace qanat::cas {

/// Whether an element, or another subject of IAM's register, may go on: `denied` if not. Asked at each renewal.
using ElementStanding = std::function<Result<void>(const Identity& element, Deadline deadline, const std::string& request_id)>;

class ElementEst {
 public:
  struct Parts {
    node::Node& node;
    Records& records;
    const Authorities& authorities;
    Issuer& issuer;
    std::chrono::milliseconds lifetime{};  // of elements' certificates
    ElementStanding standing;
    std::function<void()> issued;  // told after each certificate
  };
  explicit ElementEst(Parts parts) : parts_(std::move(parts)) {}

  std::vector<points::Handler> handlers();

 private:
  Result<net::Response> enrol(points::Endpoint endpoint, const net::Request& request, node::Deed& deed);
  Result<net::Response> renew(const net::Request& request, node::Deed& deed);
  Result<net::Response> certify_joint_key(const net::Request& request, node::Deed& deed, Overlap overlap);
  [[nodiscard]] Result<net::Response> ca_certificates() const;
  Result<net::Response> issue(const Order& order, Branch branch, node::Deed& deed);

  const Parts parts_;
};

}  // namespace qanat::cas
