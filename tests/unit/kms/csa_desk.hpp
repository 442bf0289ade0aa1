// A CSA's desk with a database of its own, asked as its callers ask it; time is the test's.
#pragma once

#include <algorithm>

#include "services/kms/csa/desk.hpp"
#include "services/kms/csa/destruction.hpp"
#include "services/kms/schema.hpp"
#include "store_kinds.hpp"
#include "trusted_network.hpp"
#include "wire/base64.hpp"

namespace qanat::kms::csa {

using test::must;
using test::refusal;
using wire::Json;

inline const std::string billing = "qanat://a/app3/billing";
inline const std::string payroll = "qanat://a/app3/payroll";
inline const std::string stranger = "qanat://a/app3/stranger";
inline constexpr UnixMs csa_now = 1'800'000'000'000;
inline constexpr UnixMs csa_day_ms = 86'400'000;

inline const Caller& the_operator() {
  static const Caller out{.name = "qanat://core/operator/operator", .role = Role::administrator};
  return out;
}
inline Caller app(const std::string& uri) { return {.name = uri, .role = Role::application}; }
inline Json grant(const std::string& caller, std::initializer_list<const char*> operations) {
  Json words = Json::array();
  for (const char* const operation : operations) words.push(operation);
  return Json::object({{"caller", caller}, {"operations", words}});
}
inline Json grants(std::vector<Json> list) { return Json::object({{"grants", Json::array(std::move(list))}}); }
inline std::string base64(std::string_view text) { return wire::to_base64(as_bytes(text)); }
inline const std::string a_plaintext = base64("forty-two");

/// One element with a CSA: node, database, desk.
class CsaElement {
 public:
  CsaElement(test::TrustedNetwork& network, const std::string& uri, DeskLimits limits = {}, test::StoreKind kind = test::StoreKind::sqlite,
             const std::vector<Identity>& peers = {})
      : id_(test::identity(uri)), node_(network.open_node(id_, peers)), state_(network.state_of(id_)), limits_(limits), stores_(kind) {
    restart();
  }
  /// What is in memory alone is lost.
  void restart() {
    desk_.reset();
    store_.reset();
    store_ = must(stores_.open(state_ / "kms.db", migrations));
    desk_ = std::make_unique<Desk>(*node_, *store_, node_->device(), limits_);
  }

  /// From now on each work runs twice, as where works of several front ends meet.
  void repeat_works() { use(test::StoreKind::repeated); }
  /// From now on in a database of this kind: an empty one, unless both are files.
  void use(test::StoreKind kind) {
    stores_ = test::TestStores(kind);
    restart();
  }

  Result<Json> ask(Operation operation, const Caller& caller, const Json& body) { return ask(operation, caller, body.dump()); }
  Result<Json> ask(Operation operation, const Caller& caller, const std::string& body) {
    Bytes octets = to_bytes(body);
    ASSIGN_OR_RETURN(const Secret text, desk_->answer(operation, caller, octets, now));
    ASSIGN_OR_RETURN(Json out, Json::parse(text.reveal()));
    if (operation != Operation::openapi) expect_by_the_table(row(operation), out);
    return out;
  }
  /// Creates a key and gives its id.
  std::string create(const Caller& caller, const std::string& algorithm, const std::string& usage, std::optional<Json> policy = {}) {
    Json body = Json::object({{"algorithm", algorithm}, {"usage", usage}});
    if (policy) body.set("policy", *policy);
    return must(must(ask(Operation::create_key, caller, body)).text("key_id"));
  }
  /// A row with these octets, as no caller can make one: for known answers.
  void plant(const CsaKeyId& id, const std::string& algorithm, const std::string& usage, const Secret& material, std::uint32_t version = 1) {
    Key key{.id = id,
            .label = "planted",
            .algorithm = must(find_algorithm(algorithm)),
            .owner = billing,
            .state = State::enabled,
            .version = version,
            .created_ms = now,
            .delete_ms = {},
            .policy = {}};
    key.usage = must(parse_usage(usage, *key.algorithm));
    key.policy.grants = {{.caller = billing, .operations = all_grantable(key.usage)}};
    KeySealer sealer(node_->device());
    const KeyVersion one{.version = version,
                         .sealed = must(sealer.seal(id, version, material)),
                         .public_key = must(public_half(*key.algorithm, material)),
                         .created_ms = now,
                         .commitment = commitment_of(id, version, material)};
    must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
      TRY(insert_key(transaction, key));
      return insert_version(transaction, id, one);
    }));
  }
  [[nodiscard]] bool audited(std::string_view text) const { return test::audited(state_, text); }
  Desk& desk() { return *desk_; }
  store::Store& store() { return *store_; }
  node::Node& node() { return *node_; }

  UnixMs now = csa_now;

 private:
  /// The document promises what the table says, so the answers must keep to it.
  static void expect_by_the_table(const OperationRow& asked, const Json& answer) {
    const std::vector<std::string> names = answer.names();
    for (const std::string& name : names) EXPECT_NE(std::ranges::find(asked.answers, std::string_view(name), &Field::name), asked.answers.end()) << asked.name << ": " << name;
    for (const Field& field : asked.answers) {
      if (field.presence == Presence::required) EXPECT_TRUE(answer.has(field.name)) << asked.name << " lacks " << field.name;
    }
  }

  Identity id_;
  std::unique_ptr<node::Node> node_;
  std::filesystem::path state_;
  DeskLimits limits_;
  test::TestStores stores_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<Desk> desk_;
};

class CsaDeskTest : public testing::Test {
 protected:
  static constexpr DeskLimits small_limits{.seals = {.block = 4, .max = 8}, .requests_per_minute = 100'000, .keys_per_application = 20, .challenges_per_verifier = 3, .enabled_at_once = 2};

  Result<Json> ask(Operation operation, const std::string& caller, const Json& body) { return csa_.ask(operation, app(caller), body); }
  Result<Json> administer(Operation operation, const Json& body) { return csa_.ask(operation, the_operator(), body); }
  Json must_ask(Operation operation, const std::string& caller, const Json& body) { return must(ask(operation, caller, body)); }
  static std::string text(const Json& json, std::string_view name) { return must(json.text(name)); }

  Result<Json> encrypt(const std::string& key, const std::string& caller = billing, const std::string& context = "") {
    return ask(Operation::encrypt, caller, Json::object({{"key_id", key}, {"plaintext", a_plaintext}, {"context", context}}));
  }
  Result<Json> decrypt(const std::string& key, const std::string& ciphertext, const std::string& caller = billing, const std::string& context = "") {
    return ask(Operation::decrypt, caller, Json::object({{"key_id", key}, {"ciphertext", ciphertext}, {"context", context}}));
  }
  Result<Json> change(const std::string& key, const std::string& word, const Caller& caller = the_operator()) {
    return csa_.ask(Operation::change_state, caller, Json::object({{"key_id", key}, {"change", word}}));
  }

  test::TrustedNetwork network_;
  CsaElement csa_{network_, "qanat://a/kms/kms-a", small_limits};
};

/// The same on both databases: what depends on them.
class CsaStoresTest : public CsaDeskTest, public testing::WithParamInterface<test::StoreKind> {
 protected:
  void SetUp() override { csa_.use(GetParam()); }
};

}  // namespace qanat::kms::csa
