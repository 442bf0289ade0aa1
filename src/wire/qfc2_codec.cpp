#include "wire/qfc2_codec.hpp"

namespace qanat::wire {
namespace {

// Both extensions there are: the index of a charged key and the MAC under it.
Result<void> check(const crypto::Suite& suite, const Extension& extension) {
  if (extension.type != ExtensionType::injected_key && extension.type != ExtensionType::symmetric_authentication)
    return fail(ErrorCode::invalid_argument, "unknown extension");
  if (extension.value.size() != 4 + suite.digest)
    return fail(ErrorCode::invalid_argument, "extension " + std::to_string(static_cast<int>(extension.type)) + " has the wrong size");
  return {};
}

}  // namespace

Result<Bytes> encode_extensions(const crypto::Suite& suite, const std::vector<Extension>& extensions) {
  Writer out;
  int last = -1;
  for (const Extension& extension : extensions) {
    TRY(check(suite, extension));
    const auto type = static_cast<std::uint16_t>(extension.type);
    if (type <= last) return fail(ErrorCode::invalid_argument, "not ascending by type");
    last = type;
    out.u16(type);
    out.opaque("value", extension.value, {.min = 0, .max = opaque_size_max});
  }
  return std::move(out).finish();
}

Result<std::vector<Extension>> parse_extensions(const crypto::Suite& suite, ByteView octets) {
  Reader in(octets);
  std::vector<Extension> out;
  int last = -1;
  while (in.remaining() > 0) {
    ASSIGN_OR_RETURN(const std::uint16_t type, in.u16("type"));
    ASSIGN_OR_RETURN(const ByteView value, in.opaque("value", {.min = 0, .max = opaque_size_max}));
    if (type <= last) return fail(ErrorCode::invalid_argument, "not ascending by type");
    last = type;
    out.push_back({.type = static_cast<ExtensionType>(type), .value = to_bytes(value)});
    TRY(check(suite, out.back()));
  }
  return out;
}

Result<Bytes> octets_before_mark(std::uint32_t policy_epoch, MessageType type, Encoder walked) {
  const crypto::Suite& suite = walked.suite();
  const std::size_t marked = walked.marked();
  auto body = std::move(walked).finish();
  if (!body) return fail_in(name(type), std::move(body).error());
  Bytes out = encode_header({.type = type, .suite = suite.id, .body_len = static_cast<std::uint32_t>(body->size()), .policy_epoch = policy_epoch});
  append(out, ByteView(*body).first(marked));
  return out;
}

}  // namespace qanat::wire
