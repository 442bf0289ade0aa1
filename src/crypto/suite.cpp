#include "crypto/suite.hpp"

#include <array>
#include <string>

#include "base/check.hpp"

namespace qanat::crypto {
namespace {

constexpr std::array rows{
    Suite{.id = SuiteId::gm_hybrid,
          .name = "GM-hybrid",
          .curve = Curve::sm2p256v1,
          .ml_dsa = MlDsa::ml_dsa_65,
          .ml_kem = MlKem::ml_kem_768,
          .hash = Hash::sm3,
          .aead = Aead::sm4_gcm,
          .scalar = 32,
          .point = 65,
          .classical_sig = 64,
          .classical_ct = 129,
          .classical_ss = 32,
          .ml_dsa_public = 1952,
          .ml_dsa_sig = 3309,
          .ml_kem_public = 1184,
          .ml_kem_ct = 1088,
          .digest = 32,
          .aead_key = 16},
    Suite{.id = SuiteId::intl_hybrid,
          .name = "INTL-hybrid",
          .curve = Curve::secp384r1,
          .ml_dsa = MlDsa::ml_dsa_87,
          .ml_kem = MlKem::ml_kem_1024,
          .hash = Hash::sha384,
          .aead = Aead::aes_256_gcm,
          .scalar = 48,
          .point = 97,
          .classical_sig = 96,
          .classical_ct = 97,
          .classical_ss = 48,
          .ml_dsa_public = 2592,
          .ml_dsa_sig = 4627,
          .ml_kem_public = 1568,
          .ml_kem_ct = 1568,
          .digest = 48,
          .aead_key = 32},
};

constexpr bool consistent(const Suite& row) {
  const bool sm2 = row.curve == Curve::sm2p256v1;
  const std::size_t sm2_ciphertext = row.point + row.digest + row.classical_ss;
  return row.point == 1 + 2 * row.scalar && row.classical_sig == 2 * row.scalar && row.classical_ct == (sm2 ? sm2_ciphertext : row.point);
}
static_assert(consistent(rows[0]) && consistent(rows[1]));

}  // namespace

const Suite& suite(SuiteId id) noexcept {
  for (const Suite& row : rows) {
    if (row.id == id) return row;
  }
  check_failed("every SuiteId has a row", __FILE__, __LINE__);
}

Result<const Suite*> find_suite(std::uint16_t number) {
  for (const Suite& row : rows) {
    if (static_cast<std::uint16_t>(row.id) == number) return &row;
  }
  return fail(ErrorCode::not_found, "no suite has the number " + std::to_string(number));
}

Result<const Suite*> find_suite(std::string_view name) {
  for (const Suite& row : rows) {
    if (row.name == name) return &row;
  }
  return fail(ErrorCode::not_found, "no suite is named '" + std::string(name) + "'");
}

std::span<const Suite> all_suites() noexcept { return rows; }

}  // namespace qanat::crypto
