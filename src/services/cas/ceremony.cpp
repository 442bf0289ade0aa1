#include "services/cas/ceremony.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "crypto/hybrid_sign.hpp"
#include "services/cas/ceis/issuer.hpp"

namespace qanat::cas {
namespace {

constexpr UnixMs year_ms = 365ULL * 86'400'000;
constexpr UnixMs root_lifetime_ms = 20 * year_ms;
constexpr UnixMs issuing_lifetime_ms = 10 * year_ms;
constexpr mode_t private_file = 0600;
constexpr mode_t public_file = 0644;

class Descriptor {
 public:
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  ~Descriptor() {
    if (descriptor_ >= 0) (void)::close(descriptor_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const noexcept { return descriptor_; }

 private:
  int descriptor_;
};

std::unexpected<Error> file_failure(const std::filesystem::path& file) { return fail(ErrorCode::internal, file.string() + ": " + std::strerror(errno)); }

Result<void> write_new(const std::filesystem::path& file, ByteView octets, mode_t mode) {
  const Descriptor out(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  if (out.get() < 0) return file_failure(file);
  while (!octets.empty()) {
    const ssize_t written = ::write(out.get(), octets.data(), octets.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return file_failure(file);
    octets = octets.subspan(static_cast<std::size_t>(written));
  }
  if (::fsync(out.get()) != 0) return file_failure(file);
  return {};
}

Result<void> sync_folder(const std::filesystem::path& folder) {
  const Descriptor handle(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (handle.get() < 0 || ::fsync(handle.get()) != 0) return file_failure(folder);
  return {};
}

/// Lower-case hexadecimal without a copy outside of locked memory.
Secret hex_of(const Secret& secret) {
  constexpr std::string_view digits = "0123456789abcdef";
  Secret out(2 * secret.size());
  std::size_t at = 0;
  for (const std::uint8_t octet : secret.reveal()) {
    out.writable()[at++] = static_cast<std::uint8_t>(digits[octet >> 4U]);
    out.writable()[at++] = static_cast<std::uint8_t>(digits[octet & 0x0fU]);
  }
  return out;
}

Result<Authorities> make_pair(const CeremonyPlan& plan, std::string_view rank, crypto::CertificateUse use, UnixMs lifetime, const Authorities* above,
                              crypto::Rng& rng) {
  ASSIGN_OR_RETURN(const crypto::Signer signer, crypto::Signer::generate(*plan.suite, rng));
  crypto::SigningSecret secrets = signer.secret();
  const auto make = [&](Branch branch, Secret secret, const Bytes& public_key) -> Result<Authority> {
    crypto::PrivateKey key{.algorithm = key_algorithm(*plan.suite, branch), .secret = std::move(secret)};
    const std::string common_name = plan.network + " " + std::string(rank) + " " + std::string(crypto::name(key.algorithm));
    const crypto::CertificateTemplate wanted{.use = use,
                                             .names = {.common_name = common_name, .element = {}, .number = {}, .dns = {}},
                                             .key_algorithm = key.algorithm,
                                             .public_key = public_key,
                                             .serial = draw_serial(rng),
                                             .not_before = plan.now_ms - backdating_ms,
                                             .not_after = plan.now_ms + lifetime};
    const Authority* issuer = above == nullptr ? nullptr : &above->of(branch);
    ASSIGN_OR_RETURN(crypto::Certificate certificate,
                     crypto::issue(wanted, issuer == nullptr ? nullptr : &issuer->certificate, issuer == nullptr ? key : issuer->key));
    return Result<Authority>(Authority{.certificate = std::move(certificate), .key = std::move(key)});
  };
  ASSIGN_OR_RETURN(Authority ml_dsa, make(Branch::ml_dsa, std::move(secrets.ml_dsa_seed), signer.verifying_key().ml_dsa));
  ASSIGN_OR_RETURN(Authority classical, make(Branch::classical, std::move(secrets.scalar), signer.verifying_key().point));
  return Result<Authorities>(Authorities{.ml_dsa = std::move(ml_dsa), .classical = std::move(classical)});
}

std::string file_of(std::string_view rank, Branch branch, std::string_view ending) {
  return std::string(rank) + "-" + std::string(name(branch)) + std::string(ending);
}

Result<void> check_nothing_is_there(const CeremonyPlan& plan) {
  std::vector<std::filesystem::path> files{plan.state / "cas.db"};
  for (const Branch branch : all_branches) {
    files.push_back(plan.offline / file_of("root", branch, ".key"));
    files.push_back(plan.offline / file_of("root", branch, ".pem"));
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

Result<void> make_folder(const std::filesystem::path& folder, std::filesystem::perms access) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (!error) std::filesystem::permissions(folder, access, error);
  if (error) return fail(ErrorCode::internal, folder.string() + ": " + error.message());
  return {};
}

Result<void> write_files(const CeremonyPlan& plan, const Authorities& roots, const Authorities& issuing) {
  for (const Branch branch : all_branches) {
    const Authority& root = roots.of(branch);
    const std::string root_pem = root.certificate.pem();
    const std::string issuing_pem = issuing.of(branch).certificate.pem();
    const Secret digits = hex_of(root.key.secret);
    TRY(write_new(plan.offline / file_of("root", branch, ".key"), digits.reveal(), private_file));
    TRY(write_new(plan.offline / file_of("root", branch, ".pem"), as_bytes(root_pem), public_file));
    TRY(write_new(plan.trust / file_of("root", branch, ".pem"), as_bytes(root_pem), public_file));
    TRY(write_new(plan.trust / file_of("issuing", branch, ".pem"), as_bytes(issuing_pem), public_file));
  }
  TRY(sync_folder(plan.offline));
  return sync_folder(plan.trust);
}

}  // namespace

Result<void> hold_ceremony(const CeremonyPlan& plan) {
  if (plan.suite == nullptr) return fail(ErrorCode::invalid_argument, "ceremony: no suite is named");
  TRY(check_nothing_is_there(plan));
  using std::filesystem::perms;
  constexpr perms readable = perms::owner_all | perms::group_read | perms::group_exec | perms::others_read | perms::others_exec;
  TRY(make_folder(plan.offline, perms::owner_all));
  TRY(make_folder(plan.state, perms::owner_all));
  TRY(make_folder(plan.trust, readable));

  ASSIGN_OR_RETURN(const auto rng, crypto::open_rng());
  ASSIGN_OR_RETURN(const auto device, crypto::open_software_device(plan.master_key, *rng));
  ASSIGN_OR_RETURN(const Authorities roots, make_pair(plan, "root", crypto::CertificateUse::root_ca, root_lifetime_ms, nullptr, *rng));
  ASSIGN_OR_RETURN(const Authorities issuing, make_pair(plan, "issuing", crypto::CertificateUse::issuing_ca, issuing_lifetime_ms, &roots, *rng));
  // The files come last: a trust folder that is complete belongs to a CAS that can issue.
  ASSIGN_OR_RETURN(const auto records, Records::open(plan.state / "cas.db", *device));
  TRY(records->keep_authorities(issuing));
  TRY(records->expect(plan.elements, plan.now_ms));
  return write_files(plan, roots, issuing);
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
