#include "services/kms/kim/medium_desk.hpp"

#include <algorithm>

#include "base/secret_file.hpp"
#include "node/crash_point.hpp"
#include "node/subscriber.hpp"
#include "wire/base64.hpp"

namespace qanat::kms {
namespace {

constexpr std::array<std::string_view, 4> medium_kinds{"sim", "tf-card", "software", "pci-card"};
constexpr std::int64_t desk_page = 200;

Result<wire::MediumId> medium_id_in(const wire::Json& json) {
  ASSIGN_OR_RETURN(const std::string text, json.text("medium"));
  auto id = wire::MediumId::parse_hex(text);
  if (!id) return fail(ErrorCode::invalid_argument, "medium: must be 32 hexadecimal digits");
  return id;
}

wire::Json to_json(const MediumStock& one) {
  wire::Json keys = wire::Json::object();
  for (const wire::KeySet set : wire::all_key_sets) keys.set(wire::name(set), one.keys[wire::index_of(set)]);
  return wire::Json::object({{"medium", one.medium.id.hex()},
                             {"terminal", one.medium.uid.text()},
                             {"kind", one.medium.kind},
                             {"state", name(one.medium.state)},
                             {"by_file", one.medium.by_file},
                             {"generation", std::int64_t{one.medium.generation}},
                             {"keys", std::move(keys)},
                             {"call_keys_charged_offline", one.counting}});
}

wire::Json to_json(const Charge& one) {
  return wire::Json::object({{"ticket", one.id.hex()},
                             {"medium", one.medium.hex()},
                             {"state", name(one.state)},
                             {"authentication", one.counts[0]},
                             {"call", one.counts[1]},
                             {"distribution", one.counts[2]},
                             {"made_by", one.made_by},
                             {"made_ms", one.made_ms},
                             {"decided_by", one.decided_by}});
}

net::Response file_response(const Charge& charge, ByteView file) {
  return node::json_response(wire::Json::object({{"ticket", charge.id.hex()}, {"medium", charge.medium.hex()}, {"file", wire::to_base64(file)}}));
}

}  // namespace

Result<net::Response> MediumDesk::answer(const net::Request& request) {
  return node::recorded(node_, "x-5.medium", request, [&](node::Deed& deed) { return dispatch(request, deed); });
}

Result<net::Response> MediumDesk::dispatch(const net::Request& request, node::Deed& deed) {
  if (!request.peer.identity) return fail(ErrorCode::denied, "this desk is for operators with a certificate");
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
  ASSIGN_OR_RETURN(const std::string op, json.text("op"));
  deed.object = op.substr(0, 16);
  if (op == "register") return enter(json, request, deed);
  if (op == "list") return list();
  if (op == "charge") return order(json, request, deed);
  if (op == "approve") return approve(json, request, deed);
  if (op == "reject") return reject(json, request, deed);
  if (op == "collect") return collect(json, deed);
  if (op == "lock") return end(json, MediumState::locked, deed);
  if (op == "wipe") return end(json, MediumState::wiped, deed);
  return fail(ErrorCode::invalid_argument, "op must be register, list, charge, approve, reject, collect, lock or wipe");
}

Result<Medium> MediumDesk::medium(const wire::Json& json) {
  ASSIGN_OR_RETURN(const wire::MediumId id, medium_id_in(json));
  ASSIGN_OR_RETURN(const std::optional<Medium> found,
                   store_.transact([&](store::Transaction& transaction) { return injection_.stock().find(transaction, id); }));
  if (!found) return fail(ErrorCode::not_found, "no medium " + id.hex() + " is registered");
  return *found;
}

Result<Charge> MediumDesk::charge(const wire::Json& json, node::Deed& deed) {
  ASSIGN_OR_RETURN(const std::string text, json.text("ticket"));
  const auto id = wire::ChargeId::parse_hex(text);
  if (!id) return fail(ErrorCode::invalid_argument, "ticket: must be 32 hexadecimal digits");
  deed.object += " " + id->hex();
  ASSIGN_OR_RETURN(std::optional<Charge> found, store_.transact([&](store::Transaction& transaction) { return find_charge(transaction, *id); }));
  if (!found || !found->h_req.empty()) return fail(ErrorCode::not_found, "no charge by file has the ticket " + id->hex());
  deed.object += " " + found->medium.hex();
  return *std::move(found);
}

Result<void> MediumDesk::check_terminal(const Uid& uid, Deadline deadline) {
  ASSIGN_OR_RETURN(const std::optional<Terminal> terminal, store_.transact([&](store::Transaction& transaction) { return find_terminal(transaction, uid); }));
  if (!terminal || !terminal->confirmed) return fail(ErrorCode::denied, "no terminal " + uid.text() + " is enrolled at " + node_.identity().name);
  for (const Bytes* der : {&terminal->classical, &terminal->ml_dsa}) {
    ASSIGN_OR_RETURN(const crypto::Certificate certificate, crypto::Certificate::parse(*der));
    const auto good = node_.check_certificate(certificate, deadline);
    if (good) continue;
    TRY(injection_.judged(*terminal, good.error(), deadline));
    return fail_in("terminal " + uid.text(), good.error());
  }
  return {};
}

Result<net::Response> MediumDesk::enter(const wire::Json& json, const net::Request& request, node::Deed& deed) {
  TRY(json.only({"op", "medium", "terminal", "kind", "by_file"}));
  Medium made;
  ASSIGN_OR_RETURN(made.id, medium_id_in(json));
  ASSIGN_OR_RETURN(const std::string terminal, json.text("terminal"));
  ASSIGN_OR_RETURN(made.uid, node::parse_uid(terminal));
  ASSIGN_OR_RETURN(made.kind, json.text("kind"));
  deed.object += " " + made.id.hex() + " " + made.uid.text();
  if (std::ranges::find(medium_kinds, made.kind) == medium_kinds.end())
    return fail(ErrorCode::invalid_argument, "kind must be sim, tf-card, software or pci-card");
  ASSIGN_OR_RETURN(made.by_file, json.boolean("by_file"));
  TRY(check_terminal(made.uid, request.deadline));
  std::optional<Secret> transport_key;
  const std::filesystem::path file = settings_.media_keys / (made.id.hex() + ".key");
  std::error_code ignored;
  ASSIGN_OR_RETURN(const std::optional<Medium> same,
                   store_.transact([&](store::Transaction& transaction) { return injection_.stock().find(transaction, made.id); }));
  if (same) {
    // It may be that the KMS died when the key was stored, and before the one that was carried here was gone.
    if (!settings_.media_keys.empty()) std::filesystem::remove(file, ignored);
    return fail(ErrorCode::conflict, "medium " + made.id.hex() + " is registered already: it is " + std::string(name(same->state)));
  }
  if (made.by_file) {
    if (settings_.media_keys.empty()) return fail(ErrorCode::denied, "kms.media_keys names no folder: media are charged over a wire alone here");
    auto key = read_secret_file(file, wire::transport_key_size);
    if (!key) return fail_in("the medium's transport key, which is carried here by hand", key.error());
    transport_key = std::move(*key);
  }
  TRY(store_.transact([&](store::Transaction& transaction) {
    return injection_.stock().add(transaction, made, transport_key ? &*transport_key : nullptr, request.peer.identity->uri(), node_.clock().now_ms());
  }));
  node::crash_point("kms.medium.registered");
  if (made.by_file) std::filesystem::remove(file, ignored);
  return node::json_response(to_json(MediumStock{.medium = made, .keys = {}, .counting = 0}).set("key_file_removed", made.by_file && !ignored));
}

Result<net::Response> MediumDesk::list() {
  struct All {
    std::vector<MediumStock> media;
    std::vector<Charge> waiting;
  };
  ASSIGN_OR_RETURN(const All all, store_.transact([&](store::Transaction& transaction) -> Result<All> {
    All out;
    ASSIGN_OR_RETURN(out.media, injection_.stock().list(transaction, desk_page));
    ASSIGN_OR_RETURN(out.waiting, list_charges(transaction, ChargeState::waiting, desk_page));
    return out;
  }));
  wire::Json media = wire::Json::array();
  for (const MediumStock& one : all.media) media.push(to_json(one));
  wire::Json charges = wire::Json::array();
  for (const Charge& one : all.waiting) charges.push(to_json(one));
  return node::json_response(wire::Json::object({{"media", std::move(media)}, {"charges", std::move(charges)}}));
}

Result<net::Response> MediumDesk::order(const wire::Json& json, const net::Request& request, node::Deed& deed) {
  TRY(json.only({"op", "medium", "authentication", "call", "distribution"}));
  ASSIGN_OR_RETURN(const Medium of, medium(json));
  deed.object += " " + of.id.hex();
  if (of.state == MediumState::wiped) return fail(ErrorCode::denied, "medium " + of.id.hex() + " is wiped");
  if (!of.by_file) return fail(ErrorCode::denied, "medium " + of.id.hex() + " was registered without a transport key: it is charged over a wire alone");
  Charge made{.id = wire::ChargeId(node_.rng().bytes(wire::ChargeId::size)),
              .medium = of.id,
              .state = ChargeState::waiting,
              .counts = {},
              .made_by = request.peer.identity->uri(),
              .made_ms = node_.clock().now_ms(),
              .decided_by = "",
              .h_req = {},
              .h_deliver = {},
              .answer = {}};
  std::int64_t all = 0;
  for (const wire::KeySet set : wire::all_key_sets) {
    ASSIGN_OR_RETURN(const std::int64_t count, json.integer(wire::name(set), 0, wire::charge_keys_max));
    made.counts[wire::index_of(set)] = static_cast<std::uint16_t>(count);
    all += count;
  }
  if (all == 0) return fail(ErrorCode::invalid_argument, "a charge has one key at least");
  TRY(store_.transact([&](store::Transaction& transaction) { return add_charge(transaction, made); }));
  deed.object += " " + made.id.hex();
  return node::json_response(to_json(made));
}

Result<net::Response> MediumDesk::approve(const wire::Json& json, const net::Request& request, node::Deed& deed) {
  TRY(json.only({"op", "ticket"}));
  ASSIGN_OR_RETURN(Charge ordered, charge(json, deed));
  const std::string by = request.peer.identity->uri();
  if (ordered.made_by == by) return fail(ErrorCode::denied, by + " ordered this charge: another operator approves it");
  if (ordered.state != ChargeState::waiting) return fail(ErrorCode::conflict, "charge " + ordered.id.hex() + " is " + std::string(name(ordered.state)));
  const UnixMs now = node_.clock().now_ms();
  if (ordered.made_ms + charge_order_life_ms < now) return fail(ErrorCode::denied, "charge " + ordered.id.hex() + " was ordered too long ago: order it anew");
  ASSIGN_OR_RETURN(const std::optional<Medium> of,
                   store_.transact([&](store::Transaction& transaction) { return injection_.stock().find(transaction, ordered.medium); }));
  if (!of || of->state == MediumState::wiped) return fail(ErrorCode::denied, "medium " + ordered.medium.hex() + " is wiped");
  TRY(check_terminal(of->uid, request.deadline));
  ordered.decided_by = by;
  ASSIGN_OR_RETURN(const OfflineCharge made, injection_.stock_up_by_file(*of, ordered, request.deadline, request.request_id));
  node::crash_point("kms.charge.approved");
  ASSIGN_OR_RETURN(
      const wire::ChargeFile file,
      wire::seal_charge_file({.suite = &node_.suite(), .medium = of->id, .charge = ordered.id, .generation = of->generation, .made_ms = now, .sealed = {}},
                             made.transport_key, made.payload));
  const Bytes octets = wire::encode(file);
  TRY(store_.transact([&](store::Transaction& transaction) { return keep_answer(transaction, ordered.id, {}, octets, now); }));
  deed.object += std::string(", drawn from ") + (made.payload.origin == wire::ChargeOrigin::quantum ? "quantum keys and the device" : "the device");
  return file_response(ordered, octets);
}

Result<net::Response> MediumDesk::reject(const wire::Json& json, const net::Request& request, node::Deed& deed) {
  TRY(json.only({"op", "ticket"}));
  ASSIGN_OR_RETURN(const Charge ordered, charge(json, deed));
  TRY(store_.transact([&](store::Transaction& transaction) {
    return move_charge(transaction, ordered.id, ChargeState::waiting, ChargeState::rejected, request.peer.identity->uri());
  }));
  return node::json_response(wire::Json::object({{"ticket", ordered.id.hex()}, {"state", name(ChargeState::rejected)}}));
}

Result<net::Response> MediumDesk::collect(const wire::Json& json, node::Deed& deed) {
  TRY(json.only({"op", "ticket"}));
  ASSIGN_OR_RETURN(const Charge of, charge(json, deed));
  if (of.state == ChargeState::waiting) return fail(ErrorCode::unavailable, "charge " + of.id.hex() + " waits for another operator");
  if (of.answer.empty()) return fail(ErrorCode::not_found, "charge " + of.id.hex() + " has no file that is kept: order another one");
  return file_response(of, of.answer);
}

Result<net::Response> MediumDesk::end(const wire::Json& json, MediumState to, node::Deed& deed) {
  TRY(json.only({"op", "medium"}));
  ASSIGN_OR_RETURN(Medium of, medium(json));
  deed.object += " " + of.id.hex() + " " + of.uid.text();
  TRY(store_.transact([&](store::Transaction& transaction) { return injection_.stock().set_state(transaction, of, to); }));
  TRY(store_.settle());
  of.state = to;
  if (to == MediumState::wiped) of.by_file = false;
  return node::json_response(wire::Json::object({{"medium", of.id.hex()}, {"terminal", of.uid.text()}, {"state", name(of.state)}}));
}

}  // namespace qanat::kms
