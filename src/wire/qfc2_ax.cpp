#include "wire/qfc2_ax.hpp"

#include "wire/qfc2_codec.hpp"

namespace qanat::wire {
namespace {

template <class Codec, class M>
requires std::same_as<std::remove_const_t<M>, Ax1>
void fields(Codec& c, M& m) {
  c.id("sid_wk", m.sid_wk);
  c.id("sid_call", m.sid_call);
  c.number("num_call", m.num_call);
  c.number("num_called", m.num_called);
  c.fixed("nonce_i", m.nonce_i, nonce_size);
  key_fields(c, "eph", m.ephemeral);
  fingerprint_fields(c, "fp", m.fps);
}

template <class Codec, class M>
requires std::same_as<std::remove_const_t<M>, Ax2>
void fields(Codec& c, M& m) {
  c.fixed("nonce_r", m.nonce_r, nonce_size);
  c.fixed("eph_T", m.ct_classical, c.suite().point);
  c.fixed("ct_PQ", m.ct_ml_kem, c.suite().ml_kem_ct);
  c.mark();
  c.opaque("sealed", m.sealed, ax_sealed_bounds);
  c.require(m.sealed.size() == sealed_proof_size(c.suite()), "sealed", "not of the suite's size");
}

template <class Codec, class M>
requires std::same_as<std::remove_const_t<M>, Ax3>
void fields(Codec& c, M& m) {
  c.opaque("sealed", m.sealed, ax_sealed_bounds);
  c.require(m.sealed.size() == sealed_proof_size(c.suite()), "sealed", "not of the suite's size");
}

template <class Codec, class M>
requires std::same_as<std::remove_const_t<M>, AxProof>
void fields(Codec& c, M& m) {
  fingerprint_fields(c, "fp", m.fps);
  c.fixed("signature", m.signature, c.suite().signature());
}

}  // namespace

QANAT_WIRE_MESSAGE(Ax1);
QANAT_WIRE_MESSAGE(Ax2);
QANAT_WIRE_MESSAGE(Ax3);

std::size_t sealed_proof_size(const crypto::Suite& suite) noexcept { return 2 * suite.digest + suite.signature() + crypto::aead_tag; }

Result<Bytes> encode_proof(const crypto::Suite& suite, const AxProof& proof) {
  Encoder codec(suite);
  fields(codec, proof);
  auto octets = std::move(codec).finish();
  if (!octets) return fail_in("proof", std::move(octets).error());
  return octets;
}

Result<AxProof> parse_proof(const crypto::Suite& suite, ByteView octets) {
  AxProof proof;
  Decoder codec(suite, octets);
  fields(codec, proof);
  auto finished = std::move(codec).finish();
  if (!finished) return fail_in("proof", std::move(finished).error());
  return proof;
}

Result<Bytes> octets_before_sealed(const crypto::Suite& suite, std::uint32_t policy_epoch, const Ax2& message) {
  Ax2 sized = message;
  sized.sealed.assign(sealed_proof_size(suite), 0);
  Encoder codec(suite);
  fields(codec, sized);
  return octets_before_mark(policy_epoch, sized.type, std::move(codec));
}

}  // namespace qanat::wire
