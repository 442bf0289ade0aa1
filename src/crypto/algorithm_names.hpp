// What Botan calls the algorithms. Private to crypto.
#pragma once

#include <botan/ml_dsa.h>
#include <botan/ml_kem.h>

#include <string_view>

#include "crypto/aead.hpp"
#include "crypto/suite.hpp"

namespace qanat::crypto {

constexpr std::string_view botan_name(Hash hash) noexcept {
  switch (hash) {
    case Hash::sm3:
      return "SM3";
    case Hash::sha256:
      return "SHA-256";
    case Hash::sha384:
      return "SHA-384";
  }
  return {};
}

constexpr std::string_view botan_name(Aead aead) noexcept {
  switch (aead) {
    case Aead::sm4_gcm:
      return "SM4/GCM";
    case Aead::aes_256_gcm:
      return "AES-256/GCM";
  }
  return {};
}

constexpr std::string_view botan_name(Curve curve) noexcept {
  switch (curve) {
    case Curve::sm2p256v1:
      return "sm2p256v1";
    case Curve::secp384r1:
      return "secp384r1";
  }
  return {};
}

/// Botan's name of the suite's classical signature scheme. SM2's distinguishing identifier must be spelled out: an empty text would
/// mean the empty identifier, not the standard one of GM/T 0009-2012, 10.
constexpr std::string_view signature_padding(Curve curve) noexcept {
  switch (curve) {
    case Curve::sm2p256v1:
      return "1234567812345678,SM3";
    case Curve::secp384r1:
      return "SHA-384";
  }
  return {};
}

inline Botan::ML_DSA_Mode botan_mode(MlDsa level) noexcept {
  switch (level) {
    case MlDsa::ml_dsa_44:
      return Botan::ML_DSA_Mode::ML_DSA_4x4;
    case MlDsa::ml_dsa_65:
      return Botan::ML_DSA_Mode::ML_DSA_6x5;
    case MlDsa::ml_dsa_87:
      break;
  }
  return Botan::ML_DSA_Mode::ML_DSA_8x7;
}

inline Botan::ML_KEM_Mode botan_mode(MlKem level) {
  switch (level) {
    case MlKem::ml_kem_768:
      return Botan::ML_KEM_Mode::ML_KEM_768;
    case MlKem::ml_kem_1024:
      break;
  }
  return Botan::ML_KEM_Mode::ML_KEM_1024;
}

}  // namespace qanat::crypto
