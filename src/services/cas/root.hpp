// The two root CAs of a network, which are offline: made once, kept in a folder that is taken away, brought back to sign an issuing CA. The folder holds, for
// each branch, root-<branch>.pem and the private key: root-<branch>.key (0600, lower-case hexadecimal of seed or scalar), or root-<branch>.sealed, the same
// octets sealed by a crypto device (hexadecimal) and bound to the certificate (with an SDF or SKF device, device.keys: what it wrapped); and the transcript of all that was done with it (transcript.hpp).
#pragma once

#include <filesystem>
#include <string>

#include "crypto/device.hpp"
#include "services/cas/authority.hpp"

namespace qanat::cas {

/// In the roots' folder: the keys that an SDF or SKF device wrapped, with which it sealed the roots' keys.
inline constexpr std::string_view wrapped_keys_file = "device.keys";

inline constexpr UnixMs year_ms = 365ULL * 86'400'000;
inline constexpr UnixMs root_lifetime_ms = 20 * year_ms;
inline constexpr UnixMs issuing_lifetime_ms = 10 * year_ms;

struct Roots {
  const crypto::Suite* suite = nullptr;
  Authorities pair;
};

/// "root-ml_dsa.pem", "issuing-classical.csr", and "issuing-ml_dsa-2.pem" of the second generation.
std::string file_of(std::string_view rank, Branch branch, std::string_view ending, std::int64_t generation = 1);
/// The pair's chosen halves, wherever two keys of one suite are made.
struct KeyPair {
  crypto::PrivateKey ml_dsa;
  crypto::PrivateKey classical;
  [[nodiscard]] const crypto::PrivateKey& of(Branch branch) const noexcept { return branch == Branch::ml_dsa ? ml_dsa : classical; }
};
Result<KeyPair> make_keys(const crypto::Suite& suite, crypto::Rng& rng);

/// `network` begins the common names.
Result<Roots> make_roots(std::string_view network, const crypto::Suite& suite, UnixMs now, crypto::Rng& rng);
/// Into a folder that holds no roots. `device` absent: keys as files.
Result<void> write_roots(const Roots& roots, const std::filesystem::path& folder, crypto::CryptoDevice* device);
/// not_found if the folder holds none; denied if a key is not the certificate's or the device does not open it; invalid_argument if they are sealed and no
/// device is given.
Result<Roots> read_roots(const std::filesystem::path& folder, crypto::CryptoDevice* device);
/// The certificates alone, which need no key.
struct RootCertificates {
  const crypto::Suite* suite = nullptr;
  crypto::Certificate ml_dsa;
  crypto::Certificate classical;
};
Result<RootCertificates> read_root_certificates(const std::filesystem::path& folder);
/// True if the keys are sealed.
bool roots_are_sealed(const std::filesystem::path& folder);

/// The certificate of an issuing CA: what it is called and its key are the request's, the rest is ours. `denied`: a key of another branch, of a root, or names
/// besides a common name.
Result<crypto::Certificate> sign_issuing(const Roots& roots, Branch branch, const crypto::CertificateRequest& request, UnixMs now, crypto::Rng& rng);

}  // namespace qanat::cas
