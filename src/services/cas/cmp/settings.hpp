// Settings of CMP, table [cas.cmp].
#pragma once

#include <chrono>

#include "services/cas/cmp/records.hpp"

namespace qanat::cas {

struct CmpSettings {
  std::chrono::seconds clock_skew{300};    // that a message's time may be off
  std::chrono::seconds confirm_wait{300};  // a certificate that is not confirmed by then is revoked
  bool implicit_confirm = true;            // granted where it is asked for: such a certificate needs no confirmation
  CmpBounds bounds{};
};

}  // namespace qanat::cas
