// target: qanat_cas
// What ACME clients send, signed or not: no crash; names that are taken are in their one form; whatever is refused can be said in JSON.
#include <cstdlib>

#include "services/cas/acme/payloads.hpp"

namespace {

template <class T>
void looked_at(const qanat::cas::OrProblem<T>& parsed) {
  if (!parsed && parsed.error().json().dump().empty()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qanat;
  const ByteView octets(data, size);
  looked_at(cas::parse_signed_request(octets));
  looked_at(cas::parse_account_request(octets));
  looked_at(cas::parse_finalize_request(octets));
  looked_at(cas::parse_revocation_request(octets));
  looked_at(cas::parse_key_change(octets, "https://acme.test/acme/key-change"));
  looked_at(cas::parse_deactivation(octets));
  const auto order = cas::parse_order_request(octets);
  looked_at(order);
  if (order) {
    for (const std::string& name : order->names) {
      if (cas::canonical_dns(name) != name) std::abort();
    }
  }
  if (const auto id = cas::parse_certificate_id(as_text(octets))) {
    if (cas::certificate_id_text(id->issuer_key_id, id->serial) != as_text(octets)) std::abort();
  }
  return 0;
}
