#include "services/cas/closed_shop.hpp"

namespace qanat::cas {

Result<ClosedShop> enter(const node::Settings& settings) {
  ClosedShop out;
  if (settings.identity.kind != Kind::cas) return fail(ErrorCode::invalid_argument, settings.identity.uri() + " is no CAS: its configuration is wanted");
  const std::filesystem::path database = settings.state / "cas.db";
  std::error_code ignored;
  if (!std::filesystem::exists(database, ignored)) return fail(ErrorCode::not_found, database.string() + ": the ceremony has not been held");
  ASSIGN_OR_RETURN(out.rng, crypto::open_rng());
  ASSIGN_OR_RETURN(out.device, crypto::open_device(settings.device, settings.master_key, *out.rng));
  // Locked by a CAS that runs; so this comes before the record of its deeds is opened.
  ASSIGN_OR_RETURN(out.records, Records::open(database, *out.device));
  ASSIGN_OR_RETURN(out.node, node::Node::open(settings));
  return Result<ClosedShop>(std::move(out));
}

Result<void> record_deed(node::Node& node, std::string_view action, const std::string& object) {
  return node.record(
      {.action = action, .outcome = audit::Outcome::success, .subject = node.identity().uri(), .object = object, .reason = "", .request_id = ""});
}

}  // namespace qanat::cas
