// The CSA before its listeners: the OpenAPI document against the routes, the handlers, the settings, and software of others over TLS.
#include "services/kms/csa/front.hpp"

#include <set>

#include "csa_desk.hpp"
#include "services/kms/csa/openapi.hpp"

namespace qanat::kms::csa {
namespace {

using points::Endpoint;

TEST(CsaOpenApiTest, HasEveryPathMethodAndErrorOfTheRoutesAndNothingElse) {
  std::set<std::string> routes;
  for (const points::EndpointRow& line : points::all_endpoints()) {
    if (line.path.starts_with("/csa/")) routes.insert((line.method == "GET" ? "get " : "post ") + std::string(line.path));
  }
  const Json document = openapi_document(Server::elements);
  EXPECT_EQ(must(document.text("openapi")), "3.1.0");
  const Json paths = must(document.object("paths"));
  std::set<std::string> documented;
  std::set<std::string> errors{"200", "405", "408", "413", "415", "431"};  // what net says before a handler, besides those of the codes
  for (const ErrorCode code : {ErrorCode::invalid_argument, ErrorCode::unauthenticated, ErrorCode::denied, ErrorCode::not_found, ErrorCode::conflict,
                               ErrorCode::exhausted, ErrorCode::unavailable, ErrorCode::deadline_exceeded, ErrorCode::internal})
    errors.insert(std::to_string(net::http_status(code)));
  for (const std::string& path : paths.names()) {
    const Json item = must(paths.object(path));
    for (const std::string& method : item.names()) {
      documented.insert(method + " " + path);
      const std::vector<std::string> statuses = must(must(item.object(method)).object("responses")).names();
      EXPECT_EQ(std::set<std::string>(statuses.begin(), statuses.end()), errors) << path;
      const bool has_body = must(item.object(method)).has("requestBody");
      EXPECT_EQ(has_body, method == "post") << path;
    }
  }
  EXPECT_EQ(documented, routes);
  EXPECT_EQ(routes.size(), all_operations().size());
}

/// Every reference in the document, whatever its depth, leads somewhere in it.
void expect_references(const Json& document, const Json& at) {
  if (at.has("$ref")) {
    const std::string target = must(at.text("$ref"));
    ASSERT_TRUE(target.starts_with("#/components/")) << target;
    const std::string rest = target.substr(13);
    const std::size_t slash = rest.find('/');
    EXPECT_TRUE(must(must(document.object("components")).object(rest.substr(0, slash))).has(rest.substr(slash + 1))) << target;
  }
  for (const std::string& name : at.names()) expect_references(document, must(at.at(name)));
  if (at.is_array()) {
    for (const Json& one : must(at.as_array())) expect_references(document, one);
  }
}
TEST(CsaOpenApiTest, ItsReferencesLeadSomewhere) {
  const Json document = must(Json::parse(openapi_document(Server::elements).dump()));
  expect_references(document, document);
}

TEST(CsaOpenApiTest, SoftwareOfOthersIsToldOfItsOwnPathsAndRefusals) {
  const Json document = must(Json::parse(openapi_document(Server::foreign).dump()));
  expect_references(document, document);
  const Json paths = must(document.object("paths"));
  EXPECT_EQ(paths.names().size(), foreign_operations().size());
  for (const Operation operation : foreign_operations()) EXPECT_TRUE(paths.has(points::row(row(operation).endpoint).path)) << row(operation).name;
  EXPECT_FALSE(paths.has(points::row(Endpoint::csa_create_key).path)) << "keys are made over the elements' own connections";
  const Json responses = must(must(document.object("components")).object("responses"));
  EXPECT_TRUE(responses.has("405") && responses.has("417"));
  EXPECT_FALSE(responses.has("413")) << "a body that is too large is a 400 there";
}
TEST_F(CsaDeskTest, ServesSoftwareOfOthersTheirDocument) {
  EXPECT_EQ(must(csa_.ask(Operation::openapi, app("foreign:billing.example"), std::string())).dump(), openapi_document(Server::foreign).dump());
}

TEST(CsaOpenApiTest, RequestsAreDescribedAsTheyAreRead) {
  const Json paths = must(openapi_document(Server::elements).object("paths"));
  for (const OperationRow& line : all_operations()) {
    if (line.operation == Operation::openapi) continue;
    const Json post = must(must(paths.object(points::row(line.endpoint).path)).object("post"));
    EXPECT_EQ(must(post.text("operationId")), line.name);
    const Json schema = must(must(must(must(post.object("requestBody")).object("content")).object("application/json")).object("schema"));
    EXPECT_FALSE(must(schema.boolean("additionalProperties")));
    EXPECT_EQ(must(schema.object("properties")).names().size(), line.asks.size()) << line.name;
    for (const Field& field : line.asks) EXPECT_TRUE(must(schema.object("properties")).has(field.name)) << line.name << " " << field.name;
  }
}

TEST_F(CsaDeskTest, ServesItsDocument) { EXPECT_EQ(must(csa_.ask(Operation::openapi, app(billing), std::string())).dump(), openapi_document(Server::elements).dump()); }

TEST_F(CsaDeskTest, HandlersTellApplicationsFromOperatorsByTheirCertificates) {
  const auto handlers = handlers_of(csa_.desk(), csa_.node().clock());
  EXPECT_EQ(handlers.size(), all_operations().size());
  const auto ask_as = [&](Endpoint endpoint, const char* who, const Json& body) {
    return test::handler_of(handlers, endpoint)(test::json_request(test::identity(who), body));
  };
  const auto created = ask_as(Endpoint::csa_create_key, billing.c_str(), Json::object({{"algorithm", "SM4-GCM"}, {"usage", "encryption"}}));
  ASSERT_TRUE(created) << created.error().message;
  EXPECT_TRUE(created->body.empty()) << "what may be secret is not in ordinary memory";
  ASSERT_TRUE(created->secret);
  const std::string key = text(must(Json::parse(created->secret->reveal())), "key_id");
  const Json state = Json::object({{"key_id", key}, {"change", "disable"}});
  EXPECT_EQ(refusal(ask_as(Endpoint::csa_change_state, payroll.c_str(), state)), ErrorCode::denied);
  EXPECT_TRUE(ask_as(Endpoint::csa_change_state, "qanat://core/operator/operator", state));
  EXPECT_TRUE(csa_.audited(billing) && csa_.audited("csa.change_state"));
}

TEST(CsaEndpointsTest, OperatorsAdministerAndApplicationsUse) {
  for (const OperationRow& line : all_operations()) {
    const points::EndpointRow& endpoint = points::row(line.endpoint);
    EXPECT_TRUE(endpoint.callers.has(Kind::app3)) << line.name;
    EXPECT_FALSE(endpoint.anonymous) << line.name;
    const bool uses_secret = line.needs == Needs::grant || line.operation == Operation::random || line.operation == Operation::batch;
    EXPECT_EQ(endpoint.callers.has(Kind::op), !uses_secret) << line.name;
    for (const Kind kind : {Kind::kms, Kind::qkm, Kind::cas, Kind::sae}) EXPECT_FALSE(endpoint.callers.has(kind)) << line.name;
  }
}

}  // namespace
}  // namespace qanat::kms::csa
