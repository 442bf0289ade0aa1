// From the stock's octets to the key that SAEs get (docs/protocol/qfc2.md, "Keys for SAEs").
#pragma once

#include "crypto/suite.hpp"
#include "kme/stock/delivery.hpp"

namespace qanat::kms {

Secret make_sae_key(const crypto::Suite& suite, const kme::KeyMaking& making);

}  // namespace qanat::kms
