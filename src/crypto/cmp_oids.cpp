#include "crypto/cmp_oids.hpp"

#include "crypto/cmp_der.hpp"
#include "crypto/x509_openssl.hpp"

namespace qanat::crypto::cmp_oid {
namespace {

constexpr std::size_t oid_octets_max = 32;
constexpr std::size_t oid_text_max = 128;

using Object = Owned<ASN1_OBJECT, ASN1_OBJECT_free>;

}  // namespace

Result<std::string> text_of(ByteView content) {
  if (content.empty() || content.size() > oid_octets_max) return fail(ErrorCode::invalid_argument, "OBJECT IDENTIFIER: has not 1 to 32 octets");
  ASSIGN_OR_RETURN(const Object object, (from_der<Object, d2i_ASN1_OBJECT>(cmp_der::element(cmp_der::tag_oid, content), "OBJECT IDENTIFIER")));
  std::string out(oid_text_max, '\0');
  const int size = OBJ_obj2txt(out.data(), static_cast<int>(out.size()), object.get(), 1);
  if (size <= 0 || static_cast<std::size_t>(size) >= out.size()) return fail(ErrorCode::invalid_argument, "OBJECT IDENTIFIER: too long");
  out.resize(static_cast<std::size_t>(size));
  return out;
}

Result<Bytes> der_of(std::string_view text) {
  const Object object(OBJ_txt2obj(std::string(text).c_str(), 1));
  if (!object) return fail(ErrorCode::invalid_argument, "OBJECT IDENTIFIER: '" + std::string(text) + "' is none");
  return to_der<i2d_ASN1_OBJECT>(object.get());
}

}  // namespace qanat::crypto::cmp_oid
