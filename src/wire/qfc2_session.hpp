// Steps 7 and 8: the caller's KMS asks CMSP for the callee's; CMSP notifies that one and grants the session.
#pragma once

#include <vector>

#include "base/clock.hpp"
#include "wire/qfc2_header.hpp"

namespace qanat::wire {

/// The fields that all of these messages carry.
struct SessionFields {
  SidWk sid_wk;
  SidCall sid_call;
  Number num_call;
  Number num_called;
  Uid uid_a;
  Uid uid_b;  // may be empty: not known
  ElementName kms_a;
  ElementName kms_b;  // empty in SessionOpen
  Bytes hreq_a;       // message hash of the caller's KeyRequest
  Bytes prev_hash;    // Notify, Grant: message hash of the SessionOpen; zero in SessionOpen
  Fingerprints kms_a_fps;
  Fingerprints kms_b_fps;  // zero in SessionOpen
  UnixMs ts_ms = 0;
  std::vector<Extension> ext;
  bool operator==(const SessionFields&) const = default;
};

/// 07, KMS-A → CMSP, signed by KMS-A.
struct SessionOpen : SessionFields {
  static constexpr MessageType type = MessageType::session_open;
  static constexpr Closing closing = Closing::signature;
  bool operator==(const SessionOpen&) const = default;
};
/// 08, CMSP → KMS-B, signed by CMSP.
struct SessionNotify : SessionFields {
  static constexpr MessageType type = MessageType::session_notify;
  static constexpr Closing closing = Closing::signature;
  bool operator==(const SessionNotify&) const = default;
};
/// 17, CMSP → KMS-A, signed by CMSP.
struct SessionGrant : SessionFields {
  static constexpr MessageType type = MessageType::session_grant;
  static constexpr Closing closing = Closing::signature;
  bool operator==(const SessionGrant&) const = default;
};
/// 27, KMS-A → KMS-B, signed by KMS-A, where CMSP does not answer: opens the session as SessionOpen would, with what CMSP's directory says of the callee.
/// prev_hash is the message hash of that Directory (qfc2_directory.hpp).
struct DirectoryOpen : SessionFields {
  static constexpr MessageType type = MessageType::directory_open;
  static constexpr Closing closing = Closing::signature;
  std::uint64_t epoch = 0;  // of the directory: 1 to INT64_MAX
  bool operator==(const DirectoryOpen&) const = default;
};

}  // namespace qanat::wire
