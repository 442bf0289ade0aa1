// target: qanat_qkm
// What one QKM tells another of its SAEs' keys and streams, and what it answers: whatever is read is written and read again as the same.
#include "base/check.hpp"
#include "quantum/qkm/stock.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qanat;
  if (const auto json = wire::Json::parse(ByteView(data, size))) {
    if (const auto answer = qkm::read_answer(*json)) {
      const std::string text = qkm::write_answer(*answer).dump();
      const auto again = qkm::read_answer(*wire::Json::parse(std::string_view(text)));
      CHECK(again && qkm::write_answer(*again).dump() == text);
    }
  }
  const auto read = qkm::read_activation(ByteView(data, size));
  if (!read) return 0;
  const std::string text = qkm::write_activation(*read).dump();
  const auto again = qkm::read_activation(as_bytes(text));
  CHECK(again && qkm::write_activation(*again).dump() == text);
  for (const qkm::ActivatedKeys& group : read->groups) {
    std::vector<KeyRun> runs;
    for (const qkm::StockRun& run : group.runs) runs.push_back(run.run);
    CHECK(keys_in(qkm::first_share(runs, group.shares)) * group.shares == keys_in(runs));
  }
  return 0;
}
