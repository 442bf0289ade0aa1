#include "sae_demo.hpp"

#include <fmt/format.h>

#include <fstream>

namespace qanat::app {
namespace {

struct Named {
  const char* sae;
  const char* domain;
  const char* kme;
};
constexpr Named all_saes[]{{"sae-a", "a", "qkm-a"}, {"sae-b", "b", "qkm-b"}, {"sae-c", "a", "qkm-a"}};

std::string table(const SaeDemo& demo, const crypto::PemFiles& own, const std::string& qkm, const std::string& extra) {
  std::string out = fmt::format(
      "\n[sae]\nport = {}\nserve = [\"etsi014\", \"skip\", \"etsi020\"]\nroots = \"{}\"\n{}\n[sae.chains.ecdsa]\ncertificate = \"{}\"\nkey = "
      "\"{}\"\n",
      demo.ports.at(qkm), demo.root.certificate.string(), extra, own.certificate.string(), own.key.string());
  for (const Named& one : all_saes) out += fmt::format("\n[sae.names.{}]\ndomain = \"{}\"\nkme = \"{}\"\n", one.sae, one.domain, one.kme);
  return out;
}

}  // namespace

Result<SaeDemo> prepare_saes(const Network& network, const std::string& extra) {
  const std::filesystem::path folder = network.folder() / "sae";
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
  if (error) return fail(ErrorCode::internal, folder.string() + ": " + error.message());
  const auto files = [&](const std::string& name) { return crypto::PemFiles{.certificate = folder / (name + ".pem"), .key = folder / (name + ".key")}; };
  SaeDemo out;
  out.root = files("root");
  TRY(crypto::make_foreign_root(out.root, "SAE root", crypto::ForeignKey::ecdsa_p384));
  for (const Named& one : all_saes) {
    out.saes[one.sae] = files(one.sae);
    TRY(crypto::make_foreign_leaf(out.saes[one.sae], {.common_name = one.sae, .uris = {}, .dns = {}, .addresses = {}}, crypto::ForeignKey::ecdsa_p256, out.root));
  }
  ASSIGN_OR_RETURN(const std::vector<std::uint16_t> ports, free_ports(2));
  const std::string qkms[] = {"qkm-a", "qkm-b"};
  for (std::size_t i = 0; i < 2; ++i) {
    out.ports[qkms[i]] = ports[i];
    const crypto::PemFiles own = files(qkms[i]);
    TRY(crypto::make_foreign_leaf(own, {.common_name = qkms[i], .uris = {}, .dns = {"localhost"}, .addresses = {"127.0.0.1"}}, crypto::ForeignKey::ecdsa_p256,
                                  out.root));
    std::ofstream config(network.config_of(qkms[i]), std::ios::app);
    config << table(out, own, qkms[i], extra);
    if (!config.flush()) return fail(ErrorCode::internal, network.config_of(qkms[i]).string() + ": cannot be written");
  }
  return out;
}

}  // namespace qanat::app
