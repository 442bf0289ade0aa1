// How an element gets its certificates from CAS by EST (RFC 7030): the first by its one-time secret, the next ones by those in force.
#pragma once

#include <filesystem>
#include <functional>

#include "crypto/random.hpp"
#include "net/client.hpp"
#include "node/credentials.hpp"
#include "points/points.hpp"

namespace qanat::node {

/// Who asks, and what it judges the answers by.
struct EstCaller {
  const Identity& identity;
  const crypto::TrustStore& trust;
  const Clock& clock;
  crypto::Rng& rng;
};

/// The Ce-1, Ce-4 or X-4 rows of this kind of element.
points::Endpoint enrol_endpoint(Kind kind) noexcept;
points::Endpoint reenrol_endpoint(Kind kind) noexcept;

/// The certificate in the answer to one simpleenroll or simplereenroll (RFC 7030 §4.2.3).
Result<crypto::Certificate> read_est_answer(const net::Response& response);

/// The certificate and the issuing CA above it; `denied` unless it holds at `now` and one of the trust folder's issuing CAs issued it.
Result<std::vector<crypto::Certificate>> issued_chain(const crypto::TrustStore& trust, const crypto::Certificate& leaf, UnixMs now);

/// Whether CAS would refuse the same request again: `unauthenticated` is of the connection, not of the request.
bool is_final_refusal(ErrorCode code) noexcept;

/// First enrolment: keys and requests from the store (durable before anything is sent), the certificates into it. `cas` is an anonymous connection: it
/// authenticates CAS alone. `secret_file` holds the 64 hexadecimal digits. When the certificates are stored, conclude_enrolment() is still to be called.
Result<void> enrol_by_secret(const EstCaller& caller, CredentialStore& store, net::Client& cas, const std::filesystem::path& secret_file, Deadline deadline);

/// After an enrolment, of this run or of one that died over it: records it, deletes the secret that it spent (another one in this file stays). Concluded
/// already: nothing. It is recorded twice if the process dies after `record` has returned.
Result<void> conclude_enrolment(CredentialStore& store, const std::filesystem::path& secret_file, const std::function<Result<void>()>& record);

/// Renewal with new keys over a connection that shows the certificate in force. When it returns, the new ones stand in the store as those in force. After a
/// refusal that would be the same next time, the next attempt makes other keys.
Result<void> renew_by_certificate(const EstCaller& caller, CredentialStore& store, net::Client& cas, Deadline deadline);

}  // namespace qanat::node
