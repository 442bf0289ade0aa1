#include "crypto/curve.hpp"

#include <botan/rng.h>

#include <string>

#include "crypto/algorithm_names.hpp"

namespace qanat::crypto {
namespace {

constexpr std::uint8_t uncompressed = 0x04;  // SEC 1, 2.3.3

bool is_private_scalar(Curve curve, const Botan::EC_Scalar& scalar) {
  if (scalar.is_zero()) return false;
  return curve != Curve::sm2p256v1 || (scalar + Botan::EC_Scalar::one(group_of(curve))).is_nonzero();
}

}  // namespace

const Botan::EC_Group& group_of(Curve curve) {
  static const Botan::EC_Group sm2 = Botan::EC_Group::from_name(botan_name(Curve::sm2p256v1));
  static const Botan::EC_Group p384 = Botan::EC_Group::from_name(botan_name(Curve::secp384r1));
  return curve == Curve::sm2p256v1 ? sm2 : p384;
}

Result<Botan::EC_AffinePoint> parse_point(Curve curve, ByteView octets) {
  const Botan::EC_Group& group = group_of(curve);
  const std::size_t size = 1 + 2 * group.get_p_bytes();
  if (octets.size() != size) {
    return fail(ErrorCode::invalid_argument, "point: " + std::to_string(octets.size()) + " octets where " + std::to_string(size) + " belong");
  }
  if (octets[0] != uncompressed) return fail(ErrorCode::invalid_argument, "point: not in the uncompressed form");
  std::optional<Botan::EC_AffinePoint> point = Botan::EC_AffinePoint::deserialize(group, octets);
  if (!point || point->is_identity()) return fail(ErrorCode::invalid_argument, "point: not on the curve");
  return Result<Botan::EC_AffinePoint>(std::move(*point));
}

Result<Botan::EC_Scalar> parse_scalar(Curve curve, const Secret& octets) {
  std::optional<Botan::EC_Scalar> scalar = Botan::EC_Scalar::deserialize(group_of(curve), octets.reveal());
  if (!scalar || !is_private_scalar(curve, *scalar)) return fail(ErrorCode::invalid_argument, "scalar: wrong length or out of range");
  return Result<Botan::EC_Scalar>(std::move(*scalar));
}

Botan::EC_Scalar draw_scalar(Curve curve, Botan::RandomNumberGenerator& rng) {
  for (;;) {
    Botan::EC_Scalar scalar = Botan::EC_Scalar::random(group_of(curve), rng);
    if (is_private_scalar(curve, scalar)) return scalar;
  }
}

Secret scalar_octets(const Botan::EC_Scalar& scalar) {
  Secret out(scalar.bytes());
  scalar.serialize_to(out.writable());
  return out;
}

}  // namespace qanat::crypto
