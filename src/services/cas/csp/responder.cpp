#include "services/cas/csp/responder.hpp"

namespace qanat::cas {
namespace {

// OCSPResponseStatus, RFC 6960 §4.2.1.
constexpr int malformed_request = 1;
constexpr int internal_error = 2;
constexpr int unauthorized = 6;

}  // namespace

const Authority* Responder::issuer_named_by(ByteView request_der, Branch& branch) const {
  for (const Branch candidate : authorities_.branches()) {
    branch = candidate;
    if (crypto::query_names_issuer(request_der, authorities_.of(candidate).certificate)) return &authorities_.of(candidate);
    for (const Authority& earlier : authorities_.earlier(candidate)) {
      if (crypto::query_names_issuer(request_der, earlier.certificate)) return &earlier;
    }
  }
  return nullptr;
}

Bytes Responder::answer(ByteView request_der, UnixMs now) const {
  const auto query = crypto::parse_status_request(request_der);
  if (!query) return crypto::make_status_error(malformed_request);
  Branch branch{};
  const Authority* issuer = issuer_named_by(request_der, branch);
  if (issuer == nullptr) return crypto::make_status_error(unauthorized);
  const auto status = records_.status(branch, issuer->generation, query->serial);
  if (!status) return crypto::make_status_error(internal_error);
  const crypto::StatusAnswer answer{.status = *status, .this_update = now, .next_update = now + static_cast<UnixMs>(lifetime_.count())};
  auto response = crypto::make_status_response(request_der, answer, issuer->certificate, issuer->key);
  if (!response) return crypto::make_status_error(internal_error);
  return *std::move(response);
}

}  // namespace qanat::cas
