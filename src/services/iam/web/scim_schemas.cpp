#include "services/iam/web/scim_schemas.hpp"

#include "services/iam/web/scim_attributes.hpp"

namespace qanat::iam {
namespace {

using wire::Json;

constexpr std::string_view config_schema = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";
constexpr std::string_view type_schema = "urn:ietf:params:scim:schemas:core:2.0:ResourceType";
constexpr std::string_view schema_schema = "urn:ietf:params:scim:schemas:core:2.0:Schema";
constexpr std::string_view list_schema = "urn:ietf:params:scim:api:messages:2.0:ListResponse";

Json meta(const char* type, const std::string& location) { return Json::object({{"resourceType", type}, {"location", location}}); }

enum class Case : std::uint8_t { any, exact };
enum class Need : std::uint8_t { optional, required };

struct Described {
  const char* name;
  const char* type;
  const char* says;
  Need need = Need::optional;
  Case compared = Case::any;
  const char* mutability = "readWrite";
  const char* uniqueness = "none";
  bool several = false;
};
Json attribute(const Described& one) {
  return Json::object({{"name", one.name},
                       {"type", one.type},
                       {"multiValued", one.several},
                       {"description", one.says},
                       {"required", one.need == Need::required},
                       {"caseExact", one.compared == Case::exact},
                       {"mutability", one.mutability},
                       {"returned", "default"},
                       {"uniqueness", one.uniqueness}});
}

Json user_attributes() {
  Json name = attribute({.name = "name", .type = "complex", .says = "Its text for people; what it is made of is not kept"});
  name.set("subAttributes", Json::array({attribute({.name = "formatted", .type = "string", .says = "The same text as displayName"})}));
  Json emails = attribute({.name = "emails", .type = "complex", .says = "One address is kept: the primary one, or the first", .several = true});
  emails.set("subAttributes", Json::array({attribute({.name = "value", .type = "string", .says = "The address"}),
                                           attribute({.name = "type", .type = "string", .says = "work", .mutability = "readOnly"}),
                                           attribute({.name = "primary", .type = "boolean", .says = "true", .mutability = "readOnly"})}));
  return Json::array(
      {attribute({.name = "userName", .type = "string", .says = "The directory's name for the person", .need = Need::required, .uniqueness = "server"}),
       attribute({.name = "displayName", .type = "string", .says = "The name for people to read"}), std::move(name), std::move(emails),
       attribute({.name = "active", .type = "boolean", .says = "false: suspended, all tokens void"}),
       attribute({.name = "externalId", .type = "string", .says = "The directory's identifier", .compared = Case::exact})});
}

Json schema(std::string_view id, const char* name, const char* says, Json attributes, const std::string& base) {
  return Json::object({{"schemas", Json::array({wire::Json(schema_schema)})},
                       {"id", id},
                       {"name", name},
                       {"description", says},
                       {"attributes", std::move(attributes)},
                       {"meta", meta("Schema", base + "/Schemas/" + std::string(id))}});
}

Json supported(bool is) { return Json::object({{"supported", is}}); }

}  // namespace

Json scim_provider_config(const std::string& base) {
  return Json::object(
      {{"schemas", Json::array({wire::Json(config_schema)})},
       {"patch", supported(true)},
       {"bulk", Json::object({{"supported", false}, {"maxOperations", 0}, {"maxPayloadSize", 0}})},
       {"filter", Json::object({{"supported", true}, {"maxResults", scim_results_max}})},
       {"changePassword", supported(false)},
       {"sort", supported(false)},
       {"etag", supported(true)},
       {"authenticationSchemes",
        Json::array(
            {Json::object({{"type", "oauthbearertoken"},
                           {"name", "OAuth 2.0 over mutual TLS"},
                           {"description", "An access token of /oauth2/token with this service as its audience, bound to the client's certificate (RFC 8705)"},
                           {"specUri", "https://www.rfc-editor.org/info/rfc8705"},
                           {"primary", true}})})},
       {"meta", meta("ServiceProviderConfig", base + "/ServiceProviderConfig")}});
}

Json scim_resource_types(const std::string& base) {
  return Json::array({Json::object({{"schemas", Json::array({wire::Json(type_schema)})},
                                    {"id", "User"},
                                    {"name", "User"},
                                    {"endpoint", "/Users"},
                                    {"description", "People in the register of identities"},
                                    {"schema", scim_user_schema},
                                    {"schemaExtensions", Json::array({Json::object({{"schema", scim_own_schema}, {"required", false}})})},
                                    {"meta", meta("ResourceType", base + "/ResourceTypes/User")}})});
}

Json scim_schemas(const std::string& base) {
  Json own = Json::array({attribute({.name = "domain",
                                     .type = "string",
                                     .says = "The domain of the network that the person belongs to",
                                     .compared = Case::exact,
                                     .mutability = "immutable"})});
  return Json::array(
      {schema(scim_user_schema, "User", "A person", user_attributes(), base), schema(scim_own_schema, "Qanat", "Where in the network", std::move(own), base)});
}

Result<Json> scim_member(const Json& list, const std::string& id) {
  ASSIGN_OR_RETURN(const std::vector<Json> all, list.as_array());
  for (const Json& one : all) {
    ASSIGN_OR_RETURN(const std::string own, one.text("id"));
    if (own == id) return one;
  }
  return fail(ErrorCode::not_found, "there is no '" + id.substr(0, 128) + "'");
}

Json scim_list(std::vector<Json> resources, std::int64_t total, std::int64_t start) {
  return Json::object({{"schemas", Json::array({wire::Json(list_schema)})},
                       {"totalResults", total},
                       {"startIndex", start},
                       {"itemsPerPage", static_cast<std::int64_t>(resources.size())},
                       {"Resources", Json::array(std::move(resources))}});
}

}  // namespace qanat::iam
