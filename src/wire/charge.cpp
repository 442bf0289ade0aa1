#include "wire/charge.hpp"

#include <algorithm>

#include "crypto/aead.hpp"
#include "crypto/kdf.hpp"
#include "wire/labels.hpp"
#include "wire/reader.hpp"

namespace qanat::wire {
namespace {

constexpr std::string_view file_magic = "QCHG";
constexpr std::uint8_t file_version = 1;
constexpr std::size_t secret_octets = 32;

template <class E>
struct EnumName {
  E value;
  std::string_view text;
};
constexpr std::array set_names{EnumName{KeySet::authentication, "authentication"}, EnumName{KeySet::call, "call"},
                               EnumName{KeySet::distribution, "distribution"}};
constexpr std::array charged_names{EnumName{Charged::offline, "offline"}, EnumName{Charged::wire_under_offline, "wire under offline"},
                                   EnumName{Charged::wire, "wire"}};
constexpr std::array origin_names{EnumName{ChargeOrigin::quantum, "quantum"}, EnumName{ChargeOrigin::device, "device"}};

template <class E, std::size_t N>
std::string_view name_in(const std::array<EnumName<E>, N>& names, E value) noexcept {
  const auto found = std::ranges::find(names, value, &EnumName<E>::value);
  return found == names.end() ? "?" : found->text;
}

std::unexpected<Error> bad_charge(const std::string& why) { return fail(ErrorCode::invalid_argument, "charge: " + why); }

/// Of one set: u32 first ‖ u16 count; the keys come after the three of them.
Result<void> check_set(std::uint64_t first, std::size_t count) {
  if (count > charge_keys_max) return bad_charge("more than " + std::to_string(charge_keys_max) + " keys in a set");
  if (first + count > UINT32_MAX) return bad_charge("an index beyond 32 bits");
  return {};
}

template <class E>
Result<E> read_enum(Reader& in, std::string_view field, std::uint8_t max) {
  ASSIGN_OR_RETURN(const std::uint8_t octet, in.u8(field));
  if (octet < 1 || octet > max) return bad_charge(std::string(field) + ": not one of the values allowed");
  return static_cast<E>(octet);
}

Bytes file_header(const ChargeFile& file) {
  Writer out;
  out.raw(as_bytes(file_magic));
  out.u8(file_version);
  out.u16(static_cast<std::uint16_t>(file.suite->id));
  out.raw(file.medium.view());
  out.raw(file.charge.view());
  out.u32(file.generation);
  out.u64(file.made_ms);
  return std::move(out).finish().value();  // no bounded field
}

struct FileKey {
  Secret key;
  Bytes iv;
};
/// Used for one file: the header names the charge.
FileKey file_key(const ChargeFile& file, const Secret& transport_key, ByteView header) {
  const crypto::Suite& suite = *file.suite;
  const Secret prk = crypto::hkdf_extract(suite.hash, Bytes(suite.digest), transport_key);
  return {.key = crypto::hkdf_expand(suite.hash, prk, {labels::charge_key, header}, suite.aead_key),
          .iv = to_bytes(crypto::hkdf_expand(suite.hash, prk, {labels::charge_iv, header}, crypto::aead_iv).reveal())};
}

}  // namespace

std::string_view name(KeySet set) noexcept { return name_in(set_names, set); }
std::string_view name(Charged charged) noexcept { return name_in(charged_names, charged); }
std::string_view name(ChargeOrigin origin) noexcept { return name_in(origin_names, origin); }

Result<KeySet> key_set_from_name(std::string_view text) {
  const auto found = std::ranges::find(set_names, text, &EnumName<KeySet>::text);
  if (found == set_names.end()) return fail(ErrorCode::invalid_argument, "no key set '" + std::string(text) + "'");
  return found->value;
}

Result<Secret> encode_charge(const ChargePayload& payload) {
  Writer out;
  out.u8(static_cast<std::uint8_t>(payload.charged));
  out.u8(static_cast<std::uint8_t>(payload.origin));
  std::size_t all = 0;
  for (const ChargedKeys& set : payload.sets) {
    TRY(check_set(set.first, set.keys.size()));
    out.u32(set.first);
    out.u16(static_cast<std::uint16_t>(set.keys.size()));
    all += set.keys.size();
  }
  if (all == 0) return bad_charge("no key in it");
  ASSIGN_OR_RETURN(const Bytes head, std::move(out).finish());
  Secret octets(head.size() + all * charged_key_size);
  std::span<std::uint8_t> rest = octets.writable();
  const auto put = [&rest](ByteView part) {
    std::ranges::copy(part, rest.begin());
    rest = rest.subspan(part.size());
  };
  put(head);
  for (const ChargedKeys& set : payload.sets) {
    for (const Secret& key : set.keys) {
      if (key.size() != charged_key_size) return bad_charge("a key that is not of 32 octets");
      put(key.reveal());
    }
  }
  return Result<Secret>(std::move(octets));
}

Result<ChargePayload> parse_charge(const Secret& octets) {
  Reader in(octets.reveal());
  ChargePayload out;
  ASSIGN_OR_RETURN(out.charged, read_enum<Charged>(in, "charged", static_cast<std::uint8_t>(Charged::wire)));
  ASSIGN_OR_RETURN(out.origin, read_enum<ChargeOrigin>(in, "origin", static_cast<std::uint8_t>(ChargeOrigin::device)));
  std::array<std::size_t, all_key_sets.size()> counts_of{};
  std::size_t all = 0;
  for (std::size_t i = 0; i < out.sets.size(); ++i) {
    ASSIGN_OR_RETURN(out.sets[i].first, in.u32("first"));
    ASSIGN_OR_RETURN(counts_of[i], in.u16("count"));
    TRY(check_set(out.sets[i].first, counts_of[i]));
    all += counts_of[i];
  }
  if (all == 0) return bad_charge("no key in it");
  for (std::size_t i = 0; i < out.sets.size(); ++i) {
    for (std::size_t n = 0; n < counts_of[i]; ++n) {
      ASSIGN_OR_RETURN(const ByteView key, in.fixed("key", charged_key_size));
      out.sets[i].keys.push_back(Secret::copy_of(key));
    }
  }
  TRY(in.finish());
  return Result<ChargePayload>(std::move(out));
}

Bytes encode(const ChargeFile& file) {
  Bytes out = file_header(file);
  append(out, file.sealed);
  return out;
}

Result<ChargeFile> parse_charge_file(ByteView octets) {
  if (octets.size() > charge_file_max) return bad_charge("a file of more than " + std::to_string(charge_file_max) + " octets");
  Reader in(octets);
  ASSIGN_OR_RETURN(const ByteView magic, in.fixed("magic", file_magic.size()));
  if (as_text(magic) != file_magic) return bad_charge("no charge file (magic)");
  ASSIGN_OR_RETURN(const std::uint8_t version, in.u8("version"));
  if (version != file_version) return bad_charge("file version " + std::to_string(version) + " is not known here");
  ASSIGN_OR_RETURN(const std::uint16_t number, in.u16("suite"));
  const auto suite = crypto::find_suite(number);
  if (!suite) return bad_charge("no suite " + std::to_string(number));
  ChargeFile out;
  out.suite = *suite;
  ASSIGN_OR_RETURN(const ByteView medium, in.fixed("medium", MediumId::size));
  out.medium = MediumId(medium);
  ASSIGN_OR_RETURN(const ByteView charge, in.fixed("charge", ChargeId::size));
  out.charge = ChargeId(charge);
  ASSIGN_OR_RETURN(out.generation, in.u32("generation"));
  ASSIGN_OR_RETURN(out.made_ms, in.u64("made_ms"));
  if (in.remaining() < crypto::aead_tag) return bad_charge("cut off");
  ASSIGN_OR_RETURN(const ByteView sealed, in.fixed("sealed", in.remaining()));
  out.sealed = to_bytes(sealed);
  return out;
}

Result<ChargeFile> seal_charge_file(ChargeFile file, const Secret& transport_key, const ChargePayload& payload) {
  CHECK(file.suite != nullptr);
  if (payload.charged != Charged::offline) return bad_charge("what goes by file is charged offline");
  ASSIGN_OR_RETURN(const Secret plaintext, encode_charge(payload));
  const Bytes header = file_header(file);
  const FileKey key = file_key(file, transport_key, header);
  file.sealed = crypto::seal(file.suite->aead, key.key, key.iv, header, plaintext.reveal());  // the key seals this file alone
  return file;
}

Result<ChargePayload> open_charge_file(const ChargeFile& file, const Secret& transport_key) {
  const Bytes header = file_header(file);
  const FileKey key = file_key(file, transport_key, header);
  auto plaintext = crypto::open(file.suite->aead, key.key, key.iv, header, file.sealed);
  if (!plaintext) return fail(ErrorCode::denied, "charge: the file is not for this medium, or was changed");
  ASSIGN_OR_RETURN(ChargePayload payload, parse_charge(*plaintext));
  if (payload.charged != Charged::offline) return fail(ErrorCode::denied, "charge: the file says that it did not come by file");
  return Result<ChargePayload>(std::move(payload));
}

Secret transport_key_after(const crypto::Suite& suite, const Secret& transport_key, std::uint32_t steps) {
  Secret out = transport_key.duplicate();
  for (std::uint32_t i = 0; i < steps; ++i) {
    out = crypto::hkdf_expand(suite.hash, crypto::hkdf_extract(suite.hash, Bytes(suite.digest), out), {labels::charge_next}, secret_octets);
  }
  return out;
}

}  // namespace qanat::wire
