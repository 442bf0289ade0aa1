// What a listener staples to its certificate, as a client gets it that is OpenSSL alone, and what that makes of it.
#pragma once

#include <gtest/gtest.h>

#include "unit/net/raw_tls.hpp"

namespace qanat::cas {

struct ShownStatus {
  std::string key_type;  // of the certificate
  Bytes certificate;     // DER
  Bytes response;        // DER OCSPResponse; empty: nothing was stapled
};

enum class AsksForStatus : bool { no, yes };

inline ShownStatus status_shown(std::uint16_t port, net::test::RawPolicy policy, AsksForStatus asks = AsksForStatus::yes) {
  const net::test::RawContext context = net::test::raw_context(TLS_client_method(), nullptr, policy);
  if (asks == AsksForStatus::yes) EXPECT_EQ(SSL_CTX_set_tlsext_status_type(context.get(), TLSEXT_STATUSTYPE_ocsp), 1);
  net::test::RawTls tls = net::test::RawTls::to(port, *context);
  EXPECT_TRUE(tls.connect());
  return {.key_type = tls.peer_key_type(), .certificate = tls.peer_certificate(), .response = tls.stapled()};
}

/// "good", "revoked", "unknown", or what is wrong with the answer. `issuer`: of the certificate, and trusted.
inline std::string status_by_openssl(const ShownStatus& shown, const crypto::Certificate& issuer) {
  const unsigned char* at = shown.response.data();
  const crypto::Owned<OCSP_RESPONSE, OCSP_RESPONSE_free> response(d2i_OCSP_RESPONSE(nullptr, &at, static_cast<long>(shown.response.size())));
  if (!response || OCSP_response_status(response.get()) != OCSP_RESPONSE_STATUS_SUCCESSFUL) return "no answer";
  const crypto::Owned<OCSP_BASICRESP, OCSP_BASICRESP_free> basic(OCSP_response_get1_basic(response.get()));
  at = shown.certificate.data();
  const crypto::X509Certificate certificate(d2i_X509(nullptr, &at, static_cast<long>(shown.certificate.size())));
  const crypto::Owned<X509_STORE, X509_STORE_free> store(X509_STORE_new());
  const crypto::BorrowedCertificates known(sk_X509_new_null());
  X509* const ca = crypto::native(issuer);
  if (!basic || !certificate || !store || !known || X509_STORE_add_cert(store.get(), ca) != 1 || sk_X509_push(known.get(), ca) <= 0) return "not to be read";
  X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN);
  if (OCSP_basic_verify(basic.get(), known.get(), store.get(), OCSP_TRUSTOTHER) != 1) return "not signed by the issuer or its responder";
  const crypto::Owned<OCSP_CERTID, OCSP_CERTID_free> id(OCSP_cert_to_id(nullptr, certificate.get(), ca));
  int status = -1;
  ASN1_GENERALIZEDTIME* this_update = nullptr;
  ASN1_GENERALIZEDTIME* next_update = nullptr;
  if (OCSP_resp_find_status(basic.get(), id.get(), &status, nullptr, nullptr, &this_update, &next_update) != 1) return "about another certificate";
  if (OCSP_check_validity(this_update, next_update, 60, -1) != 1) return "not of this time";
  return OCSP_cert_status_str(status);
}

}  // namespace qanat::cas
