// Settings of CAS: how long what it signs holds.
#pragma once

#include <chrono>

#include "node/config.hpp"

namespace qanat::cas {

/// Table [cas].
struct CasSettings {
  std::chrono::seconds element_lifetime = std::chrono::days(90);
  std::chrono::seconds terminal_lifetime = std::chrono::days(30);
  std::chrono::seconds status_lifetime{60};  // nextUpdate − thisUpdate of a status answer

  static CasSettings read(node::Config& config);
};

}  // namespace qanat::cas
