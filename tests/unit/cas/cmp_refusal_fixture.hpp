// Messages that OpenSSL's client does not make: those that it made, changed, under a MAC that holds; and what is expected of their refusals.
#pragma once

#include "cmp_desk.hpp"
#include "crypto/cmp_der.hpp"

namespace qanat::cas {

namespace der = crypto::cmp_der;

class CmpRefusalFixture : public CmpFixture {
 protected:
  /// The first message of a client that gets no answer.
  Bytes first_message(const std::string& reference, const std::function<void(CmpClient&)>& prepare, int kind = OSSL_CMP_IR) {
    CmpClient asking([](const Bytes&) { return std::nullopt; });
    with_secret(asking, reference).new_key(client_key("EC:P-256"));
    prepare(asking);
    asking.request(kind);
    EXPECT_EQ(asking.sent().size(), 1U) << asking.errors();
    return asking.sent().front();
  }
  Bytes plain_message(const std::string& reference) {
    return first_message(reference, [](CmpClient&) {});
  }

  using Change = std::function<void(std::vector<Bytes>& header, Bytes& body)>;
  /// The message with its header's elements and its body changed, and a MAC that holds.
  Bytes changed(const std::string& reference, const Bytes& message, const Change& change) {
    der::Reader parts(der::only(message, der::tag_sequence, "message").value().content);
    std::vector<Bytes> header;
    der::Reader elements(parts.next().value().content);
    Bytes parameters;
    while (!elements.at_end()) {
      const der::Element element = elements.next().value();
      header.push_back(to_bytes(element.whole));
      if (element.tag != der::context(1)) continue;
      der::Reader algorithm(der::inside(element, der::tag_sequence, "algorithm").value().content);
      static_cast<void>(algorithm.next());
      parameters = to_bytes(algorithm.next().value().whole);
    }
    Bytes body = to_bytes(parts.next().value().whole);
    change(header, body);
    Bytes joined;
    for (const Bytes& element : header) append(joined, element);
    const Bytes header_der = der::sequence({joined});
    const Bytes part = der::sequence({header_der, body});
    const unsigned char* at = parameters.data();
    const std::unique_ptr<OSSL_CRMF_PBMPARAMETER, test::OpensslDeleter<OSSL_CRMF_PBMPARAMETER_free>> native(
        d2i_OSSL_CRMF_PBMPARAMETER(nullptr, &at, static_cast<long>(parameters.size())));
    const std::string secret = desk_.secret_text(reference);
    unsigned char* mac = nullptr;
    std::size_t size = 0;
    EXPECT_EQ(OSSL_CRMF_pbm_new(nullptr, nullptr, native.get(), part.data(), part.size(), as_bytes(secret).data(), secret.size(), &mac, &size), 1);
    const Bytes protection(mac, mac + size);
    OPENSSL_free(mac);
    return der::sequence({header_der, body, der::element(der::context(0), der::bit_string(protection))});
  }
  /// Replaces the header's element of this tag; with nothing: takes it out.
  static Change header_element(unsigned number, const Bytes& content) {
    return [number, content](std::vector<Bytes>& header, Bytes&) {
      for (std::size_t i = 3; i < header.size(); ++i) {  // behind pvno, sender and recipient, whose names have tags of their own
        if (header[i].front() == der::context(number)) header[i] = content.empty() ? Bytes() : der::element(der::context(number), content);
      }
    };
  }
  static Change body(crypto::CmpBody kind, const Bytes& content) {
    return [kind, content](std::vector<Bytes>&, Bytes& body) { body = der::element(der::context(static_cast<unsigned>(kind)), content); };
  }

  /// The message with these extraCerts, which nothing protects, in place of its own.
  static Bytes with_certificates(const Bytes& message, const std::vector<Bytes>& certificates) {
    der::Reader parts(der::only(message, der::tag_sequence, "message").value().content);
    const Bytes header = to_bytes(parts.next().value().whole);
    const Bytes body = to_bytes(parts.next().value().whole);
    const Bytes protection = to_bytes(parts.next().value().whole);
    const Bytes extra = certificates.empty() ? Bytes() : der::element(der::context(1), crypto::cmp_list_value(certificates));
    return der::sequence({header, body, protection, extra});
  }
  /// The answer to octets that our client does not make.
  crypto::CmpMessage asked(const Bytes& message) { return must(crypto::CmpMessage::parse(carry(message).value())); }
  /// The bit of failInfo in an answer: of the only BIT STRING in a refusal. -1: there is none.
  static int failure_in(ByteView content) {
    der::Reader elements(content);
    while (!elements.at_end()) {
      const auto element = elements.next();
      if (!element) return -1;
      if (element->tag == der::tag_bit_string && element->content.size() >= 2) {
        return static_cast<int>(8 * (element->content.size() - 2)) + 7 - element->content.front();
      }
      const bool constructed = (element->tag & 0x20U) != 0;
      if (const int inside = constructed ? failure_in(element->content) : -1; inside >= 0) return inside;
    }
    return -1;
  }
  void expect_failure(const Bytes& message, CmpFailure failure, const std::string& reference, std::string_view why,
                      crypto::CmpBody kind = crypto::CmpBody::error) {
    const crypto::CmpMessage answer = asked(message);
    EXPECT_EQ(answer.body(), kind) << why;
    EXPECT_EQ(failure_in(answer.content()), static_cast<int>(failure)) << to_hex(answer.content());
    EXPECT_NE(as_text(answer.content()).find(why), std::string_view::npos) << as_text(answer.content());
    if (!reference.empty()) expect_on_record(reference, why);
  }
};

}  // namespace qanat::cas
