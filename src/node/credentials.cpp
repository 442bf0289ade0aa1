#include "node/credentials.hpp"

#include <array>

#include "store/long_lived.hpp"

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
    store::Migration{3, R"sql(
      CREATE TABLE next_credential (
        role TEXT PRIMARY KEY CHECK (role IN ('ml_dsa', 'classical')),
        sealed_key BLOB NOT NULL,
        request BLOB NOT NULL
      ) STRICT;
      CREATE TABLE succession (
        id INTEGER PRIMARY KEY,
        link BLOB NOT NULL         -- a chain (wire/succession.hpp) of one
      ) STRICT)sql"},
    store::Migration{4, R"sql(
      CREATE TABLE unrecorded_enrolment (
        sealed_secret BLOB NOT NULL  -- that was spent: its file is to be deleted
      ) STRICT)sql"},
};

std::string_view role_of(bool classical) { return classical ? "classical" : "ml_dsa"; }

Bytes audit_context(std::string_view role) { return store::column_context("audit_key.sealed_key", as_bytes(role)); }

Bytes spent_context() { return store::column_context("unrecorded_enrolment.sealed_secret", {}); }

struct AuditRole {
  std::string_view name;
  crypto::LoneScheme scheme;
};
constexpr std::array audit_roles{AuditRole{"ml_dsa_44", crypto::LoneScheme::ml_dsa_44}, AuditRole{"sm2", crypto::LoneScheme::sm2}};

/// The one column of the one row; empty if there is none.
Result<Bytes> one_blob(store::Store& store, std::string_view sql, std::initializer_list<store::Value> values) {
  return store.transact([&](store::Transaction& transaction) -> Result<Bytes> {
    Bytes out;
    TRY(transaction.query(sql, values, [&](const store::Row& row) { out = row.blob(0); }));
    return out;
  });
}

/// A key of the audit record, or nothing if it has not been made.
Result<std::optional<crypto::LoneSigner>> read_audit_key(store::Store& store, crypto::CryptoDevice& device, const AuditRole& role) {
  ASSIGN_OR_RETURN(const Bytes sealed, one_blob(store, "SELECT sealed_key FROM audit_key WHERE role = ?", {role.name}));
  if (sealed.empty()) return std::optional<crypto::LoneSigner>{};
  ASSIGN_OR_RETURN(const Secret secret, store::unseal_long_lived(store, device, "audit_key", "sealed_key", audit_context(role.name), sealed));
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

std::string pem_of(const std::vector<crypto::Certificate>& chain) {
  std::string out;
  for (const crypto::Certificate& cert : chain) out += cert.pem();
  return out;
}

}  // namespace

bool signs_messages(Kind kind) noexcept { return kind == Kind::kms || kind == Kind::cmsp || kind == Kind::iam || apps.has(kind); }

CredentialStore::CredentialStore(std::unique_ptr<store::Store> store, crypto::CryptoDevice& device, const crypto::Suite& suite)
    : store_(std::move(store)), device_(device), suite_(suite) {}

Result<std::unique_ptr<CredentialStore>> CredentialStore::open(const std::filesystem::path& file, crypto::CryptoDevice& device, const crypto::Suite& suite) {
  ASSIGN_OR_RETURN(auto store, store::Store::open(file, migrations));
  return std::unique_ptr<CredentialStore>(new CredentialStore(std::move(store), device, suite));
}

Result<std::unique_ptr<CredentialStore>> CredentialStore::open(const store::PostgresqlPlace& place, crypto::CryptoDevice& device, const crypto::Suite& suite) {
  ASSIGN_OR_RETURN(auto store, store::Store::open(place, migrations));
  return std::unique_ptr<CredentialStore>(new CredentialStore(std::move(store), device, suite));
}

enum class CredentialStore::Slot : std::uint8_t { in_force, next };

struct CredentialStore::Stored {
  crypto::PrivateKey key;
  Bytes request;
  std::vector<crypto::Certificate> chain;  // empty: not issued yet
};

namespace {

Bytes context_of(bool next, bool classical) {
  return store::column_context(next ? "next_credential.sealed_key" : "credential.sealed_key", as_bytes(role_of(classical)));
}

/// Each chain is over the key that waits for it.
template <class Stored>
Result<void> check_chain(const std::optional<Stored>& stored, const std::vector<crypto::Certificate>& chain, bool classical) {
  const std::string where = "certificate for the " + std::string(classical ? "classical" : "ML-DSA") + " key";
  if (!stored) return fail(ErrorCode::conflict, where + ": no key waits for it");
  if (chain.empty()) return fail(ErrorCode::invalid_argument, where + ": missing");
  ASSIGN_OR_RETURN(const Bytes own, crypto::public_octets(stored->key));
  if (own != chain.front().public_key()) return fail(ErrorCode::denied, where + ": is over another key");
  return {};
}

}  // namespace

Result<std::optional<CredentialStore::Stored>> CredentialStore::read(Slot slot, bool classical) {
  const bool next = slot == Slot::next;
  struct Columns {
    Bytes sealed;
    Bytes request;
    Bytes chain;
  };
  ASSIGN_OR_RETURN(Columns columns, store_->transact([&](store::Transaction& transaction) -> Result<Columns> {
    const std::string_view query = next ? "SELECT sealed_key, request FROM next_credential WHERE role = ?" :
                                          "SELECT sealed_key, request, chain FROM credential WHERE role = ?";
    Columns out;
    TRY(transaction.query(query, {role_of(classical)}, [&](const store::Row& row) {
      out.sealed = row.blob(0);
      out.request = row.blob(1);
      if (!next && !row.is_null(2)) out.chain = row.blob(2);
    }));
    return out;
  }));
  auto& [sealed, request, chain] = columns;
  if (sealed.empty()) return std::optional<Stored>{};
  const std::string_view table = next ? "next_credential" : "credential";
  ASSIGN_OR_RETURN(Secret secret, store::unseal_long_lived(*store_, device_, table, "sealed_key", context_of(next, classical), sealed));
  const crypto::KeyAlgorithm algorithm = classical ? crypto::classical_key(suite_) : crypto::ml_dsa_key(suite_);
  Stored out{.key = {.algorithm = algorithm, .secret = std::move(secret)}, .request = std::move(request), .chain = {}};
  if (!chain.empty()) {
    ASSIGN_OR_RETURN(out.chain, crypto::Certificate::parse_pem_chain(as_text(chain)));
  }
  return Result<std::optional<Stored>>(std::move(out));
}

Result<std::optional<Credentials>> CredentialStore::load() {
  ASSIGN_OR_RETURN(std::optional<Stored> ml_dsa, read(Slot::in_force, false));
  ASSIGN_OR_RETURN(std::optional<Stored> classical, read(Slot::in_force, true));
  if (!ml_dsa || ml_dsa->chain.empty() || (classical && classical->chain.empty())) return std::optional<Credentials>{};
  Credentials out;
  ASSIGN_OR_RETURN(std::vector<wire::Succession> links, successions());
  out.successions = std::make_shared<const std::vector<wire::Succession>>(std::move(links));
  if (classical) {
    crypto::SigningSecret secret{.scalar = std::move(classical->key.secret), .ml_dsa_seed = ml_dsa->key.secret.duplicate()};
    ASSIGN_OR_RETURN(crypto::Signer signer, crypto::Signer::from_secret(suite_, secret));
    const crypto::Certificate& of_classical = classical->chain.front();
    const crypto::Certificate& of_ml_dsa = ml_dsa->chain.front();
    out.messages = std::make_shared<const MessageSigner>(MessageSigner{.signer = std::move(signer),
                                                                       .classical = of_classical,
                                                                       .ml_dsa = of_ml_dsa,
                                                                       .fps = wire::fingerprints(suite_, of_classical.der(), of_ml_dsa.der())});
  }
  out.tls = std::make_shared<const net::TlsIdentity>(net::TlsIdentity{.chain = std::move(ml_dsa->chain), .key = std::move(ml_dsa->key)});
  return Result<std::optional<Credentials>>(std::move(out));
}

Result<Bytes> CredentialStore::prepare_one(Slot slot, bool classical, const crypto::PrivateKey& key, const crypto::SubjectNames& names) {
  const bool next = slot == Slot::next;
  ASSIGN_OR_RETURN(const Bytes request, crypto::make_request(key, names));
  ASSIGN_OR_RETURN(const Bytes sealed, device_.seal(context_of(next, classical), key.secret));
  TRY(store_->transact([&](store::Transaction& transaction) {
    const std::string_view insert = next ? "INSERT INTO next_credential (role, sealed_key, request) VALUES (?, ?, ?)" :
                                           "INSERT INTO credential (role, sealed_key, request) VALUES (?, ?, ?)";
    return transaction.run(insert, {role_of(classical), ByteView(sealed), ByteView(request)});
  }));
  return request;
}

Result<CredentialStore::Requests> CredentialStore::prepare(Slot slot, const crypto::SubjectNames& names, bool with_classical) {
  ASSIGN_OR_RETURN(std::optional<Stored> ml_dsa, read(slot, false));
  ASSIGN_OR_RETURN(std::optional<Stored> classical, read(slot, true));
  ASSIGN_OR_RETURN(const crypto::Signer fresh, crypto::Signer::generate(suite_, device_.rng()));
  crypto::SigningSecret secret = fresh.secret();
  Requests out;
  if (ml_dsa) {
    out.ml_dsa = ml_dsa->request;
  } else {
    ASSIGN_OR_RETURN(out.ml_dsa, prepare_one(slot, false, {.algorithm = crypto::ml_dsa_key(suite_), .secret = std::move(secret.ml_dsa_seed)}, names));
  }
  if (!with_classical) return out;
  if (classical) {
    out.classical = classical->request;
  } else {
    ASSIGN_OR_RETURN(out.classical, prepare_one(slot, true, {.algorithm = crypto::classical_key(suite_), .secret = std::move(secret.scalar)}, names));
  }
  return out;
}

Result<CredentialStore::Requests> CredentialStore::prepare(const crypto::SubjectNames& names, bool with_classical) {
  return prepare(Slot::in_force, names, with_classical);
}
Result<CredentialStore::Requests> CredentialStore::prepare_next(const crypto::SubjectNames& names, bool with_classical) {
  return prepare(Slot::next, names, with_classical);
}

Result<void> CredentialStore::finish(const std::vector<crypto::Certificate>& ml_dsa_chain, const std::vector<crypto::Certificate>& classical_chain,
                                     const Secret* spent) {
  ASSIGN_OR_RETURN(const std::optional<Stored> ml_dsa, read(Slot::in_force, false));
  ASSIGN_OR_RETURN(const std::optional<Stored> classical, read(Slot::in_force, true));
  TRY(check_chain(ml_dsa, ml_dsa_chain, false));
  if (classical) TRY(check_chain(classical, classical_chain, true));
  Bytes sealed;
  if (spent != nullptr) {
    ASSIGN_OR_RETURN(sealed, device_.seal(spent_context(), *spent));
  }
  TRY(store_->transact([&](store::Transaction& transaction) -> Result<std::int64_t> {
    const std::string pem = pem_of(ml_dsa_chain);
    const std::string classical_pem = pem_of(classical_chain);
    TRY(transaction.run("DELETE FROM unrecorded_enrolment", {}));
    if (spent != nullptr) TRY(transaction.run("INSERT INTO unrecorded_enrolment (sealed_secret) VALUES (?)", {ByteView(sealed)}));
    TRY(transaction.run("UPDATE credential SET chain = ? WHERE role = 'ml_dsa'", {as_bytes(pem)}));
    if (!classical) return 0;
    return transaction.run("UPDATE credential SET chain = ? WHERE role = 'classical'", {as_bytes(classical_pem)});
  }));
  return {};
}

Result<std::optional<Secret>> CredentialStore::unrecorded_enrolment() {
  ASSIGN_OR_RETURN(const Bytes sealed, one_blob(*store_, "SELECT sealed_secret FROM unrecorded_enrolment", {}));
  if (sealed.empty()) return Result<std::optional<Secret>>(std::nullopt);
  ASSIGN_OR_RETURN(Secret spent, device_.unseal(spent_context(), sealed));
  return Result<std::optional<Secret>>(std::move(spent));
}

Result<void> CredentialStore::enrolment_recorded() {
  TRY(store_->transact([&](store::Transaction& transaction) { return transaction.run("DELETE FROM unrecorded_enrolment", {}); }));
  return {};
}

/// What the keys in force say of those that follow them.
Result<Bytes> CredentialStore::succession(const std::vector<crypto::Certificate>& classical_chain, const std::vector<crypto::Certificate>& ml_dsa_chain) {
  ASSIGN_OR_RETURN(const std::optional<Credentials> former, load());
  if (!former || !former->messages) return fail(ErrorCode::conflict, "there are no certificates yet that others could follow");
  const MessageSigner& own = *former->messages;
  ASSIGN_OR_RETURN(const wire::Succession link,
                   wire::make_succession(suite_, own.fps, classical_chain.front().der(), ml_dsa_chain.front().der(), own.signer, device_.rng()));
  return wire::encode_successions(suite_, {&link, 1});
}

Result<void> CredentialStore::finish_next(const std::vector<crypto::Certificate>& ml_dsa_chain, const std::vector<crypto::Certificate>& classical_chain) {
  struct Move {
    bool classical;
    const std::vector<crypto::Certificate>& chain;
    Bytes sealed;
    Bytes request;
  };
  std::vector<Move> moves;
  for (const bool classical : {false, true}) {
    const std::vector<crypto::Certificate>& chain = classical ? classical_chain : ml_dsa_chain;
    ASSIGN_OR_RETURN(const std::optional<Stored> next, read(Slot::next, classical));
    if (classical && !next) continue;
    TRY(check_chain(next, chain, classical));
    ASSIGN_OR_RETURN(Bytes sealed, device_.seal(context_of(false, classical), next->key.secret));
    moves.push_back({.classical = classical, .chain = chain, .sealed = std::move(sealed), .request = next->request});
  }
  Bytes link;
  if (moves.size() == 2) {
    ASSIGN_OR_RETURN(link, succession(classical_chain, ml_dsa_chain));
  }
  TRY(store_->transact([&](store::Transaction& transaction) -> Result<std::int64_t> {
    for (const Move& move : moves) {
      const std::string pem = pem_of(move.chain);
      TRY(transaction.run("INSERT INTO credential (role, sealed_key, request, chain) VALUES (?, ?, ?, ?) ON CONFLICT (role) DO UPDATE SET"
                          " sealed_key = excluded.sealed_key, request = excluded.request, chain = excluded.chain",
                          {role_of(move.classical), ByteView(move.sealed), ByteView(move.request), as_bytes(pem)}));
    }
    if (!link.empty()) {
      TRY(transaction.run("INSERT INTO succession (link) VALUES (?)", {ByteView(link)}));
      TRY(transaction.run("DELETE FROM succession WHERE id NOT IN (SELECT id FROM succession ORDER BY id DESC LIMIT ?)", {static_cast<std::int64_t>(wire::succession_links_max)}));
    }
    return transaction.run("DELETE FROM next_credential", {});
  }));
  return {};
}

Result<void> CredentialStore::drop_next() {
  TRY(store_->transact([&](store::Transaction& transaction) { return transaction.run("DELETE FROM next_credential", {}); }));
  return {};
}

Result<void> CredentialStore::start_over() {
  return store_->transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(transaction.run("DELETE FROM credential", {}));
    TRY(transaction.run("DELETE FROM next_credential", {}));
    TRY(transaction.run("DELETE FROM succession", {}));
    return {};
  });
}

Result<std::vector<wire::Succession>> CredentialStore::successions() {
  ASSIGN_OR_RETURN(const std::vector<Bytes> links, store_->transact([&](store::Transaction& transaction) -> Result<std::vector<Bytes>> {
    std::vector<Bytes> found;
    TRY(transaction.query("SELECT link FROM succession ORDER BY id", {}, [&](const store::Row& row) { found.push_back(row.blob(0)); }));
    return found;
  }));
  std::vector<wire::Succession> out;
  for (const Bytes& link : links) {
    ASSIGN_OR_RETURN(std::vector<wire::Succession> one, wire::parse_successions(suite_, link));
    out.insert(out.end(), std::make_move_iterator(one.begin()), std::make_move_iterator(one.end()));
  }
  return out;
}

Result<audit::CheckpointSigner> CredentialStore::audit_signer(std::string name) {
  ASSIGN_OR_RETURN(crypto::LoneSigner ml_dsa_44, audit_key(*store_, device_, audit_roles[0]));
  ASSIGN_OR_RETURN(crypto::LoneSigner sm2, audit_key(*store_, device_, audit_roles[1]));
  return audit::CheckpointSigner(std::move(name), std::move(ml_dsa_44), std::move(sm2));
}

}  // namespace qanat::node
