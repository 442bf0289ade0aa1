// Where a call gets its working key from: the KMS (key_client.hpp), or whatever a test puts in its place.
#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "base/clock.hpp"
#include "base/id.hpp"
#include "base/secret.hpp"
#include "wire/charge.hpp"
#include "wire/qfc2_application.hpp"

namespace qanat::terminal {

/// For which call, and on which side of it, a working key is wanted.
struct KeyWanted {
  wire::Role role{};
  SidWk sid_wk;
  SidCall sid_call;
  Number caller;
  Number called;

  [[nodiscard]] const Number& own() const { return role == wire::Role::caller ? caller : called; }
  [[nodiscard]] const Number& peer() const { return role == wire::Role::caller ? called : caller; }
};

/// A working key with what the KMS vouches for.
struct WorkingKey {
  Secret wk;  // 32
  wire::Assurance assurance{};
  bool injected = false;      // a charged key that never leaned on public keys protected it on its way here
  std::optional<wire::Charged> charged = {};  // how that key came into the medium; nothing if none was used
  bool symmetric = false;     // the KMS could not check this terminal's certificates and admitted it by its medium
  bool directory = false;     // CMSP did not answer the KMS: its directory granted the session
  std::uint8_t n_paths = 0;   // QKD paths that it rests on
  std::uint8_t path_min = 0;  // relays on the shortest of them
  Uid peer_uid;
  Number peer_number;
  ElementName peer_kms;
  wire::Fingerprints peer_fps;  // all zero if the KMS did not know them
  Bytes h_deliver;              // names the delivery, for its acknowledgement
};

class KeySource {
 public:
  virtual ~KeySource() = default;
  /// Blocks until there is a key that fits, a final refusal, the deadline, or a stop request.
  virtual Result<WorkingKey> fetch(const KeyWanted& wanted, Deadline deadline, const std::stop_token& stop) = 0;
  /// Tells the KMS that the key has arrived, so that it destroys its copy. That it fails is no harm: the KMS destroys it when it expires.
  virtual void acknowledge(const Bytes& h_deliver, Deadline deadline) = 0;
};

/// Something that happened during a call, for display.
struct CallEvent {
  std::string event;       // "step", "ringing", "media" …
  std::optional<int> step;  // of the twelve
  std::string what;
  std::optional<double> ms;  // how long it took
};
/// Called from the call's thread and from the one that fetches the key.
using CallObserver = std::function<void(const CallEvent&)>;

}  // namespace qanat::terminal
