#include "terminal/media/secure_medium.hpp"

#include <algorithm>

#include "crypto/aead.hpp"
#include "crypto/kdf.hpp"
#include "node/crash_point.hpp"
#include "wire/injection.hpp"

namespace qanat::terminal {
namespace {

constexpr std::size_t medium_key_size = 32;
constexpr crypto::Hash medium_hash = crypto::Hash::sha256;
constexpr std::string_view header_label = "qanat medium header";
constexpr std::string_view slot_label = "qanat medium slot";

std::unexpected<Error> medium_fails(ErrorCode code, const std::string& why) { return fail(code, "medium: " + why); }

Bytes sealed_context(std::string_view what, const wire::MediumId& id) { return concat({as_bytes("medium."), as_bytes(what), as_bytes("/"), id.view()}); }

Bytes mac_of(const Secret& key, ByteView octets) {
  return crypto::hmac(medium_hash, crypto::hkdf_expand(medium_hash, key, {as_bytes(header_label)}, medium_key_size), {octets});
}

/// What else is bound to a key's place.
Bytes slot_context(const wire::MediumId& id, wire::KeySet set, std::uint32_t index, wire::Charged charged) {
  return concat({id.view(), Bytes{static_cast<std::uint8_t>(set), static_cast<std::uint8_t>(charged)}, wire::index_octets(index)});
}

struct InForce {
  MediumHeader header;
  Secret key;
};

/// The copy with the higher sequence whose MAC holds: the other one is older, or was being written when the process died. A wiped medium has no key left that a
/// MAC could hold under, and nothing that it could protect.
Result<InForce> header_in_force(MediumStorage& storage, crypto::CryptoDevice& device) {
  std::optional<InForce> best;
  std::optional<Error> first;
  for (const std::size_t copy : {std::size_t{0}, std::size_t{1}}) {
    ASSIGN_OR_RETURN(const Bytes block, storage.read_header(copy));
    const auto parsed = parse_header_block(block);
    if (!parsed) {
      if (!first) first = parsed.error();
      continue;
    }
    const MediumHeader& header = parsed->header;
    if (best && best->header.sequence >= header.sequence) continue;
    Secret key;
    if (header.state != MediumState::wiped) {
      auto own = device.unseal(sealed_context("key", header.id), header.sealed_key);
      if (!own && own.error().code != ErrorCode::denied) return fail(own.error());
      ASSIGN_OR_RETURN(const Bytes octets, header_octets(header));
      if (!own || own->size() != medium_key_size || !equal_constant_time(parsed->mac, mac_of(*own, octets))) {
        first = Error{ErrorCode::denied, "medium: its header was changed, or it belongs to another terminal"};
        continue;
      }
      key = std::move(*own);
    }
    best = InForce{.header = header, .key = std::move(key)};
  }
  if (!best) return fail(first ? *first : Error{ErrorCode::internal, "medium: no header"});
  return Result<InForce>(std::move(*best));
}

}  // namespace

Result<std::unique_ptr<SecureMedium>> SecureMedium::make(const std::filesystem::path& path, const Making& what, crypto::CryptoDevice& device) {
  ASSIGN_OR_RETURN(auto lock, store::ProcessLock::acquire(path));
  ASSIGN_OR_RETURN(Secret key, device.random(medium_key_size));
  MediumHeader header{.kind = what.kind,
                      .state = MediumState::active,
                      .suite = what.suite,
                      .id = what.id,
                      .sequence = 0,
                      .generation = 0,
                      .sets = {},
                      .sealed_key = {},
                      .sealed_transport = {}};
  ASSIGN_OR_RETURN(header.sealed_key, device.seal(sealed_context("key", what.id), key));
  if (what.transport_key != nullptr) {
    CHECK(what.transport_key->size() == wire::transport_key_size);
    ASSIGN_OR_RETURN(header.sealed_transport, device.seal(sealed_context("transport", what.id), *what.transport_key));
  }
  ASSIGN_OR_RETURN(auto storage, make_medium_storage(path, row_of(what.kind)));
  auto out = std::unique_ptr<SecureMedium>(new SecureMedium(std::move(lock), std::move(storage), header, std::move(key), device));
  TRY(out->put_in_force(header));
  return Result<std::unique_ptr<SecureMedium>>(std::move(out));
}

Result<std::unique_ptr<SecureMedium>> SecureMedium::open(const std::filesystem::path& path, crypto::CryptoDevice& device) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return medium_fails(ErrorCode::not_found, path.string() + ": is not there");
  ASSIGN_OR_RETURN(auto lock, store::ProcessLock::acquire(path));
  ASSIGN_OR_RETURN(auto storage, open_medium_storage(path));
  auto found = header_in_force(*storage, device);
  if (!found) return fail_in(path.string(), found.error());
  auto out = std::unique_ptr<SecureMedium>(new SecureMedium(std::move(lock), std::move(storage), std::move(found->header), std::move(found->key), device));
  if (out->state() == MediumState::wiped) {
    TRY(out->wipe());
  } else {
    TRY(out->erase_used());
  }
  return Result<std::unique_ptr<SecureMedium>>(std::move(out));
}

std::uint32_t SecureMedium::room(wire::KeySet set) const noexcept {
  const SetCursor& at = cursor(set);
  return capacity() - std::min(capacity(), at.end - at.next);
}

Secret SecureMedium::slot_key(wire::KeySet set, std::uint32_t index) const {
  return crypto::hkdf_expand(medium_hash, key_, {as_bytes(slot_label), Bytes{static_cast<std::uint8_t>(set)}, wire::index_octets(index)},
                             crypto::key_size(crypto::Aead::aes_256_gcm));
}

Result<void> SecureMedium::put_in_force(MediumHeader changed) {
  changed.sequence = header_.sequence + 1;
  ASSIGN_OR_RETURN(const Bytes octets, header_octets(changed));
  ASSIGN_OR_RETURN(const Bytes block, encode_header_block(changed, changed.state == MediumState::wiped ? Bytes(header_mac_size) : mac_of(key_, octets)));
  TRY(storage_->write_header(changed.sequence % 2, block));
  header_ = std::move(changed);
  return {};
}

Result<void> SecureMedium::erase_used() {
  for (const wire::KeySet set : wire::all_key_sets) {
    SetCursor& at = header_.sets[wire::index_of(set)];
    TRY(storage_->erase(set, at.erased, at.next));
    at.erased = at.next;  // on the disk with the next change
  }
  return {};
}

Result<void> SecureMedium::check_room(const wire::ChargePayload& payload) const {
  for (const wire::KeySet set : wire::all_key_sets) {
    const wire::ChargedKeys& keys = payload.of(set);
    if (keys.keys.empty()) continue;
    const SetCursor& at = cursor(set);
    const std::string which = "the " + std::string(wire::name(set)) + " set";
    if (keys.first < at.end) return medium_fails(ErrorCode::denied, which + " had index " + std::to_string(keys.first) + " before");
    const std::uint32_t oldest = at.next == at.end ? keys.first : at.next;
    if (keys.first + keys.keys.size() - oldest > capacity())
      return medium_fails(ErrorCode::exhausted, which + " has no room: it holds " + std::to_string(capacity()) + " keys");
  }
  return {};
}

Result<void> SecureMedium::write_keys(const wire::ChargePayload& payload, MediumHeader changed) {
  TRY(check_room(payload));
  for (const wire::KeySet set : wire::all_key_sets) {
    const wire::ChargedKeys& keys = payload.of(set);
    if (keys.keys.empty()) continue;
    std::uint32_t index = keys.first;
    for (const Secret& key : keys.keys) {
      // The key under which this one is sealed belongs to its index, and an index is written once: hence the zero nonce.
      Slot slot{.index = index, .charged = payload.charged, .sealed = {}};
      slot.sealed =
          crypto::seal(crypto::Aead::aes_256_gcm, slot_key(set, index), Bytes(crypto::aead_iv), slot_context(id(), set, index, payload.charged), key.reveal());
      TRY(storage_->write_slot(set, index, encode_slot(slot)));
      ++index;
    }
    SetCursor& at = changed.sets[wire::index_of(set)];
    if (at.next == at.end) at = {.erased = keys.first, .next = keys.first, .end = keys.first};
    at.end = index;
  }
  TRY(storage_->sync());
  node::crash_point("medium.charge.written");
  TRY(put_in_force(std::move(changed)));
  node::crash_point("medium.charge.in_force");
  return {};
}

Result<void> SecureMedium::write(const wire::ChargePayload& payload) {
  if (state() != MediumState::active) return medium_fails(ErrorCode::denied, "is " + std::string(name(state())));
  if (payload.charged == wire::Charged::offline) return medium_fails(ErrorCode::denied, "a charge over a wire says that it came offline");
  return write_keys(payload, header_);
}

Result<void> SecureMedium::load(const wire::ChargeFile& file) {
  if (state() == MediumState::wiped) return medium_fails(ErrorCode::denied, "is wiped");
  if (header_.sealed_transport.empty()) return medium_fails(ErrorCode::denied, "was made without a transport key: it is charged over a wire alone");
  if (file.medium != id()) return medium_fails(ErrorCode::denied, "the charge is for medium " + file.medium.hex() + ", this one is " + id().hex());
  const crypto::Suite& suite = crypto::suite(header_.suite);
  if (file.suite != &suite) return medium_fails(ErrorCode::denied, "the charge is of suite " + std::string(file.suite->name));
  if (file.generation < header_.generation) return medium_fails(ErrorCode::conflict, "this charge, or one that was made after it, was loaded before");
  const std::uint32_t skipped = file.generation - header_.generation;
  if (skipped > wire::generations_skipped_max) return medium_fails(ErrorCode::denied, "the charge is too many charges ahead of the medium");
  ASSIGN_OR_RETURN(const Secret present, device_.unseal(sealed_context("transport", id()), header_.sealed_transport));
  const Secret transport_key = wire::transport_key_after(suite, present, skipped);
  ASSIGN_OR_RETURN(const wire::ChargePayload payload, wire::open_charge_file(file, transport_key));
  MediumHeader changed = header_;
  changed.state = MediumState::active;
  changed.generation = file.generation + 1;
  ASSIGN_OR_RETURN(changed.sealed_transport, device_.seal(sealed_context("transport", id()), wire::transport_key_after(suite, transport_key, 1)));
  return write_keys(payload, std::move(changed));
}

Result<std::optional<TakenKey>> SecureMedium::take(wire::KeySet set) {
  using Out = Result<std::optional<TakenKey>>;
  if (state() != MediumState::active) return medium_fails(ErrorCode::denied, "is " + std::string(name(state())));
  const SetCursor at = cursor(set);
  for (std::uint32_t index = at.next; index < at.end; ++index) {
    ASSIGN_OR_RETURN(const Bytes octets, storage_->read_slot(set, index));
    ASSIGN_OR_RETURN(const std::optional<Slot> slot, parse_slot(octets));
    if (!slot || slot->index != index) continue;  // a gap
    ASSIGN_OR_RETURN(Secret key, crypto::open(crypto::Aead::aes_256_gcm, slot_key(set, index), Bytes(crypto::aead_iv),
                                              slot_context(id(), set, index, slot->charged), slot->sealed));
    MediumHeader changed = header_;
    changed.sets[wire::index_of(set)].next = index + 1;
    TRY(put_in_force(std::move(changed)));
    node::crash_point("medium.key.burnt");
    TRY(erase_used());
    node::crash_point("medium.key.erased");
    return Out(TakenKey{.index = index, .key = std::move(key), .charged = slot->charged});
  }
  return Out(std::nullopt);
}

Result<void> SecureMedium::lock() {
  if (state() != MediumState::active) return {};
  MediumHeader changed = header_;
  changed.state = MediumState::locked;
  return put_in_force(std::move(changed));
}

Result<void> SecureMedium::wipe() {
  if (state() != MediumState::wiped) {
    MediumHeader changed = header_;
    changed.state = MediumState::wiped;
    changed.sealed_key.clear();
    changed.sealed_transport.clear();
    TRY(put_in_force(changed));
    node::crash_point("medium.wiped");
    key_ = Secret();
  }
  // The other copy of the header still has the key, sealed.
  MediumHeader same = header_;
  TRY(put_in_force(same));
  for (const wire::KeySet set : wire::all_key_sets) TRY(storage_->erase(set, cursor(set).erased, cursor(set).end));
  return {};
}

}  // namespace qanat::terminal
