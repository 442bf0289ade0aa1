// ETSI GS QKD 020, the interface between key managers of different makers at one trusted site, as the drafts 0.4.1 to 0.6.2 have it (the published text was
// not available: docs/standards.md): keys come in for SAEs that are served here, are acknowledged at the address that came with them, and may be voided; and
// acknowledgements come in for keys that went out (etsi020_client.hpp writes those).
#pragma once

#include "kme/sae_registry.hpp"
#include "net/foreign.hpp"

namespace qanat::kme::etsi020 {

struct ExtKeys {
  std::vector<Key> keys;
  SaeId initiator;
  std::vector<SaeId> targets;
  std::string ack_callback_url;
};
/// Takes the keys' octets out of `body`, in which they are then overwritten. invalid_argument: malformed, no key, no target, a mandatory extension (none is
/// supported).
Result<ExtKeys> read_ext_keys(std::span<std::uint8_t> body, const Limits& limits);

struct VoidRequest {
  SaeId initiator;
  std::vector<KeyId> ids;  // empty: all of the initiator's
};
/// Without key_ids only with "all_confirmation": true.
Result<VoidRequest> read_void(ByteView body);

enum class AckStatus : std::uint8_t { relayed, voided, failed, not_present, failed_to_void };

/// What became of keys, for one target.
struct Ack {
  std::vector<KeyId> ids;
  AckStatus status{};
  SaeId initiator;
  SaeId target;
  std::string message;  // cut to 200 characters of printable ASCII
};
/// The array of acknowledgements at our callback address: 1 to 64 of 1 to 1024 keys each, an id twice in one refused; members that are not known are passed
/// over.
Result<std::vector<Ack>> read_acks(ByteView body);
/// The array of one acknowledgement for one target.
std::string render_ack(std::span<const KeyId> ids, AckStatus status, const SaeId& initiator, const SaeId& target, std::string_view message);
/// {type, status, title, details} (0.6.x).
std::string render_error(unsigned status, std::string_view details);

/// Posts `body` to the other key manager's callback address; called on an io thread, must not block.
using SendAck = std::function<void(const std::string& kme, const std::string& url, std::string body)>;

/// What another key manager says of keys that this one brought to it; returns at once, `done` when the consequences are durable.
using TakeAcks = std::function<void(const std::string& kme, std::vector<Ack> acks, Done<void> done)>;

/// POST /kmapi/v1/ext_keys, …/ext_keys/ack, …/ext_keys/void, GET /kmapi/versions. The caller is a key manager that the registry names for SAEs of its own:
/// it may bring keys of their initiative alone, and acknowledge for them alone.
net::ForeignService make_service(Provider& provider, const SaeRegistry& registry, SendAck ack, TakeAcks take_acks);

}  // namespace qanat::kme::etsi020
