#include "services/cas/expected.hpp"

#include "node/crash_point.hpp"
#include "services/cas/ceis/proof.hpp"
#include "services/cas/closed_shop.hpp"

namespace qanat::cas {
namespace {

bool enrols_by_est(Kind kind) {
  for (const points::Endpoint endpoint : {points::Endpoint::ce1_enrol, points::Endpoint::ce4_enrol, points::Endpoint::x4_enrol}) {
    if (points::row(endpoint).callers.has(kind)) return true;
  }
  return false;
}

}  // namespace

Result<Expected> expect_element(const node::Settings& cas, const Identity& element, const Secret& digits) {
  if (!enrols_by_est(element.kind)) return fail(ErrorCode::invalid_argument, element.uri() + " is of a kind that does not enrol at CAS with a one-time secret");
  ASSIGN_OR_RETURN(const ClosedShop shop, enter(cas));
  Secret proof_key = proof_key_of(digits);
  ASSIGN_OR_RETURN(const std::vector<Expectation> known, shop.records->expectations(element));
  for (const Expectation& one : known) {
    if (equal_secret(one.proof_key, proof_key)) return Expected::before;
  }
  TRY(record_deed(*shop.node, "element.expected", element.uri()));
  node::crash_point("cas.element.expected");
  std::vector<ExpectedElement> more;
  more.push_back({.identity = element, .proof_key = std::move(proof_key)});
  TRY(shop.records->expect(more, shop.node->clock().now_ms()));
  return Expected::from_now;
}

}  // namespace qanat::cas
