#include "sae_authority.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "text_files.hpp"
#include "wire/json.hpp"

namespace qanat::app {
namespace {

constexpr std::int64_t format_version = 1;
constexpr UnixMs day_ms = 86'400'000;
constexpr int certificate_days = 365;
constexpr std::size_t name_size_max = 64;
constexpr const char* root_names[] = {"root-ecdsa", "root-ml-dsa"};
// From here on `qanat sae` writes a configuration anew; what stands above is the operator's.
constexpr std::string_view names_mark = "# SAEs: what follows is written anew by `qanat sae`.\n";
constexpr const char* not_served = ": this network serves no SAEs: make it anew with `qanat up --fresh`, without --no-sae";

std::filesystem::path sae_folder(const Network& network) { return network.folder() / "sae"; }
crypto::PemFiles pem_files(const std::filesystem::path& folder, const std::string& name) {
  return {.certificate = folder / (name + ".pem"), .key = folder / (name + ".key")};
}

Result<void> make_folder(const std::filesystem::path& folder) {
  std::error_code error;
  const bool made = std::filesystem::create_directories(folder, error);
  if (!error && made) std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
  if (error) return fail(ErrorCode::invalid_argument, folder.string() + ": " + error.message());
  return {};
}

/// A name that is a file's name, a TOML key and part of an address as it stands.
Result<void> check_name(const std::string& name) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'; };
  const bool good = !name.empty() && name.size() <= name_size_max && std::ranges::all_of(name, plain) && name.front() != '.' && name.front() != '-';
  if (!good)
    return fail(ErrorCode::invalid_argument,
                "'" + name + "' cannot be an SAE's name: take 1 to 64 letters, digits, '-', '_' and '.', the first a letter or digit");
  return {};
}

Result<std::string> revocation_lists(const std::filesystem::path& folder, const std::vector<std::string>& revoked) {
  std::vector<std::filesystem::path> files;
  files.reserve(revoked.size());
  for (const std::string& name : revoked) files.push_back(folder / "issued" / name);
  std::string out;
  for (const char* root : root_names) {
    ASSIGN_OR_RETURN(const std::string list, crypto::make_foreign_crl(pem_files(folder, root), files));
    out += list;
  }
  return out;
}

Result<wire::Json> read_register(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(const std::string text, read_text(file));
  auto json = wire::Json::parse(text);
  if (!json) return fail_in(file.string(), json.error());
  return json;
}

Result<SaeRecord> read_record(const wire::Json& from) {
  SaeRecord out;
  ASSIGN_OR_RETURN(out.name, from.text("name"));
  ASSIGN_OR_RETURN(out.domain, from.text("domain"));
  ASSIGN_OR_RETURN(out.kme, from.text("kme"));
  ASSIGN_OR_RETURN(const std::string folder, from.text("folder"));
  out.folder = folder;
  ASSIGN_OR_RETURN(out.issued, from.text("issued"));
  ASSIGN_OR_RETURN(const std::int64_t not_after, from.integer("not_after_ms", 0, INT64_MAX));
  out.not_after_ms = static_cast<UnixMs>(not_after);
  ASSIGN_OR_RETURN(out.revoked, from.boolean("revoked"));
  return out;
}

}  // namespace

std::vector<SaeListener> sae_listeners(const Network& network) {
  std::vector<SaeListener> out;
  for (const ElementPlan& element : network.elements()) {
    if (element.sae_port != 0) out.push_back(listener_of(element));
  }
  return out;
}

SaeListener listener_of(const ElementPlan& element) {
  return {.kme = element.name(),
          .domain = element.identity.domain,
          .port = element.sae_port,
          .stream_port = element.stream_port,
          .at = element.identity.kind == Kind::kms ? SaeAt::kms : SaeAt::qkm};
}

std::string sae_table(const Network& network, const SaeListener& listener, const std::string& extra) {
  const std::filesystem::path folder = sae_folder(network);
  const std::string streams = listener.stream_port != 0 ? fmt::format("stream_port = {}\n", listener.stream_port) : "";
  const std::string more = std::string(listener.at == SaeAt::qkm ? ", \"etsi020\"" : "") + (streams.empty() ? "" : ", \"etsi004\"");
  std::string out = fmt::format("\n[sae]\nport = {}\nserve = [\"etsi014\", \"skip\"{}]\n{}roots = {}\ncrls = {}\n{}", listener.port, more, streams, quoted(folder / "ca.pem"), quoted(folder / "crls.pem"), extra);
  for (const auto& [chain, kind] : {std::pair{"ecdsa", "ecdsa"}, std::pair{"ml_dsa", "ml-dsa"}}) {
    const crypto::PemFiles own = pem_files(folder, listener.kme + "-" + kind);
    out += fmt::format("\n[sae.chains.{}]\ncertificate = {}\nkey = {}\n", chain, quoted(own.certificate), quoted(own.key));
  }
  return listener.at == SaeAt::kms ? out : out + "\n" + std::string(names_mark);
}

struct SaeAuthority::Lock {
  explicit Lock(int descriptor) : descriptor_(descriptor) {}
  ~Lock() { ::close(descriptor_); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
  int descriptor_;
};

SaeAuthority::SaeAuthority(const Network& network, std::vector<SaeListener> listeners) : network_(&network), listeners_(std::move(listeners)) {}
SaeAuthority::SaeAuthority(SaeAuthority&& other) noexcept = default;
SaeAuthority::~SaeAuthority() = default;

std::filesystem::path SaeAuthority::file(const std::string& name) const { return sae_folder(*network_) / name; }

Result<void> SaeAuthority::make(const Network& network, const std::vector<SaeListener>& listeners) {
  SaeAuthority out(network, listeners);
  const std::filesystem::path folder = sae_folder(network);
  for (const std::filesystem::path& each : {folder, folder / "issued", folder / "clients"}) TRY(make_folder(each));
  const std::pair<crypto::ForeignKey, crypto::ForeignKey> kinds[] = {{crypto::ForeignKey::ecdsa_p384, crypto::ForeignKey::ecdsa_p256},
                                                                     {crypto::ForeignKey::ml_dsa_65, crypto::ForeignKey::ml_dsa_65}};
  std::string roots;
  for (std::size_t i = 0; i < std::size(kinds); ++i) {
    const std::string kind = std::string(root_names[i]).substr(5);
    const crypto::PemFiles root = pem_files(folder, root_names[i]);
    TRY(crypto::make_foreign_root(root, "SAE root, " + kind, kinds[i].first));
    ASSIGN_OR_RETURN(const std::string text, read_text(root.certificate));
    roots += text;
    for (const SaeListener& listener : listeners) {
      const crypto::ForeignLeaf leaf{.common_name = listener.kme, .uris = {}, .dns = {"localhost"}, .addresses = {"127.0.0.1"}};
      TRY(crypto::make_foreign_leaf(pem_files(folder, listener.kme + "-" + kind), leaf, kinds[i].second, root));
    }
  }
  TRY(write_text(folder / "ca.pem", roots));
  ASSIGN_OR_RETURN(const std::string lists, revocation_lists(folder, {}));
  TRY(write_text(folder / "crls.pem", lists));
  return out.write();
}

Result<SaeAuthority> SaeAuthority::open(const Network& network, std::vector<SaeListener> listeners) {
  if (listeners.empty()) return fail(ErrorCode::not_found, network.folder().string() + not_served);
  SaeAuthority out(network, std::move(listeners));
  const int descriptor = ::open(out.file("register.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) return fail(ErrorCode::not_found, network.folder().string() + not_served);
  out.lock_ = std::make_unique<Lock>(descriptor);
  if (::flock(descriptor, LOCK_EX) != 0) return fail(ErrorCode::internal, out.file("register.lock").string() + ": cannot be locked");
  TRY(out.read());
  return Result<SaeAuthority>(std::move(out));
}

Result<void> SaeAuthority::read() {
  ASSIGN_OR_RETURN(const wire::Json all, read_register(file("register.json")));
  ASSIGN_OR_RETURN(const std::int64_t version, all.integer("format"));
  if (version != format_version) return fail(ErrorCode::conflict, file("register.json").string() + ": written by another version");
  ASSIGN_OR_RETURN(revision_, all.integer("revision"));
  ASSIGN_OR_RETURN(issued_, all.integer("issued"));
  ASSIGN_OR_RETURN(revoked_, all.texts("revoked"));
  ASSIGN_OR_RETURN(const std::vector<wire::Json> saes, all.array("saes"));
  for (const wire::Json& entry : saes) {
    ASSIGN_OR_RETURN(SaeRecord sae, read_record(entry));
    saes_.push_back(std::move(sae));
  }
  return {};
}

Result<void> SaeAuthority::write() const {
  std::vector<wire::Json> saes;
  saes.reserve(saes_.size());
  for (const SaeRecord& sae : saes_) {
    saes.push_back(wire::Json::object({{"name", sae.name},
                                       {"domain", sae.domain},
                                       {"kme", sae.kme},
                                       {"folder", sae.folder.string()},
                                       {"issued", sae.issued},
                                       {"not_after_ms", static_cast<std::int64_t>(sae.not_after_ms)},
                                       {"revoked", sae.revoked}}));
  }
  std::vector<wire::Json> revoked(revoked_.begin(), revoked_.end());
  const wire::Json all = wire::Json::object({{"format", format_version},
                                             {"revision", revision_},
                                             {"issued", issued_},
                                             {"revoked", wire::Json::array(std::move(revoked))},
                                             {"saes", wire::Json::array(std::move(saes))}});
  return write_text(file("register.json"), all.pretty() + "\n");
}

/// Every QKM must know every name of theirs: its own to let them in, the others' to give them keys.
Result<void> SaeAuthority::write_names() const {
  std::string names;
  for (const SaeRecord& sae : saes_) {
    const auto listener = listener_of(sae);
    if (listener && (*listener)->at == SaeAt::qkm) names += fmt::format("[sae.names.\"{}\"]\ndomain = \"{}\"\nkme = \"{}\"\n\n", sae.name, sae.domain, sae.kme);
  }
  for (const SaeListener& listener : listeners_) {
    if (listener.at == SaeAt::kms) continue;
    const std::filesystem::path config = network_->config_of(listener.kme);
    ASSIGN_OR_RETURN(std::string text, read_text(config));
    const std::size_t mark = text.find(names_mark);
    if (mark == std::string::npos) {
      return fail(ErrorCode::conflict, config.string() + ": has no line '" + std::string(names_mark.substr(0, names_mark.size() - 1)) + "': put it at its end");
    }
    TRY(write_text(config, text.substr(0, mark + names_mark.size()) + names));
  }
  return {};
}

Result<const SaeRecord*> SaeAuthority::find(const std::string& name) const {
  const auto found = std::ranges::find(saes_, name, &SaeRecord::name);
  if (found != saes_.end()) return &*found;
  std::string known;
  for (const SaeRecord& sae : saes_) known += (known.empty() ? "" : ", ") + sae.name;
  return fail(ErrorCode::not_found,
              "there is no SAE '" + name +
                  "': " + (known.empty() ? "make it with `qanat sae add " + name + " --domain " + listeners_.front().domain + "`" : "use one of " + known));
}

Result<const SaeListener*> SaeAuthority::listener_of(const SaeRecord& sae) const {
  const auto found = std::ranges::find(listeners_, sae.kme, &SaeListener::kme);
  if (found == listeners_.end()) return fail(ErrorCode::internal, "no QKM or KMS '" + sae.kme + "' serves SAEs in this network");
  return &*found;
}

Result<const SaeListener*> SaeAuthority::check(const Wanted& wanted) const {
  TRY(check_name(wanted.name));
  if (network_->element(wanted.name)) return fail(ErrorCode::conflict, "'" + wanted.name + "' is an element of this network: take another name");
  const auto listener = std::ranges::find_if(listeners_, [&](const SaeListener& one) { return one.domain == wanted.domain && one.at == wanted.at; });
  if (listener == listeners_.end()) {
    std::string known;
    for (const SaeListener& one : listeners_) {
      if (one.at == wanted.at) known += (known.empty() ? "" : " or ") + one.domain;
    }
    const std::string what = wanted.at == SaeAt::qkm ? "QKM" : "KMS";
    if (known.empty()) return fail(ErrorCode::not_found, "no " + what + " of this network serves SAEs");
    return fail(ErrorCode::not_found, "no " + what + " of domain '" + wanted.domain + "' serves SAEs: give --domain " + known);
  }
  const auto known = std::ranges::find(saes_, wanted.name, &SaeRecord::name);
  if (known == saes_.end()) return &*listener;
  if (known->domain != wanted.domain) {
    return fail(ErrorCode::conflict,
                "SAE '" + wanted.name + "' is in domain " + known->domain + ": `qanat sae remove " + wanted.name + "` first, or take another name");
  }
  if (known->kme != listener->kme) {
    return fail(ErrorCode::conflict, "SAE '" + wanted.name + "' is served by " + known->kme + ": `qanat sae remove " + wanted.name + "` first, or take another name");
  }
  if (!known->revoked) {
    return fail(ErrorCode::conflict,
                "SAE '" + wanted.name + "' is there already: take another name, or `qanat sae revoke " + wanted.name + "` first for a new certificate");
  }
  return &*listener;
}

Result<SaeRecord> SaeAuthority::add(const Wanted& wanted) {
  ASSIGN_OR_RETURN(const SaeListener* listener, check(wanted));
  SaeRecord sae{.name = wanted.name,
                .domain = wanted.domain,
                .kme = listener->kme,
                .folder = std::filesystem::absolute(wanted.folder.empty() ? file("clients") / wanted.name : wanted.folder),
                .issued = fmt::format("{}-{}.pem", wanted.name, issued_ + 1),
                .not_after_ms = SystemClock().now_ms() + certificate_days * day_ms,
                .revoked = false};
  const crypto::PemFiles files = sae.files();
  std::error_code error;
  // Those of the certificate that is revoked go; in another folder than theirs nothing is anybody's to remove.
  if (const auto known = std::ranges::find(saes_, sae.name, &SaeRecord::name); known != saes_.end() && known->folder == sae.folder) {
    std::filesystem::remove(files.key, error);
    std::filesystem::remove(files.certificate, error);
  }
  for (const std::filesystem::path& each : {files.certificate, files.key}) {
    if (std::filesystem::exists(each)) return fail(ErrorCode::conflict, each.string() + ": is there already: give another folder with --out");
  }
  TRY(make_folder(sae.folder));
  const bool ml_dsa = wanted.key == crypto::ForeignKey::ml_dsa_65;
  TRY(crypto::make_foreign_leaf(files, {.common_name = sae.name, .uris = {}, .dns = {}, .addresses = {}, .days = certificate_days}, wanted.key,
                                pem_files(sae_folder(*network_), root_names[ml_dsa ? 1 : 0])));
  ASSIGN_OR_RETURN(const std::string certificate, read_text(files.certificate));
  TRY(write_text(file("issued") / sae.issued, certificate));
  ASSIGN_OR_RETURN(const std::string roots, read_text(file("ca.pem")));
  TRY(write_text(sae.roots(), roots));
  std::erase_if(saes_, [&](const SaeRecord& one) { return one.name == sae.name; });
  saes_.push_back(sae);
  ++issued_;
  note_change(sae);
  TRY(write_names());
  TRY(write());
  return sae;
}

/// A KMS needs no restart for it.
void SaeAuthority::note_change(const SaeRecord& sae) {
  const auto listener = listener_of(sae);
  if (!listener || (*listener)->at == SaeAt::qkm) ++revision_;
}

Result<void> SaeAuthority::revoke_certificate(SaeRecord& sae) {
  if (sae.revoked) return {};
  sae.revoked = true;
  revoked_.push_back(sae.issued);
  ASSIGN_OR_RETURN(const std::string lists, revocation_lists(sae_folder(*network_), revoked_));
  return write_text(file("crls.pem"), lists);
}

Result<SaeRecord> SaeAuthority::revoke(const std::string& name) {
  ASSIGN_OR_RETURN(const SaeRecord* known, find(name));
  if (known->revoked)
    return fail(ErrorCode::conflict,
                "the certificate of SAE '" + name + "' is revoked already: `qanat sae add " + name + " --domain " + known->domain + "` makes another");
  const auto sae = std::ranges::find(saes_, name, &SaeRecord::name);
  TRY(revoke_certificate(*sae));
  note_change(*sae);
  TRY(write());
  return *sae;
}

Result<SaeRecord> SaeAuthority::remove(const std::string& name) {
  TRY(find(name));
  const auto sae = std::ranges::find(saes_, name, &SaeRecord::name);
  TRY(revoke_certificate(*sae));
  SaeRecord out = *sae;
  note_change(out);
  saes_.erase(sae);
  TRY(write_names());
  TRY(write());
  return out;
}

Result<std::int64_t> sae_revision(const Network& network) {
  ASSIGN_OR_RETURN(const wire::Json all, read_register(sae_folder(network) / "register.json"));
  return all.integer("revision");
}

Result<std::int64_t> sae_applied(const Network& network) {
  ASSIGN_OR_RETURN(const std::string text, read_text(sae_folder(network) / "applied"));
  std::int64_t out = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), out).ec != std::errc()) return fail(ErrorCode::internal, "sae/applied: is damaged");
  return out;
}

Result<void> set_sae_applied(const Network& network, std::int64_t revision) {
  return write_text(sae_folder(network) / "applied", std::to_string(revision) + "\n");
}

}  // namespace qanat::app
