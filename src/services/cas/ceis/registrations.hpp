// Registrations and the orders that wait for approval, in cas.db.
#pragma once

#include "crypto/device.hpp"
#include "services/cas/ceis/desk.hpp"
#include "store/store.hpp"

namespace qanat::cas {

inline constexpr std::size_t approvals_wanted = 2;
inline constexpr std::int64_t waiting_orders_max = 8;  // of one registration

class Registrations {
 public:
  Registrations(store::Store& store, crypto::CryptoDevice& device) : store_(store), device_(device) {}

  Result<void> create(const Registration& registration, const Secret& secret);
  /// Whether it is over or not; `not_found` if there is none.
  Result<Registration> find(std::string_view reference);
  Result<Secret> secret(std::string_view reference);
  /// The second time does nothing.
  Result<void> close(std::string_view reference, std::string_view by, UnixMs now);
  /// In the order of their references, those behind `after`.
  Result<std::vector<Registration>> list(std::string_view after, std::int64_t limit);

 private:
  store::Store& store_;
  crypto::CryptoDevice& device_;
};

enum class OrderState : std::uint8_t { waiting, approved, rejected };
std::string_view name(OrderState state) noexcept;

/// An order of a registration with four eyes.
struct HeldOrder {
  std::string ticket;
  std::string reference;
  Bytes request_hash;  // the desk's own
  Protocol protocol{};
  Bytes public_key;  // SubjectPublicKeyInfo
  crypto::AskedNames names;
  Possession possession{};
  Bytes renews;
  OrderState state{};
  std::string why;
  UnixMs made_ms = 0;
  std::vector<std::string> approved_by;  // operators, in the order of time
};

class HeldOrders {
 public:
  explicit HeldOrders(store::Store& store) : store_(store) {}

  /// The order as it stands if the same request is there already; `exhausted` if too many of its registration wait.
  Result<HeldOrder> enter(const HeldOrder& order, UnixMs now);
  Result<HeldOrder> find(std::string_view ticket);
  Result<std::optional<HeldOrder>> of_request(ByteView request_hash);
  /// The latest first.
  Result<std::vector<HeldOrder>> list(std::optional<OrderState> state, std::int64_t limit);
  /// `denied` if `by` made the registration; `conflict` if the order was rejected, or `by` has approved it before. Approved with the second one.
  Result<HeldOrder> approve(std::string_view ticket, std::string_view by, UnixMs now);
  /// By anyone, the maker too. `conflict` if it was approved.
  Result<HeldOrder> reject(std::string_view ticket, std::string_view why, UnixMs now);
  /// Rejects all that were made at `made_until` or before and still wait. Those.
  Result<std::vector<HeldOrder>> reject_older(UnixMs made_until, std::string_view why, UnixMs now);

 private:
  store::Store& store_;
};

/// How a certificate of a subject stands.
struct SubjectCertificateRow {
  Intention intention;
  std::int64_t generation = 0;  // of its issuing CA, once it is issued
  std::string identity;         // "subject:…", or an element's URI
  std::string registration;     // empty for elements'
  bool issued = false;
  bool abandoned = false;
  Bytes der;
  bool revoked = false;
};

struct SubjectIssuance {
  std::string identity;
  std::string registration;
  Bytes request_hash;
  std::optional<std::int64_t> live_max = {};  // how many live certificates the registration may have beside it; absent: any number
  Intention intention;
};

class SubjectRecords {
 public:
  explicit SubjectRecords(store::Store& store) : store_(store) {}

  Result<std::optional<SubjectCertificateRow>> of_request(ByteView request_hash);
  Result<std::optional<SubjectCertificateRow>> of_serial(ByteView serial);
  /// The latest first.
  Result<std::vector<SubjectCertificateRow>> of_registration(std::string_view reference, std::int64_t limit);
  /// What is recorded for this request, or the intention, durable. `conflict`: a live certificate stands in the way, or too many do; `denied`: the key is
  /// another's (Records::check_key).
  Result<SubjectCertificateRow> intend(const SubjectIssuance& issuance, UnixMs now);
  /// Whoever comes first wins; the answer is what stands in the record. `conflict` if the request was given up.
  Result<SubjectCertificateRow> complete(ByteView request_hash, ByteView serial, ByteView der);

 private:
  store::Store& store_;
};

}  // namespace qanat::cas
