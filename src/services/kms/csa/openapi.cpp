#include "services/kms/csa/openapi.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "net/http.hpp"
#include "services/kms/csa/operations.hpp"
#include "services/kms/csa/policy.hpp"

namespace qanat::kms::csa {
namespace {

using wire::Json;

constexpr std::array all_error_codes{ErrorCode::invalid_argument, ErrorCode::unauthenticated, ErrorCode::denied,
                                     ErrorCode::not_found,        ErrorCode::conflict,        ErrorCode::exhausted,
                                     ErrorCode::unavailable,      ErrorCode::deadline_exceeded, ErrorCode::internal};
// What is said before a handler: another method, too slow, too large, of another type, head too large. Of a body too large the foreign listener says 400.
constexpr std::array element_statuses{405U, 408U, 413U, 415U, 431U};  // net/routes.cpp, net/session.cpp
constexpr std::array foreign_statuses{405U, 408U, 415U, 417U, 431U};  // net/foreign_http.cpp, front.cpp
constexpr std::string_view key_id_pattern = "^[0-9a-fA-F]{32}$";

Json words(std::initializer_list<std::string_view> texts) {
  Json out = Json::array();
  for (const std::string_view text : texts) out.push(text);
  return out;
}
Json reference(const std::string& schema) { return Json::object({{"$ref", "#/components/schemas/" + schema}}); }
Json base64_text(const Field& field) {
  return Json::object({{"type", "string"},
                       {"contentEncoding", "base64"},
                       {"minLength", (field.min + 2) / 3 * 4},
                       {"maxLength", (field.max + 2) / 3 * 4},
                       {"description", field.what}});
}
Json list_of(const std::string& schema, const Field& field) {
  return Json::object({{"type", "array"}, {"items", reference(schema)}, {"minItems", field.min}, {"maxItems", field.max}, {"description", field.what}});
}

Json schema_of(const Field& field) {
  switch (field.type) {
    case Type::text: {
      // Characters are counted by JSON Schema, octets by the CSA (arguments.cpp): for who writes others than ASCII the description says what holds.
      const std::string what = std::string(field.what) + " (at most " + std::to_string(field.max) + " octets of UTF-8)";
      Json out = Json::object({{"type", "string"}, {"minLength", std::min<std::size_t>(field.min, 1)}, {"maxLength", field.max}, {"description", what}});
      if (field.name != "algorithm") return out;
      Json names = Json::array();
      for (const Algorithm& algorithm : all_algorithms()) names.push(algorithm.name);
      return out.set("enum", names);
    }
    case Type::key_id:
      return Json::object({{"type", "string"}, {"pattern", key_id_pattern}, {"description", field.what}});
    case Type::octets:
    case Type::plaintext:
      return base64_text(field);
    case Type::integer:
      return Json::object({{"type", "integer"}, {"minimum", field.min}, {"maximum", field.max}, {"description", field.what}});
    case Type::flag:
      return Json::object({{"type", "boolean"}, {"description", field.what}});
    case Type::policy:
      return reference("policy");
    case Type::keys:
      return list_of("key", field);
    case Type::key_ids:
      return Json::object({{"type", "array"},
                           {"items", Json::object({{"type", "string"}, {"pattern", key_id_pattern}})},
                           {"minItems", field.min},
                           {"maxItems", field.max},
                           {"description", field.what}});
    case Type::versions:
      return list_of("version", field);
    case Type::requests:
      return list_of("batch_request", field);
    case Type::results:
      return list_of("batch_result", field);
  }
  return {};
}

Json object_schema(std::span<const Field> fields) {
  Json properties = Json::object();
  Json needed = Json::array();
  for (const Field& field : fields) {
    properties.set(field.name, schema_of(field));
    if (field.presence == Presence::required) needed.push(field.name);
  }
  return Json::object({{"type", "object"}, {"properties", properties}, {"required", needed}, {"additionalProperties", false}});
}

Json content(const Json& schema) { return Json::object({{"application/json", Json::object({{"schema", schema}})}}); }

const char* meaning(unsigned status) {
  switch (status) {
    case 400:
      return "malformed or out of range";
    case 401:
      return "no certificate";
    case 403:
      return "the caller may not: its kind, its certificate's status, or the key's policy; or a sealed text, proof or encapsulation does not hold";
    case 404:
      return "no such key or version";
    case 405:
      return "the path takes another method";
    case 408:
      return "the request took too long";
    case 409:
      return "the key's state does not allow it";
    case 413:
      return "the body is too large";
    case 415:
      return "the body is no application/json";
    case 417:
      return "the body must be sent at once";
    case 431:
      return "the head is too large";
    case 503:
      return "a rate, a quota or another bound is used up, or what is needed does not answer";
    case 504:
      return "the deadline passed";
    default:
      return "a fault of the CSA";
  }
}

Json responses_of(const OperationRow& line, Server server) {
  const Json answered = line.operation == Operation::openapi ? Json::object({{"type", "object"}}) : object_schema(line.answers);
  Json out = Json::object({{"200", Json::object({{"description", "done"}, {"content", content(answered)}})}});
  for (const unsigned status : refusal_statuses(server)) {
    out.set(std::to_string(status), Json::object({{"$ref", "#/components/responses/" + std::to_string(status)}}));
  }
  return out;
}

Json refusals(Server server) {
  Json out = Json::object();
  for (const unsigned status : refusal_statuses(server)) {
    out.set(std::to_string(status), Json::object({{"description", meaning(status)}, {"content", content(reference("error"))}}));
  }
  return out;
}

Json policy_schema() {
  const Json time = Json::object({{"type", "integer"}, {"minimum", 0}, {"description", "Unix time, ms"}});
  Json operations = Json::array();
  for (const OperationRow& line : all_operations()) {
    if (line.needs == Needs::grant || line.needs == Needs::either) operations.push(line.name);
  }
  const Json granted = Json::object({{"type", "array"}, {"minItems", 1}, {"items", Json::object({{"type", "string"}, {"enum", operations}})}});
  const auto limit = [](std::int64_t max) { return Json::object({{"type", "integer"}, {"minimum", 0}, {"maximum", max}, {"description", "0: no limit"}}); };
  const Json grant = Json::object({{"type", "object"},
                                   {"properties", Json::object({{"caller", Json::object({{"type", "string"}, {"maxLength", caller_octets_max}})},
                                                                {"operations", granted},
                                                                {"not_before_ms", time},
                                                                {"not_after_ms", time},
                                                                {"per_minute", limit(per_minute_max)},
                                                                {"total", limit(total_max)}})},
                                   {"required", words({"caller", "operations"})},
                                   {"additionalProperties", false}});
  const Json target = Json::object({{"type", "object"},
                                    {"properties", Json::object({{"algorithm", Json::object({{"type", "string"}})},
                                                                 {"public_key", Json::object({{"type", "string"}, {"contentEncoding", "base64"}})}})},
                                    {"required", words({"algorithm", "public_key"})},
                                    {"additionalProperties", false}});
  return Json::object({{"type", "object"},
                       {"properties", Json::object({{"grants", Json::object({{"type", "array"}, {"maxItems", grants_max}, {"items", grant}})},
                                                    {"export_under", Json::object({{"type", "array"}, {"maxItems", export_targets_max}, {"items", target}})}})},
                       {"additionalProperties", false}});
}

Json batch_request_schema() {
  Json one_of = Json::array();
  for (const OperationRow& line : all_operations()) {
    if (!line.in_batches) continue;
    Json schema = object_schema(line.asks);
    Json properties = schema.object("properties").value_or(Json::object());
    properties.set("operation", Json::object({{"const", line.name}}));
    Json needed = words({"operation"});
    for (const Field& field : line.asks) {
      if (field.presence == Presence::required) needed.push(field.name);
    }
    one_of.push(Json::object({{"type", "object"}, {"properties", properties}, {"required", needed}, {"additionalProperties", false}}));
  }
  return Json::object({{"oneOf", one_of}});
}

Json schemas() {
  const Json error = Json::object({{"type", "object"},
                                   {"properties", Json::object({{"code", Json::object({{"type", "string"}})}, {"message", Json::object({{"type", "string"}})}})},
                                   {"required", words({"code", "message"})}});
  const Json version = Json::object({{"type", "object"},
                                     {"properties", Json::object({{"version", Json::object({{"type", "integer"}})},
                                                                  {"created_ms", Json::object({{"type", "integer"}})},
                                                                  {"destroyed", Json::object({{"type", "boolean"}})},
                                                                  {"commitment", Json::object({{"type", "string"},
                                                                                               {"pattern", "^[0-9a-f]{64}$"},
                                                                                               {"description", "of a destroyed one: to its octets, made when they were"}})}})},
                                     {"required", words({"version", "created_ms", "destroyed"})}});
  const Json result = Json::object({{"type", "object"},
                                    {"properties", Json::object({{"status", Json::object({{"type", "integer"}})},
                                                                 {"answer", Json::object({{"type", "object"}})},
                                                                 {"error", reference("error")}})},
                                    {"required", words({"status"})}});
  return Json::object({{"error", error},
                       {"policy", policy_schema()},
                       {"key", object_schema(row(Operation::describe_key).answers)},
                       {"version", version},
                       {"batch_request", batch_request_schema()},
                       {"batch_result", result}});
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

}  // namespace

std::vector<unsigned> refusal_statuses(Server server) {
  const std::span<const unsigned> before = server == Server::foreign ? foreign_statuses : element_statuses;
  std::vector<unsigned> out(before.begin(), before.end());
  for (const ErrorCode code : all_error_codes) out.push_back(net::http_status(code));
  std::ranges::sort(out);
  const auto twice = std::ranges::unique(out);
  out.erase(twice.begin(), twice.end());
  return out;
}

wire::Json openapi_document(Server server) {
  Json paths = Json::object();
  for (const OperationRow& line : all_operations()) {
    if (server == Server::foreign && std::ranges::find(foreign_operations(), line.operation) == foreign_operations().end()) continue;
    const points::EndpointRow& endpoint = points::row(line.endpoint);
    Json operation = Json::object({{"operationId", line.name}, {"summary", line.summary}});
    if (!endpoint.request_type.empty()) {
      operation.set("requestBody", Json::object({{"required", true}, {"content", content(object_schema(line.asks))}}));
    }
    operation.set("responses", responses_of(line, server));
    paths.set(endpoint.path, Json::object({{lower(endpoint.method), operation}}));
  }
  return Json::object({{"openapi", "3.1.0"},
                       {"info", Json::object({{"title", "Qanat CSA: cryptography as a service"},
                                              {"version", "1"},
                                              {"description", "TLS with client certificates; who may do what with a key is in the key's policy."}})},
                       {"paths", paths},
                       {"components", Json::object({{"schemas", schemas()}, {"responses", refusals(server)}})}});
}

}  // namespace qanat::kms::csa
