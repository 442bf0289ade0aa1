// KIM's stock: the secure media of this domain's terminals and the symmetric keys charged into them, as the KMS has them: sealed, each used once. Every change
// is inside the caller's transaction. A key's octets leave the database with its use, and with those of every key of a lower index: what lies between is burnt.
#pragma once

#include <optional>

#include "base/clock.hpp"
#include "crypto/device.hpp"
#include "store/store.hpp"
#include "wire/charge.hpp"

namespace qanat::kms {

enum class MediumState : std::uint8_t {
  active,
  locked,  // its keys are kept and none is accepted, until two operators charge it by file again. One without a transport key stays so: it is wiped, and the
           // terminal gets another
  wiped,   // for good: its keys are gone
};
std::string_view name(MediumState state) noexcept;

struct Medium {
  wire::MediumId id;
  Uid uid;           // of the terminal that it belongs to
  std::string kind;  // "sim", "tf-card", "software", "pci-card": as registered
  MediumState state = MediumState::active;
  bool by_file = false;          // it has a transport key
  std::uint32_t generation = 0;  // of the transport key
};
using SetCounts = std::array<std::uint16_t, wire::all_key_sets.size()>;  // by wire::index_of

struct MediumStock {
  Medium medium;
  std::array<std::int64_t, wire::all_key_sets.size()> keys{};  // that the KMS still accepts
  std::int64_t counting = 0;                                   // of the call set: those that never leaned on public keys
};

/// A charged key, as it is looked at before the sender has proved that he has it too.
struct ChargedKey {
  Secret key;
  wire::Charged charged{};
};

/// What a charged key's sealed column is bound to.
Bytes charged_key_context(const wire::MediumId& medium, wire::KeySet set, std::uint32_t index);
/// Wipes the terminal's medium that is not wiped; which one, if there was one.
Result<std::optional<wire::MediumId>> wipe_medium_of(store::Transaction& transaction, const Uid& uid);
/// A charge by file was approved for one of the terminal's media, be it wiped since: no message takes that back.
Result<bool> was_charged_by_file(store::Transaction& transaction, const Uid& uid);

inline constexpr std::int64_t stock_of_set_max = 65536;  // keys of one set of one medium that wait to be used

class Stock {
 public:
  /// `device`: a pool key's (kp/pool_keys.hpp).
  explicit Stock(crypto::CryptoDevice& device) : device_(device) {}

  /// `transport_key` absent: it is charged over a wire alone. conflict if the medium is known, or the terminal has another one that is not wiped.
  Result<void> add(store::Transaction& transaction, const Medium& medium, const Secret* transport_key, std::string_view by, UnixMs now);
  Result<std::optional<Medium>> find(store::Transaction& transaction, const wire::MediumId& id);
  /// The one that is not wiped.
  Result<std::optional<Medium>> of_terminal(store::Transaction& transaction, const Uid& uid);
  /// The latest `limit`.
  Result<std::vector<MediumStock>> list(store::Transaction& transaction, std::int64_t limit);
  /// Wiping destroys every key of the medium, and its transport key. conflict if it is wiped already and `to` is another state.
  Result<void> set_state(store::Transaction& transaction, const Medium& medium, MediumState to);

  // What charge() would refuse, before anything is drawn for it.
  /// denied unless it is. In the transaction in which its keys move: it may have been locked or wiped since it was looked at.
  Result<void> check_active(store::Transaction& transaction, const wire::MediumId& medium);
  /// exhausted if a set would hold more than stock_of_set_max.
  Result<void> check_room(store::Transaction& transaction, const wire::MediumId& medium, const SetCounts& counts);
  /// Puts new keys under indexes that the medium never had. denied unless it is active, exhausted if a set would hold more than stock_of_set_max. `keys` are
  /// taken in the order of the sets.
  Result<wire::ChargePayload> charge(store::Transaction& transaction, const Medium& medium, const wire::ChargeId& charge, const SetCounts& counts,
                                     wire::Charged charged, wire::ChargeOrigin origin, std::vector<Secret> keys);
  /// The transport key of the medium's generation; from now on the medium has the next.
  Result<Secret> spend_transport_key(store::Transaction& transaction, const crypto::Suite& suite, const Medium& medium);

  /// conflict if the index is used or burnt; not_found if there never was one.
  Result<ChargedKey> look(store::Transaction& transaction, const Medium& medium, wire::KeySet set, std::uint32_t index);
  /// The key of this index is used: it and every key before it are gone. conflict if it is already; denied unless the medium is active.
  Result<void> burn(store::Transaction& transaction, const Medium& medium, wire::KeySet set, std::uint32_t index);

 private:
  struct Cursor {
    std::int64_t next = 0;  // the least index that is accepted
    std::int64_t free = 0;  // the least index that was never charged
  };
  Result<Cursor> cursor(store::Transaction& transaction, const wire::MediumId& medium, wire::KeySet set);

  crypto::CryptoDevice& device_;
};

}  // namespace qanat::kms
