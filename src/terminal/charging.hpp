// Injection over a wire (Km-1): asks the KMS for a charge of this terminal's medium, judges the answer, puts it into the medium and says so. What the KMS wants
// done with the medium instead (lock, wipe) is done: its signature is under it.
#pragma once

#include "terminal/key_client.hpp"
#include "terminal/media/secure_medium.hpp"

namespace qanat::terminal {

using WantedKeys = std::array<std::uint16_t, wire::all_key_sets.size()>;  // by wire::index_of

/// One request. Without network or storage.
class ChargeAsking {
 public:
  /// `distribution`: a key of that set, which protects the answer besides the public keys.
  static Result<ChargeAsking> make(const Applicant& applicant, const wire::MediumId& medium, const WantedKeys& wanted, std::optional<TakenKey> distribution,
                                   UnixMs now, crypto::Rng& rng);
  [[nodiscard]] const Bytes& octets() const noexcept { return request_.octets; }

  struct Answer {
    wire::MediumOrder order = wire::MediumOrder::none;
    wire::ChargeId charge;
    std::optional<wire::ChargePayload> payload;  // exactly if the order is to charge
    Bytes h_deliver;
  };
  /// denied unless `kms` signed it for this request and medium, in its time, and what it seals opens, has no more keys than were asked for, and says truly how
  /// it came.
  Result<Answer> judge(ByteView answer, const node::Sender& kms, UnixMs now) const;
  Result<Bytes> receipt(const Answer& answer, bool ok, crypto::Rng& rng) const;

 private:
  ChargeAsking(const Applicant& applicant, wire::Framed<wire::ChargeRequest> request, crypto::Decapsulator ephemeral, std::optional<TakenKey> distribution)
      : applicant_(applicant), request_(std::move(request)), ephemeral_(std::move(ephemeral)), distribution_(std::move(distribution)) {}
  Result<wire::ChargePayload> open(const wire::Framed<wire::ChargeDeliver>& delivery) const;

  std::reference_wrapper<const Applicant> applicant_;
  wire::Framed<wire::ChargeRequest> request_;
  crypto::Decapsulator ephemeral_;
  std::optional<TakenKey> distribution_;
};

class Charging {
 public:
  struct Parts {
    const Applicant& applicant;
    TerminalStore& store;
    SecureMedium& medium;
    const Clock& clock;
    crypto::Rng& rng;
    SendToKms send;
    CheckKms check_kms;
  };
  explicit Charging(Parts parts) : parts_(std::move(parts)) {}

  struct Outcome {
    wire::MediumOrder order = wire::MediumOrder::none;
    std::optional<wire::Charged> charged;
    std::optional<wire::ChargeOrigin> origin;
    WantedKeys keys{};  // that came
  };
  /// Receipts of earlier charges first. Under a key of the distribution set where the medium has one.
  Result<Outcome> charge(const WantedKeys& wanted, Deadline deadline);
  /// Asks only what the medium is to do, and does it.
  Result<Outcome> obey(Deadline deadline);

 private:
  Result<Outcome> ask(const node::Sender& kms, const WantedKeys& wanted, std::optional<TakenKey> distribution, Deadline deadline);
  Result<void> send_receipts(Deadline deadline);

  Parts parts_;
};

}  // namespace qanat::terminal
