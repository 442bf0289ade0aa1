// A group over three domains at its owner's KMS: one agreement with each other domain carries the epoch's key there, to its own KMS alone.
#include <map>

#include "group_order.hpp"
#include "iam_answer.hpp"
#include "kms_core.hpp"
#include "services/kms/kma/groups.hpp"
#include "services/kms/schema.hpp"
#include "store_kinds.hpp"

namespace qanat::kms {
namespace {

using store::KeyState;
using test::refusal;
using wire::GroupOrder;

const Number owners_number("+8613800000001");
const Number neighbours_number("+8613800000002");  // in the owner's domain
const Number bobs_number("+8613900000001");
const Number berts_number("+8613900000002");
const Number carols_number("+8613700000001");

/// The KMS of another domain. It accepts offers, without quantum keys, and keeps what it is brought.
class FarKms {
 public:
  struct Brought {
    wire::GroupKey message;
    Secret wk;
  };

  FarKms(test::TrustedNetwork& network, const Identity& who)
      : network_(network),
        name_(who.name),
        credentials_(network.credentials(who)),
        double_(network, who,
                {{Endpoint::km2_offer, [this](const net::Request& request) { return accept(request); }},
                 {Endpoint::km2_group, [this](const net::Request& request) { return take(request); }}}) {}
  [[nodiscard]] const Double& peer() const { return double_; }
  [[nodiscard]] const ElementName& name() const { return name_; }
  [[nodiscard]] const wire::Fingerprints& fps() const { return credentials_.messages->fps; }

  bool refuses = false;      // offers
  bool answer_lost = false;  // to the key that it took
  std::map<SidWk, Secret> carriers;
  std::vector<Brought> brought;

 private:
  Result<net::Response> accept(const net::Request& request) {
    if (refuses) return fail(ErrorCode::unavailable, "not now");
    const crypto::Suite& suite = network_.suite();
    const node::MessageSigner& own = *credentials_.messages;
    const auto offer = must(wire::parse<wire::KmsOffer>(must(wire::parse_envelope(request.body)).message));
    const auto made = must(crypto::encapsulate(suite, crypto::KemForm::to_ephemeral, offer.message.ephemeral, network_.rng()));
    const wire::KmsAccept accept{.sid_wk = offer.message.sid_wk,
                                 .h_offer = offer.hash,
                                 .nonce = network_.rng().bytes(wire::nonce_size),
                                 .ct_classical = made.ct_classical,
                                 .ct_ml_kem = made.ct_ml_kem,
                                 .ok_bitmap = 0,
                                 .fps = own.fps};
    auto framed = must(wire::sign_message(suite, 1, accept, own.signer, own.fps, network_.rng()));
    wire::KmsKeys keys = wire::derive_kms_keys(suite, wire::th9_of(suite, offer.octets, framed.octets), wire::combine_shares({}), made.ss_classical,
                                               made.ss_ml_kem, accept.sid_wk, offer.message.sid_call);
    wire::append_confirmation(framed, keys.kc_b);
    carriers.insert_or_assign(accept.sid_wk, std::move(keys.wk));
    return net::Response{.status = 200, .content_type = std::string(points::type_qfc2), .body = node::enclose(own, framed.octets)};
  }
  Result<net::Response> take(const net::Request& request) {
    const auto framed = must(wire::parse<wire::GroupKey>(request.body));
    brought.push_back({.message = framed.message, .wk = must(wire::open_group_key(framed, carriers.at(framed.message.sid_wk)))});
    if (answer_lost) return fail(ErrorCode::unavailable, "lost");
    return net::Response{.status = 204, .content_type = "", .body = {}};
  }

  test::TrustedNetwork& network_;
  const ElementName name_;
  const node::Credentials credentials_;
  const Double double_;
};

class GroupOverDomains : public testing::TestWithParam<test::StoreKind> {
 protected:
  GroupOverDomains() {
    must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
      TRY(put_terminal(transaction, owner_.terminal));
      return put_terminal(transaction, neighbour_.terminal);
    }));
  }
  /// CMSP knows whose KMS serves a number.
  Result<net::Response> grant(const net::Request& request) {
    const auto open = must(wire::parse<wire::SessionOpen>(must(wire::parse_envelope(request.body)).message));
    const FarKms& home = open.message.num_called == carols_number ? kms_c_ : kms_b_;
    wire::SessionGrant out;
    static_cast<wire::SessionFields&>(out) = open.message;
    out.uid_b = Uid("somebody");
    out.kms_b = home.name();
    out.prev_hash = open.hash;
    out.kms_b_fps = home.fps();
    out.ts_ms = SystemClock().now_ms();
    const node::MessageSigner& own = *cmsp_credentials_.messages;
    const auto framed = must(wire::sign_message(network_.suite(), 1, out, own.signer, own.fps, network_.rng()));
    return net::Response{.status = 200, .content_type = std::string(points::type_qfc2), .body = node::enclose(own, framed.octets)};
  }

  Result<wire::GroupState> order(const wire::GroupEpoch& after, GroupOrder what, std::vector<Number> members) {
    Groups groups(*node_, *store_, ledger_, agreement_, access_, settings_);
    const Bytes octets = signed_group_order(*node_, owner_, after, what, std::move(members));
    ASSIGN_OR_RETURN(const net::Response answer, groups.answer(test::request_from(owner_.identity, octets, owner_.bundle.ml_dsa_signing)));
    return must(wire::parse<wire::GroupState>(answer.body)).message;
  }
  Result<wire::GroupState> opened() {
    return order({.group = network_.rng().id<wire::GroupId>(), .epoch = 0}, GroupOrder::open, {carols_number, neighbours_number, bobs_number, berts_number});
  }
  static wire::GroupEpoch epoch_of(const wire::GroupState& state) { return {.group = state.group, .epoch = state.epoch, .nonce = state.nonce}; }
  std::optional<StoredKey> leg(const SidWk& sid_wk, wire::Role role) {
    return must(store_->transact([&](store::Transaction& transaction) { return ledger_.find(transaction, sid_wk, role); }));
  }
  /// Of a member of the owner's domain.
  std::optional<StoredKey> leg(const wire::GroupState& state, const Number& number) {
    return leg(wire::group_sid_wk(network_.suite(), epoch_of(state), number), wire::Role::callee);
  }

  test::TrustedNetwork network_;
  test::TemporaryDirectory folder_;
  KmsSettings settings_;
  node::Credentials cmsp_credentials_ = network_.credentials(identity("qanat://core/cmsp/cmsp"));
  node::Credentials iam_credentials_ = network_.credentials(identity("qanat://core/iam/iam"));
  Person owner_ = make_person(network_, identity("qanat://a/app1/alice"), owners_number);
  Person neighbour_ = make_person(network_, identity("qanat://a/app1/anna"), neighbours_number);
  FarKms kms_b_{network_, identity("qanat://b/kms/kms-b")};
  FarKms kms_c_{network_, identity("qanat://c/kms/kms-c")};
  Double cmsp_{network_, identity("qanat://core/cmsp/cmsp"), {{Endpoint::ma2_locate, [this](const net::Request& request) { return grant(request); }}}};
  Double iam_{network_, identity("qanat://core/iam/iam"), {}};  // is known; what it says comes without the network
  std::unique_ptr<node::Node> node_ =
      open_kms_node(network_, {&cmsp_, &iam_, &kms_b_.peer(), &kms_c_.peer()}, [](const crypto::Certificate&, Deadline) -> Result<void> { return {}; });
  node::SenderDirectory senders_{*node_};
  node::StepTrace trace_{network_.state_of(kms_id)};
  Errands errands_;  // not started
  test::TestStores stores_{GetParam()};
  std::unique_ptr<store::Store> store_ = must(stores_.open(folder_ / "kms.db", migrations));
  Ledger ledger_{node_->device()};
  Access access_{*node_, *store_, senders_, [this](Endpoint endpoint, const wire::Json&, Deadline, const std::string&) {
                   return iam_answer(network_, *iam_credentials_.messages, endpoint, owner_, {});
                 }};
  Agreement agreement_{*node_, *store_, ledger_, senders_, trace_, errands_, settings_, must(crypto::SiteKey::read(write_site_key(folder_ / "")))};
};
INSTANTIATE_TEST_SUITE_P(Stores, GroupOverDomains, test::every_store_kind, test::name_of);

TEST_P(GroupOverDomains, EachOtherDomainIsBroughtTheKeyOnceUnderAnAgreementOfItsOwn) {
  const wire::GroupState state = must(opened());
  EXPECT_TRUE(state.left_out.empty());
  const wire::Roster members{{.number = carols_number, .kms = ElementName("kms-c")},
                             {.number = owners_number, .kms = ElementName("kms-a")},
                             {.number = neighbours_number, .kms = ElementName("kms-a")},
                             {.number = bobs_number, .kms = ElementName("kms-b")},
                             {.number = berts_number, .kms = ElementName("kms-b")}};
  EXPECT_EQ(state.roster, members) << "in the order of their numbers";

  ASSERT_EQ(kms_b_.brought.size(), 1U) << "for both of its members";
  ASSERT_EQ(kms_c_.brought.size(), 1U);
  const FarKms::Brought& at_b = kms_b_.brought.front();
  const FarKms::Brought& at_c = kms_c_.brought.front();
  EXPECT_NE(at_b.message.sid_wk, at_c.message.sid_wk);
  EXPECT_FALSE(equal_secret(kms_b_.carriers.at(at_b.message.sid_wk), kms_c_.carriers.at(at_c.message.sid_wk)));
  for (const FarKms::Brought* one : {&at_b, &at_c}) {
    EXPECT_EQ(one->message.roster, members);
    EXPECT_EQ(one->message.assurance, wire::Assurance::pqc) << "what the weakest of the two rests on";
    EXPECT_EQ(leg(one->message.sid_wk, wire::Role::caller)->state, KeyState::destroyed) << "it has carried its key";
  }
  EXPECT_TRUE(equal_secret(at_b.wk, at_c.wk));
  for (const Number& number : {owners_number, neighbours_number}) {
    const auto here = leg(state, number);
    ASSERT_TRUE(here) << number.text();
    EXPECT_EQ(here->state, KeyState::reserved);
    EXPECT_TRUE(equal_secret(here->key.wk, at_b.wk)) << number.text();
  }
}

TEST_P(GroupOverDomains, ADomainThatCannotBeHadKeepsANewGroupFromBeginning) {
  kms_c_.refuses = true;
  const auto refused = opened();
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().message.contains(carols_number.text())) << refused.error().message;
  EXPECT_TRUE(kms_b_.brought.empty()) << "nothing is brought before all have agreed";
  EXPECT_EQ(kms_b_.carriers.size(), 1U);
  for (const auto& [sid_wk, wk] : kms_b_.carriers)
    EXPECT_EQ(leg(sid_wk, wire::Role::caller)->state, KeyState::destroyed) << "what was agreed on for it is gone";
  kms_c_.refuses = false;
  EXPECT_TRUE(opened());
}

TEST_P(GroupOverDomains, ADomainThatCannotBeHadWhenOneLeavesIsLeftOutAndTheOthersGoOn) {
  const wire::GroupState first = must(opened());
  kms_c_.refuses = true;
  const wire::GroupState second = must(order(epoch_of(first), GroupOrder::leave, {berts_number}));
  EXPECT_EQ(second.epoch, 2U);
  EXPECT_EQ(second.left_out, std::vector{carols_number});
  EXPECT_EQ(second.roster.size(), 3U);
  ASSERT_EQ(kms_b_.brought.size(), 2U);
  EXPECT_FALSE(equal_secret(kms_b_.brought[0].wk, kms_b_.brought[1].wk));
  EXPECT_TRUE(equal_secret(leg(second, owners_number)->key.wk, kms_b_.brought[1].wk));
  EXPECT_EQ(kms_c_.brought.size(), 1U) << "that of the epoch before";
}

TEST_P(GroupOverDomains, ADomainWhoseAnswerIsLostMayHaveTheKeyAndTheOwnerIsTold) {
  kms_c_.answer_lost = true;
  const wire::GroupState state = must(opened());
  EXPECT_EQ(state.left_out, std::vector{carols_number});
  EXPECT_TRUE(wire::has(state.roster, carols_number));
  ASSERT_EQ(kms_c_.brought.size(), 1U);
  EXPECT_TRUE(equal_secret(leg(state, owners_number)->key.wk, kms_c_.brought.front().wk));
}

TEST_P(GroupOverDomains, MoreDomainsThanPolicyAllowsAreRefusedBeforeAnythingIsAgreedOn) {
  settings_.policy.groups.domains = 2;
  const auto refused = opened();
  EXPECT_EQ(refusal(refused), ErrorCode::denied);
  EXPECT_TRUE(refused.error().message.contains("3 domains, policy allows 2")) << refused.error().message;
  EXPECT_TRUE(kms_b_.carriers.empty() && kms_c_.carriers.empty());
  settings_.policy.groups.domains = 3;
  EXPECT_TRUE(opened());
}

}  // namespace
}  // namespace qanat::kms
