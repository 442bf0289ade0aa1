#include "points/points.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace qanat::points {
namespace {

TEST(PointsTest, ThePaperHasFiftyFive) {
  std::map<std::string, int> families;
  std::set<std::string_view> ids;
  int paper = 0;
  for (const Point& point : all_points()) {
    EXPECT_TRUE(ids.insert(point.id).second) << point.id;
    if (point.extension) continue;
    ++paper;
    ++families[std::string(point.id.substr(0, point.id.find('-')))];
  }
  EXPECT_EQ(paper, 55);
  EXPECT_EQ(families, (std::map<std::string, int>{{"Mo", 2}, {"Md", 1}, {"Ma", 2}, {"Mc", 2}, {"Km", 3}, {"Kq", 2}, {"Cs", 1}, {"Cc", 1}, {"Ck", 1}, {"Ce", 4}, {"Cq", 3},
                                                  {"Cd", 3}, {"Ia", 16}, {"Id", 3}, {"Pm", 3}, {"Ua", 3}, {"Ax", 3}, {"Dx", 2}}));
}

TEST(PointsTest, EveryEndpointBelongsToAPointAndNamesItsIaRow) {
  std::set<std::pair<std::string_view, std::string_view>> paths;
  for (const EndpointRow& line : all_endpoints()) {
    ASSERT_NE(find_point(line.point), nullptr) << line.path;
    EXPECT_TRUE(line.identity.empty() || find_point(line.identity) != nullptr) << line.path;
    const bool between_elements_of_the_paper = line.point == "X-8";  // CMSP ↔ QKDN: the paper has who meets there (Ia-11), and not what they say
    const bool between_terminals = line.point == "Dx-1";  // the paper has no Ia row for them
    EXPECT_EQ(line.identity.empty(), between_terminals || (find_point(line.point)->extension && !between_elements_of_the_paper))
        << line.path << ": points of the paper have an Ia row, ours have none";
    EXPECT_TRUE(paths.insert({line.method, line.path}).second) << line.path << " twice";
    EXPECT_TRUE(line.method == "GET" || line.method == "POST");
    EXPECT_EQ(line.method == "GET", line.body_max == 0) << line.path;
  }
}

/// The access rules as people reviewed them. A change of who may call what must be a visible change here.
TEST(PointsTest, AccessRulesAreThoseThatWereReviewed) {
  std::string table;
  for (const EndpointRow& line : all_endpoints()) {
    table += std::string(line.method) + " " + std::string(line.path) + ":";
    for (const Kind kind : all_kinds) {
      if (line.callers.has(kind)) table += " " + std::string(name(kind));
    }
    table += line.anonymous ? " anonymous ->" : " ->";
    for (const Kind kind : all_kinds) {
      if (line.callees.has(kind)) table += " " + std::string(name(kind));
    }
    table += "\n";
  }
  EXPECT_EQ(table,
            "POST /km/1/enrol: anonymous -> kms\n"
            "POST /km/1/receipt: app1 app2 app3 dev1 dev2 -> kms\n"
            "POST /km/1/application: app1 app2 app3 dev1 dev2 -> kms\n"
            "POST /km/1/ack: app1 app2 app3 dev1 dev2 -> kms\n"
            "POST /km/1/v1/application: app1 app2 app3 dev1 dev2 -> kms\n"
            "POST /km/2/offer: kms -> kms\n"
            "POST /km/2/confirm: kms -> kms\n"
            "POST /km/3/take: kms -> qkm\n"
            "POST /km/3/fetch: kms -> qkm\n"
            "POST /km/3/done: kms -> qkm\n"
            "GET /km/3/status: kms -> qkm\n"
            "GET /km/3/notice: kms -> qkm\n"
            "POST /kq/1/block: qkd -> qkm\n"
            "GET /kq/1/control: qkd -> qkm\n"
            "POST /kq/2/state: qkm -> qkdnc\n"
            "POST /kq/2/route: qkm -> qkdnc\n"
            "POST /kq/2/relay: qkm -> qkdnc\n"
            "POST /kq/2/report: qkdnc -> qkm\n"
            "POST /kq/2/deliver: qkdnc -> qkm\n"
            "POST /kq/2/missing: qkdnc -> qkm\n"
            "POST /.well-known/est/ce-1/simpleenroll: kms anonymous -> cas\n"
            "POST /ce/1/terminal: kms -> cas\n"
            "POST /.well-known/est/ce-4/simpleenroll: qkd qkm qkdnc anonymous -> cas\n"
            "POST /cq/1/status: kms -> cas\n"
            "POST /cq/2/status: app1 app2 app3 dev1 dev2 -> cas\n"
            "POST /cq/3/status: qkd qkm qkdnc -> cas\n"
            "GET /cd/1/crl: kms -> cas\n"
            "GET /cd/2/crl: app1 app2 app3 dev1 dev2 -> cas\n"
            "GET /cd/3/crl: qkd qkm qkdnc -> cas\n"
            "GET /ma/1/account: app1 app2 app3 dev1 dev2 -> cmsp\n"
            "POST /ma/2/register: kms -> cmsp\n"
            "POST /ma/2/locate: kms -> cmsp\n"
            "POST /ma/2/notify: cmsp -> kms\n"
            "POST /id/1/subscriber: kms -> iam\n"
            "POST /pm/1/token: kms -> iam\n"
            "POST /ua/1/record: kms -> iam\n"
            "POST /x/1/relay: qkm -> qkm\n"
            "POST /x/1/activate: qkm -> qkm\n"
            "POST /x/2/channel: qkd -> qkd\n"
            "POST /x/3/enrolment: cas -> iam\n"
            "POST /.well-known/est/x-4/simpleenroll: cmsp iam ccs dev1 operator anonymous -> cas\n"
            "POST /x/4/status: cmsp iam ccs operator -> cas\n"
            "POST /x/5/subscriber: operator -> iam\n"
            "POST /x/5/account: operator -> cmsp\n"
            "POST /x/5/revoke: operator -> cas\n"
            "GET /x/6/health: operator -> qkd qkm qkdnc kms cmsp cas iam ccs dev1\n"
            "POST /x/7/lead: qkdnc -> qkdnc\n"
            "GET /restconf/data/etsi-qkd-sdn-node:qkd_node: cmsp operator -> qkdnc\n"
            "POST /x/9/keys: qkd qkm qkdnc kms cmsp cas iam ccs dev1 -> cmsp iam\n"
            "POST /x/9/cosign: qkd qkm qkdnc kms cmsp cas iam ccs dev1 -> cmsp iam\n"
            "POST /x/10/revoked: cas -> qkd qkm qkdnc kms cmsp iam ccs dev1\n"
            "POST /id/1/record: kms -> iam\n"
            "POST /id/2/record: app1 app2 app3 dev1 dev2 -> iam\n"
            "POST /id/3/record: qkd qkm qkdnc -> iam\n"
            "POST /pm/1/decide: kms -> iam\n"
            "POST /pm/1/introspect: kms -> iam\n"
            "GET /pm/1/keys: kms -> iam\n"
            "POST /pm/1/revoked: iam -> kms\n"
            "POST /pm/2/token: app1 app2 app3 dev1 dev2 -> iam\n"
            "POST /pm/2/decide: app1 app2 app3 dev1 dev2 -> iam\n"
            "POST /pm/3/token: qkd qkm qkdnc -> iam\n"
            "POST /pm/3/decide: qkd qkm qkdnc -> iam\n"
            "POST /ua/2/record: app1 app2 app3 dev1 dev2 -> iam\n"
            "POST /ua/3/record: qkd qkm qkdnc -> iam\n"
            "POST /x/5/identity: operator -> iam\n"
            "POST /x/5/privilege: operator -> iam\n"
            "POST /x/5/behaviour: operator -> iam\n"
            "POST /x/12/record: cmsp cas ccs -> iam\n"
            "POST /x/12/notice: iam -> cmsp\n"
            "POST /x/3/identity: cas -> iam\n"
            "POST /x/5/registration: operator -> cas\n"
            "POST /.well-known/est/ce-1/simplereenroll: kms -> cas\n"
            "POST /.well-known/est/ce-4/simplereenroll: qkd qkm qkdnc -> cas\n"
            "POST /.well-known/est/x-4/simplereenroll: cmsp iam ccs dev1 operator -> cas\n"
            "GET /.well-known/est/ce-1/cacerts: kms -> cas\n"
            "GET /.well-known/est/ce-4/cacerts: qkd qkm qkdnc -> cas\n"
            "GET /.well-known/est/x-4/cacerts: cmsp iam ccs dev1 operator -> cas\n"
            "GET /km/1/certificates: app1 app2 app3 dev1 dev2 -> kms\n"
            "POST /.well-known/est/ce-3/simpleenroll: ccs -> cas\n"
            "POST /.well-known/est/ce-3/simplereenroll: ccs -> cas\n"
            "POST /x/13/account: cas -> cmsp\n"
            "GET /ce/2/issued: app1 app2 app3 dev1 dev2 -> cas\n"
            "POST /.well-known/est/ce-2/simplereenroll: app1 app2 app3 dev1 dev2 -> cas\n"
            "GET /.well-known/est/ce-2/cacerts: app1 app2 app3 dev1 dev2 -> cas\n"
            "POST /ce/2/confirm: app1 app2 app3 dev1 dev2 -> cas\n"
            "POST /km/1/renewed: app1 app2 app3 dev1 dev2 -> kms\n"
            "POST /km/2/chain: kms -> kms\n"
            "POST /km/3/chain: kms -> qkm\n"
            "POST /x/5/keys: operator -> kms\n"
            "POST /x/5/charges: operator -> kms\n"
            "POST /csa/v1/encrypt: app1 app2 app3 dev1 dev2 -> kms\n"
            "POST /csa/v1/decrypt: app1 app2 app3 dev1 dev2 -> kms\n"
            "POST /csa/v1/data-keys/generate: app1 app2 app3 dev1 dev2 -> kms\n"
            "POST /csa/v1/data-keys/decrypt: app1 app2 app3 dev1 dev2 -> kms\n"
            "POST /csa/v1/sign: app1 app2 app3 dev1 dev2 -> kms\n"
            "POST /csa/v1/verify: app1 app2 app3 dev1 dev2 -> kms\n"
            "POST /csa/v1/mac: app1 app2 app3 dev1 dev2 -> kms\n"
            "POST /csa/v1/mac/verify: app1 app2 app3 dev1 dev2 -> kms\n"
            "POST /csa/v1/authentication/challenge: app1 app2 app3 dev1 dev2 -> kms\n"
            "POST /csa/v1/authentication/prove: app1 app2 app3 dev1 dev2 -> kms\n"
            "POST /csa/v1/authentication/verify: app1 app2 app3 dev1 dev2 -> kms\n"
            "POST /csa/v1/encapsulate: app1 app2 app3 dev1 dev2 -> kms\n"
            "POST /csa/v1/decapsulate: app1 app2 app3 dev1 dev2 -> kms\n"
            "POST /csa/v1/public-key: app1 app2 app3 dev1 dev2 operator -> kms\n"
            "POST /csa/v1/random: app1 app2 app3 dev1 dev2 -> kms\n"
            "POST /csa/v1/batch: app1 app2 app3 dev1 dev2 -> kms\n"
            "POST /csa/v1/keys/create: app1 app2 app3 dev1 dev2 operator -> kms\n"
            "POST /csa/v1/keys/import: app1 app2 app3 dev1 dev2 -> kms\n"
            "POST /csa/v1/keys/export: app1 app2 app3 dev1 dev2 -> kms\n"
            "POST /csa/v1/keys/list: app1 app2 app3 dev1 dev2 operator -> kms\n"
            "POST /csa/v1/keys/describe: app1 app2 app3 dev1 dev2 operator -> kms\n"
            "POST /csa/v1/keys/rotate: app1 app2 app3 dev1 dev2 operator -> kms\n"
            "POST /csa/v1/keys/policy: app1 app2 app3 dev1 dev2 operator -> kms\n"
            "POST /csa/v1/keys/state: app1 app2 app3 dev1 dev2 operator -> kms\n"
            "GET /csa/v1/openapi.json: app1 app2 app3 dev1 dev2 operator -> kms\n"
            "POST /dx/1/key: dev1 -> dev1\n"
            "POST /dx/1/loaded: dev1 -> dev1\n"
            "POST /km/2/supply: kms -> kms\n"
            "POST /km/2/activate: kms -> kms\n"
            "POST /km/1/charge: app1 app2 app3 dev1 dev2 -> kms\n"
            "POST /km/1/charged: app1 app2 app3 dev1 dev2 -> kms\n"
            "POST /x/5/medium: operator -> kms\n"
            "POST /x/5/recovery: operator -> kms\n"
            "GET /mo/2/policy: kms -> cmsp\n"
            "POST /mo/2/state: kms -> cmsp\n"
            "POST /x/5/kms-policy: operator -> cmsp\n"
            "POST /mc/2/evidence: kms -> cmsp\n"
            "GET /ma/2/directory: kms -> cmsp\n"
            "GET /ma/2/directory-page: kms -> cmsp\n"
            "POST /km/2/open: kms -> kms\n"
            "POST /km/1/group: app1 app2 app3 dev1 dev2 -> kms\n"
            "POST /km/2/group: kms -> kms\n"
            "POST /x/5/archive: operator -> kms\n");
}

TEST(PointsTest, RoutesTakeEveryRuleFromTheTable) {
  std::vector<Handler> handlers;
  handlers.push_back({Endpoint::km3_take, [](const net::Request&) -> Result<net::Response> { return net::Response{}; }});
  const auto made = routes(Kind::qkm, std::move(handlers));
  ASSERT_EQ(made.size(), 1U);
  EXPECT_EQ(made[0].path, "/km/3/take");
  EXPECT_TRUE(made[0].callers.has(Kind::kms));
  EXPECT_FALSE(made[0].callers.has(Kind::app1));
  EXPECT_FALSE(made[0].anonymous);
  EXPECT_EQ(made[0].request_type, type_json);
}

TEST(PointsDeathTest, AnElementCannotAnswerWhatIsNotItsOwn) {
  std::vector<Handler> handlers;
  handlers.push_back({Endpoint::km3_take, [](const net::Request&) -> Result<net::Response> { return net::Response{}; }});
  EXPECT_DEATH((void)routes(Kind::kms, std::move(handlers)), "callees.has");
}

TEST(PointsTest, WorkingMeansAcceptedAndRefused) {
  for (const Point& point : all_points()) {
    bool accepted = false;
    bool refused = false;
    for (const Evidence& evidence : all_evidence()) {
      if (evidence.point == point.id) (evidence.refusal ? refused : accepted) = true;
    }
    EXPECT_EQ(working(point.id), accepted && refused) << point.id;
  }
  EXPECT_FALSE(working("Cs-1"));
  for (const KmsStore store : all_kms_stores) EXPECT_FALSE(working("Cs-1", store));
  EXPECT_TRUE(working("Kq-1", KmsStore::sqlite));
  EXPECT_FALSE(working("Kq-1", KmsStore::postgresql)) << "a QKM keeps nothing in a KMS's database";
}

}  // namespace
}  // namespace qanat::points
