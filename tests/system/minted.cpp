#include "minted.hpp"

#include <fstream>
#include <iterator>

namespace qanat::test {
namespace {

constexpr UnixMs day_ms = 86'400'000;
constexpr std::size_t seed_size = 32;
constexpr std::size_t serial_size = 16;

std::string read_text(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

Bytes draw_serial(crypto::Rng& rng) {
  Bytes out = rng.bytes(serial_size);
  out.front() = static_cast<std::uint8_t>((out.front() & 0x7FU) | 0x40U);
  return out;
}

}  // namespace

Mint Mint::with_offline_root(TestNetwork& network) {
  const std::filesystem::path folder = network.network().folder() / "offline-root";
  const std::vector<crypto::Certificate> root = crypto::Certificate::parse_pem_chain(read_text(folder / "root-ml_dsa.pem")).value();
  const Bytes seed = from_hex(read_text(folder / "root-ml_dsa.key")).value();
  return {network, root.front(), {.algorithm = crypto::ml_dsa_key(network.suite()), .secret = Secret::copy_of(seed)}};
}

Mint Mint::with_foreign_root(TestNetwork& network) {
  const crypto::Certificate real = crypto::Certificate::parse_pem_chain(read_text(network.network().trust() / "issuing-ml_dsa.pem")).value().front();
  crypto::PrivateKey key{.algorithm = real.key_algorithm(), .secret = network.rng().secret(seed_size)};
  crypto::Certificate root = crypto::issue({.use = crypto::CertificateUse::root_ca,
                                            .names = real.names(),
                                            .key_algorithm = key.algorithm,
                                            .public_key = crypto::public_octets(key).value(),
                                            .serial = draw_serial(network.rng()),
                                            .not_before = real.not_before(),
                                            .not_after = SystemClock().now_ms() + day_ms},
                                           nullptr, key)
                                 .value();
  return {network, std::move(root), std::move(key)};
}

std::shared_ptr<const net::TlsIdentity> Mint::leaf(const crypto::SubjectNames& names, UnixMs not_before, UnixMs not_after) const {
  auto out = std::make_shared<net::TlsIdentity>();
  out->key = {.algorithm = key_.algorithm, .secret = network_.rng().secret(seed_size)};
  const auto certificate = crypto::issue({.use = crypto::CertificateUse::tls_and_signing,
                                          .names = names,
                                          .key_algorithm = out->key.algorithm,
                                          .public_key = crypto::public_octets(out->key).value(),
                                          .serial = draw_serial(network_.rng()),
                                          .not_before = not_before,
                                          .not_after = not_after},
                                         &issuer_, key_);
  EXPECT_TRUE(certificate) << (certificate ? "" : certificate.error().message);
  out->chain = {*certificate};
  return out;
}

}  // namespace qanat::test
