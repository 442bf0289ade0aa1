// target: qanat_kme
// What SAEs send on ETSI GS QKD 014: bodies and queries.
#include "kme/etsi014.hpp"
#include "base/check.hpp"
#include "net/foreign_routes.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qanat;
  const ByteView octets(data, size);
  const kme::Limits limits;
  if (const auto request = kme::etsi014::read_key_request(octets, limits)) CHECK(request->number >= 1 && request->size % 8 == 0);
  if (const auto request = kme::etsi014::read_key_query(as_text(octets), limits)) CHECK(request->size <= limits.max_key_size);
  if (const auto ids = kme::etsi014::read_key_ids(octets, limits)) CHECK(!ids->empty() && ids->size() <= limits.max_key_per_request);
  (void)kme::etsi014::read_key_id_query(as_text(octets));
  (void)net::match_path("/api/v1/keys/{}/enc_keys", as_text(octets));
  return 0;
}
