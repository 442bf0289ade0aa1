#include "crypto/cmp_signature.hpp"

#include <openssl/asn1t.h>

#include <algorithm>
#include <array>

namespace qanat::crypto {
namespace {

/// None with SHA-1.
constexpr std::array cmp_signatures{NID_sha256WithRSAEncryption, NID_sha384WithRSAEncryption, NID_sha512WithRSAEncryption, NID_ecdsa_with_SHA256,
                                    NID_ecdsa_with_SHA384,       NID_ecdsa_with_SHA512,       NID_SM2_with_SM3,            NID_ML_DSA_44,
                                    NID_ML_DSA_65,               NID_ML_DSA_87};

using Algorithm = Owned<X509_ALGOR, X509_ALGOR_free>;
using BitString = Owned<ASN1_BIT_STRING, ASN1_BIT_STRING_free>;
using SignedPart = Owned<ASN1_STRING, ASN1_STRING_free>;

struct NativeSignature {
  Algorithm algorithm;
  BitString signature;
  SignedPart part;  // ASN1_SEQUENCE holds a whole SEQUENCE as octets: encoding it gives them back as they came
};

Result<NativeSignature> to_native(const CmpSignature& from) {
  NativeSignature out;
  ASSIGN_OR_RETURN(out.algorithm, (from_der<Algorithm, d2i_X509_ALGOR>(from.algorithm, "signature algorithm")));
  out.signature.reset(ASN1_BIT_STRING_new());
  out.part.reset(ASN1_STRING_type_new(V_ASN1_SEQUENCE));
  if (!out.signature || !out.part || ASN1_STRING_set(out.signature.get(), from.signature.data(), static_cast<int>(from.signature.size())) != 1 ||
      ASN1_STRING_set(out.part.get(), from.part.data(), static_cast<int>(from.part.size())) != 1) {
    return openssl_failure("signature");
  }
  return Result<NativeSignature>(std::move(out));
}

Result<bool> holds(EVP_PKEY* key, const NativeSignature& native, std::string_view sm2_id) {
  const EvpKeyContext key_context(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  const EvpDigestContext digest(EVP_MD_CTX_new());
  if (!key_context || !digest) return openssl_failure("signature");
  if (!sm2_id.empty() && EVP_PKEY_CTX_set1_id(key_context.get(), sm2_id.data(), static_cast<int>(sm2_id.size())) <= 0) return openssl_failure("SM2 identity");
  EVP_MD_CTX_set_pkey_ctx(digest.get(), key_context.get());
  return ASN1_item_verify_ctx(ASN1_ITEM_rptr(ASN1_SEQUENCE), native.algorithm.get(), native.signature.get(), native.part.get(), digest.get()) == 1;
}

}  // namespace

Result<void> check_cmp_signature(EVP_PKEY* key, const CmpSignature& signature, std::string_view what) {
  ASSIGN_OR_RETURN(const NativeSignature native, to_native(signature));
  const ASN1_OBJECT* id = nullptr;
  X509_ALGOR_get0(&id, nullptr, nullptr, native.algorithm.get());
  const int kind = OBJ_obj2nid(id);
  if (std::ranges::find(cmp_signatures, kind) == cmp_signatures.end()) {
    return fail(ErrorCode::denied, std::string(what) + ": signed with an algorithm that is not taken here (SHA-2 with RSA or ECDSA, SM2 with SM3, ML-DSA)");
  }
  const bool sm2 = kind == NID_SM2_with_SM3;
  // OpenSSL only verifies SM2 with a key that it knows as one: an ECDSA key on another curve is refused here, not in the middle of it.
  if (sm2 != (EVP_PKEY_is_a(key, "SM2") == 1)) return fail(ErrorCode::unauthenticated, std::string(what) + ": signed with an algorithm that is not the key's");
  ASSIGN_OR_RETURN(bool good, holds(key, native, sm2 ? sm2_distinguishing_id : ""));
  if (!good && sm2) {
    ASSIGN_OR_RETURN(good, holds(key, native, ""));
  }
  if (!good) return fail(ErrorCode::unauthenticated, std::string(what) + ": the signature does not hold under its key");
  return {};
}

}  // namespace qanat::crypto
