#include "other_maker.hpp"

#include <algorithm>

#include "text_files.hpp"

namespace qanat::test {
namespace {

constexpr std::chrono::milliseconds post_max{2000};
constexpr std::chrono::milliseconds post_pause{250};
constexpr std::chrono::milliseconds stop_grace{1000};

std::filesystem::path maker_folder(const app::Network& network) { return network.folder() / "other-maker"; }
crypto::PemFiles maker_files(const app::Network& network, const std::string& name) {
  return {.certificate = maker_folder(network) / (name + ".pem"), .key = maker_folder(network) / (name + ".key")};
}

net::ForeignResponse json_text(unsigned status, std::string_view text) {
  return {.status = status, .content_type = "application/json", .body = Secret::copy_of(as_bytes(text))};
}
net::ForeignResponse refusal_text(unsigned status, std::string_view why) {
  return json_text(status, wire::Json::object({{"status", status}, {"details", why}}).dump());
}

Result<void> add_to_file(const std::filesystem::path& file, const std::string& text) {
  ASSIGN_OR_RETURN(const std::string before, app::read_text(file));
  return app::write_text(file, before + text);
}

}  // namespace

Result<std::unique_ptr<OtherMaker>> OtherMaker::start(const app::Network& network, const app::SaeDemo& demo) {
  std::unique_ptr<OtherMaker> out(new OtherMaker());
  std::filesystem::create_directories(maker_folder(network));
  TRY(crypto::make_foreign_root(maker_files(network, "root"), "Another maker", crypto::ForeignKey::ecdsa_p384));
  TRY(crypto::make_foreign_leaf(maker_files(network, kme), {.common_name = kme, .uris = {}, .dns = {"localhost"}, .addresses = {"127.0.0.1"}},
                                crypto::ForeignKey::ecdsa_p256, maker_files(network, "root")));
  ASSIGN_OR_RETURN(const std::string roots, app::read_text(network.folder() / "sae" / "ca.pem"));
  TRY(app::write_text(maker_folder(network) / "qanat-roots.pem", roots));
  TRY(out->listen(network));
  TRY(out->become_known(network, demo));
  return out;
}

OtherMaker::~OtherMaker() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (listener_) listener_->stop(stop_grace);
  posting_.stop(net::Waiting::drop);
}

Result<void> OtherMaker::listen(const app::Network& network) {
  const crypto::PemFiles own = maker_files(network, kme);
  net::ForeignSettings settings;
  settings.tls = {.chains = {{.certificate = own.certificate, .key = own.key}}, .roots = maker_folder(network) / "qanat-roots.pem", .crls = {}};
  ASSIGN_OR_RETURN(client_, net::ForeignClient::create(settings.tls));
  net::ForeignService service{.prefix = "/kmapi/", .routes = {}, .refuse = refusal_text};
  constexpr std::size_t body_max = 256 * 1024;
  service.routes.push_back({.point = "keys",
                            .method = "POST",
                            .pattern = "/kmapi/v1/ext_keys",
                            .body_max = body_max,
                            .answer = [this](const net::ForeignRequest& asked, net::ForeignReply reply) { take_keys(asked, std::move(reply)); }});
  service.routes.push_back({.point = "void",
                            .method = "POST",
                            .pattern = "/kmapi/v1/ext_keys/void",
                            .body_max = body_max,
                            .answer = [this](const net::ForeignRequest& asked, net::ForeignReply reply) { void_keys(asked, std::move(reply)); }});
  std::vector<net::ForeignService> services;
  services.push_back(std::move(service));
  ASSIGN_OR_RETURN(listener_, net::ForeignListener::start(settings, std::move(services), [](const net::Refusal&) {}));
  return {};
}

/// What an operator writes: the maker's root and revocation list, its SAE, where it is, and where it shall acknowledge.
Result<void> OtherMaker::become_known(const app::Network& network, const app::SaeDemo& demo) {
  const std::filesystem::path folder = network.folder() / "sae";
  const crypto::PemFiles root = maker_files(network, "root");
  ASSIGN_OR_RETURN(const std::string certificate, app::read_text(root.certificate));
  ASSIGN_OR_RETURN(const std::string list, crypto::make_foreign_crl(root, {}));
  TRY(add_to_file(folder / "ca.pem", certificate));
  TRY(add_to_file(folder / "crls.pem", list));

  const std::string name(kme);
  const std::filesystem::path config = network.config_of("qkm-a");
  ASSIGN_OR_RETURN(std::string text, app::read_text(config));
  const std::string table = "\n[sae]\n";
  const std::size_t at = text.find(table);
  if (at == std::string::npos) return fail(ErrorCode::not_found, config.string() + ": has no table [sae]");
  text.insert(at + table.size(), "ack_callback_url = \"https://localhost:" + std::to_string(demo.ports.at("qkm-a")) + "/kmapi/v1/ext_keys/ack\"\n");
  text += "\n[sae.names.\"" + std::string(sae) + "\"]\ndomain = \"x\"\nkme = \"" + name + "\"\n";
  text += "\n[sae.kmes." + name + "]\nurl = \"https://localhost:" + std::to_string(listener_->port()) + "/kmapi/v1/\"\ncertificate = \"" +
          (folder / "qkm-a-ecdsa.pem").string() + "\"\nkey = \"" + (folder / "qkm-a-ecdsa.key").string() + "\"\nroots = \"" + root.certificate.string() +
          "\"\n";
  return app::write_text(config, text);
}

void OtherMaker::take_keys(const net::ForeignRequest& request, net::ForeignReply reply) {
  const auto message = wire::Json::parse(ByteView(request.body));
  const Result<void> kept = message ? keep(*message) : Result<void>(fail(message.error()));
  if (!kept) return reply(refusal_text(400, kept.error().message));
  reply({.status = 202, .content_type = "", .body = {}});
  acknowledge(*message);
}

Result<void> OtherMaker::keep(const wire::Json& message) {
  ASSIGN_OR_RETURN(const std::vector<std::string> targets, message.texts("target_sae_ids"));
  if (targets != std::vector<std::string>{sae}) return fail(ErrorCode::invalid_argument, "an SAE that is not served here");
  ASSIGN_OR_RETURN(const std::vector<wire::Json> keys, message.array("keys"));
  const std::lock_guard lock(mutex_);
  for (const wire::Json& key : keys) {
    ASSIGN_OR_RETURN(const std::string id, key.text("key_id"));
    ASSIGN_OR_RETURN(const std::string value, key.text("value"));
    Kept& slot = keys_[id];
    if (slot.came && slot.value != value) complaints_.push_back("key " + id + " has two values");
    if (slot.voided) complaints_.push_back("key " + id + " came after it was voided");
    if (slot.voided) return fail(ErrorCode::conflict, "voided");
    slot.value = value;
    slot.came = true;
  }
  return {};
}

void OtherMaker::acknowledge(const wire::Json& message) {
  std::vector<wire::Json> ids;
  for (const wire::Json& key : message.array("keys").value()) ids.push_back(wire::Json::object({{"key_id", key.text("key_id").value()}}));
  const wire::Json entry = wire::Json::object({{"key_ids", wire::Json::array(std::move(ids))},
                                               {"ack_status", "relayed"},
                                               {"initiator_sae_id", message.text("initiator_sae_id").value_or("")},
                                               {"target_sae_id", sae}});
  const auto url = net::ForeignUrl::parse(message.text("ack_callback_url").value_or(""));
  const std::string body = wire::Json::array({entry}).dump();
  const bool queued = url && posting_.submit([this, url = *url, body] { post_until_answered(url, body); });
  if (queued) return;
  const std::lock_guard lock(mutex_);
  complaints_.emplace_back("an acknowledgement could not be sent");
}

void OtherMaker::post_until_answered(const net::ForeignUrl& url, const std::string& body) {
  while (true) {
    const auto answer = client_->call("POST", url, "application/json", as_bytes(body), Deadline::after(post_max));
    std::unique_lock lock(mutex_);
    if (answer && answer->status / 100 == 2) return;
    if (answer && answer->status / 100 == 4) {
      complaints_.push_back("an acknowledgement was answered " + std::to_string(answer->status));
      return;
    }
    if (changed_.wait_for(lock, post_pause, [this] { return stopping_; })) return;  // the other side is dead just now
  }
}

void OtherMaker::void_keys(const net::ForeignRequest& request, net::ForeignReply reply) {
  const auto message = wire::Json::parse(ByteView(request.body));
  const auto ids = message ? message->array("key_ids") : Result<std::vector<wire::Json>>(fail(message.error()));
  if (!ids) return reply(refusal_text(400, ids.error().message));
  {
    const std::lock_guard lock(mutex_);
    for (const wire::Json& id : *ids) keys_[id.text("key_id").value_or("")].voided = true;
  }
  reply(json_text(200, wire::Json::array({wire::Json::object({{"key_ids", wire::Json::array(*ids)}, {"ack_status", "voided"}})}).dump()));
}

std::optional<std::string> OtherMaker::value_of(const std::string& id) {
  const std::lock_guard lock(mutex_);
  const auto found = keys_.find(id);
  if (found == keys_.end() || !found->second.came || found->second.voided) return std::nullopt;
  return found->second.value;
}

std::vector<std::string> OtherMaker::held() {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  for (const auto& [id, key] : keys_) {
    if (key.came && !key.voided) out.push_back(id);
  }
  return out;
}

std::size_t OtherMaker::voided_after_they_came() {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(std::ranges::count_if(keys_, [](const auto& one) { return one.second.came && one.second.voided; }));
}

std::vector<std::string> OtherMaker::complaints() {
  const std::lock_guard lock(mutex_);
  return complaints_;
}

}  // namespace qanat::test
