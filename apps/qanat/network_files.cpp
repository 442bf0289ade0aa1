// What `qanat up` writes before a network's first start: keys, the CA ceremony, and one configuration per element.
#include <fmt/format.h>

#include <algorithm>

#include "base/clock.hpp"
#include "base/secret_file.hpp"
#include "crypto/kdf.hpp"
#include "crypto/random.hpp"
#include "network.hpp"
#include "sae_authority.hpp"
#include "secret_files.hpp"
#include "services/cas/ceremony.hpp"
#include "text_files.hpp"

namespace qanat::app {
namespace {

constexpr std::size_t site_key_size = 32;
constexpr std::size_t pre_shared_size = 4096;  // authentication key of a QKD pair until its first blocks refill it (docs/quantum.md)
constexpr std::size_t fibre_seed_size = 32;
constexpr std::size_t sae_pool_target = 256;   // keys that are relayed beforehand: twice what one request of an SAE may ask for

/// Which site's key an element uses: its own domain's; the relay between the domains is the site "core".
std::filesystem::path site_key(const Network& network, const std::string& domain) { return network.secret_of("site-" + domain + ".key"); }

/// What a QKM and the controllers share, for centralised relays.
std::filesystem::path controller_key(const Network& network, const std::string& qkm) { return network.secret_of("controller-" + qkm + ".key"); }

}  // namespace

class NetworkFiles {
 public:
  NetworkFiles(const Network& network, crypto::Rng& rng) : network_(network), rng_(rng) {}

  Result<void> write() {
    TRY(make_folders());
    TRY(make_secrets());
    TRY(hold_ceremony());
    if (const std::vector<SaeListener> listeners = sae_listeners(network_); !listeners.empty()) TRY(SaeAuthority::make(network_, listeners));
    for (const ElementPlan& element : network_.elements()) TRY(write_text(network_.config_of(element.name()), config(element)));
    for (const TerminalPlan& terminal : network_.terminals()) TRY(write_text(network_.config_of(terminal.uid), config(terminal)));
    return write_text(network_.folder() / "network.json", description().pretty() + "\n");
  }

 private:
  Result<void> make_folders() {
    std::error_code error;
    for (const char* name : {"", "config", "state", "secrets", "trust", "offline-root", "logs"}) {
      const std::filesystem::path folder = network_.folder() / name;
      std::filesystem::create_directories(folder, error);
      std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
      if (error) return fail(ErrorCode::internal, folder.string() + ": " + error.message());
    }
    return {};
  }

  Result<void> make_secrets() {
    for (const ElementPlan& element : network_.elements()) {
      if (element.identity.kind != Kind::cas) TRY(write_secret(network_.secret_of(element.name() + ".enrolment"), enrolment_secret_size, rng_));
      TRY(write_secret(site_key(network_, element.identity.domain), site_key_size, rng_));
      if (element.identity.kind == Kind::qkm) TRY(write_secret(controller_key(network_, element.name()), site_key_size, rng_));
    }
    for (const LinkPlan& link : network_.links()) {
      TRY(write_secret(network_.secret_of("link-" + link.name + ".psk"), pre_shared_size, rng_));
      TRY(write_secret(network_.secret_of("link-" + link.name + ".simulated-fibre"), fibre_seed_size, rng_));
    }
    return {};
  }

  Result<void> hold_ceremony() {
    ASSIGN_OR_RETURN(const crypto::Suite* suite, crypto::find_suite(network_.options().suite));
    cas::CeremonyPlan plan;
    plan.suite = suite;
    plan.offline = network_.folder() / "offline-root";
    if (!network_.options().roots.empty()) plan.roots = cas::OfflineRoots{.folder = network_.options().roots, .device = network_.options().root_device};
    plan.device = network_.options().cas_device;
    plan.trust = network_.trust();
    plan.state = network_.state_of("cas");
    plan.master_key = network_.secret_of("cas.master");
    plan.now_ms = SystemClock().now_ms();
    for (const ElementPlan& element : network_.elements()) {
      if (element.identity.kind == Kind::cas) continue;
      ASSIGN_OR_RETURN(const Secret secret, read_secret_digits(network_.secret_of(element.name() + ".enrolment"), enrolment_secret_size));
      // CAS is given the hash alone; what the element proves with is derived from it (EST: Node::enrol).
      plan.elements.push_back({.identity = element.identity, .proof_key = Secret::copy_of(crypto::digest(crypto::Hash::sha256, {as_bytes("qanat enrolment"), secret.reveal()}))});
    }
    std::error_code error;
    std::filesystem::create_directories(plan.state, error);
    return cas::hold_ceremony(plan);
  }

  std::string common(const Identity& identity, std::uint16_t port, std::int64_t workers, const std::vector<std::string>& peers) const {
    const std::string& name = identity.name;
    std::string out = fmt::format("[node]\nidentity = \"{}\"\nstate = {}\ntrust = {}\nmaster_key = {}\nenrolment_secret = {}\nsuite = \"{}\"\nport = {}\n\n", identity.uri(),
                                  quoted(network_.state_of(name)), quoted(network_.trust()), quoted(network_.secret_of(name + ".master")),
                                  quoted(network_.secret_of(name + ".enrolment")), network_.options().suite, port);
    out += fmt::format("[limits]\nworker_threads = {}\n\n[status]\nfresh_ms = {}\n\n", workers, network_.options().status_fresh_ms);
    for (const std::string& peer : peers) {
      const ElementPlan* element = *network_.element(peer);
      out += fmt::format("[peers.{}]\nidentity = \"{}\"\nport = {}\n\n", peer, element->identity.uri(), element->port);
    }
    return out;
  }

  std::string config(const ElementPlan& element) const {
    const Identity& identity = element.identity;
    const bool busy = identity.kind == Kind::kms || identity.kind == Kind::qkm;
    const std::string out = common(identity, element.port, busy ? 32 : 8, element.peers) + device_table(element) + audit_table(element) + own_table(element);
    if (element.sae_port == 0) return out;
    return out + sae_table(network_, listener_of(element), "");
  }

  std::string device_table(const ElementPlan& element) const {
    const std::optional<crypto::DeviceSettings>& device = network_.options().cas_device;
    if (element.identity.kind != Kind::cas || !device) return "";
    if (const auto* const sdf = std::get_if<crypto::SdfSettings>(&*device))
      return fmt::format("[device]\nkind = \"sdf\"\nmodule = {}\nkey_index = {}\n\n", quoted(sdf->module), sdf->key_index);
    if (const auto* const skf = std::get_if<crypto::SkfSettings>(&*device))
      return fmt::format("[device]\nkind = \"skf\"\nmodule = {}\napplication = {}\ncontainer = {}\npin_file = {}\n\n", quoted(skf->module), quoted(std::filesystem::path(skf->application)),
                         quoted(std::filesystem::path(skf->container)), quoted(skf->pin_file));
    // A pair is for configurations that an operator writes.
    const auto* const token = std::get_if<crypto::Pkcs11Settings>(&*device);
    CHECK(token != nullptr);
    return fmt::format("[device]\nkind = \"pkcs11\"\nmodule = {}\ntoken = {}\nkey = {}\npin_file = {}\n\n", quoted(token->module), quoted(std::filesystem::path(token->token)),
                       quoted(std::filesystem::path(token->key)), quoted(token->pin_file));
  }

  static std::string audit_table(const ElementPlan& element) {
    const std::string witness = element.identity.kind == Kind::iam ? "cmsp" : "iam";
    const bool known = element.identity.kind != Kind::op && std::ranges::find(element.peers, witness) != element.peers.end();
    return known ? fmt::format("[audit]\nwitness = \"{}\"\n\n", witness) : "";
  }

  std::string own_table(const ElementPlan& element) const {
    const Identity& identity = element.identity;
    const NetworkOptions& options = network_.options();
    switch (identity.kind) {
      case Kind::cas:
        return fmt::format("[cas]\nstatus_lifetime_s = {}\nelement_lifetime_s = {}\n", options.status_lifetime_s, options.element_lifetime_s) +
               (element.status_port == 0 ? std::string() : fmt::format("\n[cas.listener]\nport = {}\n", element.status_port)) +
               (element.enrolment_port == 0 ? std::string() : fmt::format("\n[cas.enrolment]\nport = {}\ndns = [\"localhost\"]\n", element.enrolment_port));
      case Kind::iam: return iam_table(options);
      case Kind::kms:
        return fmt::format(
            "[kms]\nsite_key = {}\npqc_fallback = {}\nwk_lifetime_ms = {}\nprofile_v1 = {}\nquantum_paths = {}\nquantum_pool_high = {}\nmedia_keys = {}\n",
            quoted(site_key(network_, identity.domain)), options.pqc_fallback, options.key_lifetime_ms, options.profile_v1, options.paths, options.quantum_pool,
            quoted(network_.media_keys_of(identity.name)));
      case Kind::qkm: return qkm_table(identity, element.sae_port != 0);
      case Kind::qkd: return qkd_table(identity);
      case Kind::qkdnc: return qkdnc_table(identity);
      default: return "";
    }
  }

  std::string iam_table(const NetworkOptions& options) const {
    std::string elements;
    for (const ElementPlan& element : network_.elements()) {
      const Kind kind = element.identity.kind;
      const bool gateway = kind == Kind::dev1;  // enrols as an element
      if (kind != Kind::op && kind != Kind::sae && (gateway || !apps.has(kind))) elements += fmt::format("  \"{}\",\n", element.identity.uri());
    }
    return fmt::format(
        "[iam]\ntoken_lifetime_s = {}\nsecurity_administrators = [\"qanat://core/operator/administrator\"]\nauditors = [\"qanat://core/operator/auditor\"]\n"
        "operators = [\"qanat://core/operator/operator\"]\nelements = [\n{}]\n",
        options.token_lifetime_s, elements);
  }

  std::string qkdnc_table(const Identity& identity) const {
    std::string out = "[qkdnc]\n";
    if (network_.options().controllers > 1) out += fmt::format("other = \"{}\"\n", identity.name == "qkdnc" ? "qkdnc-2" : "qkdnc");
    for (const ElementPlan& element : network_.elements()) {
      if (!element.started || element.identity.kind != Kind::qkm) continue;
      out += fmt::format("\n[qkdnc.controller_keys.{}]\nfile = {}\n", element.name(), quoted(controller_key(network_, element.name())));
    }
    return out;
  }

  bool has_kms(const std::string& domain) const {
    return std::ranges::any_of(network_.elements(),
                               [&](const ElementPlan& one) { return one.started && one.identity.kind == Kind::kms && one.identity.domain == domain; });
  }

  std::string qkm_table(const Identity& identity, bool serves_saes) const {
    const bool centralised = network_.options().relay == "centralised";
    std::string out = fmt::format("[qkm]\nsite_key = {}\ncontrollers = [{}]\ncontroller_key = {}\nrelay = \"{}\"\npaths = {}\n",
                                  quoted(site_key(network_, identity.domain)), network_.options().controllers > 1 ? "\"qkdnc\", \"qkdnc-2\"" : "\"qkdnc\"",
                                  quoted(controller_key(network_, identity.name)),
                                  centralised ? "centralised" : "hop_by_hop", network_.options().paths);
    if (serves_saes) out += fmt::format("pool_target = {}\n", sae_pool_target);
    for (const LinkPlan& link : network_.links()) {
      if (link.from != identity.name && link.to != identity.name) continue;
      out += fmt::format("\n[qkm.links.{}]\npeer = \"{}\"\nqkd = \"{}\"\n", link.name, link.from == identity.name ? link.to : link.from, own_qkd(link, identity.name));
    }
    // Quantum keys are shared between the domains that have a KMS.
    for (const ElementPlan& element : network_.elements()) {
      const Identity& other = element.identity;
      if (!element.started || other.kind != Kind::qkm || other.domain == identity.domain || !has_kms(other.domain) || !has_kms(identity.domain)) continue;
      out += fmt::format("\n[qkm.domains.{}]\nqkm = \"{}\"\n", other.domain, other.name);
    }
    return out;
  }

  /// The end of the link that works for this QKM.
  std::string own_qkd(const LinkPlan& link, const std::string& qkm) const {
    std::string short_name = link.name;
    std::erase(short_name, '-');
    for (const ElementPlan& element : network_.elements()) {
      if (element.name().starts_with("qkd-" + short_name + "-") && std::ranges::find(element.peers, qkm) != element.peers.end()) return element.name();
    }
    return "";
  }

  std::string qkd_table(const Identity& identity) const {
    // "qkd-<link without dash>-<role>"
    for (const LinkPlan& link : network_.links()) {
      std::string short_name = link.name;
      std::erase(short_name, '-');
      const std::string prefix = "qkd-" + short_name + "-";
      if (!identity.name.starts_with(prefix)) continue;
      const bool alice = identity.name.ends_with("alice");
      const std::vector<std::string>& peers = (*network_.element(identity.name))->peers;
      const auto qkm = std::ranges::find_if(peers, [](const std::string& name) { return name.starts_with("qkm-"); });
      return fmt::format(
          "[qkd]\nlink = \"{}\"\nrole = \"{}\"\npeer = \"{}\"\nqkm = \"{}\"\nsite_key = {}\npre_shared_key = {}\nsimulated_fibre_seed = {}\ndistance_km = {}\nblock_size = {}\n",
          link.name, alice ? "alice" : "bob", prefix + (alice ? "bob" : "alice"), *qkm, quoted(site_key(network_, identity.domain)),
          quoted(network_.secret_of("link-" + link.name + ".psk")), quoted(network_.secret_of("link-" + link.name + ".simulated-fibre")), link.distance_km,
          network_.options().block_sifted_bits);
    }
    return "";
  }

  std::string config(const TerminalPlan& terminal) const {
    const Identity identity{.domain = terminal.domain, .kind = Kind::app1, .name = terminal.uid};
    return common(identity, 0, 1, {"cas", "cmsp", "iam", terminal.kms}) +
           fmt::format("[terminal]\nuid = \"{}\"\nnumber = \"{}\"\nkms = \"{}\"\nmedium = {}\n", terminal.uid, terminal.number, terminal.kms,
                       quoted(network_.medium_of(terminal.uid)));
  }

  wire::Json description() const {
    wire::Json elements = wire::Json::array();
    for (const ElementPlan& element : network_.elements()) {
      wire::Json peers = wire::Json::array();
      for (const std::string& peer : element.peers) peers.push(peer);
      wire::Json entry = wire::Json::object({{"identity", element.identity.uri()}, {"port", element.port}, {"peers", peers}, {"started", element.started}});
      if (element.sae_port != 0) entry.set("sae_port", element.sae_port);
      if (element.stream_port != 0) entry.set("stream_port", element.stream_port);
      if (element.status_port != 0) entry.set("status_port", element.status_port);
      if (element.enrolment_port != 0) entry.set("enrolment_port", element.enrolment_port);
      elements.push(std::move(entry));
    }
    wire::Json terminals = wire::Json::array();
    for (const TerminalPlan& terminal : network_.terminals()) {
      terminals.push(wire::Json::object({{"uid", terminal.uid}, {"number", terminal.number}, {"domain", terminal.domain}, {"kms", terminal.kms}}));
    }
    wire::Json links = wire::Json::array();
    for (const LinkPlan& link : network_.links()) {
      links.push(wire::Json::object({{"name", link.name}, {"from", link.from}, {"to", link.to}, {"distance_km", link.distance_km}}));
    }
    return wire::Json::object({{"format", 1}, {"suite", network_.options().suite}, {"relay", network_.options().relay}, {"paths", network_.options().paths}, {"controllers", network_.options().controllers}, {"elements", elements}, {"terminals", terminals}, {"links", links}});
  }

  const Network& network_;
  crypto::Rng& rng_;
};

Result<void> Network::create() const {
  ASSIGN_OR_RETURN(const std::unique_ptr<crypto::Rng> rng, crypto::open_rng());
  return NetworkFiles(*this, *rng).write();
}

}  // namespace qanat::app
