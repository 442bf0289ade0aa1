// The desk (desk.hpp) over cas.db: registrations, IAM's word, profile, names, approval, lint; the intention durable before the signature, the certificate
// durable before it is handed out.
#pragma once

#include "services/cas/ceis/desk.hpp"
#include "services/cas/ceis/refusals.hpp"
#include "services/cas/ceis/registrations.hpp"

namespace qanat::cas {

/// What the desk needs of others.
struct DeskLinks {
  Vouch vouch;
  std::function<void()> issued;                                 // certificates were issued (Csp::issued)
  std::function<Result<void>(std::span<const Bytes>)> revoked;  // serials of certificates whose revocation is durable (Csp::revoked)
};

/// Of orders that wait for operators.
struct ApprovalTimes {
  std::chrono::seconds retry_after{};  // the asker asks again
  std::chrono::seconds expire{};       // nobody approves it any more
};

/// The device CA and the one that waits; where none waits, the one before and the present one, until the one before is over.
std::optional<Succession> succession_at(const Authorities& authorities, UnixMs now);

class FrontDesk final : public Desk {
 public:
  FrontDesk(node::Node& node, Records& records, const Authorities& authorities, std::string status_url, ApprovalTimes approval, DeskLinks links);

  Result<Registration> registration(std::string_view reference) override;
  Result<Secret> secret_of(std::string_view reference) override;
  Result<Registration> holder_of(ByteView certificate_der) override;
  Result<Outcome> order(const Asked& asked, Deadline deadline, const std::string& request_id) override;
  Result<Outcome> collect(std::string_view ticket) override;
  Result<void> revoke(ByteView certificate_der, int reason, std::string_view by, const std::string& request_id) override;
  Result<Bytes> find(ByteView serial) override;
  void refused(Protocol protocol, std::string_view reference, std::string_view why, const std::string& request_id) override;
  [[nodiscard]] std::vector<Bytes> ca_chain(Branch branch) const override;
  [[nodiscard]] std::optional<Succession> succession() const override;
  [[nodiscard]] Branch branch_for(crypto::SubjectAlgorithm algorithm) const noexcept override;

  /// Rejects the orders whose time is over, on record. Before anything is made of one that waits, so that none of them is seen waiting.
  Result<void> expire_orders();

  // For operators (registration_front.hpp).
  [[nodiscard]] Registrations& registrations() noexcept { return registrations_; }
  [[nodiscard]] HeldOrders& orders() noexcept { return orders_; }
  [[nodiscard]] SubjectRecords& certificates() noexcept { return certificates_; }
  [[nodiscard]] Result<void> vouch(const Uid& subject, Deadline deadline, const std::string& request_id) { return links_.vouch(subject, deadline, request_id); }
  /// Issues what was approved. The serial.
  Result<Bytes> issue_approved(const HeldOrder& order, Deadline deadline, const std::string& request_id);

  void start() { refusals_.start(); }
  void stop() { refusals_.stop(); }
  [[nodiscard]] Refusals& refusals() noexcept { return refusals_; }

 private:
  /// An order that has passed the rules.
  struct Passed {
    Registration registration;
    crypto::AskedNames names;  // of the certificate
    Bytes hash;
    Bytes related;  // RFC 9763
  };
  /// For the audit record.
  struct Trail {
    std::string who;  // where the subject is not known
    std::optional<Uid> subject;
    std::string object;
  };
  Result<Outcome> decide(const Asked& asked, Deadline deadline, const std::string& request_id, Trail& trail);
  Result<void> check(const Asked& asked, Passed& passed);
  Result<HeldOrder> hold(const Asked& asked, const Passed& passed, Deadline deadline, const std::string& request_id);
  Result<SubjectCertificateRow> issue(const Asked& asked, const Passed& passed, UnixMs now);
  Result<Bytes> sign(const Asked& asked, const Passed& passed, const Intention& intention) const;
  [[nodiscard]] Result<Given> given(const SubjectCertificateRow& row, UnixMs now) const;
  [[nodiscard]] std::vector<Bytes> chain_of(Branch branch, std::int64_t generation) const;
  Result<SubjectCertificateRow> row_of(ByteView certificate_der);
  /// On record; the failure to record is the answer instead.
  Result<Outcome> record(const Trail& trail, Result<Outcome> outcome, const std::string& request_id);

  node::Node& node_;
  Records& records_;
  const Authorities& authorities_;
  const std::string status_url_;
  const ApprovalTimes approval_;
  const DeskLinks links_;
  Registrations registrations_;
  HeldOrders orders_;
  SubjectRecords certificates_;
  Refusals refusals_;
};

/// CRLReasons that an operator or a holder can give, by their names in RFC 5280 §5.3.1. Neither holds (certificateHold) nor those of CAs are among them.
struct RevocationReason {
  std::string_view name;
  int code;
};
std::span<const RevocationReason> all_revocation_reasons() noexcept;

}  // namespace qanat::cas
