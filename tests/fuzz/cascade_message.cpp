// target: qanat_qkd
// Cascade's questions and answers as a stranger may send them: to Alice at the first message and in the midst of searches, and to Bob.
#include <cstddef>
#include <cstdint>

#include "quantum/qkd/reconciliation/reconciliation.hpp"

using namespace qanat;
using namespace qanat::qkd;

namespace {

Secret key_of(std::size_t bits, std::uint8_t start) {
  Secret key((bits + 7) / 8);
  std::uint8_t value = start;
  for (std::uint8_t& octet : key.writable()) octet = value = static_cast<std::uint8_t>(value * 77 + 41);
  if (bits % 8 != 0) key.writable().back() &= static_cast<std::uint8_t>((1U << (bits % 8)) - 1);
  return key;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  if (size < 3) return 0;
  const std::size_t bits = 1030 + 37 * std::size_t{octets[0]};
  const std::size_t honest_rounds = octets[1];
  const bool to_alice = (octets[2] & 1) != 0;
  ByteView left(octets + 3, size - 3);
  const ReconciliationSetup setup{
      .method = ReconciliationMethod::cascade, .key_bits = bits, .error_rate = 0.05, .seed = Bytes(reconciliation_seed_size, octets[2])};
  const Secret alice = key_of(bits, 1);
  Secret bob = alice.duplicate();
  for (std::size_t i = 0; i < bob.size(); i += 3) bob.writable()[i] ^= 1;
  const auto reference = make_reference(setup, alice);
  auto corrector = make_corrector(setup, std::move(bob));
  if (!reference || !corrector) __builtin_trap();
  for (std::size_t round = 0;; ++round) {
    auto question = (*corrector)->next();
    if (!question || !*question) break;
    if (round > 100'000) __builtin_trap();
    // From some round on the messages of one side are the input's: cut to the length that is expected, or as they come.
    const bool strange = round >= honest_rounds;
    const auto take = [&](Bytes& message) {
      const std::size_t count = left.size() < message.size() || (octets[2] & 2) != 0 ? left.size() : message.size();
      message.assign(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(count));
      left = left.subspan(count);
    };
    if (strange && to_alice) {
      const std::uint8_t stage = (**question)[0];
      take(**question);
      if (!(*question)->empty() && (octets[2] & 4) != 0) (**question)[0] = stage;
    }
    auto answer = (*reference)->answer(**question);
    if ((*reference)->disclosed().by_alice > bits) __builtin_trap();
    if (!answer) break;
    if (strange && !to_alice) {
      const std::size_t expected = answer->size();
      take(*answer);
      if ((octets[2] & 8) != 0) answer->resize(expected);
    }
    if (!(*corrector)->learn(*answer)) break;
  }
  return 0;
}
