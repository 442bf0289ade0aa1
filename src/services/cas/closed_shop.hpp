// What an operator does at CAS while it does not run: its database and its audit record, opened as CAS itself would. Private to cas/.
#pragma once

#include "node/node.hpp"
#include "services/cas/records.hpp"

namespace qanat::cas {

struct ClosedShop {
  std::unique_ptr<crypto::Rng> rng;
  std::unique_ptr<crypto::CryptoDevice> device;
  std::unique_ptr<Records> records;
  std::unique_ptr<node::Node> node;
};

/// `conflict` if CAS runs, not_found before the ceremony, invalid_argument for another element's settings.
Result<ClosedShop> enter(const node::Settings& settings);
/// On CAS's audit record, as CAS's own deed.
Result<void> record_deed(node::Node& node, std::string_view action, const std::string& object);

}  // namespace qanat::cas
