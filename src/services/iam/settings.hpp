// Settings of IAM: what its tokens say.
#pragma once

#include "node/config.hpp"
#include "services/iam/upm/tokens.hpp"

namespace qanat::iam {

/// Table [iam].
struct IamSettings {
  TokenPolicy token;

  static IamSettings read(node::Config& config);
};

}  // namespace qanat::iam
