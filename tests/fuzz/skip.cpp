// target: qanat_kme
// What encryptors send on SKIP: queries and key ids, and patterns for names.
#include "base/check.hpp"
#include "kme/glob.hpp"
#include "kme/skip.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qanat;
  const std::string_view text = as_text(ByteView(data, size));
  const kme::Limits limits;
  if (const auto query = kme::skip::read_key_query(text, limits)) CHECK(!query->remote.empty() && query->size % 8 == 0);
  if (const auto bits = kme::skip::read_entropy_query(text)) CHECK(*bits % 8 == 0 && *bits > 0);
  (void)kme::skip::read_key_id_query(text.substr(0, 32), text.substr(std::min<std::size_t>(32, text.size())));
  const std::string_view pattern = text.substr(0, text.size() / 2);
  if (kme::glob_matches(pattern, text.substr(pattern.size())) && !kme::is_glob(pattern)) CHECK(pattern == text.substr(pattern.size()));
  return 0;
}
