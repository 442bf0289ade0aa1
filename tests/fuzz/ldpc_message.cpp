// target: qanat_qkd
// What a stranger on the line may send to either end of one-way error correction.
#include <cstddef>
#include <cstdint>

#include "quantum/qkd/reconciliation/ldpc.hpp"

using namespace qanat;
using namespace qanat::qkd;

namespace {

/// Answers of the right size are beyond chance, so the input is laid over what Alice would have answered.
Bytes altered(Bytes answer, ByteView input) {
  for (std::size_t i = 0; i + 2 < input.size(); i += 3) answer[(std::size_t{input[i]} << 8 | input[i + 1]) % answer.size()] ^= input[i + 2];
  return answer;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  if (size == 0) return 0;
  const ByteView input(octets + 1, size - 1);
  const std::size_t bits = 2048 + 16 * octets[0];
  const ReconciliationSetup setup{.method = ReconciliationMethod::ldpc, .key_bits = bits, .error_rate = 0.03, .seed = Bytes(reconciliation_seed_size, 7)};
  Secret key((bits + 7) / 8);
  key.writable()[3] = 0xa5;
  Secret other = key.duplicate();
  for (std::size_t i = 0; i < other.size(); i += 5) other.writable()[i] ^= 1;
  const auto reference = make_ldpc_reference(setup, key);
  const auto corrector = make_ldpc_corrector(setup, std::move(other));
  if (!reference || !corrector) __builtin_trap();
  (void)(*reference)->answer(input);
  for (int round = 0; round < 4; ++round) {
    const auto question = (*corrector)->next();
    if (!question || !*question) break;
    (void)(*corrector)->learn(input);
    const auto again = (*corrector)->next();
    if (!again || !*again) break;
    const auto answer = (*reference)->answer(**again);
    if (!answer || !(*corrector)->learn(altered(*answer, input))) break;
    (void)(*reference)->answer(input);
    if ((*reference)->disclosed().by_alice > bits) __builtin_trap();
  }
  return 0;
}
