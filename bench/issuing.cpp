#include "issuing.hpp"

#include <fmt/format.h>

#include "crypto/hybrid_sign.hpp"
#include "services/cas/ceis/names.hpp"
#include "services/cas/ceremony.hpp"

namespace qanat::bench {
namespace {

constexpr std::string_view issuing_element = "qanat://core/cas/cas";
constexpr std::size_t seed_octets = 32;  // ξ of FIPS 204

}  // namespace

Result<std::unique_ptr<Issuing>> open_issuing(const std::filesystem::path& folder) {
  auto out = std::make_unique<Issuing>();
  const crypto::Suite& suite = crypto::suite(crypto::SuiteId::gm_hybrid);
  cas::CeremonyPlan plan;
  plan.suite = &suite;
  plan.offline = folder / "offline";
  plan.trust = folder / "trust";
  plan.state = folder / "cas";
  plan.master_key = folder / "cas.master";
  plan.now_ms = out->clock.now_ms();
  TRY(cas::hold_ceremony(plan));
  ASSIGN_OR_RETURN(out->rng, crypto::open_rng());
  ASSIGN_OR_RETURN(out->device, crypto::open_software_device(plan.master_key, *out->rng));
  ASSIGN_OR_RETURN(out->records, cas::Records::open(plan.state / "cas.db", *out->device));
  ASSIGN_OR_RETURN(cas::Authorities authorities, out->records->authorities(suite));
  out->authorities.emplace(std::move(authorities));
  ASSIGN_OR_RETURN(out->log, audit::Log::open(folder / "audit.jsonl", std::string(issuing_element), out->clock));
  ASSIGN_OR_RETURN(audit::CheckpointSigner signer, audit::CheckpointSigner::generate(audit::origin_of(issuing_element), *out->rng));
  ASSIGN_OR_RETURN(out->checkpoints, audit::Checkpoints::open(*out->log, std::move(signer), out->clock, *out->rng));
  out->checkpoints->start(std::chrono::seconds(1), {});
  return Result<std::unique_ptr<Issuing>>(std::move(out));
}

Result<std::vector<cas::Order>> make_orders(Issuing& with, std::size_t count) {
  const crypto::Suite& suite = crypto::suite(crypto::SuiteId::gm_hybrid);
  std::vector<cas::Order> out;
  for (std::size_t i = 0; i < count; ++i) {
    // Each its own: a key that another subject has is refused.
    const crypto::PrivateKey key{.algorithm = crypto::ml_dsa_key(suite), .secret = with.rng->secret(seed_octets)};
    const std::string uid = to_hex(with.rng->bytes(8));
    const crypto::SubjectNames names = cas::terminal_names({.domain = "a", .kind = Kind::app1, .name = uid}, Number(fmt::format("+86551{:09}", i)), ElementName("kms-a"));
    ASSIGN_OR_RETURN(const Bytes der, crypto::make_request(key, names));
    ASSIGN_OR_RETURN(crypto::CertificateRequest request, crypto::CertificateRequest::parse(der));
    out.push_back({.names = names,
                   .request_hash = with.rng->bytes(32),
                   .expectation = std::nullopt,
                   .overlap = cas::Overlap::refused,
                   .lifetime = std::chrono::days(30),
                   .profile = &cas::profile("terminal-signing"),
                   .ml_dsa = std::move(request),
                   .classical = std::nullopt});
  }
  return out;
}

}  // namespace qanat::bench
