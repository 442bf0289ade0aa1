// CSO's record: the policy for the KMSs, and what each of them said last of its pools.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/id.hpp"
#include "points/kms_policy.hpp"
#include "store/store.hpp"

namespace qanat::cmsp {

class KmsPolicies {
 public:
  explicit KmsPolicies(store::Store& store) : store_(store) {}

  /// Durable when it returns; `conflict` unless its version is later than every former one's.
  Result<void> put(const points::KmsPolicy& policy, const std::string& by, UnixMs now);
  /// The latest; nothing until an operator has given one.
  Result<std::optional<points::KmsPolicy>> latest();

  /// In place of what the KMS said before.
  Result<void> take_state(const ElementName& kms, const points::KmsState& state, UnixMs now);
  struct Said {
    std::string kms;
    points::KmsState state;
    UnixMs at_ms = 0;
  };
  /// By name.
  Result<std::vector<Said>> states();

 private:
  store::Store& store_;
};

}  // namespace qanat::cmsp
