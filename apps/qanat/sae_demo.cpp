#include "sae_demo.hpp"

#include "sae_authority.hpp"
#include "text_files.hpp"

namespace qanat::app {
namespace {

struct Named {
  const char* sae;
  const char* domain;
};
constexpr Named all_saes[]{{"sae-a", "a"}, {"sae-b", "b"}, {"sae-c", "a"}};

}  // namespace

Result<SaeDemo> prepare_saes(const Network& network, const std::string& extra) {
  ASSIGN_OR_RETURN(const std::vector<std::uint16_t> ports, free_ports(2));
  const std::vector<SaeListener> listeners{{.kme = "qkm-a", .domain = "a", .port = ports[0]}, {.kme = "qkm-b", .domain = "b", .port = ports[1]}};
  TRY(SaeAuthority::make(network, listeners));
  SaeDemo out;
  for (const SaeListener& listener : listeners) {
    out.ports[listener.kme] = listener.port;
    ASSIGN_OR_RETURN(const std::string config, read_text(network.config_of(listener.kme)));
    TRY(write_text(network.config_of(listener.kme), config + sae_table(network, listener, extra)));
  }
  ASSIGN_OR_RETURN(SaeAuthority authority, SaeAuthority::open(network, listeners));
  for (const Named& one : all_saes) {
    ASSIGN_OR_RETURN(const SaeRecord sae, authority.add({.name = one.sae, .domain = one.domain, .folder = {}}));
    out.saes[one.sae] = sae.files();
    out.root = {.certificate = sae.roots(), .key = network.folder() / "sae" / "root-ecdsa.key"};
  }
  return out;
}

}  // namespace qanat::app
