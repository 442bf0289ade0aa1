// target: qanat_terminal
// Messages of Dx-1: what is accepted is written again and read as the same.
#include "base/check.hpp"
#include "terminal/gateway/dx1.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qanat;
  using namespace qanat::terminal::gateway;
  const auto json = wire::Json::parse(ByteView(data, size));
  if (!json) return 0;
  if (const auto key = read_dx1_key(*json)) CHECK(read_dx1_key(write(*key))->key == key->key);
  if (const auto loaded = read_dx1_loaded(*json)) {
    const auto again = read_dx1_loaded(write(*loaded));
    CHECK(again && again->turn == loaded->turn && again->in_force == loaded->in_force && again->keep == loaded->keep);
  }
  if (const auto ids = read_loaded(*json)) CHECK(ids->size() <= dx1_keys_max);
  return 0;
}
