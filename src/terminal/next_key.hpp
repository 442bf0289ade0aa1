// The next key of a running call while it is on its way: which session, the Ax exchange under its working key, and what is repeated until it is answered.
#pragma once

#include <memory>

#include "terminal/ax.hpp"
#include "terminal/ax_carrier.hpp"
#include "terminal/key_epochs.hpp"

namespace qanat::terminal {

/// What one step of an exchange gives: a message for the other end, the keys, or both.
struct AxStep {
  Bytes message;
  std::optional<AxKeys> keys;
};

/// Either end's machine of one exchange, so that its steps can run on a thread of their own: they sign, verify and ask for certificates' status, and
/// the sound does not wait for that. One step at a time.
class AxExchange {
 public:
  /// `party` outlives the object.
  AxExchange(const AxParty& party, AxSession session, Secret wk, AxEnd end) : party_(party), session_(std::move(session)), wk_(std::move(wk)), end_(end) {}

  /// AX1, or nothing for the responder. Once, before anything else.
  Result<AxStep> begin();
  /// The other end's message, in its envelope.
  Result<AxStep> take(ByteView message);

 private:
  const AxParty& party_;
  AxSession session_;
  Secret wk_;  // until begin()
  const AxEnd end_;
  std::optional<AxInitiator> initiator_;
  std::optional<AxResponder> responder_;
  bool answered_ = false;  // responder
};

struct NextKey {
  using Time = std::chrono::steady_clock::time_point;

  SidWk sid_wk;
  AxCarrier carrier;
  KeyEpoch epoch;                             // what the KMS says of the key, once it is here
  std::shared_ptr<AxExchange> exchange = {};  // shared with the thread that runs its steps
  bool message_waits = false;                 // a message is complete, and the key is not here yet or the step before it still runs
  Time begun{};                               // when this end applied for the key
  bool answered = false;                      // caller: AX2 is here, so the session need not be said again
  Time say_again{};                           // caller: when to say the session again
  std::chrono::milliseconds say_interval{};
  std::vector<Bytes> last_words = {};  // caller: AX3, repeated until the callee shows that it has the key
};

}  // namespace qanat::terminal
