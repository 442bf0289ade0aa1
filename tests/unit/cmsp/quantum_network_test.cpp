#include "services/cmsp/csm/quantum_network.hpp"

#include <gtest/gtest.h>

namespace qanat::cmsp {
namespace {

Result<QuantumView> read(std::string_view text) { return read_quantum_view(*wire::Json::parse(text)); }

TEST(QuantumNetworkTest, NodesAndLinksAreCountedByWhatIsUp) {
  const auto view = read(R"({"etsi-qkd-sdn-node:qkd_node":[
    {"qkdn_status":"UP","qkd_links":{"qkd_link":[{"qkdl_status":"ACTIVE"},{"qkdl_status":"PASSIVE"}]}},
    {"qkdn_status":"DOWN","qkd_links":{"qkd_link":[]}}]})");
  ASSERT_TRUE(view) << view.error().message;
  EXPECT_EQ(*view, (QuantumView{.nodes = 2, .nodes_up = 1, .links = 2, .links_active = 1}));
}

TEST(QuantumNetworkTest, WhatIsNoViewIsRefused) {
  EXPECT_FALSE(read("{}"));
  EXPECT_FALSE(read(R"({"etsi-qkd-sdn-node:qkd_node":[{}]})"));
  EXPECT_FALSE(read(R"({"etsi-qkd-sdn-node:qkd_node":[{"qkdn_status":"UP","qkd_links":{"qkd_link":[{}]}}]})"));
}

}  // namespace
}  // namespace qanat::cmsp
