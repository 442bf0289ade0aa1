// target: qanat_audit
// Arbitrary octets as an audit log: in one piece and cut in two, the verifier must come to the same verdict; and any text at all must
// come out of the writer as a line that the verifier accepts.
#include <cstdint>

#include "audit/chain.hpp"
#include "base/check.hpp"

namespace {

struct Verdict {
  bool accepted;
  std::uint64_t lines;
  bool operator==(const Verdict&) const = default;
};

Verdict judge(std::initializer_list<qanat::ByteView> pieces) {
  qanat::audit::ChainVerifier verifier;
  for (const qanat::ByteView piece : pieces) {
    if (!verifier.feed(piece)) return {.accepted = false, .lines = verifier.link().lines};
  }
  return {.accepted = true, .lines = verifier.link().lines};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  const qanat::ByteView input(octets, size);
  CHECK(judge({input}) == judge({input.first(size / 2), input.subspan(size / 2)}));

  const std::string_view text = qanat::as_text(input);
  qanat::audit::Link link;
  const std::string line = qanat::audit::render_line(
      link, "fuzz", 1, {.action = text, .outcome = qanat::audit::Outcome::refused, .subject = text, .object = text, .reason = text, .request_id = text});
  CHECK((judge({qanat::as_bytes(line)}) == Verdict{.accepted = true, .lines = 1}));
  return 0;
}
