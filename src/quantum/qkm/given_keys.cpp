#include "quantum/qkm/given_keys.hpp"

#include "crypto/kdf.hpp"
#include "quantum/qkm/relay_message.hpp"
#include "wire/json.hpp"

namespace qanat::qkm {
namespace {

constexpr std::string_view given_label = "qanat qkm given keys 1\n";
constexpr std::size_t sid_digits = 2 * SidWk::size;

/// Nothing of a row can be exchanged without its octets' refusing to open.
Bytes given_context(const GivenKeys::Take& take, std::string_view about, UnixMs until_ms) {
  Bytes out = concat({as_bytes(given_label), take.sid_wk.view()});
  out.push_back(static_cast<std::uint8_t>(take.paths));
  const std::string until = std::to_string(until_ms);
  for (const std::string_view part : {std::string_view(take.holder), std::string_view(take.asked), about, std::string_view(until)}) {
    const Bytes hash = crypto::digest(crypto::Hash::sha256, as_bytes(part));
    out.insert(out.end(), hash.begin(), hash.end());
  }
  return out;
}

bool came_together(const RelayedKey& one, const RelayedKey& other) {
  return one.path == other.path && one.way == other.way && one.quality == other.quality && one.expires_ms == other.expires_ms;
}

/// What is known of the keys but their octets: a list of those that came together, in the order of the keys.
std::string describe_given(std::span<const RelayedKey> keys) {
  wire::Json list = wire::Json::array();
  while (!keys.empty()) {
    const RelayedKey& first = keys.front();
    wire::Json ids = wire::Json::array();
    while (!keys.empty() && came_together(keys.front(), first)) {
      ids.push(keys.front().id.hex());
      keys = keys.subspan(1);
    }
    wire::Json path = wire::Json::array();
    for (const ElementName& node : first.path) path.push(node.text());
    list.push(wire::Json::object({{"ids", ids},
                                  {"path", path},
                                  {"way", first.way},
                                  {"proof", points::write(first.quality.proof)},
                                  {"kind", static_cast<std::int64_t>(first.quality.way)},
                                  {"expires_ms", store::column(first.expires_ms)}}));
  }
  return wire::Json::object({{"keys", list}}).dump();
}

/// The keys of one entry of that list, the first of which is key number `out.size()` of `octets`; added to `out`.
Result<void> read_given(const wire::Json& about, const Secret& octets, std::vector<RelayedKey>& out) {
  ASSIGN_OR_RETURN(const std::vector<std::string> ids, about.texts("ids"));
  ASSIGN_OR_RETURN(const std::vector<std::string> nodes, about.texts("path"));
  ASSIGN_OR_RETURN(const std::string way, about.text("way"));
  ASSIGN_OR_RETURN(const wire::Json proof, about.object("proof"));
  KeyQuality quality;
  ASSIGN_OR_RETURN(quality.proof, points::read_proof(proof));
  ASSIGN_OR_RETURN(const std::int64_t kind, about.integer("kind", 0, static_cast<std::int64_t>(KeyWay::centralised)));
  quality.way = static_cast<KeyWay>(kind);
  ASSIGN_OR_RETURN(const std::int64_t expires, about.integer("expires_ms"));
  const std::vector<ElementName> path(nodes.begin(), nodes.end());
  for (const std::string& text : ids) {
    ASSIGN_OR_RETURN(const KeyId id, KeyId::parse_hex(text));
    if ((out.size() + 1) * relay_secret_size > octets.size()) return fail(ErrorCode::internal, "given keys: fewer octets than keys");
    out.push_back(
        {.id = id, .path = path, .way = way, .key = slice_keys(octets, out.size(), 1), .quality = quality, .expires_ms = static_cast<UnixMs>(expires)});
  }
  return {};
}

struct GivenRow {
  std::string holder;
  std::string asked;
  std::string about;
  Bytes sealed;  // empty: done with
  UnixMs until_ms = 0;
};

}  // namespace

Result<std::optional<std::vector<RelayedKey>>> GivenKeys::find(store::Transaction& transaction, const Take& take, UnixMs now) {
  std::optional<GivenRow> row;
  const auto paths = static_cast<std::int64_t>(take.paths);
  TRY(transaction.query("SELECT holder, asked, about, sealed, until_ms FROM given_keys WHERE sid_wk = ? AND paths = ?", {take.sid_wk.view(), paths},
                        [&](const store::Row& found) {
                          row = GivenRow{.holder = found.text(0),
                                         .asked = found.text(1),
                                         .about = found.text(2),
                                         .sealed = found.blob(3),
                                         .until_ms = static_cast<UnixMs>(found.integer(4))};
                        }));
  if (!row) return std::optional<std::vector<RelayedKey>>{};
  if (row->until_ms <= now) {  // before the sweep came to it
    TRY(transaction.run("DELETE FROM given_keys WHERE sid_wk = ? AND paths = ?", {take.sid_wk.view(), paths}));
    return std::optional<std::vector<RelayedKey>>{};
  }
  const std::string session = "session " + take.sid_wk.hex();
  if (row->holder != take.holder) return fail(ErrorCode::conflict, session + " has taken keys for another KMS");
  if (row->asked != take.asked) return fail(ErrorCode::conflict, session + " has taken keys already, asking for " + row->asked);
  if (row->sealed.empty()) return fail(ErrorCode::conflict, session + " has taken keys already, and is done with them");
  ASSIGN_OR_RETURN(const Secret octets, device_.unseal(given_context(take, row->about, row->until_ms), row->sealed));
  ASSIGN_OR_RETURN(const wire::Json about, wire::Json::parse(row->about));
  ASSIGN_OR_RETURN(const std::vector<wire::Json> list, about.array("keys"));
  std::vector<RelayedKey> out;
  for (const wire::Json& together : list) TRY(read_given(together, octets, out));
  if (octets.size() != out.size() * relay_secret_size) return fail(ErrorCode::internal, "given keys: more octets than keys");
  return Result<std::optional<std::vector<RelayedKey>>>(std::move(out));
}

Result<void> GivenKeys::keep(store::Transaction& transaction, const Take& take, std::span<const RelayedKey> keys, UnixMs until_ms) {
  Secret octets(keys.size() * relay_secret_size);
  for (std::size_t i = 0; i < keys.size(); ++i) put_keys(octets, i, keys[i].key);
  const std::string about = describe_given(keys);
  ASSIGN_OR_RETURN(const Bytes sealed, device_.seal(given_context(take, about, until_ms), octets));
  TRY(transaction.run("INSERT INTO given_keys (sid_wk, paths, holder, asked, about, sealed, until_ms) VALUES (?, ?, ?, ?, ?, ?, ?)",
                      {take.sid_wk.view(), static_cast<std::int64_t>(take.paths), std::string_view(take.holder), std::string_view(take.asked),
                       std::string_view(about), ByteView(sealed), store::column(until_ms)}));
  return {};
}

Result<void> GivenKeys::done(store::Transaction& transaction, const std::set<std::string>& holders) {
  for (const std::string& holder : holders) {
    const auto sid_wk = SidWk::parse_hex(std::string_view(holder).substr(0, sid_digits));
    if (!sid_wk) continue;  // keys that were not taken by Km-3, or of which nothing is known any more
    TRY(transaction.run("UPDATE given_keys SET about = '', sealed = NULL WHERE sid_wk = ? AND holder = ?", {sid_wk->view(), std::string_view(holder)}));
  }
  return {};
}

Result<void> GivenKeys::sweep(store::Transaction& transaction, UnixMs now) {
  TRY(transaction.run("DELETE FROM given_keys WHERE until_ms <= ?", {store::column(now)}));
  return {};
}

}  // namespace qanat::qkm
