#include "quantum/qkd/session/message.hpp"

#include <algorithm>

#include "quantum/qkd/reconciliation/verification.hpp"
#include "quantum/qkd/session/key_block.hpp"

namespace qanat::qkd {
namespace {
constexpr std::uint64_t pulse_index_max = std::uint64_t{1} << 62;
}  // namespace

bool is_tagged(MessageType type) noexcept {
  return type == MessageType::hello || type == MessageType::close || type == MessageType::ack || type == MessageType::confirm;
}

Result<std::optional<std::size_t>> frame_size(ByteView prefix) {
  if (prefix.size() < frame_length_size) return std::optional<std::size_t>{};
  OctetReader in(prefix.first(frame_length_size));
  const std::size_t size = frame_length_size + in.u32();
  if (size < frame_header_size || size > frame_size_max)
    return fail(ErrorCode::invalid_argument, "qkd frame: length " + std::to_string(size) + " out of range");
  return std::optional<std::size_t>(size);
}

Result<Frame> parse_frame(ByteView octets) {
  ASSIGN_OR_RETURN(const auto size, frame_size(octets));
  if (!size || *size != octets.size()) return fail(ErrorCode::invalid_argument, "qkd frame: length does not fit");
  OctetReader in(octets.subspan(frame_length_size));
  if (in.u8() != protocol_version) return fail(ErrorCode::invalid_argument, "qkd frame: unknown version");
  const std::uint8_t type = in.u8();
  if (type < static_cast<std::uint8_t>(MessageType::hello) || type > static_cast<std::uint8_t>(MessageType::abort)) {
    return fail(ErrorCode::invalid_argument, "qkd frame: unknown type " + std::to_string(type));
  }
  Frame frame;
  frame.type = static_cast<MessageType>(type);
  frame.block_id = in.u64();
  frame.sequence = in.u32();
  const std::size_t trailer = is_tagged(frame.type) ? frame_trailer_size : 0;
  if (in.left() < trailer) return fail(ErrorCode::invalid_argument, "qkd frame: no room for the tag");
  frame.body = in.octets(in.left() - trailer);
  if (trailer != 0) {
    frame.key_position = in.u64();
    frame.tag = in.octets(tag_size);
  }
  frame.authenticated = octets.first(octets.size() - frame.tag.size());
  TRY(in.finish("qkd frame"));
  return frame;
}

Bytes write_frame(MessageType type, std::uint64_t block_id, std::uint32_t sequence, ByteView body, std::uint64_t key_position) {
  const std::size_t size = frame_header_size + body.size() + (is_tagged(type) ? frame_trailer_size : 0);
  CHECK(size <= frame_size_max);
  OctetWriter out(size);
  out.u32(static_cast<std::uint32_t>(size - frame_length_size));
  out.u8(protocol_version);
  out.u8(static_cast<std::uint8_t>(type));
  out.u64(block_id);
  out.u32(sequence);
  out.octets(body);
  if (is_tagged(type)) out.u64(key_position);
  return out.take();
}

Bytes Hello::write() const {
  OctetWriter out;
  out.text(link);
  out.octets(settings_fingerprint);
  out.octets(nonce);
  for (const std::uint64_t value : {last_started, last_committed, prepared, end_alice_to_bob, end_bob_to_alice}) out.u64(value);
  return out.take();
}

Result<Hello> Hello::read(ByteView body) {
  OctetReader in(body);
  Hello hello;
  hello.link = in.text(link_id_size_max);
  hello.settings_fingerprint = to_bytes(in.octets(fingerprint_size));
  hello.nonce = to_bytes(in.octets(nonce_size));
  for (std::uint64_t* value : {&hello.last_started, &hello.last_committed, &hello.prepared, &hello.end_alice_to_bob, &hello.end_bob_to_alice})
    *value = in.u64();
  TRY(in.finish("hello"));
  return hello;
}

Result<Begin> Begin::read(ByteView body) {
  if (body.size() != nonce_size) return fail(ErrorCode::invalid_argument, "begin: nonce has the wrong length");
  return Begin{.nonce = to_bytes(body)};
}

Bytes Detections::write() const {
  OctetWriter out(4 * clicks.indices.size() + 64);
  out.octets(nonce);
  out.u32(total);
  out.u64(gates);
  out.u32(static_cast<std::uint32_t>(clicks.indices.size()));
  std::uint64_t previous = 0;
  for (const std::uint64_t index : clicks.indices) {
    out.varint(index - previous);
    previous = index;
  }
  Bytes is_check;
  is_check.reserve(clicks.bases.size());
  for (const Basis basis : clicks.bases) is_check.push_back(basis == Basis::check_z ? 1 : 0);
  out.bit_map(is_check);
  out.bit_map(clicks.check_bits);
  return out.take();
}

Result<Detections> Detections::read(ByteView body) {
  OctetReader in(body);
  Detections out;
  out.nonce = to_bytes(in.octets(nonce_size));
  out.total = in.u32();
  out.gates = in.u64();
  const std::size_t count = in.u32();
  if (count == 0 || count > clicks_per_chunk || out.gates > pulse_index_max) in.refuse();
  std::uint64_t index = 0;
  const std::size_t room = in.failed() ? 0 : std::min(count, in.left());  // each takes an octet at least
  out.clicks.indices.reserve(room);
  out.clicks.bases.reserve(room);
  for (std::size_t i = 0; i < count && !in.failed(); ++i) {
    const std::uint64_t step = in.varint();
    if ((i > 0 && step == 0) || step > pulse_index_max - index) in.refuse();
    index += step;
    out.clicks.indices.push_back(index);
  }
  // Pulses are counted from wherever the device counts them, a recording from its beginning; a run covers its clicks at least.
  if (!out.clicks.indices.empty() && index - out.clicks.indices.front() >= out.gates) in.refuse();
  std::size_t checks = 0;
  for (const std::uint8_t is_check : in.bit_map(in.failed() ? 0 : count)) {
    out.clicks.bases.push_back(is_check != 0 ? Basis::check_z : Basis::key_x);
    checks += is_check;
  }
  out.clicks.check_bits = in.bit_map(checks);
  TRY(in.finish("detections"));
  return Result<Detections>(std::move(out));
}

Bytes VerdictMessage::write() const {
  OctetWriter out(verdict.marks.size() / 3 + 64);
  Bytes mark_bits;
  mark_bits.reserve(2 * verdict.marks.size());
  for (const std::uint8_t mark : verdict.marks) {
    mark_bits.push_back(mark & 1U);
    mark_bits.push_back(mark >> 1);
  }
  out.bit_map(mark_bits);
  out.u32(static_cast<std::uint32_t>(verdict.check_bits.size()));
  out.bit_map(verdict.check_bits);
  out.u8(static_cast<std::uint8_t>(seed.size()));
  out.octets(seed);
  return out.take();
}

Result<VerdictMessage> VerdictMessage::read(ByteView body, std::size_t clicks) {
  OctetReader in(body);
  VerdictMessage out;
  const Bytes mark_bits = in.bit_map(2 * clicks);
  out.verdict.marks.reserve(mark_bits.size() / 2);
  for (std::size_t i = 0; i + 1 < mark_bits.size(); i += 2) out.verdict.marks.push_back(static_cast<std::uint8_t>(mark_bits[i] | mark_bits[i + 1] << 1));
  const std::size_t checks = in.u32();
  if (checks > clicks) in.refuse();
  out.verdict.check_bits = in.bit_map(in.failed() ? 0 : checks);
  const std::size_t seed_size = in.u8();
  if (seed_size != 0 && seed_size != reconciliation_seed_size) in.refuse();
  out.seed = to_bytes(in.octets(in.failed() ? 0 : seed_size));
  TRY(in.finish("verdict"));
  return Result<VerdictMessage>(std::move(out));
}

Bytes Reconciled::write() const {
  OctetWriter out;
  out.u64(disclosed.by_alice);
  out.u64(disclosed.by_bob);
  for (const std::uint64_t count : errors) out.u64(count);
  return out.take();
}

Result<Reconciled> Reconciled::read(ByteView body) {
  OctetReader in(body);
  Reconciled out;
  out.disclosed.by_alice = in.u64();
  out.disclosed.by_bob = in.u64();
  for (std::uint64_t& count : out.errors) {
    count = in.u64();
    if (count > reconciliation_bits_max) in.refuse();
  }
  TRY(in.finish("reconciled"));
  return out;
}

Bytes Close::write() const {
  OctetWriter out(toeplitz_seed.size() + 128);
  out.octets(verification_key);
  out.octets(verification_hash);
  out.u64(length);
  out.u32(refill_alice_to_bob);
  out.u32(refill_bob_to_alice);
  out.octets(agreement);
  out.octets(toeplitz_seed);
  return out.take();
}

Result<Close> Close::read(ByteView body) {
  OctetReader in(body);
  Close out;
  out.verification_key = to_bytes(in.octets(verification_key_size));
  out.verification_hash = to_bytes(in.octets(verification_hash_size));
  out.length = in.u64();
  out.refill_alice_to_bob = in.u32();
  out.refill_bob_to_alice = in.u32();
  out.agreement = to_bytes(in.octets(agreement_size));
  out.toeplitz_seed = to_bytes(in.octets(in.left()));
  TRY(in.finish("close"));
  return Result<Close>(std::move(out));
}

Bytes Reason::write() const {
  OctetWriter out;
  out.text(name(code));
  out.text(std::string_view(text).substr(0, reason_size_max));
  return out.take();
}

Result<Reason> Reason::read(ByteView body) {
  OctetReader in(body);
  Reason out;
  out.code = error_code_from_name(in.text(reason_size_max));
  out.text = in.text(reason_size_max);
  TRY(in.finish("reason"));
  for (char& c : out.text) {
    if (c < ' ' || c > '~') c = '?';
  }
  return out;
}

}  // namespace qanat::qkd
