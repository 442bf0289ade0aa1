// target: qanat_points
#include "points/central_relay.hpp"

using namespace qanat;
using namespace qanat::points;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  const auto body = wire::Json::parse(ByteView(octets, size));
  if (!body) return 0;
  // What can be read can be written and read again.
  if (const auto message = read_central_handover(*body)) {
    if (central_context(message->relay, 0, message->runs, message->proof).empty() || !read_central_handover(write(*message))) __builtin_trap();
  }
  if (const auto message = read_central_report_order(*body)) {
    if (!read_central_report_order(write(*message))) __builtin_trap();
  }
  if (const auto message = read_central_report(*body, 3)) {
    if (!read_central_report(write(*message), 3)) __builtin_trap();
  }
  if (const auto message = read_central_notice(*body)) {
    if (!read_central_notice(write(*message))) __builtin_trap();
  }
  if (const auto message = read_central_answer(*body)) {
    if (!read_central_answer(write(*message))) __builtin_trap();
  }
  if (const auto proof = read_proof(*body)) {
    if (*read_proof(write(*proof)) != *proof) __builtin_trap();
  }
  return 0;
}
