#include "quantum/qkd/session/channel.hpp"

#include "crypto/aead.hpp"

namespace qanat::qkd {

void Channel::record(Direction direction, ByteView octets) {
  transcript_.push_back(static_cast<std::uint8_t>(direction));
  append(transcript_, octets);
}

Bytes Channel::untagged(MessageType type, std::uint64_t block_id, ByteView body) {
  Bytes frame = write_frame(type, block_id, sent_++, body, 0);
  record(sending_, frame);
  return frame;
}

Result<Bytes> Channel::tagged(MessageType type, std::uint64_t block_id, ByteView body, AuthenticationPool& pool) {
  const TagPurpose purpose = type == MessageType::hello ? TagPurpose::handshake : TagPurpose::block;
  ASSIGN_OR_RETURN(const OneTimeKey one_time, pool.claim(sending_, purpose, reserve_));
  Bytes frame = write_frame(type, block_id, sent_++, body, one_time.position);
  record(sending_, frame);
  append(frame, crypto::poly1305(one_time.key, transcript_));
  transcript_.clear();
  record(sending_, frame);
  return Result<Bytes>(std::move(frame));
}

Result<Frame> Channel::receive(ByteView octets, AuthenticationPool& pool) {
  ASSIGN_OR_RETURN(Frame frame, parse_frame(octets));
  if (frame.sequence != received_) {
    return fail(ErrorCode::denied, "qkd channel: message number " + std::to_string(frame.sequence) + " where " + std::to_string(received_) + " belongs");
  }
  if (transcript_.size() + octets.size() > transcript_size_max) return fail(ErrorCode::exhausted, "qkd channel: too many messages without a tag");
  ++received_;
  if (!is_tagged(frame.type)) {
    record(receiving(), octets);
    return frame;
  }
  ASSIGN_OR_RETURN(const Secret* key, pool.expected(receiving(), frame.key_position));
  record(receiving(), frame.authenticated);
  if (!equal_constant_time(crypto::poly1305(*key, transcript_), frame.tag)) {
    return fail(ErrorCode::denied, "qkd channel: the tag does not hold; something between the ends was altered");
  }
  pool.accept(receiving(), frame.key_position);
  transcript_.clear();
  record(receiving(), octets);
  return frame;
}

}  // namespace qanat::qkd
