#include "services/cas/rollover.hpp"

#include <algorithm>

#include "node/crash_point.hpp"
#include "services/cas/closed_shop.hpp"
#include "services/cas/root.hpp"
#include "services/cas/whole_files.hpp"

namespace qanat::cas {
namespace {

constexpr std::size_t certificate_octets_max = 64U * 1024;

/// "Qanat issuing ML-DSA-65" of any generation.
std::string name_of_all_generations(const Authority& authority) {
  std::string out = authority.certificate.names().common_name;
  const std::string ending = " " + std::to_string(authority.generation);
  if (authority.generation > 1 && out.ends_with(ending)) out.resize(out.size() - ending.size());
  return out;
}

Result<std::vector<NextAuthority>> make_next(ClosedShop& shop) {
  ASSIGN_OR_RETURN(const Authorities now, shop.records->authorities(shop.node->suite()));
  ASSIGN_OR_RETURN(const KeyPair keys, make_keys(shop.node->suite(), *shop.rng));
  const std::int64_t generation = std::max(now.ml_dsa.generation, now.classical.generation) + 1;
  std::vector<NextAuthority> out;
  std::vector<std::pair<NextAuthority, const crypto::PrivateKey*>> kept;
  for (const Branch branch : all_branches) {
    const std::string common_name = name_of_all_generations(now.of(branch)) + " " + std::to_string(generation);
    NextAuthority next{.branch = branch, .generation = generation, .request = {}};
    ASSIGN_OR_RETURN(next.request, crypto::make_request(keys.of(branch), {.common_name = common_name, .element = {}, .number = {}, .dns = {}}));
    kept.emplace_back(next, &keys.of(branch));
    out.push_back(std::move(next));
  }
  TRY(record_deed(*shop.node, "authority.requested", "generation " + std::to_string(generation)));
  TRY(shop.records->keep_next(kept));
  return out;
}

struct Offered {
  std::string file;
  Bytes pem;
  crypto::Certificate certificate;
};

Result<Offered> read_offered(const std::filesystem::path& folder, const std::string& file) {
  Offered out{.file = file, .pem = {}, .certificate = {}};
  ASSIGN_OR_RETURN(out.pem, read_whole_file(folder / file, certificate_octets_max));
  auto chain = crypto::Certificate::parse_pem_chain(as_text(out.pem));
  if (!chain) return fail_in((folder / file).string(), chain.error());
  if (chain->size() != 1) return fail(ErrorCode::invalid_argument, (folder / file).string() + ": must hold one certificate");
  out.certificate = chain->front();
  return out;
}

/// An issuing CA under one of the roots that the network trusts: as those who trust it will see it.
Result<void> check_offered(const node::Node& node, const Offered& offered, const NextAuthority& next) {
  const crypto::Certificate& certificate = offered.certificate;
  ASSIGN_OR_RETURN(const crypto::CertificateRequest request, crypto::CertificateRequest::parse(next.request));
  if (certificate.public_key() != request.public_key() || certificate.key_algorithm() != request.key_algorithm()) {
    return fail(ErrorCode::denied, offered.file + ": is over another key than the one that waits");
  }
  if (certificate.names() != request.names()) return fail(ErrorCode::denied, offered.file + ": bears another name than was asked for");
  if (!certificate.is_ca()) return fail(ErrorCode::denied, offered.file + ": is no CA's certificate");
  const UnixMs now = node.clock().now_ms();
  if (now < certificate.not_before() || now >= certificate.not_after()) return fail(ErrorCode::denied, offered.file + ": is not valid now");
  if (crypto::TrustStore({}, node.trust().roots()).issuer_of(certificate) == nullptr) {
    return fail(ErrorCode::denied, offered.file + ": is not signed by a root of " + node.settings().trust.string());
  }
  return {};
}

Result<void> place_everywhere(const std::vector<std::filesystem::path>& folders, const std::vector<Offered>& offered) {
  for (const std::filesystem::path& folder : folders) {
    for (const Offered& one : offered) TRY(place_file(folder / one.file, one.pem, public_file));
  }
  return {};
}

}  // namespace

Result<std::vector<std::string>> request_rollover(const node::Settings& settings, const std::filesystem::path& out) {
  ASSIGN_OR_RETURN(ClosedShop shop, enter(settings));
  ASSIGN_OR_RETURN(std::vector<NextAuthority> next, shop.records->next_authorities());
  if (next.empty()) {
    ASSIGN_OR_RETURN(next, make_next(shop));
  }
  node::crash_point("cas.rollover.requested");
  std::vector<std::string> files;
  TRY(make_whole_folder(out, std::filesystem::perms::owner_all, [&](const std::filesystem::path& part) -> Result<void> {
    for (const NextAuthority& one : next) {
      files.push_back(file_of("issuing", one.branch, ".csr", one.generation));
      TRY(write_new_file(part / files.back(), one.request, public_file));
    }
    return {};
  }));
  return files;
}

Result<RolledOver> install_rollover(const node::Settings& settings, const std::filesystem::path& certificates,
                                    const std::vector<std::filesystem::path>& further_trust) {
  ASSIGN_OR_RETURN(ClosedShop shop, enter(settings));
  ASSIGN_OR_RETURN(const std::vector<NextAuthority> next, shop.records->next_authorities());
  ASSIGN_OR_RETURN(const Authorities now, shop.records->authorities(shop.node->suite()));
  RolledOver out{.generation = next.empty() ? now.ml_dsa.generation : next.front().generation, .certificates = {}, .files = {}, .before = next.empty()};
  std::vector<Offered> offered;
  for (std::size_t i = 0; i < all_branches.size(); ++i) {
    const Branch branch = all_branches[i];
    ASSIGN_OR_RETURN(Offered one, read_offered(certificates, file_of("issuing", branch, ".pem", out.generation)));
    if (!out.before) TRY(check_offered(*shop.node, one, next[i]));
    if (out.before && now.of(branch).certificate.der() != one.certificate.der()) {
      return fail(ErrorCode::conflict, one.file + ": no issuing CA waits for a certificate: ask for one first (qanat ca rollover --request)");
    }
    out.certificates.push_back(one.certificate);
    out.files.push_back(one.file);
    offered.push_back(std::move(one));
  }
  std::vector<std::filesystem::path> folders{settings.trust};
  folders.insert(folders.end(), further_trust.begin(), further_trust.end());
  TRY(place_everywhere(folders, offered));
  if (out.before) return out;
  node::crash_point("cas.rollover.trusted");
  std::string serials = "generation " + std::to_string(out.generation);
  for (const crypto::Certificate& certificate : out.certificates) serials += " " + to_hex(certificate.serial());
  TRY(record_deed(*shop.node, "authority.succeeded", serials));
  TRY(shop.records->succeed(out.certificates, shop.node->clock().now_ms()));
  node::crash_point("cas.rollover.succeeded");
  return out;
}

}  // namespace qanat::cas
