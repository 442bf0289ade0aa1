#include "terminal/gateway/strongswan.hpp"

#include <algorithm>
#include <charconv>
#include <set>
#include <thread>

#include "kme/key_id_text.hpp"
#include "node/log.hpp"
#include "terminal/gateway/carried_octets.hpp"
#include "terminal/gateway/vici_client.hpp"

namespace qanat::terminal::gateway {
namespace {

constexpr std::chrono::milliseconds hold_max{500};      // two round trips, and what the two ends compute
constexpr std::chrono::milliseconds answer_max{15000};  // for IKE_SA_INIT and IKE_AUTH, with a few retransmissions

struct IkeSa {
  std::string unique_id;
  bool established = false;
  bool ppk = false;
  bool child_installed = false;
  CarriedOctets::Present children{};
};

std::uint64_t number_of(std::string_view text) {
  std::uint64_t out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

IkeSa read_sa(const ViciSection& sa) {
  IkeSa out{.unique_id = std::string(sa.text("uniqueid")), .established = sa.text("state") == "ESTABLISHED", .ppk = sa.text("ppk") == "yes"};
  const ViciSection* const children = sa.section("child-sas");
  if (children == nullptr) return out;
  for (const ViciSection::Element& element : children->elements()) {
    const auto* const child = std::get_if<ViciSection>(&element.value);
    if (child == nullptr) continue;
    const std::string_view state = child->text("state");
    out.child_installed = out.child_installed || state == "INSTALLED" || state == "REKEYING" || state == "REKEYED";
    out.children[element.name] = number_of(child->text("bytes-in")) + number_of(child->text("bytes-out"));  // NAME-UNIQUEID
  }
  return out;
}

class StrongSwan final : public Tunnel {
 public:
  StrongSwan(StrongSwanSettings settings, ConnectionFile connection, Role role)
      : settings_(std::move(settings)), connection_(std::move(connection)), role_(role) {}

  Result<void> prepare(Deadline deadline) override {
    ASSIGN_OR_RETURN(ViciClient vici, connect(deadline));
    ASSIGN_OR_RETURN(const ViciSection stats, vici.command("stats", {}, deadline));
    const ViciSection* const uptime = stats.section("uptime");
    const std::string since = uptime == nullptr ? std::string() : std::string(uptime->text("since"));
    if (!since.empty() && since == daemon_since_) return {};
    // A responder accepts any PPK that is loaded, and none of its peer's connections without one. An initiator has no connection until it has a key.
    if (role_ == Role::responder) TRY(load_connection(vici, std::nullopt, deadline));
    daemon_since_ = since;
    old_.clear();  // its ids begin anew
    carried_.clear();
    return {};
  }

  Result<void> load(const KeyId& id, const Secret& key, Deadline deadline) override {
    ASSIGN_OR_RETURN(ViciClient vici, connect(deadline));
    const std::string name = kme::to_uuid(id);
    ViciSection message;
    message.set("id", name).set("type", std::string("PPK")).set("owners", ViciSection::List{name});
    const ViciSecret data{.name = "data", .value = key};
    TRY(vici.command("load-shared", message, deadline, &data));
    return {};
  }

  Result<void> unload(const KeyId& id, Deadline deadline) override {
    ASSIGN_OR_RETURN(ViciClient vici, connect(deadline));
    ViciSection message;
    message.set("id", kme::to_uuid(id));
    const auto done = vici.command("unload-shared", message, deadline);
    if (!done && done.error().code == ErrorCode::conflict) return {};  // "not found"
    if (!done) return fail(done.error());
    return {};
  }

  Result<std::vector<KeyId>> loaded(Deadline deadline) override {
    ASSIGN_OR_RETURN(ViciClient vici, connect(deadline));
    ASSIGN_OR_RETURN(const ViciSection answer, vici.command("get-shared", {}, deadline));
    std::vector<KeyId> out;
    const ViciSection::List* const keys = answer.list("keys");
    if (keys == nullptr) return out;
    for (const std::string& key : *keys) {
      // What else is loaded there is the operator's.
      if (const auto id = kme::from_uuid(key)) out.push_back(*id);
    }
    return out;
  }

  Result<void> follow(const KeyId& id, Deadline deadline) override {
    ASSIGN_OR_RETURN(const std::vector<KeyId> held, loaded(deadline));
    if (std::ranges::find(held, id) == held.end()) return fail(ErrorCode::not_found, "PPK " + kme::to_uuid(id) + " is not loaded");
    return {};
  }

  /// follow() has changed nothing: the initiator alone chooses the PPK.
  Result<void> unfollow(Deadline /*deadline*/) override { return {}; }

  Result<void> put_in_force(const KeyId& id, const std::optional<KeyId>& former, Deadline deadline) override {
    ASSIGN_OR_RETURN(ViciClient vici, connect(deadline));
    ASSIGN_OR_RETURN(const std::vector<IkeSa> before, sas(vici, deadline));
    TRY(load_connection(vici, id, deadline));
    const auto made = initiate(vici, before, deadline);
    if (!made) {
      // The connection must name the key that the tunnel runs on: the daemon may want to make its SA again.
      if (former) TRY(load_connection(vici, former, Deadline::after(answer_max)));
      return made;
    }
    std::this_thread::sleep_for(std::min(settings_.overlap, deadline.remaining()));
    for (const IkeSa& old : before) old_.insert(old.unique_id);
    carried_.clear();
    end_old(vici, deadline);
    return {};
  }

  [[nodiscard]] std::chrono::milliseconds patience() const override { return settings_.overlap + answer_max; }
  /// Its patience is short, and an IKE SA that is being made is better brought to its end.
  void interrupt() noexcept override {}

  Result<TunnelCondition> condition(Deadline deadline) override {
    ASSIGN_OR_RETURN(ViciClient vici, connect(deadline));
    end_old(vici, deadline);
    ASSIGN_OR_RETURN(const std::vector<IkeSa> all, sas(vici, deadline));
    TunnelCondition out;
    CarriedOctets::Present present;
    for (const IkeSa& sa : all) {
      out.up = out.up || (sa.established && sa.ppk && sa.child_installed);
      if (!old_.contains(sa.unique_id)) present.insert(sa.children.begin(), sa.children.end());
    }
    out.octets = carried_.look(present);
    return out;
  }

 private:
  Result<ViciClient> connect(Deadline deadline) const { return ViciClient::connect(settings_.vici, deadline); }

  Result<void> load_connection(ViciClient& vici, const std::optional<KeyId>& ppk, Deadline deadline) const {
    ViciSection settings = connection_.settings;
    // PPKs are of IKEv2 alone; a peer without one is refused; SAs side by side are what the change of keys lives on.
    settings.set("version", std::string("2")).set("unique", std::string("never")).set("ppk_required", std::string("yes"));
    if (ppk) settings.set("ppk_id", kme::to_uuid(*ppk));
    ViciSection message;
    message.set(connection_.name, std::move(settings));
    TRY(vici.command("load-conn", message, deadline));
    return {};
  }

  Result<std::vector<IkeSa>> sas(ViciClient& vici, Deadline deadline) const {
    ViciSection message;
    message.set("ike", connection_.name);
    ASSIGN_OR_RETURN(const std::vector<ViciSection> events, vici.stream("list-sas", "list-sa", message, deadline));
    std::vector<IkeSa> out;
    for (const ViciSection& event : events) {
      if (const ViciSection* const sa = event.section(connection_.name)) out.push_back(read_sa(*sa));
    }
    return out;
  }

  Result<void> initiate(ViciClient& vici, const std::vector<IkeSa>& before, Deadline deadline) const {
    ViciSection message;
    message.set("ike", connection_.name)
        .set("child", connection_.child)
        .set("timeout", std::to_string(std::max<std::int64_t>(1, deadline.remaining().count())))
        .set("loglevel", std::string("1"));
    std::unique_ptr<PacketHold> hold = hold_packets();
    // The answer comes when the CHILD SA is installed, or will not be.
    const auto done = vici.stream("initiate", "control-log", message, deadline);
    hold.reset();
    if (!done && done.error().code == ErrorCode::conflict) return fail(ErrorCode::denied, done.error().message);
    if (!done) return fail(done.error());
    ASSIGN_OR_RETURN(const std::vector<IkeSa> after, sas(vici, deadline));
    const auto is_new = [&](const IkeSa& sa) { return std::ranges::find(before, sa.unique_id, &IkeSa::unique_id) == before.end(); };
    const auto made = std::ranges::find_if(after, [&](const IkeSa& sa) { return is_new(sa) && sa.established && sa.child_installed; });
    if (made == after.end()) return fail(ErrorCode::denied, "strongSwan: the new IKE SA is gone already");
    if (made->ppk) return {};
    // ppk_required forbids it; nothing may run without a PPK, whatever the daemon's reason.
    TRY(terminate(vici, made->unique_id, deadline));
    return fail(ErrorCode::denied, "strongSwan made an IKE SA without PPK: it was deleted");
  }

  /// Nothing where none is wanted, or none can be had: a change of keys that may lose a packet is better than none.
  std::unique_ptr<PacketHold> hold_packets() const {
    if (settings_.hold.queue == 0) return nullptr;
    auto hold = PacketHold::begin(settings_.hold, hold_max);
    if (hold) return std::move(*hold);
    node::log(node::LogLevel::warning, "connection {}: no packet is held back: {}", connection_.name, hold.error().message);
    return nullptr;
  }

  /// The key is in force whether or not its predecessors' SAs can be deleted now: those that cannot are tried again at each look.
  void end_old(ViciClient& vici, Deadline deadline) {
    while (!old_.empty()) {
      if (const auto ended = terminate(vici, *old_.begin(), deadline); !ended) {
        node::log(node::LogLevel::warning, "connection {}: a former IKE SA could not be deleted, which is tried again at the next look: {}", connection_.name,
                  ended.error().message);
        return;
      }
      old_.erase(old_.begin());
    }
  }

  static Result<void> terminate(ViciClient& vici, const std::string& unique_id, Deadline deadline) {
    ViciSection message;
    message.set("ike-id", unique_id).set("timeout", std::to_string(std::max<std::int64_t>(1, deadline.remaining().count())));
    const auto done = vici.command("terminate", message, deadline);
    if (!done && done.error().code != ErrorCode::conflict) return fail(done.error());  // gone already: what was wanted
    return {};
  }

  const StrongSwanSettings settings_;
  const ConnectionFile connection_;
  const Role role_;
  std::set<std::string> old_;  // IKE SAs to be deleted, by their unique ids
  CarriedOctets carried_;      // under the key in force
  std::string daemon_since_;   // when the daemon that we prepared was started
};

}  // namespace

Result<std::unique_ptr<Tunnel>> open_strongswan(const StrongSwanSettings& settings, Role role) {
  ASSIGN_OR_RETURN(ConnectionFile connection, read_connection(settings.connection));
  return std::make_unique<StrongSwan>(settings, std::move(connection), role);
}

}  // namespace qanat::terminal::gateway
