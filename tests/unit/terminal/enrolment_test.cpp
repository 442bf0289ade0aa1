#include "terminal/enrolment.hpp"

#include <fstream>

#include "net/server.hpp"
#include "small_network.hpp"
#include "temporary_directory.hpp"

namespace qanat::terminal {
namespace {

using namespace test;
using namespace std::chrono_literals;

constexpr crypto::SuiteId gm = crypto::SuiteId::gm_hybrid;

/// CAS as far as Cq-2 needs it: every certificate is good, unless `revoked`.
class StatusServer {
 public:
  explicit StatusServer(SmallNetwork& net) : net_(net) {
    node::MessageSigner own = net.signer(Kind::cas, "cas");
    const net::TlsIdentity identity{.chain = {own.ml_dsa, net.authority(crypto::ml_dsa_key(net.suite())).issuing},
                                    .key = {.algorithm = crypto::ml_dsa_key(net.suite()), .secret = own.signer.secret().ml_dsa_seed.duplicate()}};
    server_ = net::Server::start({.address = "127.0.0.1", .port = 0, .limits = {}}, identity, std::make_shared<const crypto::TrustStore>(net.trust()),
                                 points::routes(Kind::cas, {{points::Endpoint::cq2_status, [this](const net::Request& request) { return answer(request); }}}),
                                 [](const crypto::Certificate&, Deadline) { return Result<void>(); }, [](const net::Refusal&) {})
                  .value();
  }
  ~StatusServer() { server_->stop(100ms); }
  [[nodiscard]] net::Target target() const {
    return {.host = "127.0.0.1", .port = server_->port(), .expected = {.domain = "a", .kind = Kind::cas, .name = "cas"}};
  }
  std::atomic<bool> revoked = false;

 private:
  Result<net::Response> answer(const net::Request& request) {
    for (const crypto::KeyAlgorithm algorithm : {crypto::classical_key(net_.suite()), crypto::ml_dsa_key(net_.suite())}) {
      const Authority& authority = net_.authority(algorithm);
      if (!crypto::query_names_issuer(request.body, authority.issuing)) continue;
      const crypto::StatusAnswer says{.status = revoked ? crypto::CertStatus::revoked : crypto::CertStatus::good, .this_update = now_ms(), .next_update = now_ms() + hour_ms};
      ASSIGN_OR_RETURN(Bytes der, crypto::make_status_response(request.body, says, authority.issuing, authority.issuing_key));
      return net::Response{.status = 200, .content_type = std::string(points::type_ocsp_response), .body = std::move(der)};
    }
    return fail(ErrorCode::not_found, "no such issuer");
  }

  SmallNetwork& net_;
  std::unique_ptr<net::Server> server_;
};

class EnrolmentTest : public testing::Test {
 protected:
  EnrolmentTest() : cas_(net_), kms_(net_.signer(Kind::kms, "kms-a")) {
    std::filesystem::create_directory(folder_ / "trust");
    for (const crypto::KeyAlgorithm algorithm : {crypto::classical_key(net_.suite()), crypto::ml_dsa_key(net_.suite())}) {
      const std::string name(crypto::name(algorithm));
      std::ofstream(folder_ / ("trust/root-" + name + ".pem")) << net_.authority(algorithm).root.pem();
      std::ofstream(folder_ / ("trust/issuing-" + name + ".pem")) << net_.authority(algorithm).issuing.pem();
    }
    write_secret('a');
    settings_.uid = Uid("alice");
    settings_.number = alice_number;
    settings_.kms = "kms-a";
    start();
  }

  /// A start of the program over the same state.
  void start() {
    store_.reset();
    credentials_.reset();
    node_.reset();
    node::Settings settings;
    settings.identity = {.domain = "a", .kind = Kind::app1, .name = "alice"};
    settings.state = folder_ / "state";
    settings.trust = folder_ / "trust";
    settings.master_key = folder_ / "master.key";
    settings.enrolment_secret = secret_file();
    settings.suite = &net_.suite();
    settings.peers.emplace("cas", cas_.target());
    settings.peers.emplace("kms-a", net::Target{.host = "127.0.0.1", .port = 9, .expected = {.domain = "a", .kind = Kind::kms, .name = "kms-a"}});
    node_ = node::Node::open(std::move(settings)).value();
    store_ = TerminalStore::open(folder_ / "state/terminal.db", node_->device()).value();
    credentials_ = node::CredentialStore::open(folder_ / "state/credentials.db", node_->device(), net_.suite()).value();
  }
  std::filesystem::path secret_file() const { return folder_ / "secret"; }
  void write_secret(char digit) {
    std::ofstream(secret_file()) << std::string(64, digit);
    std::filesystem::permissions(secret_file(), std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    secret_ = Secret::copy_of(*from_hex(std::string(64, digit)));
  }

  /// Step 2 as the KMS does it; `differ` changes the message or its payload before they are sealed and signed.
  struct Answer {
    wire::EnrolDeliver message;
    wire::EnrolPayload payload;
  };
  Result<Bytes> kms_answers(ByteView octets, const std::function<void(Answer&)>& differ = [](Answer&) {}) {
    const crypto::Suite& suite = net_.suite();
    const auto request = wire::parse<wire::Enrol>(octets).value();
    TRY(wire::verify_enrol(request, secret_));
    const auto chain = [&](crypto::KeyAlgorithm algorithm, const Bytes& csr) {
      const auto asked = crypto::CertificateRequest::parse(csr).value();
      return wire::encode_chain({net_.issue(asked.names(), algorithm, asked.public_key()).der(), net_.authority(algorithm).issuing.der()}).value();
    };
    const auto pair = crypto::Decapsulator::generate(suite, rng_).value();
    const auto made = crypto::encapsulate(suite, crypto::KemForm::to_ephemeral, request.message.ephemeral, rng_).value();
    const Secret ss = wire::hybrid_secret(suite, wire::transcript(made, request.message.ephemeral), wire::enrol_context(request.hash));
    Answer answer{.message = {.h_enrol = request.hash, .uid = request.message.uid, .chain_classical = chain(crypto::classical_key(suite), request.message.csr_classical),
                              .chain_pq = chain(crypto::ml_dsa_key(suite), request.message.csr_pq), .encryption_keys = wire::EncryptionKeys::kms_made,
                              .ct_classical = made.ct_classical, .ct_ml_kem = made.ct_ml_kem, .enc_kid = wire::key_id_of(suite, pair.encapsulation_key()),
                              .ts_ms = now_ms(), .sealed = {}},
                  .payload = {.encryption = pair.secret(), .kms = kms_.fps}};
    differ(answer);
    const auto sealed = wire::seal_enrol(suite, 1, answer.message, ss, answer.payload).value();
    return node::enclose(kms_, wire::sign_message(suite, 1, sealed, kms_.signer, kms_.fps, rng_).value().octets);
  }
  EnrolmentTransport good() {
    return {.enrol =
                [this](ByteView message, Deadline) {
                  requests_.push_back(to_bytes(message));
                  if (answers_.empty()) answers_.push_back(kms_answers(message).value());
                  return Result<Bytes>(answers_.back());
                },
            .receipt =
                [this](ByteView message, Deadline) {
                  receipts_.push_back(to_bytes(message));
                  return Result<void>();
                }};
  }
  Result<void> run(EnrolmentTransport transport) {
    return Enrolment(*node_, settings_, *credentials_, *store_, std::move(transport)).run(Deadline::after(10s));
  }
  Result<void> run_with(std::function<void(Answer&)> differ) {
    EnrolmentTransport transport = good();
    transport.enrol = [this, differ = std::move(differ)](ByteView message, Deadline) { return kms_answers(message, differ); };
    return run(std::move(transport));
  }

  qanat::test::TemporaryDirectory folder_;
  SmallNetwork& net_ = network(gm);
  FixedRng rng_{23};
  StatusServer cas_;
  node::MessageSigner kms_;
  Secret secret_;
  TerminalSettings settings_;
  std::unique_ptr<node::Node> node_;
  std::unique_ptr<TerminalStore> store_;
  std::unique_ptr<node::CredentialStore> credentials_;
  std::vector<Bytes> requests_;
  std::vector<Bytes> answers_;
  std::vector<Bytes> receipts_;
};

TEST_F(EnrolmentTest, AfterwardsTheTerminalHasItsCertificatesAndTheSecretIsGone) {
  const auto done = run(good());
  ASSERT_TRUE(done) << done.error().message;
  const node::MessageSigner& own = *node_->credentials().messages;
  EXPECT_EQ(own.ml_dsa.names().number, alice_number);
  EXPECT_EQ(own.classical.names().element->name, "alice");
  EXPECT_FALSE(std::filesystem::exists(secret_file()));
  EXPECT_EQ(store_->stage().value(), EnrolmentStage::confirmed);
  EXPECT_EQ(store_->delivered()->kms_ml_dsa, kms_.ml_dsa.der());
  ASSERT_EQ(receipts_.size(), 1U);
  const auto receipt = wire::parse<wire::EnrolReceipt>(receipts_.front()).value();
  EXPECT_TRUE(wire::verify(receipt, net_.sender(own)->verifier, own.fps));
  EXPECT_EQ(receipt.message.h_deliver, crypto::digest(net_.suite().hash, wire::parse_envelope(answers_.front())->message));
  // Another start asks nobody.
  start();
  ASSERT_TRUE(run({.enrol = [](ByteView, Deadline) { return Result<Bytes>(fail(ErrorCode::internal, "asked again")); },
                   .receipt = [](ByteView, Deadline) { return Result<void>(fail(ErrorCode::internal, "told again")); }}));
}

TEST_F(EnrolmentTest, ALostAnswerIsAskedForAgainWithTheSameOctets) {
  EnrolmentTransport losing = good();
  losing.enrol = [this](ByteView message, Deadline) {
    requests_.push_back(to_bytes(message));
    answers_.push_back(kms_answers(message).value());
    return Result<Bytes>(fail(ErrorCode::unavailable, "the answer was lost"));
  };
  ASSERT_FALSE(run(losing));
  EXPECT_TRUE(std::filesystem::exists(secret_file()));
  start();
  ASSERT_TRUE(run(good()));
  ASSERT_EQ(requests_.size(), 2U);
  EXPECT_EQ(requests_[0], requests_[1]);
}

TEST_F(EnrolmentTest, AReceiptThatDidNotArriveIsSentAgainWithoutAnotherRequest) {
  EnrolmentTransport losing = good();
  losing.receipt = [](ByteView, Deadline) { return Result<void>(fail(ErrorCode::unavailable, "lost")); };
  ASSERT_FALSE(run(losing));
  EXPECT_EQ(store_->stage().value(), EnrolmentStage::delivered);
  EXPECT_TRUE(std::filesystem::exists(secret_file()));
  start();
  ASSERT_TRUE(run(good()));
  EXPECT_EQ(requests_.size(), 1U);
  EXPECT_EQ(receipts_.size(), 1U);
  EXPECT_FALSE(std::filesystem::exists(secret_file()));
}

TEST_F(EnrolmentTest, ANewSecretMakesANewRequest) {
  EnrolmentTransport refusing = good();
  refusing.enrol = [this](ByteView message, Deadline) {
    requests_.push_back(to_bytes(message));
    return Result<Bytes>(fail(ErrorCode::unauthenticated, "the enrolment secret does not fit"));
  };
  ASSERT_FALSE(run(refusing));
  write_secret('b');
  ASSERT_TRUE(run(good()));
  ASSERT_EQ(requests_.size(), 2U);
  EXPECT_NE(requests_[0], requests_[1]);
}

TEST_F(EnrolmentTest, ARevokedKmsGetsNoReceipt) {
  cas_.revoked = true;
  const auto done = run(good());
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::denied);
  EXPECT_TRUE(receipts_.empty());
}

TEST_F(EnrolmentTest, AnAnswerThatDoesNotFitChangesNothing) {
  const auto refused = [&](std::function<void(Answer&)> differ) {
    const auto done = run_with(std::move(differ));
    return !done && done.error().code == ErrorCode::denied && store_->stage().value() == EnrolmentStage::asked && !credentials_->load().value();
  };
  EXPECT_TRUE(refused([](Answer& answer) { answer.message.h_enrol.front() ^= 1; })) << "another request";
  EXPECT_TRUE(refused([](Answer& answer) { answer.message.uid = Uid("bob"); }));
  EXPECT_TRUE(refused([](Answer& answer) { answer.message.ts_ms += hour_ms; }));
  EXPECT_TRUE(refused([](Answer& answer) { answer.message.enc_kid.front() ^= 1; })) << "another key pair";
  EXPECT_TRUE(refused([](Answer& answer) { answer.payload.kms.pq.front() ^= 1; })) << "pins others than the signer";
  EXPECT_TRUE(refused([&](Answer& answer) {
    const node::MessageSigner bob = net_.signer(Kind::app1, "bob", bob_number);
    answer.message.chain_pq = wire::encode_chain({bob.ml_dsa.der()}).value();
  })) << "somebody else's certificate";
  EXPECT_TRUE(run(good())) << "and the right answer is still taken";
}

TEST_F(EnrolmentTest, AnAnswerOfAnotherKmsIsRefused) {
  EnrolmentTransport transport = good();
  kms_ = net_.signer(Kind::kms, "kms-b");
  EXPECT_FALSE(run(transport));
  SmallNetwork foreign(gm, 77);
  kms_ = foreign.signer(Kind::kms, "kms-a");
  answers_.clear();
  EXPECT_FALSE(run(transport));
}

TEST_F(EnrolmentTest, AlteredOctetsOfTheAnswerAreRefused) {
  constexpr std::size_t stride = 101;
  EnrolmentTransport transport = good();
  std::size_t size = 1;
  for (std::size_t at = 0; at < size; at += stride) {
    transport.enrol = [&](ByteView message, Deadline) {
      if (answers_.empty()) answers_.push_back(kms_answers(message).value());
      Bytes altered = answers_.front();
      size = altered.size();
      altered[at] ^= 0x20;
      return Result<Bytes>(std::move(altered));
    };
    EXPECT_FALSE(run(transport)) << at;
  }
  EXPECT_EQ(store_->stage().value(), EnrolmentStage::asked);
}

TEST_F(EnrolmentTest, TheSecretFileMustBeThereAndPrivate) {
  std::filesystem::permissions(secret_file(), std::filesystem::perms::group_read, std::filesystem::perm_options::add);
  EXPECT_EQ(read_enrolment_secret(secret_file()).error().code, ErrorCode::denied);
  std::filesystem::remove(secret_file());
  EXPECT_EQ(read_enrolment_secret(secret_file()).error().code, ErrorCode::not_found);
  std::ofstream(secret_file()) << "not hexadecimal";
  std::filesystem::permissions(secret_file(), std::filesystem::perms::owner_read);
  EXPECT_EQ(read_enrolment_secret(secret_file()).error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace qanat::terminal
