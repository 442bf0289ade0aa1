// An ACME client that a test drives step by step: it signs here, and curl carries what it says.
#pragma once

#include <map>

#include "crypto/kdf.hpp"
#include "jose_signer.hpp"
#include "program.hpp"

namespace qanat::test {

class AcmeClient {
 public:
  struct Reply {
    int status = 0;                             // 0: there was no answer
    std::map<std::string, std::string> fields;  // names in lower case
    std::string body;
    [[nodiscard]] std::string text(std::string_view member) const {
      const auto json = wire::Json::parse(std::string_view(body));
      return json ? json->text(member).value_or("") : "";
    }
    [[nodiscard]] std::string field(const std::string& name) const {
      const auto found = fields.find(name);
      return found == fields.end() ? "" : found->second;
    }
  };

  AcmeClient(const TemporaryDirectory& folder, std::string base, std::filesystem::path roots)
      : folder_(folder), base_(std::move(base)), roots_(std::move(roots)) {}

  Reply new_account(const std::string& reference, const std::string& secret_text) {
    const std::string url = base_ + "/acme/new-account";
    const std::string head = encoded(wire::Json::object({{"alg", "HS256"}, {"kid", reference}, {"url", url}}).dump());
    const std::string content = encoded(signer_->jwk().dump());
    const Secret key = Secret::copy_of(wire::from_base64url(secret_text).value());
    const wire::Json binding =
        wire::Json::object({{"protected", head},
                            {"payload", content},
                            {"signature", wire::to_base64url(crypto::hmac(crypto::Hash::sha256, key, {as_bytes(head + '.' + content)}))}});
    return remembered(post_by_key(url, wire::Json::object({{"termsOfServiceAgreed", true}, {"externalAccountBinding", binding}}).dump()));
  }
  Reply find_account() { return remembered(post_by_key(base_ + "/acme/new-account", R"({"onlyReturnExisting":true})")); }
  /// By the account's key. An empty payload is POST-as-GET.
  Reply post(const std::string& url, const std::string& payload) { return send(url, payload, {"kid", account_}); }
  Reply get(const std::string& url) { return post(url, ""); }
  Reply new_order(const std::string& name) {
    return post(base_ + "/acme/new-order",
                wire::Json::object({{"identifiers", wire::Json::array({wire::Json::object({{"type", "dns"}, {"value", name}})})}}).dump());
  }
  Reply finalize(const std::string& order, ByteView csr) { return post(order + "/finalize", wire::Json::object({{"csr", wire::to_base64url(csr)}}).dump()); }
  /// The answer may be lost; whichever key is the account's then is found by find_account().
  Reply change_key(std::shared_ptr<const JoseSigner> next) {
    const std::string url = base_ + "/acme/key-change";
    const wire::Json inner = next->jws(wire::Json::object({{"alg", crypto::name(next->algorithm())}, {"jwk", next->jwk()}, {"url", url}}),
                                       wire::Json::object({{"account", account_}, {"oldKey", signer_->jwk()}}).dump());
    return post(url, inner.dump());
  }
  void use(std::shared_ptr<const JoseSigner> signer) { signer_ = std::move(signer); }
  [[nodiscard]] const std::string& account() const { return account_; }

 private:
  static std::string encoded(std::string_view text) { return wire::to_base64url(as_bytes(text)); }
  Reply remembered(Reply reply) {
    if (reply.status == 200 || reply.status == 201) account_ = reply.field("location");
    return reply;
  }
  Reply post_by_key(const std::string& url, const std::string& payload) { return send(url, payload, {"jwk", signer_->jwk()}); }
  Reply send(const std::string& url, const std::string& payload, const wire::Json::Member& who) {
    const std::string nonce = curl("-I " + base_ + "/acme/new-nonce").field("replay-nonce");
    wire::Json header = wire::Json::object({{"alg", crypto::name(signer_->algorithm())}, {"nonce", nonce}, {"url", url}});
    header.set(who.first, who.second);
    const std::string body = (folder_ / "acme-request").string();
    std::ofstream(body, std::ios::binary) << signer_->jws(header, payload).dump();
    return curl("-H 'Content-Type: application/jose+json' --data-binary @" + body + " " + url);
  }
  Reply curl(const std::string& arguments) {
    const std::string heads = (folder_ / "acme-heads").string();
    const Outcome outcome = run_line("curl -sS --max-time 30 --cacert " + roots_.string() + " -D " + heads + " " + arguments, folder_);
    Reply out;
    if (outcome.code != 0) return out;
    std::ifstream in(heads);
    for (std::string line; std::getline(in, line);) {
      if (line.ends_with('\r')) line.pop_back();
      if (line.starts_with("HTTP/")) out.status = std::atoi(line.c_str() + line.find(' '));
      const std::size_t colon = line.find(": ");
      if (colon == std::string::npos) continue;
      std::string name = line.substr(0, colon);
      for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      out.fields[name] = line.substr(colon + 2);
    }
    out.body = arguments.starts_with("-I") ? "" : outcome.out;
    return out;
  }

  const TemporaryDirectory& folder_;
  const std::string base_;
  const std::filesystem::path roots_;
  std::shared_ptr<const JoseSigner> signer_ = std::make_shared<const JoseSigner>(crypto::JoseAlgorithm::es256);
  std::string account_;
};

}  // namespace qanat::test
