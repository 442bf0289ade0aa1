#include "primitives.hpp"

#include <fmt/format.h>

#include <array>

#include "audit/audit.hpp"
#include "crypto/aead.hpp"
#include "statistics.hpp"
#include "wire/key_schedule.hpp"

namespace qanat::bench {
namespace {

constexpr std::size_t batches = 5;
constexpr std::size_t message_size = 1800;  // about what a KeyRequest has the signatures cover
constexpr UnixMs day_ms = 86'400'000;

/// Processor milliseconds of one `work`.
template <class Work>
Result<double> unit_ms(std::size_t turns, Work&& work) {
  std::vector<double> per_turn;
  for (std::size_t batch = 0; batch < batches; ++batch) {
    const double before = thread_cpu_s();
    for (std::size_t i = 0; i < turns; ++i) TRY(work());
    per_turn.push_back((thread_cpu_s() - before) * 1000 / static_cast<double>(turns));
  }
  return median(per_turn);
}

/// A CA with two levels per kind of key, as the ceremony makes it, and one end certificate of each kind.
struct Certified {
  crypto::Certificate leaf;
  crypto::Certificate issuer;
  crypto::PrivateKey issuer_key;
};

Result<Certified> certify(Ground& ground, crypto::KeyAlgorithm algorithm, std::vector<crypto::Certificate>& roots,
                          std::vector<crypto::Certificate>& intermediates) {
  const bool classical = algorithm == crypto::classical_key(ground.suite());
  const UnixMs now = SystemClock().now_ms();
  std::optional<crypto::Certificate> above;
  std::optional<crypto::PrivateKey> above_key;
  std::optional<crypto::PrivateKey> issuer_key;
  std::vector<crypto::Certificate> chain;
  for (const crypto::CertificateUse use : {crypto::CertificateUse::root_ca, crypto::CertificateUse::issuing_ca, crypto::CertificateUse::tls_and_signing}) {
    ASSIGN_OR_RETURN(const crypto::Signer pair, crypto::Signer::generate(ground.suite(), ground.rng()));
    crypto::SigningSecret secrets = pair.secret();
    crypto::PrivateKey key{.algorithm = algorithm, .secret = std::move(classical ? secrets.scalar : secrets.ml_dsa_seed)};
    Bytes serial = ground.rng().bytes(16);
    serial.front() &= 0x7f;
    const crypto::CertificateTemplate wanted{.use = use,
                                             .names = {.common_name = fmt::format("bench {}", static_cast<int>(use)), .element = {}, .number = {}, .dns = {}},
                                             .key_algorithm = algorithm,
                                             .public_key = classical ? pair.verifying_key().point : pair.verifying_key().ml_dsa,
                                             .serial = std::move(serial),
                                             .not_before = now - day_ms,
                                             .not_after = now + day_ms};
    ASSIGN_OR_RETURN(crypto::Certificate certificate, crypto::issue(wanted, above ? &*above : nullptr, above_key ? *above_key : key));
    chain.push_back(certificate);
    above = certificate;
    if (above_key) issuer_key = std::move(above_key);
    above_key = std::move(key);
  }
  roots.push_back(chain[0]);
  intermediates.push_back(chain[1]);
  return Certified{.leaf = chain[2], .issuer = chain[1], .issuer_key = *std::move(issuer_key)};
}

Result<void> measure_certificates(Ground& ground, std::size_t turns, Primitives& out) {
  std::vector<crypto::Certificate> roots;
  std::vector<crypto::Certificate> intermediates;
  ASSIGN_OR_RETURN(const Certified classical, certify(ground, crypto::classical_key(ground.suite()), roots, intermediates));
  ASSIGN_OR_RETURN(const Certified ml_dsa, certify(ground, crypto::ml_dsa_key(ground.suite()), roots, intermediates));
  const crypto::TrustStore trust(roots, intermediates);
  const UnixMs now = SystemClock().now_ms();
  ASSIGN_OR_RETURN(out.chains, unit_ms(turns, [&]() -> Result<void> {
                     TRY(trust.verify(classical.leaf, now));
                     return trust.verify(ml_dsa.leaf, now);
                   }));
  ASSIGN_OR_RETURN(out.statuses, unit_ms(turns, [&]() -> Result<void> {
                     for (const Certified* one : {&classical, &ml_dsa}) {
                       const Bytes nonce = ground.rng().bytes(32);
                       ASSIGN_OR_RETURN(const Bytes request, crypto::make_status_request(one->leaf, one->issuer, nonce));
                       const crypto::StatusAnswer good{.status = crypto::CertStatus::good, .this_update = now, .next_update = now + day_ms};
                       ASSIGN_OR_RETURN(const Bytes response, crypto::make_status_response(request, good, one->issuer, one->issuer_key));
                       TRY(crypto::verify_status_response(response, one->leaf, one->issuer, nonce, now));
                     }
                     return {};
                   }));
  return {};
}

Result<void> measure_signatures(Ground& ground, std::size_t turns, Primitives& out) {
  const crypto::Suite& suite = ground.suite();
  crypto::Rng& rng = ground.rng();
  const Bytes message = rng.bytes(message_size);
  // As many keys as turns: a key that is parsed anew must not be in the processor's cache from the turn before.
  std::vector<crypto::VerifyingKey> keys;
  std::vector<Bytes> signatures;
  for (std::size_t i = 0; i < turns; ++i) {
    ASSIGN_OR_RETURN(const crypto::Signer one, crypto::Signer::generate(suite, rng));
    keys.push_back(one.verifying_key());
    signatures.push_back(one.sign(message, rng));
  }
  std::size_t next = 0;
  const auto turn = [&] { return next++ % turns; };
  ASSIGN_OR_RETURN(const crypto::Signer signer, crypto::Signer::generate(suite, rng));
  const Bytes signature = signer.sign(message, rng);
  ASSIGN_OR_RETURN(const crypto::Verifier kept, crypto::Verifier::from_key(suite, signer.verifying_key()));
  ASSIGN_OR_RETURN(out.sign, unit_ms(turns, [&]() -> Result<void> {
                     (void)signer.sign(message, rng);
                     return {};
                   }));
  ASSIGN_OR_RETURN(out.verify_kept, unit_ms(turns, [&] { return kept.verify(message, signature); }));
  ASSIGN_OR_RETURN(out.verify_parsed, unit_ms(turns, [&]() -> Result<void> {
                     const std::size_t i = turn();
                     ASSIGN_OR_RETURN(const crypto::Verifier verifier, crypto::Verifier::from_key(suite, keys[i]));
                     return verifier.verify(message, signatures[i]);
                   }));
  ASSIGN_OR_RETURN(out.verify_classical, unit_ms(turns, [&] {
                     const std::size_t i = turn();
                     return crypto::verify_classical(suite, keys[i].point, message, ByteView(signatures[i]).first(suite.classical_sig));
                   }));
  ASSIGN_OR_RETURN(out.verify_ml_dsa, unit_ms(turns, [&] {
                     const std::size_t i = turn();
                     return crypto::verify_ml_dsa(suite.ml_dsa, keys[i].ml_dsa, message, ByteView(signatures[i]).subspan(suite.classical_sig));
                   }));
  return {};
}

Result<void> measure_encapsulations(Ground& ground, std::size_t turns, Primitives& out) {
  const crypto::Suite& suite = ground.suite();
  crypto::Rng& rng = ground.rng();
  ASSIGN_OR_RETURN(const crypto::Decapsulator pair, crypto::Decapsulator::generate(suite, rng));
  const crypto::EncapsulationKey key = pair.encapsulation_key();
  ASSIGN_OR_RETURN(out.keygen_ephemeral, unit_ms(turns, [&]() -> Result<void> {
                     TRY(crypto::Decapsulator::generate(suite, rng));
                     return {};
                   }));
  for (const crypto::KemForm form : {crypto::KemForm::to_static, crypto::KemForm::to_ephemeral}) {
    const bool fixed = form == crypto::KemForm::to_static;
    ASSIGN_OR_RETURN(const crypto::Encapsulation made, crypto::encapsulate(suite, form, key, rng));
    ASSIGN_OR_RETURN((fixed ? out.encapsulate_static : out.encapsulate_ephemeral), unit_ms(turns, [&]() -> Result<void> {
                       TRY(crypto::encapsulate(suite, form, key, rng));
                       return {};
                     }));
    ASSIGN_OR_RETURN((fixed ? out.decapsulate_static : out.decapsulate_ephemeral), unit_ms(turns, [&]() -> Result<void> {
                       TRY(pair.decapsulate(form, made.ct_classical, made.ct_ml_kem));
                       return {};
                     }));
  }
  ASSIGN_OR_RETURN(const crypto::Encapsulator kept, crypto::Encapsulator::from_key(suite, key));
  ASSIGN_OR_RETURN(out.encapsulate_kept, unit_ms(turns, [&]() -> Result<void> {
                     TRY(kept.encapsulate(crypto::KemForm::to_static, rng));
                     return {};
                   }));
  ASSIGN_OR_RETURN(const crypto::Encapsulation fixed, crypto::encapsulate(suite, crypto::KemForm::to_static, key, rng));
  ASSIGN_OR_RETURN(const crypto::Encapsulation fresh, crypto::encapsulate(suite, crypto::KemForm::to_ephemeral, key, rng));
  const Bytes h_req = rng.bytes(suite.digest);
  ASSIGN_OR_RETURN(out.schedule, unit_ms(turns, [&]() -> Result<void> {
                     const Secret ss_static = wire::hybrid_secret(suite, wire::transcript(fixed, key), wire::deliver_context(h_req));
                     const Secret ss = wire::mix_ephemeral(suite, ss_static, wire::transcript(fresh, key));
                     (void)wire::step11_key(suite, ss, h_req);
                     return {};
                   }));
  const Bytes plain = rng.bytes(1024);
  const Secret aead_key = rng.secret(suite.aead_key);
  const Bytes iv = rng.bytes(crypto::aead_iv);
  ASSIGN_OR_RETURN(out.seal_1k, unit_ms(turns, [&]() -> Result<void> {
                     (void)crypto::seal(suite.aead, aead_key, iv, {}, plain);
                     return {};
                   }));
  return {};
}

constexpr std::array store_migrations{store::Migration{1, "CREATE TABLE written (id INTEGER PRIMARY KEY, octets BLOB NOT NULL) STRICT"}};

double per_second(std::size_t count, std::chrono::steady_clock::time_point start) {
  return static_cast<double>(count) / std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

Result<Primitives> measure_primitives(Ground& ground, std::size_t turns, Report& report) {
  Primitives out;
  TRY(measure_signatures(ground, turns, out));
  TRY(measure_encapsulations(ground, turns, out));
  TRY(measure_certificates(ground, turns, out));
  const std::string suite(ground.suite().name);
  const std::array rows{std::pair{"sign (classical and ML-DSA)", out.sign},
                        std::pair{"verify both, key parsed before", out.verify_kept},
                        std::pair{"verify both, key parsed anew", out.verify_parsed},
                        std::pair{"verify classical, key parsed anew", out.verify_classical},
                        std::pair{"verify ML-DSA, key parsed anew", out.verify_ml_dsa},
                        std::pair{"ephemeral key pair", out.keygen_ephemeral},
                        std::pair{"encapsulate to a static key", out.encapsulate_static},
                        std::pair{"encapsulate to a static key, parsed before", out.encapsulate_kept},
                        std::pair{"encapsulate to an ephemeral key", out.encapsulate_ephemeral},
                        std::pair{"decapsulate, static", out.decapsulate_static},
                        std::pair{"decapsulate, ephemeral", out.decapsulate_ephemeral},
                        std::pair{"step 11 key schedule", out.schedule},
                        std::pair{"seal 1 KiB", out.seal_1k},
                        std::pair{"both certificates' chains", out.chains},
                        std::pair{"both certificates' OCSP answers", out.statuses}};
  for (const auto& [name, ms] : rows) report.add(plain_row(suite + ": " + name, ms, "CPU ms", ""));
  return out;
}

Result<void> measure_durable_writes(Ground& ground, std::size_t writes, Report& report) {
  const SystemClock clock;
  ASSIGN_OR_RETURN(const auto log, audit::Log::open(ground.scratch() / "audit.jsonl", "qanat://core/operator/bench", clock));
  auto start = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < writes; ++i) {
    TRY(log->append({.action = "bench.record", .outcome = audit::Outcome::success, .subject = "bench", .object = "", .reason = "", .request_id = ""}));
  }
  report.add(plain_row("audit records per second", per_second(writes, start), "1/s",
                         "one thread, each record on disk before the next begins; temporary folder's file system"));
  ASSIGN_OR_RETURN(const auto store, store::Store::open(ground.scratch() / "bench.db", store_migrations));
  const Bytes octets = ground.rng().bytes(64);
  start = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < writes; ++i) {
    TRY(store->transact([&](store::Transaction& transaction) {
      return transaction.run("INSERT INTO written (id, octets) VALUES (?, ?)", {static_cast<std::int64_t>(i), ByteView(octets)});
    }));
  }
  report.add(plain_row("store commits per second", per_second(writes, start), "1/s", "one thread, one row of 64 octets each, WAL and full sync"));
  return {};
}

}  // namespace qanat::bench
