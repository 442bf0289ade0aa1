// target: qanat_kme
// What applications send on ETSI GS QKD 004: headers and payloads. What a header admits is within the bounds, and what is read is rendered whole.
#include "kme/etsi004.hpp"
#include "base/check.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qanat;
  namespace etsi004 = kme::etsi004;
  const ByteView all(data, size);
  if (size >= etsi004::header_size) {
    const auto header = etsi004::read_header(all.first(etsi004::header_size));
    if (header) CHECK(header->payload <= etsi004::open_size_max);
  }
  const ByteView payload = all.subspan(std::min(size, etsi004::header_size));
  if (const auto open = etsi004::read_open(payload)) {
    CHECK(!open->source.empty() && open->destination.size() <= etsi004::uri_size_max);
    CHECK(payload.size() == open->source.size() + open->destination.size() + 2 + etsi004::qos_size + kme::StreamId::size);
    const auto answer = etsi004::render(kme::StreamOpened{.status = kme::StreamStatus::ok, .qos = open->qos, .id = open->id});
    // The answer repeats the request's QoS and id, octet for octet.
    CHECK(std::ranges::equal(as_bytes(answer.head).last(etsi004::qos_size + kme::StreamId::size), payload.last(etsi004::qos_size + kme::StreamId::size)));
    const auto granted = kme::grant(open->qos, {}, open->qos.jitter_bps);
    CHECK(granted.qos.chunk_octets >= 8 && granted.qos.chunk_octets <= 4096 && granted.qos.min_bps <= granted.qos.max_bps);
    CHECK(kme::grant(granted.qos, {}, open->qos.jitter_bps).as_asked);
  }
  if (const auto get = etsi004::read_get(payload)) CHECK(payload.size() == etsi004::get_size);
  if (const auto id = etsi004::read_close(payload)) CHECK(std::ranges::equal(id->view(), payload));
  return 0;
}
