#include "quantum/qkd/session/channel.hpp"

namespace qanat::qkd {
namespace {

Direction opposite(Direction direction) { return direction == Direction::alice_to_bob ? Direction::bob_to_alice : Direction::alice_to_bob; }

/// A one-time key is the point of the hash, then the pad that hides its value.
Secret hash_key_of(const Secret& one_time_key) { return Secret::copy_of(one_time_key.reveal().first(hash_key_size)); }

}  // namespace

void Channel::record(Direction direction, ByteView octets, const AuthenticationPool& pool) {
  const std::array<std::uint8_t, 1> head{static_cast<std::uint8_t>(direction)};
  transcript_.size += 1 + octets.size();
  if (!transcript_.hashing && transcript_.size <= transcript_buffered_max) {
    append(transcript_.buffer, head);
    append(transcript_.buffer, octets);
    return;
  }
  if (!transcript_.hashing) begin_hashing(pool);
  if (!transcript_.hash) return;
  transcript_.hash->update(head);
  transcript_.hash->update(octets);
}

void Channel::begin_hashing(const AuthenticationPool& pool) {
  transcript_.hashing = true;
  transcript_.position = pool.end(transcript_.next) - pool.stock(transcript_.next);
  if (const auto key = pool.expected(transcript_.next, transcript_.position)) {
    transcript_.hash.emplace(hash_key_of(**key));
    transcript_.hash->update(transcript_.buffer);
  }
  transcript_.buffer = Bytes();
}

Result<std::array<std::uint8_t, tag_size>> Channel::tag(Direction direction, std::uint64_t position, const Secret& key) {
  if (!transcript_.hashing) return one_time_tag(key, transcript_.buffer);
  if (!transcript_.hash || direction != transcript_.next || position != transcript_.position) {
    return fail(ErrorCode::denied, "qkd channel: a tag under key " + std::to_string(position) + " where another is next");
  }
  std::array<std::uint8_t, tag_size> out = transcript_.hash->finish();
  transcript_.hash.reset();
  const ByteView pad = key.reveal().subspan(hash_key_size, tag_size);
  for (std::size_t i = 0; i < tag_size; ++i) out[i] ^= pad[i];
  return out;
}

void Channel::follow(Direction direction, ByteView authenticated, ByteView tag, const AuthenticationPool& pool) {
  restart_transcript(opposite(direction));
  Bytes octets = to_bytes(authenticated.first(frame_header_size));
  append(octets, authenticated.last(frame_trailer_size - tag_size));
  append(octets, tag);
  record(direction, octets, pool);
}

void Channel::restart_transcript(ByteView received, const AuthenticationPool& pool) {
  restart_transcript();
  record(receiving(), received, pool);
}

Bytes Channel::untagged(MessageType type, std::uint64_t block_id, ByteView body, const AuthenticationPool& pool) {
  Bytes frame = write_frame(type, block_id, sent_++, body, 0);
  record(sending_, frame, pool);
  return frame;
}

Result<Bytes> Channel::tagged(MessageType type, std::uint64_t block_id, ByteView body, AuthenticationPool& pool) {
  const TagPurpose purpose = type == MessageType::hello ? TagPurpose::handshake : TagPurpose::block;
  const std::uint64_t next = pool.end(sending_) - pool.stock(sending_);
  Bytes frame = write_frame(type, block_id, sent_, body, next);
  record(sending_, frame, pool);  // before the key is claimed: it may be the one that hashing begins with
  ASSIGN_OR_RETURN(const OneTimeKey one_time, pool.claim(sending_, purpose, reserve_));
  CHECK(one_time.position == next);
  ++sent_;
  ASSIGN_OR_RETURN(const auto value, tag(sending_, one_time.position, one_time.key));
  follow(sending_, frame, value, pool);
  append(frame, value);
  return Result<Bytes>(std::move(frame));
}

Result<Frame> Channel::receive(ByteView octets, AuthenticationPool& pool) {
  ASSIGN_OR_RETURN(Frame frame, parse_frame(octets));
  if (frame.sequence != received_) {
    return fail(ErrorCode::denied, "qkd channel: message number " + std::to_string(frame.sequence) + " where " + std::to_string(received_) + " belongs");
  }
  if (transcript_.size + octets.size() > transcript_size_max) return fail(ErrorCode::exhausted, "qkd channel: too many messages without a tag");
  ++received_;
  if (!is_tagged(frame.type)) {
    record(receiving(), octets, pool);
    return frame;
  }
  record(receiving(), frame.authenticated, pool);
  ASSIGN_OR_RETURN(const Secret* key, pool.expected(receiving(), frame.key_position));
  ASSIGN_OR_RETURN(const auto value, tag(receiving(), frame.key_position, *key));
  if (!equal_constant_time(value, frame.tag)) {
    return fail(ErrorCode::denied, "qkd channel: the tag does not hold; something between the ends was altered");
  }
  pool.accept(receiving(), frame.key_position);
  follow(receiving(), frame.authenticated, frame.tag, pool);
  return frame;
}

}  // namespace qanat::qkd
