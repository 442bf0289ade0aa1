// SAEs that get their keys from the KMSs of a network that was made with `saes`: certificates of its SAE authority, entered in IAM by its operator.
#pragma once

#include <fstream>

#include "sae_authority.hpp"
#include "sae_client.hpp"

namespace qanat::test {

struct KmsSae {
  std::string name;
  std::string domain;
  std::vector<std::string> peer_domains;
  std::int64_t keys_per_second = 0;
  std::int64_t keys_per_day = 0;
};

/// IAM's record of it, as it is entered.
inline wire::Json identity_of(const KmsSae& sae) {
  wire::Json out = wire::Json::object({{"uid", sae.name},
                                       {"class", "application"},
                                       {"domain", sae.domain},
                                       {"home_kms", "kms-" + sae.domain},
                                       {"keys_per_second", sae.keys_per_second},
                                       {"keys_per_day", sae.keys_per_day}});
  wire::Json domains = wire::Json::array();
  for (const std::string& domain : sae.peer_domains) domains.push(domain);
  return out.set("peer_domains", std::move(domains));
}

/// Makes their certificates, enters them in IAM, and gives a client for all of them.
inline std::optional<SaeClient> let_saes_in_at_kmss(TestNetwork& network, const std::vector<KmsSae>& saes) {
  auto authority = app::SaeAuthority::open(network.network());
  if (!authority) {
    ADD_FAILURE() << authority.error().message;
    return std::nullopt;
  }
  app::SaeDemo demo;
  for (const app::SaeListener& listener : authority->listeners()) demo.ports[listener.kme] = listener.port;
  for (const KmsSae& sae : saes) {
    const auto made = authority->add({.name = sae.name, .domain = sae.domain, .folder = {}, .key = crypto::ForeignKey::ecdsa_p256, .at = app::SaeAt::kms});
    const auto entered =
        network.op().ask(points::Endpoint::x5_identity, "iam", wire::Json::object({{"op", "create"}, {"identity", identity_of(sae)}}));
    if (!made || !entered) {
      ADD_FAILURE() << (made ? entered.error().message : made.error().message);
      return std::nullopt;
    }
    demo.saes[sae.name] = made->files();
    demo.root = {.certificate = made->roots(), .key = network.network().folder() / "sae" / "root-ecdsa.key"};
  }
  return SaeClient(std::move(demo));
}

/// Further lines of the KMSs' tables [sae]; the KMSs are started anew.
inline void set_in_sae_tables(TestNetwork& network, const std::string& lines) {
  for (const char* kms : {"kms-a", "kms-b"}) {
    const std::filesystem::path file = network.network().config_of(kms);
    std::ifstream in(file);
    std::string text{std::istreambuf_iterator<char>(in), {}};
    const std::string table = "[sae]\n";
    const std::size_t at = text.find(table);
    ASSERT_NE(at, std::string::npos) << text;
    text.insert(at + table.size(), lines);
    std::ofstream(file, std::ios::trunc) << text;
    network.running().stop_element(kms, app::RunningNetwork::Ending::orderly);
    const auto started = network.running().start_element(kms);
    ASSERT_TRUE(started) << started.error().message;
  }
}

}  // namespace qanat::test
