#include "services/cas/ceremony.hpp"

#include <array>

#include "services/cas/transcript.hpp"
#include "services/cas/whole_files.hpp"

namespace qanat::cas {
namespace {

constexpr std::size_t request_octets_max = 64U * 1024;
constexpr std::filesystem::perms owner_only = std::filesystem::perms::owner_all;
constexpr std::filesystem::perms everybody_reads = owner_only | std::filesystem::perms::group_read | std::filesystem::perms::group_exec |
                                                   std::filesystem::perms::others_read | std::filesystem::perms::others_exec;

struct Keeping {
  std::string operator()(const crypto::Pkcs11Settings& token) const { return "pkcs11: sealed by token '" + token.token + "', key '" + token.key + "'"; }
  std::string operator()(const crypto::SdfSettings& sdf) const { return "sdf: sealed by keys that KEK " + std::to_string(sdf.key_index) + " wraps"; }
  std::string operator()(const crypto::SkfSettings& skf) const {
    return "skf: sealed by keys that container '" + skf.container + "' of application '" + skf.application + "' wraps";
  }
  std::string operator()(const crypto::PairSettings& /*pair*/) const { return "pair: sealed by either of two devices"; }
};

std::string keeping_of(const std::optional<crypto::DeviceSettings>& device) { return device ? std::visit(Keeping(), *device) : "files"; }

/// The device that seals the roots' keys; none where they are files. `folder` has the keys that an SDF or SKF device wrapped.
Result<std::unique_ptr<crypto::CryptoDevice>> root_device(const std::optional<crypto::DeviceSettings>& device, const std::filesystem::path& folder,
                                                          crypto::Rng& rng) {
  if (!device) return std::unique_ptr<crypto::CryptoDevice>();
  return crypto::open_device(device, folder / wrapped_keys_file, rng);
}

/// The same for roots that are there: what was sealed before is never opened with keys that are made now.
Result<std::unique_ptr<crypto::CryptoDevice>> device_of_roots(const OfflineRoots& offline, crypto::Rng& rng) {
  std::error_code ignored;
  const std::filesystem::path wrapped = offline.folder / wrapped_keys_file;
  if (offline.device && crypto::needs_file(offline.device) && !std::filesystem::exists(wrapped, ignored))
    return fail(ErrorCode::not_found, wrapped.string() + ": is not there: the roots' keys were sealed by another device, or it was lost");
  return root_device(offline.device, offline.folder, rng);
}

/// Made or read, and where.
struct RootsAtHand {
  Roots roots;
  std::filesystem::path folder;
  std::string keeping;
};

Result<RootsAtHand> bring_roots(const OfflineRoots& offline, crypto::Rng& rng) {
  std::unique_ptr<crypto::CryptoDevice> device;
  const bool sealed = roots_are_sealed(offline.folder);
  if (sealed) {
    ASSIGN_OR_RETURN(device, device_of_roots(offline, rng));
  }
  ASSIGN_OR_RETURN(Roots roots, read_roots(offline.folder, device.get()));
  // A transcript that does not hold is looked into before anything else is signed.
  TRY(verify_transcript(offline.folder));
  return Result<RootsAtHand>(RootsAtHand{.roots = std::move(roots), .folder = offline.folder, .keeping = keeping_of(sealed ? offline.device : std::nullopt)});
}

RootAct act_of(std::string act, const Roots& roots, std::string keeping, UnixMs now) {
  return {.act = std::move(act), .network = roots.pair.ml_dsa.certificate.names().common_name, .keeping = std::move(keeping), .at = now, .made = {}};
}

/// The roots' own certificates in a folder of trust.
Result<void> place_roots(const Roots& roots, const std::filesystem::path& folder) {
  for (const Branch branch : all_branches) {
    const std::string pem = roots.pair.of(branch).certificate.pem();
    TRY(place_file(folder / file_of("root", branch, ".pem"), as_bytes(pem), public_file));
  }
  return {};
}

Result<std::string> write_root_folder(const Roots& roots, const RootPlan& plan, crypto::CryptoDevice* device, const std::filesystem::path& folder, crypto::Rng& rng) {
  TRY(write_roots(roots, folder, device));
  RootAct act = act_of("ceremony", roots, keeping_of(plan.device), plan.now_ms);
  for (const Branch branch : all_branches) act.made.emplace_back(file_of("root", branch, ".pem"), roots.pair.of(branch).certificate);
  return write_transcript(folder, roots, act, rng);
}

Result<void> check_root_plan(const RootPlan& plan) {
  if (plan.suite == nullptr) return fail(ErrorCode::invalid_argument, "ceremony: no suite is named");
  if (plan.network.empty()) return fail(ErrorCode::invalid_argument, "ceremony: the network has no name");
  return {};
}

/// The requests of both branches and what they are called, without the ending.
struct IssuingRequest {
  Branch branch{};
  std::string stem;
  crypto::CertificateRequest request;
};

Result<std::vector<IssuingRequest>> read_requests(const std::filesystem::path& folder) {
  std::vector<IssuingRequest> out;
  for (const Branch branch : all_branches) {
    const std::string beginning = file_of("issuing", branch, "");
    std::vector<std::string> found;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
      const std::string file = entry.path().filename().string();
      if (file.starts_with(beginning) && file.ends_with(".csr")) found.push_back(entry.path().stem().string());
    }
    if (error) return fail(ErrorCode::not_found, folder.string() + ": " + error.message());
    if (found.size() != 1)
      return fail(ErrorCode::invalid_argument,
                  folder.string() + ": holds " + std::to_string(found.size()) + " requests " + beginning + "*.csr where one belongs");
    const std::filesystem::path file = folder / (found.front() + ".csr");
    ASSIGN_OR_RETURN(const Bytes der, read_whole_file(file, request_octets_max));
    auto request = crypto::CertificateRequest::parse(der);
    if (!request) return fail_in(file.string(), request.error());
    out.push_back({.branch = branch, .stem = found.front(), .request = *std::move(request)});
  }
  return out;
}

Result<void> check_nothing_is_there(const CeremonyPlan& plan) {
  std::vector<std::filesystem::path> files{plan.state / "cas.db"};
  for (const Branch branch : all_branches) {
    if (!plan.roots) {
      files.push_back(plan.offline / file_of("root", branch, ".key"));
      files.push_back(plan.offline / file_of("root", branch, ".pem"));
    }
    files.push_back(plan.trust / file_of("root", branch, ".pem"));
    files.push_back(plan.trust / file_of("issuing", branch, ".pem"));
  }
  for (const std::filesystem::path& file : files) {
    std::error_code ignored;
    if (std::filesystem::exists(std::filesystem::symlink_status(file, ignored))) {
      return fail(ErrorCode::conflict, file.string() + " is there already: the ceremony is held once");
    }
  }
  return {};
}

/// What the names of the roots begin with.
std::string network_of(const Roots& roots) {
  const std::string& common_name = roots.pair.ml_dsa.certificate.names().common_name;
  return common_name.substr(0, common_name.rfind(" root "));
}

/// The first generation, by way of requests as every later one.
Result<Authorities> make_issuing(const CeremonyPlan& plan, const Roots& roots, crypto::Rng& rng) {
  ASSIGN_OR_RETURN(KeyPair keys, make_keys(*plan.suite, rng));
  const auto certify = [&](Branch branch, crypto::PrivateKey key) -> Result<Authority> {
    const std::string common_name = network_of(roots) + " issuing " + std::string(crypto::name(key.algorithm));
    ASSIGN_OR_RETURN(const Bytes der, crypto::make_request(key, {.common_name = common_name, .element = {}, .number = {}, .dns = {}}));
    ASSIGN_OR_RETURN(const crypto::CertificateRequest request, crypto::CertificateRequest::parse(der));
    ASSIGN_OR_RETURN(crypto::Certificate certificate, sign_issuing(roots, branch, request, plan.now_ms, rng));
    return Result<Authority>(Authority{.certificate = std::move(certificate), .key = std::move(key)});
  };
  ASSIGN_OR_RETURN(Authority ml_dsa, certify(Branch::ml_dsa, std::move(keys.ml_dsa)));
  ASSIGN_OR_RETURN(Authority classical, certify(Branch::classical, std::move(keys.classical)));
  return Result<Authorities>(Authorities{.ml_dsa = std::move(ml_dsa), .classical = std::move(classical)});
}

Result<RootsAtHand> make_or_bring_roots(const CeremonyPlan& plan, crypto::Rng& rng) {
  if (plan.roots) {
    ASSIGN_OR_RETURN(RootsAtHand found, bring_roots(*plan.roots, rng));
    if (found.roots.suite != plan.suite) {
      return fail(ErrorCode::invalid_argument,
                  plan.roots->folder.string() + ": the roots are of suite " + std::string(found.roots.suite->name) + ", not " + std::string(plan.suite->name));
    }
    return found;
  }
  ASSIGN_OR_RETURN(Roots roots, make_roots(plan.network, *plan.suite, plan.now_ms, rng));
  const RootPlan own{.network = plan.network, .suite = plan.suite, .folder = plan.offline, .device = {}, .now_ms = plan.now_ms};
  TRY(make_whole_folder(own.folder, owner_only, [&](const std::filesystem::path& part) -> Result<void> {
    TRY(write_root_folder(roots, own, nullptr, part, rng));
    return {};
  }));
  return Result<RootsAtHand>(RootsAtHand{.roots = std::move(roots), .folder = plan.offline, .keeping = keeping_of({})});
}

}  // namespace

Result<std::string> hold_root_ceremony(const RootPlan& plan) {
  TRY(check_root_plan(plan));
  ASSIGN_OR_RETURN(const auto rng, crypto::open_rng());
  std::string transcript;
  TRY(make_whole_folder(plan.folder, owner_only, [&](const std::filesystem::path& part) -> Result<void> {
    // The device first: without it no root is made. What an SDF or SKF device wraps stands with what it seals.
    ASSIGN_OR_RETURN(const auto device, root_device(plan.device, part, *rng));
    ASSIGN_OR_RETURN(const Roots roots, make_roots(plan.network, *plan.suite, plan.now_ms, *rng));
    ASSIGN_OR_RETURN(transcript, write_root_folder(roots, plan, device.get(), part, *rng));
    return {};
  }));
  return transcript;
}

Result<std::string> sign_issuing_requests(const OfflineRoots& offline, const std::filesystem::path& requests, const std::filesystem::path& out, UnixMs now_ms) {
  ASSIGN_OR_RETURN(const std::vector<IssuingRequest> asked, read_requests(requests));
  ASSIGN_OR_RETURN(const auto rng, crypto::open_rng());
  ASSIGN_OR_RETURN(const RootsAtHand at_hand, bring_roots(offline, *rng));
  RootAct act = act_of("issuing", at_hand.roots, at_hand.keeping, now_ms);
  for (const IssuingRequest& one : asked) {
    ASSIGN_OR_RETURN(crypto::Certificate certificate, sign_issuing(at_hand.roots, one.branch, one.request, now_ms, *rng));
    act.made.emplace_back(one.stem + ".pem", std::move(certificate));
  }
  std::string transcript;
  TRY(make_whole_folder(out, everybody_reads, [&](const std::filesystem::path& part) -> Result<void> {
    TRY(place_roots(at_hand.roots, part));
    for (const auto& [file, certificate] : act.made) {
      const std::string pem = certificate.pem();
      TRY(write_new_file(part / file, as_bytes(pem), public_file));
    }
    // On record before the folder gets its name.
    ASSIGN_OR_RETURN(transcript, write_transcript(at_hand.folder, at_hand.roots, act, *rng));
    return {};
  }));
  return transcript;
}

Result<void> hold_ceremony(const CeremonyPlan& plan) {
  if (plan.suite == nullptr) return fail(ErrorCode::invalid_argument, "ceremony: no suite is named");
  TRY(check_nothing_is_there(plan));
  TRY(make_folder(plan.state, owner_only));
  TRY(make_folder(plan.trust, everybody_reads));

  ASSIGN_OR_RETURN(const auto rng, crypto::open_rng());
  ASSIGN_OR_RETURN(const auto device, crypto::open_device(plan.device, plan.master_key, *rng));
  ASSIGN_OR_RETURN(const RootsAtHand at_hand, make_or_bring_roots(plan, *rng));
  ASSIGN_OR_RETURN(const Authorities issuing, make_issuing(plan, at_hand.roots, *rng));
  RootAct act = act_of("issuing", at_hand.roots, at_hand.keeping, plan.now_ms);
  for (const Branch branch : all_branches) act.made.emplace_back(file_of("issuing", branch, ".pem"), issuing.of(branch).certificate);
  TRY(write_transcript(at_hand.folder, at_hand.roots, act, *rng));
  // The files come last: a trust folder that is complete belongs to a CAS that can issue.
  ASSIGN_OR_RETURN(const auto records, Records::open(plan.state / "cas.db", *device));
  TRY(records->keep_authorities(issuing));
  TRY(records->expect(plan.elements, plan.now_ms));
  for (const Branch branch : all_branches) {
    const std::string pem = issuing.of(branch).certificate.pem();
    TRY(write_new_file(plan.trust / file_of("issuing", branch, ".pem"), as_bytes(pem), public_file));
  }
  return place_roots(at_hand.roots, plan.trust);
}

Result<void> expect_elements(const std::filesystem::path& state, const std::filesystem::path& master_key, std::span<const ExpectedElement> elements,
                             UnixMs now_ms) {
  std::error_code ignored;
  if (!std::filesystem::exists(state / "cas.db", ignored)) return fail(ErrorCode::not_found, (state / "cas.db").string() + ": the ceremony has not been held");
  ASSIGN_OR_RETURN(const auto rng, crypto::open_rng());
  ASSIGN_OR_RETURN(const auto device, crypto::open_software_device(master_key, *rng));
  ASSIGN_OR_RETURN(const auto records, Records::open(state / "cas.db", *device));
  return records->expect(elements, now_ms);
}

}  // namespace qanat::cas
