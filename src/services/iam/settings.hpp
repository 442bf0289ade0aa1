// Settings of IAM: what its tokens say, and who has which duty when it starts for the first time.
#pragma once

#include "node/config.hpp"
#include "services/iam/upm/access_tokens.hpp"
#include "services/iam/upm/privileges.hpp"
#include "services/iam/upm/tokens.hpp"

namespace qanat::iam {

/// Table [iam].
struct IamSettings {
  TokenPolicy token;
  AccessPolicy access;
  Founders founders;

  static IamSettings read(node::Config& config);
};

}  // namespace qanat::iam
