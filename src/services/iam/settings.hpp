// Settings of IAM: what its tokens say, who has which duty when it starts for the first time, its listener for software of others.
#pragma once

#include "node/config.hpp"
#include "services/iam/upm/access_tokens.hpp"
#include "services/iam/upm/privileges.hpp"
#include "services/iam/upm/tokens.hpp"
#include "services/iam/web/web_front.hpp"

namespace qanat::iam {

/// Tables [iam] and [iam.web].
struct IamSettings {
  TokenPolicy token;
  AccessPolicy access;
  Founders founders;
  WebSettings web = {};

  static IamSettings read(node::Config& config);
};

}  // namespace qanat::iam
