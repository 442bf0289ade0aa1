// Steps 4 and 11 over Km-1: applies to this terminal's KMS until it has a key that fits, or a final refusal.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>

#include "points/points.hpp"
#include "terminal/key_delivery.hpp"
#include "terminal/terminal_store.hpp"

namespace qanat::terminal {

/// Sends one message to the KMS on Km-1 and returns its answer.
using SendToKms = std::function<Result<Bytes>(points::Endpoint endpoint, ByteView message, Deadline deadline)>;
/// The KMS by its pinned certificates, as good now (chain, validity, status) as when they were pinned.
using CheckKms = std::function<Result<std::shared_ptr<const node::Sender>>(Deadline deadline)>;

class KeyClient final : public KeySource {
 public:
  struct Parts {
    const Applicant& applicant;
    TerminalStore& store;
    const Clock& clock;
    crypto::Rng& rng;
    SendToKms send;
    CheckKms check_kms;
    CallObserver observe;  // steps 4 and 11 as they happen
    SecureMedium* medium = nullptr;  // whose keys go into the applications; absent: there is none, or it is locked or wiped
    bool charged_required = false;   // no application goes without a charged key that counts
    bool symmetric_mode = false;     // prove a key of the authentication set as well where the KMS could not check the certificates
    std::function<bool()> status_unknown = {};       // a certificate was accepted whose status could not be had: from then on nothing goes without a charged key
    std::atomic<bool>* peer_known = nullptr;         // set once a delivery under a charged key has named the peer's certificates
  };
  explicit KeyClient(Parts parts) : parts_(std::move(parts)) {}

  /// Where the KMS has no key just now it is asked again with a fresh application until the deadline, or until four charged keys are spent on it; where no
  /// answer came, with the same one first.
  Result<WorkingKey> fetch(const KeyWanted& wanted, Deadline deadline, const std::stop_token& stop) override;
  void acknowledge(const Bytes& h_deliver, Deadline deadline) override;

 private:
  enum class Proof : std::uint8_t { certificates, and_charged_key };
  /// What one fetch has behind it; gone with it, and so are the keys of an application that was not answered.
  struct Fetching {
    const KeyWanted& wanted;
    Deadline deadline;
    std::optional<KeyApplication> unanswered = {};  // sent, or to be sent, and not answered
    bool under_charged_key = false;                 // the last application that was made
    int charged = 0;                                // how many were
  };
  Result<WorkingKey> attempt(Fetching& fetching, Proof proof);
  Result<ApplicationKeys> take_keys(Proof proof);
  Result<std::optional<TakenKey>> take_call_key();
  Result<void> make_application(Fetching& fetching, Proof proof);
  void send_acknowledgement(const KeyApplication& application, const Bytes& h_deliver, bool ok, Deadline deadline);

  Parts parts_;
  std::optional<KeyApplication> delivered_;  // the application that brought the key, for its acknowledgement
};

}  // namespace qanat::terminal
