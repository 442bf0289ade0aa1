// target: qanat_crypto
// SCEP messages as strangers send them, and envelopes that somebody signed: what is read is read without fault, and nothing opens.
#include "crypto/scep_message.hpp"
#include "scep_peer.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qanat;
  namespace peer = test::scep;
  if (size == 0) return 0;
  const ByteView input(data + 1, size - 1);
  if (data[0] == 0) {
    static_cast<void>(crypto::ScepRequest::parse(input));
    return 0;
  }
  if (data[0] == 1) {
    static_cast<void>(crypto::parse_scep_certificate_id(input));
    return 0;
  }
  static const crypto::ScepRa ra = [] {
    crypto::RsaKey key = crypto::RsaKey::generate(3072).value();
    const Secret der = key.pkcs8().value();
    const unsigned char* at = der.reveal().data();
    const peer::Key native(d2i_AutoPrivateKey(nullptr, &at, static_cast<long>(der.size())));
    return crypto::ScepRa{.certificate = peer::make_certificate(native.get(), "RA"), .key = std::move(key)};
  }();
  static const peer::Key signer = peer::make_key("EC");
  static const Bytes certificate = peer::make_certificate(signer.get(), "box");
  peer::Request request;
  request.key = signer.get();
  request.certificate = certificate;
  request.envelope = to_bytes(input);
  const auto read = crypto::ScepRequest::parse(peer::make_message(request));
  if (!read || read->fault()) return 0;
  static_cast<void>(crypto::scep_recipient(*read, std::span(&ra, 1)));
  static_cast<void>(crypto::open_scep_envelope(*read, ra));
  return 0;
}
