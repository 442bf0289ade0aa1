// ACME (RFC 8555) with renewal information (RFC 9773) and profiles, for unmodified clients of others: accounts are bound to a registration by its secret
// (§7.3.4), authorisations are valid at once because the registration allows the names (§7.4.1), and the desk decides about the certificate. No transport
// here: requests in, answers out, from any thread.
#pragma once

#include <atomic>
#include <span>

#include "audit/audit.hpp"
#include "services/cas/acme/acme_settings.hpp"
#include "services/cas/acme/nonces.hpp"
#include "services/cas/acme/payloads.hpp"
#include "services/cas/ceis/desk.hpp"

namespace qanat::cas {

inline constexpr std::string_view acme_prefix = "/acme";

struct AcmeRequest {
  std::vector<std::string> parameters;  // what stands for each "{}" of the resource's pattern
  std::string query;
  std::string content_type;
  Bytes body;
  Deadline deadline;
  std::string request_id;
};

struct AcmeAnswer {
  unsigned status = 200;
  std::string content_type;  // empty: no body
  std::string body;
  std::vector<std::pair<std::string, std::string>> fields{};
};
inline AcmeAnswer json_answer(unsigned status, const wire::Json& body) { return {.status = status, .content_type = "application/json", .body = body.dump()}; }

/// What is durable in the audit record before an answer goes out; a failure refuses the request.
using AcmeRecorder = std::function<Result<void>(const audit::Event&)>;

class Acme {
 public:
  struct Call;
  /// One line of the table of resources.
  struct Resource {
    enum class Signed : std::uint8_t { nobody, account, key, either };
    std::string_view name;  // for the record
    std::string_view method;
    std::string_view pattern;
    Signed signed_by{};
    OrProblem<AcmeAnswer> (Acme::*answer)(const Call&);
  };
  static std::span<const Resource> resources() noexcept;

  /// The desk, the store and the rest outlive it.
  Acme(AcmeSettings settings, Desk& desk, store::Store& store, crypto::Rng& rng, const Clock& clock, AcmeRecorder record);

  /// Blocks: the database, the desk and whom it asks.
  AcmeAnswer answer(const Resource& resource, const AcmeRequest& request);
  /// What is refused before it comes to a resource; blocks on nothing.
  AcmeAnswer refusal(unsigned status, std::string_view why);
  /// Lets go of what has expired: a bounded part at a call, and when all is done nothing for an hour, however often it is called.
  Result<void> keep_house(UnixMs now);

 private:
  // Who is asking, and the request's form (acme.cpp).
  OrProblem<AcmeAnswer> admitted(const Resource& resource, const AcmeRequest& request, std::string& reference);
  OrProblem<AcmeAccount> account_named(std::string_view kid);
  [[nodiscard]] AcmeAnswer finished(AcmeAnswer answer, bool is_directory);
  [[nodiscard]] AcmeAnswer rendered(Problem problem);
  [[nodiscard]] std::string url(std::string_view path) const { return settings_.url + std::string(path); }
  [[nodiscard]] std::string account_url(std::string_view id) const;
  [[nodiscard]] std::string order_url(std::string_view id) const;
  Result<void> record(std::string_view action, const Call& call, std::string_view reference, std::string_view object);

  OrProblem<AcmeAnswer> directory(const Call& call);
  OrProblem<AcmeAnswer> new_nonce(const Call& call);
  OrProblem<AcmeAnswer> new_nonce_head(const Call& call);

  // acme_accounts.cpp
  OrProblem<AcmeAnswer> new_account(const Call& call);
  OrProblem<AcmeAnswer> account(const Call& call);
  OrProblem<AcmeAnswer> key_change(const Call& call);
  OrProblem<AcmeAnswer> orders(const Call& call);
  OrProblem<AcmeAnswer> authorization(const Call& call);
  OrProblem<std::string> bound_reference(const Call& call, const wire::Json& binding);
  [[nodiscard]] AcmeAnswer account_answer(unsigned status, const AcmeAccount& account) const;

  // acme_orders.cpp
  OrProblem<AcmeAnswer> new_order(const Call& call);
  OrProblem<AcmeAnswer> order(const Call& call);
  OrProblem<AcmeAnswer> finalize(const Call& call);
  OrProblem<AcmeAnswer> certificate(const Call& call);
  OrProblem<AcmeOrder> own_order(const Call& call);
  /// In whose name an account orders.
  struct Standing {
    Registration registration;
    Bytes renews;  // DER of a certificate of its that holds; empty: it has none, and orders by the registration's secret
  };
  OrProblem<Standing> standing_of(const AcmeAccount& account);
  Result<std::optional<Standing>> standing_as_holder(const AcmeAccount& account);
  OrProblem<void> check_replaced(const AcmeAccount& account, const OrderRequest& wanted);
  /// Asks the desk about an order in processing, and keeps what it says.
  struct Pursued {
    AcmeOrder order;
    std::chrono::seconds retry_after{};  // while it is in processing
  };
  OrProblem<Pursued> pursue(AcmeOrder order, const Call& call);
  OrProblem<Pursued> take_given(const AcmeOrder& order, const Given& given);
  OrProblem<Pursued> take_refused(const AcmeOrder& order, const Error& error);
  OrProblem<AcmeOrder> reread(std::string_view id);
  [[nodiscard]] AcmeAnswer order_answer(unsigned status, const Pursued& pursued) const;

  // acme_revocation.cpp
  OrProblem<AcmeAnswer> revoke(const Call& call);
  OrProblem<AcmeAnswer> renewal_info(const Call& call);
  OrProblem<void> may_revoke(const Call& call, const crypto::SubjectCertificate& certificate);

  const AcmeSettings settings_;
  Desk& desk_;
  const Clock& clock_;
  const AcmeRecorder record_;
  AcmeRecords records_;
  Nonces nonces_;
  std::atomic<UnixMs> swept_ = 0;
};

/// A request whose sender is known.
struct Acme::Call {
  const AcmeRequest& request;
  std::string url;  // what was signed
  Bytes payload;
  std::optional<AcmeAccount> account;  // valid
  std::optional<wire::PublicJwk> key;  // in place of an account
  std::string& reference;              // of whose registration it is about, as soon as that is known: for the audit record of a refusal
};

}  // namespace qanat::cas
