// Points and scalars of the two curves, strictly parsed. Private to crypto.
#pragma once

#include <botan/ec_apoint.h>
#include <botan/ec_group.h>
#include <botan/ec_scalar.h>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "crypto/suite.hpp"

namespace qanat::crypto {

const Botan::EC_Group& group_of(Curve curve);

/// 04‖x‖y on the curve and not the point at infinity; else invalid_argument. Other encodings of a point are refused, so that every
/// point has one.
Result<Botan::EC_AffinePoint> parse_point(Curve curve, ByteView octets);

/// Big-endian private scalar, exactly as long as the order: 1 .. n-1, for SM2 1 .. n-2 (GB/T 32918.1, 6.1: with d = n-1 the inverse of
/// 1 + d does not exist); else invalid_argument.
Result<Botan::EC_Scalar> parse_scalar(Curve curve, const Secret& octets);

/// A fresh private scalar in the range of parse_scalar().
Botan::EC_Scalar draw_scalar(Curve curve, Botan::RandomNumberGenerator& rng);

Secret scalar_octets(const Botan::EC_Scalar& scalar);

}  // namespace qanat::crypto
