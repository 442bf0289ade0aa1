// What `qanat group` runs for one enrolled terminal.
#pragma once

#include "node/node.hpp"
#include "terminal/settings.hpp"
#include "wire/json.hpp"
#include "wire/qfc2_group.hpp"

namespace qanat::terminal {

struct GroupPlan {
  std::optional<wire::GroupId> group = {};  // none: it is opened
  wire::GroupOrder order{};                 // show for who only looks, or fetches the key
  std::vector<Number> members = {};
  bool with_key = false;  // fetches this terminal's key of the epoch: once, and not to be had again
};

/// {"group", "epoch", "owner", "members": [{"number", "kms"}], "left_out": [numbers], "readable_by": [KMSs], "notice"}; with the key also {"wk_fingerprint",
/// "assurance", "mki"}.
Result<wire::Json> run_group(node::Node& node, const TerminalSettings& settings, const GroupPlan& plan);

}  // namespace qanat::terminal
