#include "node/revocations.hpp"

#include "wire/json.hpp"

namespace qanat::node {
namespace {

constexpr std::size_t fingerprint_octets = 32;

}  // namespace

std::string revocation_notice(std::span<const std::string> fingerprints) {
  wire::Json list = wire::Json::array();
  for (const std::string& fingerprint : fingerprints) list.push(fingerprint);
  return wire::Json::object({{"revoked", std::move(list)}}).dump();
}

Result<std::set<Bytes>> read_revocation_notice(ByteView body) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(body));
  TRY(json.only({"revoked"}));
  ASSIGN_OR_RETURN(const std::vector<std::string> texts, json.texts("revoked"));
  if (texts.size() > revocations_at_once) {
    return fail(ErrorCode::invalid_argument, "revoked: more than " + std::to_string(revocations_at_once) + " certificates");
  }
  std::set<Bytes> out;
  for (const std::string& text : texts) {
    std::optional<Bytes> fingerprint = from_hex(text);
    if (!fingerprint || fingerprint->size() != fingerprint_octets) return fail(ErrorCode::invalid_argument, "revoked: must be SHA-256 fingerprints");
    out.insert(*std::move(fingerprint));
  }
  return out;
}

}  // namespace qanat::node
