// What is answered to a question about certificates: an answer made ahead where there is one, otherwise one signed for the question.
#pragma once

#include <memory>

#include "node/node.hpp"
#include "services/cas/csp/delegates.hpp"
#include "services/cas/csp/presigned.hpp"
#include "services/cas/csp/status_records.hpp"

namespace qanat::cas {

struct DeskSettings {
  std::chrono::seconds asked_lifetime{60};  // of an answer to a nonce, to several questions, or about an unknown certificate
  std::chrono::seconds presigned_lifetime{3600};
  std::size_t presigned_max = 10'000;  // answers made ahead; one with its responder's certificate has about 9 KiB
};

class StatusDesk {
 public:
  /// CAs before a rollover sign their answers themselves, the others by `delegates`.
  StatusDesk(StatusRecords& records, const Authorities& authorities, const Delegates& delegates, const Clock& clock, DeskSettings settings)
      : records_(records),
        authorities_(authorities),
        delegates_(delegates),
        clock_(clock),
        settings_(settings),
        presigned_(settings.presigned_max) {}

  /// A whole OCSPResponse. `lasting`: made ahead or kept from now on; caches may serve it until its nextUpdate (RFC 5019 §6).
  struct Reply {
    std::shared_ptr<const PresignedAnswer> answer;
    bool lasting = false;
  };
  /// Without any work that takes time: what was made ahead, or a refusal; nothing if the question must be answered by sign().
  std::optional<Reply> ready(ByteView request_der) const;
  /// Looks up and signs. unauthorized, malformedRequest and internalError are replies, too.
  Reply sign(ByteView request_der);
  /// The reply when too many questions wait.
  static Reply try_later();

  /// Makes the answers ahead that are missing or whose time is half over, `most` at a time, and drops those about certificates that have expired; how many
  /// it made or dropped.
  Result<std::size_t> prepare(std::span<const LiveCertificate> live, std::size_t most);
  void forget(Branch branch, std::span<const Bytes> serials) { presigned_.forget(branch, serials); }
  [[nodiscard]] std::size_t prepared() const { return presigned_.size(); }

 private:
  [[nodiscard]] std::optional<Branch> branch_of(const crypto::StatusQuestions& questions) const;
  struct Earlier {
    Branch branch{};
    const Authority* authority = nullptr;
  };
  [[nodiscard]] std::optional<Earlier> earlier_of(const crypto::StatusQuestions& questions) const;
  [[nodiscard]] Result<Reply> sign_as(const Earlier& earlier, const crypto::StatusQuestions& questions) const;
  [[nodiscard]] Result<PresignedAnswer> presign(const PresignedKey& key, const Standing& standing) const;
  Result<Reply> sign_for(const crypto::StatusQuestions& questions, Branch branch);

  StatusRecords& records_;
  const Authorities& authorities_;
  const Delegates& delegates_;
  const Clock& clock_;
  const DeskSettings settings_;
  Presigned presigned_;
};

}  // namespace qanat::cas
