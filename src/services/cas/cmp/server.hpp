// CMP (RFC 9810, lightweight profile RFC 9483) before the desk: who asks is known by a registration's secret or a certificate that was issued here; the desk
// decides what they get. Without HTTP, which is in service.hpp.
#pragma once

#include <functional>
#include <memory>

#include "crypto/cmp_answer.hpp"
#include "services/cas/ceis/desk.hpp"
#include "services/cas/cmp/settings.hpp"
#include "services/cas/csp/status_records.hpp"

namespace qanat::cas {

/// With which of the signers' keys an answer is signed: the kind that the client showed that it can verify.
enum class CmpSignerKind : std::uint8_t { ml_dsa, ecdsa };
inline constexpr std::array all_cmp_signers{CmpSignerKind::ml_dsa, CmpSignerKind::ecdsa};

/// What the server works with; what it refers to outlives it.
struct CmpParts {
  Desk& desk;
  CmpRecords& records;
  const Clock& clock;
  crypto::Rng& rng;
  std::function<Result<std::shared_ptr<const crypto::CmpSigner>>(CmpSignerKind)> signer;  // shared: the signer may be renewed meanwhile
  std::function<std::shared_ptr<const PublishedList>(Branch, std::string_view scope)> list;  // shared with who keeps them; nullptr: none
};

struct CmpCall {
  std::string profile = {};  // named by the path (RFC 9811 §3.3); empty: none
  Deadline deadline;
  std::string request_id;
};

class CmpServer {
 public:
  CmpServer(CmpParts parts, CmpSettings settings) : parts_(std::move(parts)), settings_(settings) {}

  /// The answer, a PKIMessage: refusals are answers too. Fails only where there is none to give: invalid_argument for octets that are no PKIMessage, other
  /// codes where no key to answer with was to be had. From any thread.
  Result<Bytes> answer(ByteView message, const CmpCall& call);

  /// Revokes what was not confirmed in time, and forgets what is over. True if there may be more to do at once.
  Result<bool> sweep();

 private:
  Result<void> end(CmpTransaction transaction);

  const CmpParts parts_;
  const CmpSettings settings_;
};

}  // namespace qanat::cas
