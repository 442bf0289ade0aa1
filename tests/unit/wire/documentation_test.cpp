// docs/protocol/qfc2.md shows a worked example; here it is computed again by the code, and the vectors by their script.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "crypto/kdf.hpp"
#include "unit/wire/answers.hpp"
#include "wire/ax_schedule.hpp"

namespace qanat::wire {
namespace {

using Example = std::map<std::string, std::string>;

/// `name = hex` lines of the fenced `example` blocks. A name that ends in '#' stands for the digest of a long field.
Example example_in(const std::string& markdown) {
  Example out;
  std::istringstream lines(markdown);
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("```")) {
      inside = line == "```example";
      continue;
    }
    const std::size_t equals = line.find(" = ");
    if (!inside || line.empty()) continue;
    EXPECT_NE(equals, std::string::npos) << line;
    if (equals == std::string::npos) continue;
    std::string label = line.substr(0, equals);
    label.erase(label.find_last_not_of(' ') + 1);
    EXPECT_TRUE(out.emplace(label, line.substr(equals + 3)).second) << "twice: " << label;
  }
  return out;
}

// Suite 0x0201 with F_EPH and two QKD shares, from the scenario's inputs, by our own code.
class WorkedExample {
 public:
  Example compute() {
    request();
    step9();
    step11();
    step12();
    return std::move(out_);
  }

 private:
  void put(const std::string& label, ByteView octets) { out_[label] = to_hex(octets); }
  void put(const std::string& label, const Secret& secret) { out_[label] = to_hex(secret.reveal()); }
  void put_digest(const std::string& label, ByteView octets) { out_[label + "#"] = to_hex(crypto::digest(suite_.hash, octets)); }

  void request() {
    const KeyRequest m = key_request_of(a_, flag_eph);
    const Bytes octets = must(encode(suite_, a_.epoch(), m));
    put("request.header", ByteView(octets).first(header_size));
    put("request.body to enc_kid", ByteView(octets).subspan(header_size, 16 + 32 + 1 + 6 + 15 + 15 + 6 + 32 + 8 + 1 + 1 + 4 * 32));
    put_digest("request.body", ByteView(octets).subspan(header_size));
    put_digest("request.eph_T", m.ephemeral.point);
    put_digest("request.eph_PQ", m.ephemeral.ml_kem);
    put_digest("request.TBS", to_be_signed(KeyRequest::type, octets, m.fps));
    put("request.H_msg", must(parse<KeyRequest>(a_.octets("key_request_eph"))).hash);
  }

  void step9() {
    const auto offer = must(parse<KmsOffer>(a_.octets("kms_offer_2")));
    const auto accept = must(parse<KmsAccept>(a_.octets("kms_accept_2")));
    put("offer.H_msg", offer.hash);
    put("accept.H_msg", accept.hash);
    const Bytes th9 = th9_of(suite_, offer.octets, accept.without_confirmation());
    const Secret first = a_.secret_input("share_0");
    const Secret second = a_.secret_input("share_1");
    const Secret k_q = combine_shares(std::array{&first, &second});
    const auto s = must(a_.key("offer_ephemeral").decapsulate(crypto::KemForm::to_ephemeral, accept.message.ct_classical, accept.message.ct_ml_kem));
    const KmsKeys keys = derive_kms_keys(suite_, th9, k_q, s.classical, s.ml_kem, a_.sid_wk(), a_.sid_call());
    put("step9.share_0", first);
    put("step9.share_1", second);
    put("step9.K_Q", k_q);
    put("step9.ss_T", s.classical);
    put("step9.ss_PQ", s.ml_kem);
    put("step9.TH9", th9);
    put("step9.WK", keys.wk);
    put("step9.kc_a", keys.kc_a);
    put("step9.kc_b", keys.kc_b);
    out_["step9.fingerprint"] = wk_fingerprint(suite_, keys.wk);
    wk_ = keys.wk.duplicate();
  }

  void step11() {
    const Delivery& which = deliveries[1];
    const auto m = must(parse<KeyDeliver>(a_.octets(which.name)));
    const Bytes h_req = a_.hash(which.request);
    const auto key = a_.key("static_a");
    const auto s = must(key.decapsulate(crypto::KemForm::to_static, m.message.ct_classical, m.message.ct_ml_kem));
    put_digest("deliver.ct_T", m.message.ct_classical);
    put_digest("deliver.ct_PQ", m.message.ct_ml_kem);
    put("deliver.ss_T", s.classical);
    put("deliver.ss_PQ", s.ml_kem);
    put("deliver.ss_H",
        hybrid_secret(suite_, {s.classical, s.ml_kem, m.message.ct_classical, m.message.ct_ml_kem, key.encapsulation_key()}, deliver_context(h_req)));
    const Secret mixed = deliver_secret_of(a_, which);
    put("deliver.ss_H with F_EPH", mixed);
    const SealingKey sealing = step11_key(suite_, mixed, h_req);
    put("deliver.key", sealing.key);
    put("deliver.iv", sealing.iv);
    const KeyDeliverPayload payload = must(open_key_deliver(m, mixed));
    EXPECT_TRUE(equal_secret(payload.wk, wk_));
    put("deliver.plaintext", must(encode_payload(suite_, payload)));
    put_digest("deliver.sealed", m.message.sealed);
    put("deliver.H_msg", m.hash);
  }

  void step12() {
    const auto ax1 = must(parse<Ax1>(a_.octets("ax1")));
    const auto ax2 = must(parse<Ax2>(a_.octets("ax2")));
    put("ax.tag", ax1_tag(suite_, wk_, ax1.header_and_body()));
    const Bytes th2 = th2_of(suite_, ax1.octets, must(octets_before_sealed(suite_, a_.epoch(), ax2.message)));
    const Secret early = ax_early_secret(suite_, wk_);
    const auto s = must(a_.key("ax_ephemeral").decapsulate(crypto::KemForm::to_ephemeral, ax2.message.ct_classical, ax2.message.ct_ml_kem));
    const Secret handshake = ax_handshake_secret(suite_, early, s.classical, s.ml_kem);
    const Bytes th3 = th3_of(suite_, th2, ax2.message.sealed);
    const Secret master = ax_master_secret(suite_, handshake, th3);
    const MediaKeys media = media_keys(suite_, master, a_.sid_wk(), a_.sid_call());
    put("ax.ss_T", s.classical);
    put("ax.ss_PQ", s.ml_kem);
    put("ax.TH2", th2);
    put("ax.TH3", th3);
    put("ax.ES", early);
    put("ax.HS", handshake);
    put("ax.MS", master);
    put("ax.media i key", media.initiator.key);
    put("ax.media i salt", media.initiator.salt);
    put("ax.media r key", media.responder.key);
    put("ax.media r salt", media.responder.salt);
    put("ax.SAS", short_authentication_string(suite_, master));
  }

  const Answers a_{0};
  const crypto::Suite& suite_ = a_.suite();
  Example out_;
  Secret wk_;
};

TEST(ProtocolDocumentTest, TheWorkedExampleIsWhatTheCodeComputes) {
  const Example shown = example_in(file_text("docs/protocol/qfc2.md"));
  const Example computed = WorkedExample().compute();
  for (const auto& [label, value] : computed) {
    const auto found = shown.find(label);
    EXPECT_TRUE(found != shown.end() && found->second == value) << "qfc2.md should say:\n" << label << " = " << value;
  }
  for (const auto& [label, value] : shown) EXPECT_TRUE(computed.contains(label)) << "nothing computes '" << label << "'";
}

TEST(VectorScriptTest, MakesTheCommittedFile) {
  const std::string script = std::string(QANAT_SOURCE_DIR) + "/tests/vectors/qfc2/generate.py";
  EXPECT_EQ(std::system(("python3 -B '" + script + "' --check").c_str()), 0);  // NOLINT(cert-env33-c): a fixed command
}

}  // namespace
}  // namespace qanat::wire
