#include "node/credentials.hpp"

#include <array>

namespace qanat::node {
namespace {

constexpr std::array migrations{
    store::Migration{1, R"sql(
      CREATE TABLE credential (
        role TEXT PRIMARY KEY CHECK (role IN ('ml_dsa', 'classical')),
        sealed_key BLOB NOT NULL,
        request BLOB NOT NULL,
        chain BLOB                 -- concatenated PEM, leaf first; NULL until CAS has answered
      ) STRICT)sql"},
    store::Migration{2, R"sql(
      CREATE TABLE audit_key (
        role TEXT PRIMARY KEY CHECK (role IN ('ml_dsa_44', 'sm2')),
        sealed_key BLOB NOT NULL
      ) STRICT)sql"},
};

struct Stored {
  crypto::PrivateKey key;
  Bytes request;
  std::vector<crypto::Certificate> chain;  // empty: not issued yet
};

Bytes context(std::string_view role) { return store::column_context("credential.sealed_key", as_bytes(role)); }

Result<std::optional<Stored>> read(store::Store& store, crypto::CryptoDevice& device, std::string_view role, crypto::KeyAlgorithm algorithm) {
  Bytes sealed;
  Bytes request;
  Bytes chain;
  TRY(store.transact([&](store::Transaction& transaction) -> Result<std::int64_t> {
    TRY(transaction.query("SELECT sealed_key, request, chain FROM credential WHERE role = ?", {role}, [&](const store::Row& row) {
      sealed = row.blob(0);
      request = row.blob(1);
      if (!row.is_null(2)) chain = row.blob(2);
    }));
    return 0;
  }));
  if (sealed.empty()) return std::optional<Stored>{};
  ASSIGN_OR_RETURN(Secret secret, device.unseal(context(role), sealed));
  Stored out{.key = {.algorithm = algorithm, .secret = std::move(secret)}, .request = std::move(request), .chain = {}};
  if (!chain.empty()) {
    ASSIGN_OR_RETURN(out.chain, crypto::Certificate::parse_pem_chain(as_text(chain)));
  }
  return Result<std::optional<Stored>>(std::move(out));
}

Bytes audit_context(std::string_view role) { return store::column_context("audit_key.sealed_key", as_bytes(role)); }

struct AuditRole {
  std::string_view name;
  crypto::LoneScheme scheme;
};
constexpr std::array audit_roles{AuditRole{"ml_dsa_44", crypto::LoneScheme::ml_dsa_44}, AuditRole{"sm2", crypto::LoneScheme::sm2}};

/// A key of the audit record, or nothing if it has not been made.
Result<std::optional<crypto::LoneSigner>> read_audit_key(store::Store& store, crypto::CryptoDevice& device, const AuditRole& role) {
  Bytes sealed;
  TRY(store.transact([&](store::Transaction& transaction) -> Result<std::int64_t> {
    TRY(transaction.query("SELECT sealed_key FROM audit_key WHERE role = ?", {role.name}, [&](const store::Row& row) { sealed = row.blob(0); }));
    return 0;
  }));
  if (sealed.empty()) return std::optional<crypto::LoneSigner>{};
  ASSIGN_OR_RETURN(const Secret secret, device.unseal(audit_context(role.name), sealed));
  ASSIGN_OR_RETURN(crypto::LoneSigner signer, crypto::LoneSigner::from_secret(role.scheme, secret));
  return Result<std::optional<crypto::LoneSigner>>(std::move(signer));
}

Result<crypto::LoneSigner> audit_key(store::Store& store, crypto::CryptoDevice& device, const AuditRole& role) {
  ASSIGN_OR_RETURN(std::optional<crypto::LoneSigner> known, read_audit_key(store, device, role));
  if (known) return Result<crypto::LoneSigner>(std::move(*known));
  ASSIGN_OR_RETURN(crypto::LoneSigner made, crypto::LoneSigner::generate(role.scheme, device.rng()));
  ASSIGN_OR_RETURN(const Bytes sealed, device.seal(audit_context(role.name), made.secret()));
  TRY(store.transact([&](store::Transaction& transaction) {
    return transaction.run("INSERT INTO audit_key (role, sealed_key) VALUES (?, ?)", {role.name, ByteView(sealed)});
  }));
  return Result<crypto::LoneSigner>(std::move(made));
}

Result<Bytes> prepare_one(store::Store& store, crypto::CryptoDevice& device, std::string_view role, const crypto::PrivateKey& key, const crypto::SubjectNames& names) {
  ASSIGN_OR_RETURN(const Bytes request, crypto::make_request(key, names));
  ASSIGN_OR_RETURN(const Bytes sealed, device.seal(context(role), key.secret));
  TRY(store.transact([&](store::Transaction& transaction) {
    return transaction.run("INSERT INTO credential (role, sealed_key, request) VALUES (?, ?, ?)", {role, ByteView(sealed), ByteView(request)});
  }));
  return request;
}

std::string pem_of(const std::vector<crypto::Certificate>& chain) {
  std::string out;
  for (const crypto::Certificate& cert : chain) out += cert.pem();
  return out;
}

Result<void> check_chain(const std::optional<Stored>& stored, const std::vector<crypto::Certificate>& chain, std::string_view role) {
  const std::string where = "certificate for the " + std::string(role) + " key";
  if (!stored) return fail(ErrorCode::conflict, where + ": no key waits for it");
  if (chain.empty()) return fail(ErrorCode::invalid_argument, where + ": missing");
  ASSIGN_OR_RETURN(const Bytes own, crypto::public_octets(stored->key));
  if (own != chain.front().public_key()) return fail(ErrorCode::denied, where + ": is over another key");
  return {};
}

}  // namespace

bool signs_messages(Kind kind) noexcept { return kind == Kind::kms || kind == Kind::cmsp || kind == Kind::iam || apps.has(kind); }

CredentialStore::CredentialStore(std::unique_ptr<store::Store> store, crypto::CryptoDevice& device, const crypto::Suite& suite)
    : store_(std::move(store)), device_(device), suite_(suite) {}

Result<std::unique_ptr<CredentialStore>> CredentialStore::open(const std::filesystem::path& file, crypto::CryptoDevice& device, const crypto::Suite& suite) {
  ASSIGN_OR_RETURN(auto store, store::Store::open(file, migrations));
  return std::unique_ptr<CredentialStore>(new CredentialStore(std::move(store), device, suite));
}

Result<std::optional<Credentials>> CredentialStore::load() {
  ASSIGN_OR_RETURN(std::optional<Stored> ml_dsa, read(*store_, device_, "ml_dsa", crypto::ml_dsa_key(suite_)));
  ASSIGN_OR_RETURN(std::optional<Stored> classical, read(*store_, device_, "classical", crypto::classical_key(suite_)));
  if (!ml_dsa || ml_dsa->chain.empty() || (classical && classical->chain.empty())) return std::optional<Credentials>{};
  Credentials out;
  if (classical) {
    crypto::SigningSecret secret{.scalar = std::move(classical->key.secret), .ml_dsa_seed = ml_dsa->key.secret.duplicate()};
    ASSIGN_OR_RETURN(crypto::Signer signer, crypto::Signer::from_secret(suite_, secret));
    out.messages.emplace(MessageSigner{.signer = std::move(signer),
                                       .classical = classical->chain.front(),
                                       .ml_dsa = ml_dsa->chain.front(),
                                       .fps = wire::fingerprints(suite_, classical->chain.front().der(), ml_dsa->chain.front().der())});
  }
  out.tls = std::make_shared<net::TlsIdentity>(net::TlsIdentity{.chain = std::move(ml_dsa->chain), .key = std::move(ml_dsa->key)});
  return Result<std::optional<Credentials>>(std::move(out));
}

Result<CredentialStore::Requests> CredentialStore::prepare(const crypto::SubjectNames& names, bool with_classical) {
  ASSIGN_OR_RETURN(std::optional<Stored> ml_dsa, read(*store_, device_, "ml_dsa", crypto::ml_dsa_key(suite_)));
  ASSIGN_OR_RETURN(std::optional<Stored> classical, read(*store_, device_, "classical", crypto::classical_key(suite_)));
  ASSIGN_OR_RETURN(const crypto::Signer fresh, crypto::Signer::generate(suite_, device_.rng()));
  crypto::SigningSecret secret = fresh.secret();
  Requests out;
  if (ml_dsa) {
    out.ml_dsa = ml_dsa->request;
  } else {
    ASSIGN_OR_RETURN(out.ml_dsa, prepare_one(*store_, device_, "ml_dsa", {.algorithm = crypto::ml_dsa_key(suite_), .secret = std::move(secret.ml_dsa_seed)}, names));
  }
  if (!with_classical) return out;
  if (classical) {
    out.classical = classical->request;
  } else {
    ASSIGN_OR_RETURN(out.classical,
                     prepare_one(*store_, device_, "classical", {.algorithm = crypto::classical_key(suite_), .secret = std::move(secret.scalar)}, names));
  }
  return out;
}

Result<void> CredentialStore::finish(const std::vector<crypto::Certificate>& ml_dsa_chain, const std::vector<crypto::Certificate>& classical_chain) {
  ASSIGN_OR_RETURN(const std::optional<Stored> ml_dsa, read(*store_, device_, "ml_dsa", crypto::ml_dsa_key(suite_)));
  ASSIGN_OR_RETURN(const std::optional<Stored> classical, read(*store_, device_, "classical", crypto::classical_key(suite_)));
  TRY(check_chain(ml_dsa, ml_dsa_chain, "ML-DSA"));
  if (classical) TRY(check_chain(classical, classical_chain, "classical"));
  TRY(store_->transact([&](store::Transaction& transaction) -> Result<std::int64_t> {
    const std::string pem = pem_of(ml_dsa_chain);
    const std::string classical_pem = pem_of(classical_chain);
    TRY(transaction.run("UPDATE credential SET chain = ? WHERE role = 'ml_dsa'", {as_bytes(pem)}));
    if (!classical) return 0;
    return transaction.run("UPDATE credential SET chain = ? WHERE role = 'classical'", {as_bytes(classical_pem)});
  }));
  return {};
}

Result<audit::CheckpointSigner> CredentialStore::audit_signer(std::string name) {
  ASSIGN_OR_RETURN(crypto::LoneSigner ml_dsa_44, audit_key(*store_, device_, audit_roles[0]));
  ASSIGN_OR_RETURN(crypto::LoneSigner sm2, audit_key(*store_, device_, audit_roles[1]));
  return audit::CheckpointSigner(std::move(name), std::move(ml_dsa_44), std::move(sm2));
}

}  // namespace qanat::node
