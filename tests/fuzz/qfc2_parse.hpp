// Shared by the qfc2_* fuzz targets: what a parser accepts must encode to the same octets.
#pragma once

#include <cstdlib>

#include "wire/qfc2.hpp"

namespace qanat::wire {

template <class M>
void parse_whole(ByteView octets) {
  const auto framed = parse<M>(octets);
  if (!framed) return;
  const auto again = encode(*framed->suite, framed->header.policy_epoch, framed->message);
  if (!again || !equal(*again, framed->header_and_body())) std::abort();
}

/// The body alone, for both suites: the fuzzer need not find a header and a closing of the right size first.
template <class M>
void parse_bodies(ByteView body) {
  for (const crypto::Suite& suite : crypto::all_suites()) {
    const auto message = parse_body<M>(suite, body);
    if (!message) continue;
    const auto again = encode_body(suite, *message);
    if (!again || !equal(*again, body)) std::abort();
  }
}

template <class... M>
int fuzz(const std::uint8_t* octets, std::size_t size) {
  const ByteView view(octets, size);
  (parse_whole<M>(view), ...);
  (parse_bodies<M>(view), ...);
  return 0;
}

}  // namespace qanat::wire
