#include "quantum/qkdnc/sdn_view.hpp"

#include "crypto/kdf.hpp"

namespace qanat::qkdnc {
namespace {

using wire::Json;

constexpr std::string_view sdn_version = "etsi-qkd-sdn-node 2.1.1 (names)";

std::string interface_name(const ElementName& qkm, const std::string& link) { return qkm.text() + "/" + link; }

Json link_view(const ElementName& qkm, const ReportedLink& link, bool is_up) {
  const auto end = [&](const ElementName& node) {
    return Json::object({{"qkdn_id", uuid_of("qkdn", node.text())}, {"qkdi_id", uuid_of("qkdi", interface_name(node, link.link))}});
  };
  return Json::object({{"qkdl_id", uuid_of("qkdl", qkm.text() + ">" + link.link)},
                       {"qkdl_enable", true},
                       {"qkdl_local", end(qkm)},
                       {"qkdl_remote", end(link.peer)},
                       {"qkdl_status", is_up ? "ACTIVE" : "OFF"},
                       {"qkdl_type", "PHYSICAL"},
                       {"qkdl_performance", Json::object({{"expected_consumption", 0},
                                                          {"skr", static_cast<std::int64_t>(link.state.rate_bps)},
                                                          {"eskr", static_cast<std::int64_t>(link.state.rate_bps)},
                                                          {"qber", link.state.qber},
                                                          {"stock_keys", link.state.stock},
                                                          {"loss_db", link.state.loss_db}})}});
}

Json node_view(const ElementName& qkm, const Topology::Entry& entry, bool is_up) {
  Json interfaces = Json::array();
  Json links = Json::array();
  for (const ReportedLink& link : entry.links) {
    interfaces.push(Json::object({{"qkdi_id", uuid_of("qkdi", interface_name(qkm, link.link))},
                                  {"qkdi_model", "qanat"},
                                  {"qkdi_type", "DV-BB84"},
                                  {"qkdi_status", link.state.alive ? "ENABLED" : "DOWN"},
                                  {"qkdi_att_point", Json::object({{"device", qkm.text()}, {"port", link.link}})}}));
    links.push(link_view(qkm, link, is_up && link.state.alive));
  }
  return Json::object({{"qkdn_id", uuid_of("qkdn", qkm.text())},
                       {"qkdn_status", is_up ? "UP" : "DOWN"},
                       {"qkdn_version", sdn_version},
                       {"qkdn_location_id", qkm.text()},
                       {"qkdn_capabilities", Json::object({{"link_stats_support", true}, {"application_stats_support", false}, {"key_relay_mode_enable", true}})},
                       {"qkd_applications", Json::object({{"qkd_app", Json::array()}})},
                       {"qkd_interfaces", Json::object({{"qkd_interface", interfaces}})},
                       {"qkd_links", Json::object({{"qkd_link", links}})}});
}

}  // namespace

std::string uuid_of(std::string_view kind, std::string_view name) {
  Bytes octets = crypto::digest(crypto::Hash::sha256, {as_bytes("qanat sdn "), as_bytes(kind), as_bytes(" "), as_bytes(name)});
  octets[6] = static_cast<std::uint8_t>((octets[6] & 0x0fU) | 0x80U);
  octets[8] = static_cast<std::uint8_t>((octets[8] & 0x3fU) | 0x80U);
  std::string out = to_hex(ByteView(octets).first(16));
  for (const std::size_t at : {20U, 16U, 12U, 8U}) out.insert(at, "-");
  return out;
}

Result<Json> sdn_view(const Topology& topology, std::string_view only, UnixMs now) {
  Json list = Json::array();
  for (const auto& [qkm, entry] : topology.entries()) {
    const Json node = node_view(qkm, entry, topology.is_fresh(entry, now));
    if (only.empty()) {
      list.push(node);
    } else if (only == uuid_of("qkdn", qkm.text())) {
      return Json::object({{"etsi-qkd-sdn-node:qkd_node", node}});
    }
  }
  if (!only.empty()) return fail(ErrorCode::not_found, "no node has this qkdn_id");
  return Json::object({{"etsi-qkd-sdn-node:qkd_node", list}});
}

}  // namespace qanat::qkdnc
