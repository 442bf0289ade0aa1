// Chained connections (own design, docs/protocol/chain.md): a connection that both certificates authenticated hands a key on to the next one. What goes into
// that key besides, a quantum key or one of a site, makes the next connection's secrecy rest on it too, with TLS as it is (RFC 8446 §2.2, psk_dhe_ke).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "base/clock.hpp"
#include "base/secret.hpp"
#include "crypto/x509.hpp"
#include "net/http.hpp"

namespace qanat::net {

struct Call;

inline constexpr std::size_t chain_psk_size = 48;       // the digest of the one cipher suite (TLS_AES_256_GCM_SHA384)
inline constexpr std::size_t chain_exporter_size = 32;
inline constexpr std::size_t chain_identity_max = 64;   // octets; it travels in clear
inline constexpr std::size_t chain_waiting_max = 1024;  // keys that a server holds for connections to come
inline constexpr std::chrono::milliseconds chain_waiting_for{30000};

/// Names the key and both ends; all of it goes into the pre-shared key.
struct ChainContext {
  Bytes identity;  // 1 to chain_identity_max octets, never used before
  Bytes client;    // SHA-256 of the certificate that the client showed on the connection before
  Bytes server;
  std::uint32_t policy_epoch = 0;
};

/// HKDF-SHA384 over `extra` and the exporter (RFC 8446 §7.5, label "EXPORTER-QFCI-chain") of the connection before: unknown to whoever lacks either of them.
Secret chain_key(const Secret& extra, const Secret& exporter, const ChainContext& context);

struct ChainedKey {
  Bytes identity;
  Secret psk;  // chain_psk_size octets
};

/// A server's keys for connections to come. Each serves one connection, within chain_waiting_for. Thread-safe.
class ChainedKeys {
 public:
  explicit ChainedKeys(const Clock& clock) : clock_(clock) {}
  /// conflict if a key of this identity waits; exhausted beyond chain_waiting_max; invalid_argument for a size that is none.
  Result<void> expect(ChainedKey key, crypto::Certificate peer);

  struct Found {
    Secret psk;
    crypto::Certificate peer;
  };
  /// The key and whose it is; nothing if there is none. It stays until a handshake has proved the key: a stranger who has seen the identity burns nothing.
  std::optional<Found> find(ByteView identity);
  /// After that handshake. False if another connection was faster: this one ends.
  bool use(ByteView identity);

 private:
  struct Waiting {
    Secret psk;
    crypto::Certificate peer;
    UnixMs until = 0;
  };
  void forget_old();

  const Clock& clock_;
  std::mutex mutex_;
  std::map<Bytes, Waiting> waiting_;
};

/// A client's way to the next key, over a connection that both certificates authenticated.
struct ChainLink {
  const Secret& exporter;
  const crypto::Certificate& server;
  std::function<Result<Response>(const Call&, Deadline)> ask;  // over that very connection
};
using ChainNext = std::function<Result<ChainedKey>(const ChainLink&, Deadline)>;

/// `preferred`: where no next key can be had, the connection before serves, and `fallen_back` is told why.
enum class ChainNeed : std::uint8_t { preferred, required };
struct Chaining {
  ChainNext next;
  ChainNeed need = ChainNeed::required;
  std::chrono::milliseconds age_max{86'400'000};  // an older connection, chained or not, gets no further call: one under another key takes its place
  std::function<void(const Error&)> fallen_back = {};
};

}  // namespace qanat::net
