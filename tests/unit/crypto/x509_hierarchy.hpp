// A root, an issuing CA and a leaf of one key algorithm, and the openssl program as a second reader of what we write.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "crypto/x509.hpp"

namespace qanat::crypto::testing {

inline constexpr UnixMs second_ms = 1000;
inline constexpr UnixMs day_ms = 86'400 * second_ms;
inline constexpr UnixMs start = 1'790'000'000'000;  // September 2026
inline constexpr UnixMs now = start + 10 * day_ms;

inline constexpr KeyAlgorithm all_algorithms[] = {KeyAlgorithm::sm2, KeyAlgorithm::ecdsa_p384, KeyAlgorithm::ml_dsa_65, KeyAlgorithm::ml_dsa_87};

inline std::string algorithm_name(const ::testing::TestParamInfo<KeyAlgorithm>& info) {
  constexpr const char* names[] = {"Sm2", "P384", "MlDsa65", "MlDsa87"};
  return names[static_cast<std::size_t>(info.param)];
}

/// A private key that depends on `seed` alone.
inline PrivateKey make_key(KeyAlgorithm algorithm, std::uint8_t seed) {
  Secret secret(algorithm == KeyAlgorithm::ecdsa_p384 ? 48 : 32);
  for (std::size_t i = 0; i < secret.size(); ++i) secret.writable()[i] = static_cast<std::uint8_t>(seed + 7 * i);
  secret.writable()[0] = 0x3f;  // below every group's order
  return PrivateKey{.algorithm = algorithm, .secret = std::move(secret)};
}

inline Bytes make_serial(std::uint8_t seed) {
  Bytes out(16, seed);
  out.front() = 0x41;
  return out;
}

inline SubjectNames names_of(std::string common_name) {
  return SubjectNames{.common_name = std::move(common_name), .element = std::nullopt, .number = std::nullopt, .dns = {}};
}

inline CertificateTemplate make_template(CertificateUse use, SubjectNames names, const PrivateKey& key, std::uint8_t serial) {
  return CertificateTemplate{.use = use,
                             .names = std::move(names),
                             .key_algorithm = key.algorithm,
                             .public_key = public_octets(key).value(),
                             .serial = make_serial(serial),
                             .not_before = start,
                             .not_after = start + 90 * day_ms};
}

struct Hierarchy {
  explicit Hierarchy(KeyAlgorithm algorithm, std::uint8_t seed = 1, const std::string& label = "Qanat test")
      : root_key(make_key(algorithm, seed)),
        issuing_key(make_key(algorithm, static_cast<std::uint8_t>(seed + 1))),
        leaf_key(make_key(algorithm, static_cast<std::uint8_t>(seed + 2))),
        root(issue(make_template(CertificateUse::root_ca, names_of(label + " root"), root_key, seed), nullptr, root_key).value()),
        issuing(issue(make_template(CertificateUse::issuing_ca, names_of(label + " issuing"), issuing_key, seed), &root, root_key).value()),
        leaf(issue(leaf_template(), &issuing, issuing_key).value()) {}

  [[nodiscard]] CertificateTemplate leaf_template() const {
    SubjectNames names{.common_name = "kms-a",
                       .element = Identity::parse_uri("qanat://city-a/kms/kms-a").value(),
                       .number = Number("+8613800138000"),
                       .dns = {"kms-a.city-a.example", "localhost"}};
    return make_template(CertificateUse::tls_and_signing, std::move(names), leaf_key, 9);
  }
  [[nodiscard]] TrustStore store() const { return TrustStore({root}, {issuing}); }

  PrivateKey root_key;
  PrivateKey issuing_key;
  PrivateKey leaf_key;
  Certificate root;
  Certificate issuing;
  Certificate leaf;
};

/// Files for the openssl program, gone with the object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "qanat-x509-XXXXXX").string();
    const char* made = mkdtemp(pattern.data());
    EXPECT_NE(made, nullptr);
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  /// Writes the octets and returns the file's path.
  [[nodiscard]] std::string file(const std::string& name, ByteView octets) const {
    const auto path = path_ / name;
    std::ofstream(path, std::ios::binary) << as_text(octets);
    return path.string();
  }
  [[nodiscard]] std::string file(const Certificate& cert, const std::string& name) const { return file(name, as_bytes(cert.pem())); }

 private:
  std::filesystem::path path_;
};

struct ProgramResult {
  int status = -1;
  std::string output;  // both streams
};

inline ProgramResult run_openssl(const std::string& arguments) {
  ProgramResult out;
  // The program as built has no configuration file, and `req` insists on one.
  const std::string command = std::string("OPENSSL_CONF=/dev/null " QANAT_SOURCE_DIR "/.deps/openssl/bin/openssl ") + arguments + " 2>&1 </dev/null";
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return out;
  char part[4096];
  while (const std::size_t got = std::fread(part, 1, sizeof part, pipe)) out.output.append(part, got);
  const int status = pclose(pipe);
  out.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return out;
}

}  // namespace qanat::crypto::testing
