#include "kme/etsi020_client.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "kme/key_id_text.hpp"
#include "wire/secret_text.hpp"
#include "wire/json.hpp"

namespace qanat::kme::etsi020 {
namespace {

constexpr std::size_t details_max = 200;  // characters

wire::Json names_of(std::span<const SaeId> saes) {
  std::vector<wire::Json> out;
  out.reserve(saes.size());
  for (const SaeId& sae : saes) out.emplace_back(sae.text());
  return wire::Json::array(std::move(out));
}

}  // namespace

Secret render_ext_keys(const Offer& offer, const Secret& octets) {
  CHECK(!offer.ids.empty() && octets.size() % offer.ids.size() == 0);
  const std::size_t size = octets.size() / offer.ids.size();
  constexpr std::string_view begin = R"({"keys":[)";
  constexpr std::string_view id_field = R"({"key_id":")";
  constexpr std::string_view value_field = R"(","value":")";
  constexpr std::string_view key_end = R"("})";
  const std::string rest = wire::Json::object({{"initiator_sae_id", offer.initiator.text()},
                                               {"target_sae_ids", names_of(offer.targets)},
                                               {"ack_callback_url", offer.ack_callback_url}})
                               .dump();
  const std::string end = "]," + rest.substr(1);
  const std::size_t each = id_field.size() + uuid_size + value_field.size() + wire::base64_size(size) + key_end.size();
  wire::SecretText out(begin.size() + offer.ids.size() * each + offer.ids.size() - 1 + end.size());
  out.add(begin);
  for (std::size_t i = 0; i < offer.ids.size(); ++i) {
    if (i > 0) out.add(",");
    out.add(id_field).add(to_uuid(offer.ids[i])).add(value_field).add_base64(octets.reveal().subspan(i * size, size)).add(key_end);
  }
  out.add(end);
  return std::move(out).finish();
}

std::string render_void(std::span<const KeyId> ids, const SaeId& initiator, std::span<const SaeId> targets) {
  std::vector<wire::Json> list;
  list.reserve(ids.size());
  for (const KeyId& id : ids) list.push_back(wire::Json::object({{"key_id", to_uuid(id)}}));
  return wire::Json::object({{"key_ids", wire::Json::array(std::move(list))}, {"initiator_sae_id", initiator.text()}, {"target_sae_ids", names_of(targets)}})
      .dump();
}

Error refusal_of(unsigned status, ByteView body) {
  std::string said;
  if (const auto json = wire::Json::parse(body)) said = json->text("details").value_or(json->text("message").value_or(""));
  said.resize(std::min(said.size(), details_max));
  std::ranges::replace_if(
      said, [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  const ErrorCode code = status == 401 ? ErrorCode::denied : status >= 400 && status < 500 ? ErrorCode::invalid_argument : ErrorCode::unavailable;
  return {.code = code, .message = "the key manager answers " + std::to_string(status) + (said.empty() ? "" : ": " + said)};
}

}  // namespace qanat::kme::etsi020
