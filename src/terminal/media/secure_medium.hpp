// A terminal's secure medium: the symmetric keys that its KMS charged, in three sets, each given once. SIM, TF card, software module and PCI card differ in
// capacity and in how they keep their slots (medium_format.hpp); here they are files, and what the hardware would keep from being copied is kept under the
// terminal's crypto device. A copy of the files can be put back: the medium cannot tell, but the KMS has burnt what was used and refuses it.
#pragma once

#include <functional>

#include "crypto/device.hpp"
#include "store/process_lock.hpp"
#include "terminal/media/medium_storage.hpp"

namespace qanat::terminal {

/// A key that has left its medium for good.
struct TakenKey {
  std::uint32_t index = 0;
  Secret key;
  wire::Charged charged{};
};

class SecureMedium {
 public:
  struct Making {
    MediumKind kind = MediumKind::software;
    crypto::SuiteId suite{};
    wire::MediumId id;
    const Secret* transport_key = nullptr;  // absent: it is charged over a wire alone
  };
  /// At manufacture. conflict if there is something at `path`.
  static Result<std::unique_ptr<SecureMedium>> make(const std::filesystem::path& path, const Making& what, crypto::CryptoDevice& device);
  /// Ends what a crash has interrupted. conflict if another process has it open; denied if it was changed or belongs to another crypto device; not_found.
  static Result<std::unique_ptr<SecureMedium>> open(const std::filesystem::path& path, crypto::CryptoDevice& device);

  [[nodiscard]] const wire::MediumId& id() const noexcept { return header_.id; }
  [[nodiscard]] MediumKind kind() const noexcept { return header_.kind; }
  [[nodiscard]] MediumState state() const noexcept { return header_.state; }
  [[nodiscard]] std::uint32_t capacity() const noexcept { return row_of(header_.kind).capacity; }
  [[nodiscard]] std::uint32_t generation() const noexcept { return header_.generation; }
  /// How many keys a charge of this set could bring now.
  [[nodiscard]] std::uint32_t room(wire::KeySet set) const noexcept;
  [[nodiscard]] const SetCursor& cursor(wire::KeySet set) const noexcept { return header_.sets[wire::index_of(set)]; }

  /// A charge over a wire; whole or not at all. denied if the medium is not active, or had one of the indexes before; exhausted if there is no room.
  Result<void> write(const wire::ChargePayload& payload);
  /// A charge by file; a locked medium is active afterwards. conflict if this file, or one that was made after it, was loaded before; denied if it is for
  /// another medium, was changed, or the medium is wiped or has no transport key.
  Result<void> load(const wire::ChargeFile& file);
  /// The next key of the set. That it is used is on the disk before this returns, and then its octets are gone. Nothing if there is none; denied unless active.
  Result<std::optional<TakenKey>> take(wire::KeySet set);
  Result<void> lock();
  /// Destroys the medium's own key first, then every slot.
  Result<void> wipe();

 private:
  SecureMedium(store::ProcessLock lock, std::unique_ptr<MediumStorage> storage, MediumHeader header, Secret key, crypto::CryptoDevice& device)
      : lock_(std::move(lock)), storage_(std::move(storage)), header_(std::move(header)), key_(std::move(key)), device_(device) {}
  [[nodiscard]] Secret slot_key(wire::KeySet set, std::uint32_t index) const;
  [[nodiscard]] Result<void> check_room(const wire::ChargePayload& payload) const;
  /// The keys into their slots, then `changed` in force with the sets' new ends.
  Result<void> write_keys(const wire::ChargePayload& payload, MediumHeader changed);
  Result<void> put_in_force(MediumHeader changed);
  Result<void> erase_used();

  store::ProcessLock lock_;
  std::unique_ptr<MediumStorage> storage_;
  MediumHeader header_;
  Secret key_;  // the medium's own; empty once wiped
  crypto::CryptoDevice& device_;
};

}  // namespace qanat::terminal
