// target: qanat_kms
// What applications send to the CSA: bodies of every operation, batches, policies, sealed texts.
#include "base/check.hpp"
#include "services/kms/csa/arguments.hpp"
#include "services/kms/csa/policy.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qanat;
  using namespace qanat::kms::csa;
  if (size == 0) return 0;
  const OperationRow& asked = all_operations()[data[0] % all_operations().size()];
  Bytes body(data + 1, data + size);
  if (const auto header = parse_sealed_header(body)) CHECK(equal(encode(*header), ByteView(body).first(sealed_header_octets)));
  auto text = read_request_text(body);
  if (!text) return 0;
  if (asked.operation == Operation::batch) {
    const auto requests = text->json.at("requests");
    if (requests) (void)read_batch(*requests, text->lifted);
    return 0;
  }
  if (asked.operation == Operation::set_policy) {
    const auto policy = read_policy(text->json, Usage::encryption);
    if (policy) {
      const auto again = read_policy(to_json(*policy), Usage::encryption);
      CHECK(again && *again == *policy);
    }
  }
  const auto arguments = Arguments::read(asked, text->json, text->lifted);
  if (arguments && arguments->has("plaintext")) CHECK(arguments->secret("plaintext").size() <= plaintext_octets_max);
  return 0;
}
