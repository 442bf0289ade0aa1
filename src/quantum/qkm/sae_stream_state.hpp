// What is under way at the desk of the key streams. Private to sae_streams.
#pragma once

#include "quantum/qkm/sae_streams.hpp"

namespace qanat::qkm {

struct SaeStreams::Opening {
  kme::StreamOpen open;
  kme::StreamDone<kme::StreamOpened> done;
  Deadline until;
  kme::StreamStatus status{};  // unless `tells`
  kme::StreamQos qos;          // of the answer
  std::string why;             // of a refusal
  bool tells = false;          // the other QKM must be told first
  StreamEnd end{};             // with `tells`
};

struct SaeStreams::Getting {
  kme::StreamGet get;
  kme::StreamDone<kme::StreamChunk> done;
  Deadline::clock::time_point since = Deadline::clock::now();
  Deadline until = Deadline::after(std::chrono::milliseconds(0));  // known when the stream is
  std::uint64_t seen = 0;                                          // rings before the last look
  bool waits = false;
  bool local = false;
  StreamEnd end{};  // with `waits`
  kme::StreamChunk chunk{};
  std::string why;  // of a refusal
};

/// For the audit and for refusals.
ErrorCode code_of(kme::StreamStatus status);

}  // namespace qanat::qkm
