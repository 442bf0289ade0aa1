#include "quantum/qkdnc/records.hpp"

#include <gtest/gtest.h>

#include "quantum/qkdnc/sdn_view.hpp"
#include "temporary_directory.hpp"

namespace qanat::qkdnc {
namespace {

const ElementName a("qkm-a");
const ElementName b("qkm-b");

ReportedLink link(const char* name, const ElementName& peer) {
  return {.link = name, .peer = peer, .state = {.stock = 5, .rate_bps = 1000.0, .qber = 0.02, .loss_db = 9.5, .alive = true}};
}

TEST(RecordsTest, TermAndShapeSurviveARestart) {
  const test::TemporaryDirectory folder;
  {
    const auto records = Records::open(folder / "qkdnc.db");
    ASSERT_TRUE(records);
    EXPECT_EQ(*(*records)->term(), 0U);
    ASSERT_TRUE((*records)->store_term(41));
    ASSERT_TRUE((*records)->store_term(42));
    const std::vector<ReportedLink> links{link("a-b", b)};
    ASSERT_TRUE((*records)->store_shape(a, links));
    ASSERT_TRUE((*records)->store_shape(a, links));
  }
  const auto records = Records::open(folder / "qkdnc.db");
  ASSERT_TRUE(records);
  EXPECT_EQ(*(*records)->term(), 42U);
  const auto known = (*records)->known();
  ASSERT_TRUE(known);
  ASSERT_EQ(known->size(), 1U);
  EXPECT_EQ(known->front().qkm, a);
  ASSERT_EQ(known->front().links.size(), 1U);
  EXPECT_EQ(known->front().links.front().link, "a-b");
  EXPECT_EQ(known->front().links.front().peer, b);
  EXPECT_FALSE(known->front().links.front().state.alive) << "what is remembered is the shape, not the state";
}

TEST(SdnViewTest, NodesLinksAndInterfacesNameEachOther) {
  Topology topology({});
  topology.report(a, {link("a-b", b)}, 1000);
  topology.report(b, {link("a-b", a)}, 1000);
  const auto view = sdn_view(topology, "", 1000);
  ASSERT_TRUE(view);
  const auto nodes = view->array("etsi-qkd-sdn-node:qkd_node");
  ASSERT_TRUE(nodes);
  ASSERT_EQ(nodes->size(), 2U);
  const wire::Json& first = nodes->front();
  EXPECT_EQ(*first.text("qkdn_status"), "UP");
  const auto links = first.object("qkd_links")->array("qkd_link");
  ASSERT_TRUE(links);
  const auto remote = links->front().object("qkdl_remote");
  EXPECT_EQ(*remote->text("qkdn_id"), *nodes->back().text("qkdn_id"));
  const auto interfaces = nodes->back().object("qkd_interfaces")->array("qkd_interface");
  EXPECT_EQ(*remote->text("qkdi_id"), *interfaces->front().text("qkdi_id"));
  EXPECT_EQ(*links->front().object("qkdl_performance")->integer("skr"), 1000);

  const auto one = sdn_view(topology, uuid_of("qkdn", "qkm-b"), 1000);
  ASSERT_TRUE(one);
  EXPECT_EQ(*one->object("etsi-qkd-sdn-node:qkd_node")->text("qkdn_location_id"), "qkm-b");
  EXPECT_EQ(sdn_view(topology, "00000000-0000-0000-0000-000000000000", 1000).error().code, ErrorCode::not_found);
  EXPECT_EQ(*sdn_view(topology, uuid_of("qkdn", "qkm-b"), 100000)->object("etsi-qkd-sdn-node:qkd_node")->text("qkdn_status"), "DOWN");
}

TEST(SdnViewTest, AnIdentifierIsAUuidAndTheSameForTheSameName) {
  const std::string id = uuid_of("qkdn", "qkm-a");
  ASSERT_EQ(id.size(), 36U);
  EXPECT_EQ(id[8], '-');
  EXPECT_EQ(id[14], '8') << "version 8";
  EXPECT_EQ(id, uuid_of("qkdn", "qkm-a"));
  EXPECT_NE(id, uuid_of("qkdi", "qkm-a"));
}

}  // namespace
}  // namespace qanat::qkdnc
