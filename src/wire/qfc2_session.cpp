#include "wire/qfc2_session.hpp"

#include "wire/qfc2_codec.hpp"

namespace qanat::wire {
namespace {

template <class Codec, class M>
requires std::derived_from<std::remove_const_t<M>, SessionFields>
void fields(Codec& c, M& m) {
  constexpr bool opening = M::type == MessageType::session_open;
  c.id("sid_wk", m.sid_wk);
  c.id("sid_call", m.sid_call);
  c.number("num_call", m.num_call);
  c.number("num_called", m.num_called);
  c.name("uid_a", m.uid_a, uid_bounds);
  c.name("uid_b", m.uid_b, {.min = 0, .max = uid_bounds.max});
  c.name("kms_a", m.kms_a, kms_bounds);
  c.name("kms_b", m.kms_b, {.min = 0, .max = kms_bounds.max});
  c.require(m.kms_b.empty() == opening, "kms_b", opening ? "not yet known" : "must be there");
  c.digest("hreq_a", m.hreq_a);
  c.digest("prev_hash", m.prev_hash);
  c.require(is_zero(m.prev_hash) == opening, "prev_hash", opening ? "must be zero" : "must not be zero");
  fingerprint_fields(c, "fp_a", m.kms_a_fps);
  fingerprint_fields(c, "fp_b", m.kms_b_fps);
  c.require(!opening || (is_zero(m.kms_b_fps.classical) && is_zero(m.kms_b_fps.pq)), "fp_b", "must be zero");
  c.u64("ts_ms", m.ts_ms);
  c.extensions("ext", m.ext);
  c.require(m.ext.empty(), "ext", "extension 1 has no place here");
  if constexpr (M::type == MessageType::directory_open) {
    c.u64("epoch", m.epoch);
    c.require(m.epoch >= 1 && m.epoch <= INT64_MAX, "epoch", "must be 1 to 2^63 - 1");
  }
}

}  // namespace

QANAT_WIRE_MESSAGE(SessionOpen);
QANAT_WIRE_MESSAGE(SessionNotify);
QANAT_WIRE_MESSAGE(SessionGrant);
QANAT_WIRE_MESSAGE(DirectoryOpen);

}  // namespace qanat::wire
