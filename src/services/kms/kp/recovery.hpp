// Orders about a terminal's private encryption keys in the history library, where kms.history keeps them: to recover one, or to destroy it. Only what two
// operators have signed happens, once (a key goes to a recipient that both of them saw named), and all of it is on record. Working keys cannot be had: no library
// keeps them.
#pragma once

#include "node/node.hpp"
#include "node/recorded.hpp"
#include "services/kms/kp/encryption_pairs.hpp"
#include "services/kms/kp/history_keys.hpp"

namespace qanat::kms {

inline constexpr std::size_t recovery_signatures = 2;     // of different operators
inline constexpr UnixMs recovery_life_ms = 3'600'000;     // of an order
inline constexpr std::size_t recovery_open_max = 16;      // orders that wait

class Recovery {
 public:
  Recovery(node::Node& node, store::Store& store, PoolKeys& keys, HistoryPolicyNow policy)
      : node_(node), store_(store), keys_(keys), policy_(std::move(policy)) {}

  /// x5_recovery, by an operator. Where the policy in force keeps no keys, none is asked for or collected; one that is there may be destroyed:
  ///   {"op": "history", "uid"} → {"keys": [{"enc_kid", "number", "since_ms", "ended_ms", "why", "recoverable", "commitment", "destroyed_ms", "destroyed_why"}]}
  ///   {"op": "ask", "uid", "enc_kid", "reason", "ephemeral": {"point", "ml_kem"}} → {"order", "statement"}: the text that operators sign
  ///   {"op": "destroy", "uid", "enc_kid", "reason"} → {"order", "statement"}: the same; nothing is collected, the second signature destroys
  ///   {"op": "show", "order"} → {"statement", "signed_by"}
  ///   {"op": "sign", "order", "signature"} → {"signed_by"}: the ML-DSA key of the operator's certificate over the statement; {"signed_by", "destroyed"} where this
  ///                                          signature has destroyed a key: the commitment that stays of it, "" where none was made
  ///   {"op": "collect", "order"} → {"message"}: an order to recover, by who asked, once: EnrolDeliver (wire/qfc2_enrol.hpp) to the ephemeral key, with the digest of the statement in the
  ///                                place of that of an Enrol message
  Result<net::Response> answer(const net::Request& request);

 private:
  struct Order;
  enum class Purpose : std::uint8_t { recover, destroy };
  Result<net::Response> history(const wire::Json& json, node::Deed& deed);
  Result<net::Response> ask(const wire::Json& json, const net::Request& request, node::Deed& deed, Purpose purpose);
  Result<net::Response> show(const wire::Json& json, node::Deed& deed);
  Result<net::Response> sign(const wire::Json& json, const net::Request& request, node::Deed& deed);
  Result<net::Response> collect(const wire::Json& json, const net::Request& request, node::Deed& deed);
  /// `denied` if its row says something else than what is signed, or a signature does not hold.
  Result<Order> open_order(store::Transaction& transaction, const wire::Json& json);
  Result<void> check_statement(const Order& order) const;
  Result<std::string> signer_of(const Order& order, std::string_view by, ByteView certificate, ByteView signature) const;
  /// The key of an order to destroy that has its signatures; what is owed to the record, under this id.
  Result<ErasedKey> destroy(store::Transaction& transaction, const Order& order, const OwedId& owed_id);
  Result<Bytes> deliver(const Order& order, const crypto::DecapsulationSecret& secret);

  node::Node& node_;
  store::Store& store_;
  PoolKeys& keys_;
  const HistoryPolicyNow policy_;
};

/// What two operators sign: it names the KMS, the key, why, and to whom it goes.
std::string recovery_statement(const Identity& kms, ByteView order, const Uid& uid, ByteView enc_kid, std::string_view reason, std::string_view asked_by,
                               const crypto::EncapsulationKey& recipient, UnixMs made_ms);
std::string destruction_statement(const Identity& kms, ByteView order, const Uid& uid, ByteView enc_kid, std::string_view reason, std::string_view asked_by,
                                  UnixMs made_ms);

}  // namespace qanat::kms
