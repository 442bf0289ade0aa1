// What is answered to a question about certificates: an answer made ahead where there is one, otherwise one signed for the question. And what servers of this
// process staple to the certificates that they show.
#pragma once

#include <memory>
#include <mutex>

#include "net/tls.hpp"
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
  /// What a server of this process staples to this certificate (RFC 6066 §8): an answer made ahead that says good and still holds, otherwise nothing. It is
  /// kept apart from what others ask for, as long as somebody has the function. Made at once; if that fails, by renew_staples().
  net::Staple staple(Branch branch, Bytes serial);
  /// Makes the answers to staple that are missing or whose time is half over. What is no longer good gets none.
  Result<void> renew_staples();

  /// Forgets what is said about these certificates, stapled answers included.
  void forget(Branch branch, std::span<const Bytes> serials);
  [[nodiscard]] std::size_t prepared() const { return presigned_.size(); }

 private:
  /// An answer about a certificate that a server shows.
  struct Stapled {
    explicit Stapled(PresignedKey about) : key(std::move(about)) {}
    const PresignedKey key;
    Presigned answers{1};
  };
  [[nodiscard]] std::vector<std::shared_ptr<Stapled>> stapled();
  Result<void> renew(Stapled& stapled) const;

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
  std::mutex stapled_mutex_;
  std::vector<std::weak_ptr<Stapled>> stapled_;  // under stapled_mutex_; owned by those who staple
};

}  // namespace qanat::cas
