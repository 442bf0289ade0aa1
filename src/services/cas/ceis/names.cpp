#include "services/cas/ceis/names.hpp"

namespace qanat::cas {

crypto::SubjectNames element_names(const Identity& identity) { return {.common_name = identity.name, .element = identity, .number = std::nullopt, .dns = {}}; }

crypto::SubjectNames terminal_names(const Identity& identity, const Number& number, const ElementName& home_kms) {
  return {.common_name = identity.name, .element = identity, .number = number, .dns = {}, .home_kms = home_kms};
}

crypto::SubjectNames joint_names(const Identity& identity) { return element_names(identity); }

Result<void> check_names(const crypto::CertificateRequest& request, const crypto::SubjectNames& wanted) {
  const std::string where = "request for the " + std::string(crypto::name(request.key_algorithm())) + " certificate of " + wanted.element->uri();
  const crypto::SubjectNames& asked = request.names();
  if (asked.element != wanted.element) return fail(ErrorCode::denied, where + ": asks for the name of another element");
  if (asked.number != wanted.number) return fail(ErrorCode::denied, where + ": asks for another number than the subscriber's");
  if (asked.home_kms != wanted.home_kms) return fail(ErrorCode::denied, where + ": asks for another home KMS than the subscriber's");
  if (asked.dns != wanted.dns) return fail(ErrorCode::denied, where + ": asks for DNS names");
  return {};
}

Result<crypto::CertificateRequest> check_request(ByteView der, const crypto::SubjectNames& wanted, crypto::KeyAlgorithm algorithm) {
  const std::string where = "request for the " + std::string(crypto::name(algorithm)) + " certificate of " + wanted.element->uri();
  auto request = crypto::CertificateRequest::parse(der);
  if (!request) return fail_in(where, request.error());
  if (request->key_algorithm() != algorithm) {
    return fail(ErrorCode::denied, where + ": its key is of algorithm " + std::string(crypto::name(request->key_algorithm())));
  }
  TRY(check_names(*request, wanted));
  return request;
}

}  // namespace qanat::cas
