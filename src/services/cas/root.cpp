#include "services/cas/root.hpp"

#include <algorithm>

#include "base/secret_file.hpp"
#include "crypto/hybrid_sign.hpp"
#include "crypto/kdf.hpp"
#include "services/cas/ceis/issuer.hpp"
#include "services/cas/whole_files.hpp"

namespace qanat::cas {
namespace {

constexpr std::size_t pem_octets_max = 64U * 1024;
constexpr std::size_t box_digits_max = 1024;

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

/// Binds a sealed key to its certificate.
Bytes root_context(Branch branch, const crypto::Certificate& certificate) {
  return to_bytes("qanat root key/" + std::string(name(branch)) + "/" + to_hex(certificate.fingerprint(crypto::Hash::sha256)));
}

Result<const crypto::Suite*> suite_of(const crypto::Certificate& ml_dsa, const crypto::Certificate& classical) {
  for (const crypto::Suite& suite : crypto::all_suites()) {
    if (key_algorithm(suite, Branch::ml_dsa) == ml_dsa.key_algorithm() && key_algorithm(suite, Branch::classical) == classical.key_algorithm()) return &suite;
  }
  return fail(ErrorCode::invalid_argument, "the roots' keys are of no suite: " + std::string(crypto::name(ml_dsa.key_algorithm())) + " and " +
                                               std::string(crypto::name(classical.key_algorithm())));
}

std::size_t secret_octets(const crypto::Suite& suite, Branch branch) { return branch == Branch::ml_dsa ? crypto::seed_ml_dsa : suite.scalar; }

Result<crypto::Certificate> read_certificate(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(const Bytes pem, read_whole_file(file, pem_octets_max));
  auto chain = crypto::Certificate::parse_pem_chain(as_text(pem));
  if (!chain) return fail_in(file.string(), chain.error());
  if (chain->size() != 1) return fail(ErrorCode::invalid_argument, file.string() + ": must hold one certificate");
  return chain->front();
}

Result<Secret> unseal_key(const std::filesystem::path& file, Branch branch, const crypto::Certificate& certificate, crypto::CryptoDevice* device) {
  if (device == nullptr) return fail(ErrorCode::invalid_argument, file.string() + ": the key is sealed: name the device that opens it (--device pkcs11, sdf or skf)");
  ASSIGN_OR_RETURN(const Bytes text, read_whole_file(file, box_digits_max));
  std::string_view digits = as_text(text);
  if (digits.ends_with('\n')) digits.remove_suffix(1);
  const auto box = from_hex(digits);
  if (!box) return fail(ErrorCode::invalid_argument, file.string() + ": must hold hexadecimal digits");
  auto secret = device->unseal(root_context(branch, certificate), *box);
  if (!secret) return fail_in(file.string(), secret.error());
  return secret;
}

}  // namespace

std::string file_of(std::string_view rank, Branch branch, std::string_view ending, std::int64_t generation) {
  return std::string(rank) + "-" + std::string(name(branch)) + (generation == 1 ? std::string() : "-" + std::to_string(generation)) + std::string(ending);
}

Result<KeyPair> make_keys(const crypto::Suite& suite, crypto::Rng& rng) {
  ASSIGN_OR_RETURN(const crypto::Signer signer, crypto::Signer::generate(suite, rng));
  crypto::SigningSecret secrets = signer.secret();
  return Result<KeyPair>(KeyPair{.ml_dsa = {.algorithm = crypto::ml_dsa_key(suite), .secret = std::move(secrets.ml_dsa_seed)},
                                 .classical = {.algorithm = crypto::classical_key(suite), .secret = std::move(secrets.scalar)}});
}

Result<Roots> make_roots(std::string_view network, const crypto::Suite& suite, UnixMs now, crypto::Rng& rng) {
  ASSIGN_OR_RETURN(KeyPair keys, make_keys(suite, rng));
  const auto certify = [&](crypto::PrivateKey key) -> Result<Authority> {
    ASSIGN_OR_RETURN(Bytes public_key, crypto::public_octets(key));
    const std::string common_name = std::string(network) + " root " + std::string(crypto::name(key.algorithm));
    ASSIGN_OR_RETURN(crypto::Certificate certificate, crypto::issue({.use = crypto::CertificateUse::root_ca,
                                                                     .names = {.common_name = common_name, .element = {}, .number = {}, .dns = {}},
                                                                     .key_algorithm = key.algorithm,
                                                                     .public_key = std::move(public_key),
                                                                     .serial = draw_serial(rng),
                                                                     .not_before = now - backdating_ms,
                                                                     .not_after = now + root_lifetime_ms},
                                                                    nullptr, key));
    return Result<Authority>(Authority{.certificate = std::move(certificate), .key = std::move(key)});
  };
  ASSIGN_OR_RETURN(Authority ml_dsa, certify(std::move(keys.ml_dsa)));
  ASSIGN_OR_RETURN(Authority classical, certify(std::move(keys.classical)));
  return Result<Roots>(Roots{.suite = &suite, .pair = {.ml_dsa = std::move(ml_dsa), .classical = std::move(classical)}});
}

Result<void> write_roots(const Roots& roots, const std::filesystem::path& folder, crypto::CryptoDevice* device) {
  for (const Branch branch : all_branches) {
    const Authority& root = roots.pair.of(branch);
    if (device == nullptr) {
      const Secret digits = hex_of(root.key.secret);
      TRY(write_new_file(folder / file_of("root", branch, ".key"), digits.reveal(), private_file));
    } else {
      ASSIGN_OR_RETURN(const Bytes box, device->seal(root_context(branch, root.certificate), root.key.secret));
      const std::string digits = to_hex(box) + "\n";
      TRY(write_new_file(folder / file_of("root", branch, ".sealed"), as_bytes(digits), private_file));
    }
    const std::string pem = root.certificate.pem();
    TRY(write_new_file(folder / file_of("root", branch, ".pem"), as_bytes(pem), public_file));
  }
  return {};
}

bool roots_are_sealed(const std::filesystem::path& folder) {
  std::error_code ignored;
  return std::filesystem::exists(folder / file_of("root", Branch::ml_dsa, ".sealed"), ignored);
}

Result<RootCertificates> read_root_certificates(const std::filesystem::path& folder) {
  ASSIGN_OR_RETURN(crypto::Certificate ml_dsa, read_certificate(folder / file_of("root", Branch::ml_dsa, ".pem")));
  ASSIGN_OR_RETURN(crypto::Certificate classical, read_certificate(folder / file_of("root", Branch::classical, ".pem")));
  ASSIGN_OR_RETURN(const crypto::Suite* suite, suite_of(ml_dsa, classical));
  return RootCertificates{.suite = suite, .ml_dsa = std::move(ml_dsa), .classical = std::move(classical)};
}

Result<Roots> read_roots(const std::filesystem::path& folder, crypto::CryptoDevice* device) {
  ASSIGN_OR_RETURN(const RootCertificates certificates, read_root_certificates(folder));
  const crypto::Suite* const suite = certificates.suite;
  const bool sealed = roots_are_sealed(folder);
  const auto read = [&](Branch branch, const crypto::Certificate& certificate) -> Result<Authority> {
    const std::filesystem::path file = folder / file_of("root", branch, sealed ? ".sealed" : ".key");
    auto secret = sealed ? unseal_key(file, branch, certificate, device) : read_secret_file(file, secret_octets(*suite, branch));
    if (!secret) return fail(secret.error());
    crypto::PrivateKey key{.algorithm = certificate.key_algorithm(), .secret = *std::move(secret)};
    ASSIGN_OR_RETURN(const Bytes own, crypto::public_octets(key));
    if (own != certificate.public_key()) return fail(ErrorCode::denied, file.string() + ": is not the key of " + certificate.subject());
    return Result<Authority>(Authority{.certificate = certificate, .key = std::move(key)});
  };
  ASSIGN_OR_RETURN(Authority first, read(Branch::ml_dsa, certificates.ml_dsa));
  ASSIGN_OR_RETURN(Authority second, read(Branch::classical, certificates.classical));
  return Result<Roots>(Roots{.suite = suite, .pair = {.ml_dsa = std::move(first), .classical = std::move(second)}});
}

Result<crypto::Certificate> sign_issuing(const Roots& roots, Branch branch, const crypto::CertificateRequest& request, UnixMs now, crypto::Rng& rng) {
  const Authority& root = roots.pair.of(branch);
  const crypto::SubjectNames& names = request.names();
  if (request.key_algorithm() != root.certificate.key_algorithm()) {
    return fail(ErrorCode::denied,
                "the request for the " + std::string(name(branch)) + " branch is for a key of kind " + std::string(crypto::name(request.key_algorithm())));
  }
  if (request.public_key() == root.certificate.public_key()) return fail(ErrorCode::denied, "the request is for the root's own key");
  if (names.common_name.empty() || names.element || names.number || !names.dns.empty()) {
    return fail(ErrorCode::denied, "an issuing CA has a common name and no other: the request asks for more or less");
  }
  if (names.common_name == root.certificate.names().common_name) return fail(ErrorCode::denied, "the request asks for the root's own name");
  if (now < root.certificate.not_before() || now >= root.certificate.not_after())
    return fail(ErrorCode::denied, root.certificate.subject() + " is not valid now");
  return crypto::issue({.use = crypto::CertificateUse::issuing_ca,
                        .names = names,
                        .key_algorithm = request.key_algorithm(),
                        .public_key = request.public_key(),
                        .serial = draw_serial(rng),
                        .not_before = std::max(now - backdating_ms, root.certificate.not_before()),
                        .not_after = std::min(now + issuing_lifetime_ms, root.certificate.not_after())},
                       &root.certificate, root.key);
}

}  // namespace qanat::cas
