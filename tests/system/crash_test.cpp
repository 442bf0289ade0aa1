// kill -9 at every named place, and at random ones: whatever dies whenever, after its restart the next call works, no key is used twice and
// none outlives its time.
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <random>
#include <regex>
#include <set>
#include <thread>

#include "crypto/kdf.hpp"
#include "key_ledger_check.hpp"
#include "kms_saes.hpp"
#include "other_maker.hpp"
#include "sae_client.hpp"
#include "stream_client.hpp"
#include "vendor_kmes.hpp"

namespace qanat::test {
namespace {

using app::RunningNetwork;

constexpr std::int64_t key_lifetime_ms = 5000;
constexpr std::chrono::milliseconds attempt_max{2500};
constexpr std::chrono::seconds crash_max{25};
constexpr std::chrono::seconds recovery_max{20};

/// What reaches a crash point.
enum class Trigger : std::uint8_t {
  across,      // A calls B, in the other domain
  within,      // A calls C, in the same domain
  enrolment,   // a new terminal is provisioned and enrols
  element,     // an element that was expected enrols
  key_supply,  // the element's QKM is made to want link keys, so that its QKDs work
  suspension,  // the operator suspends and resumes a subscriber
  identity,    // the operator enters a person
  revocation,  // the operator revokes a terminal's certificates
  sae_keys,    // two SAEs get a key by ETSI GS QKD 014
  kms_sae_keys,  // the same from the KMSs
  sae_stream,  // two SAEs get a chunk of a stream by ETSI GS QKD 004
  sae_handover,  // an SAE gets a key that another maker's key manager is brought by ETSI GS QKD 020
  vendor_keys,  // the link's KMEs have keys, as always
  spoilt_keys,  // the link's KMEs give different keys for as long as the row waits for the death
};

struct CrashRow {
  std::string_view element;  // "terminal": the one that enrols
  std::string_view place;
  Trigger trigger;
};

constexpr CrashRow kms_caller_side[]{
    {"kms-a", "kms.application.checked", Trigger::across}, {"kms-a", "kms.session.granted", Trigger::across},
    {"kms-a", "kms.shares.taken", Trigger::across},        {"kms-a", "kms.wk.generated", Trigger::across},
    {"kms-a", "kms.wk.peer_confirmed", Trigger::across},   {"kms-a", "kms.wk.reserved", Trigger::across},
    {"kms-a", "kms.wk.put", Trigger::across},              {"kms-a", "kms.wk.delivered", Trigger::across},
    {"kms-a", "kms.wk.destroyed", Trigger::across},
};
constexpr CrashRow kms_callee_side[]{
    {"kms-b", "kms.application.checked", Trigger::across}, {"kms-b", "kms.session.announced", Trigger::across},
    {"kms-b", "kms.shares.fetched", Trigger::across},      {"kms-b", "kms.wk.accepted", Trigger::across},
    {"kms-b", "kms.wk.callee_reserved", Trigger::across},  {"kms-b", "kms.wk.delivered", Trigger::across},
    {"kms-b", "kms.wk.destroyed", Trigger::across},
};
constexpr CrashRow kms_same_domain[]{
    {"kms-a", "kms.application.checked", Trigger::within}, {"kms-a", "kms.local.drawn", Trigger::within},
    {"kms-a", "kms.wk.put", Trigger::within},              {"kms-a", "kms.wk.delivered", Trigger::within},
    {"kms-a", "kms.wk.destroyed", Trigger::within},
};
constexpr CrashRow kms_enrolment[]{
    {"kms-a", "kms.enrol.prepared", Trigger::enrolment},
    {"kms-a", "kms.enrol.certified", Trigger::enrolment},
    {"kms-a", "kms.enrol.stored", Trigger::enrolment},
    {"kms-a", "kms.enrol.confirmed", Trigger::enrolment},
};
constexpr CrashRow qkm_near_end[]{
    {"qkm-a", "qkm.relay.reserved", Trigger::across}, {"qkm-a", "qkm.relay.sent", Trigger::across},
    {"qkm-a", "qkm.take.delivered", Trigger::across}, {"qkm-a", "qkm.done.destroyed", Trigger::across},
};
constexpr CrashRow qkm_centralised[]{
    {"qkm-a", "qkm.central.spent", Trigger::across},
    {"qkm-r", "qkm.central.reported", Trigger::across},
    {"qkm-b", "qkm.central.stored", Trigger::across},
};
constexpr CrashRow qkm_relay[]{
    {"qkm-r", "qkm.relay.received", Trigger::across},
    {"qkm-r", "qkm.relay.reserved", Trigger::across},
    {"qkm-r", "qkm.relay.sent", Trigger::across},
    {"qkm-r", "qkm.relay.forwarded", Trigger::across},
};
constexpr CrashRow qkm_far_end[]{
    {"qkm-b", "qkm.relay.received", Trigger::across},
    {"qkm-b", "qkm.relay.stored", Trigger::across},
    {"qkm-b", "qkm.fetch.delivered", Trigger::across},
    {"qkm-b", "qkm.done.destroyed", Trigger::across},
};
constexpr CrashRow qkm_saes[]{
    {"qkm-a", "sae.claimed", Trigger::sae_keys},
    {"qkm-a", "sae.activated", Trigger::sae_keys},
    {"qkm-b", "sae.stored", Trigger::sae_keys},
    {"qkm-b", "sae.fetched", Trigger::sae_keys},
};
constexpr CrashRow kms_saes[]{
    {"kms-a", "kms.supply.taken", Trigger::kms_sae_keys}, {"kms-a", "kms.supply.added", Trigger::kms_sae_keys},
    {"kms-b", "kms.supply.stored", Trigger::kms_sae_keys}, {"kms-a", "sae.claimed", Trigger::kms_sae_keys},
    {"kms-a", "sae.activated", Trigger::kms_sae_keys},     {"kms-b", "sae.stored", Trigger::kms_sae_keys},
    {"kms-b", "sae.fetched", Trigger::kms_sae_keys},
};
constexpr CrashRow qkm_streams[]{
    {"qkm-a", "qkm.stream.desk", Trigger::sae_stream},         {"qkm-a", "qkm.stream.claimed", Trigger::sae_stream},
    {"qkm-a", "qkm.stream.acknowledged", Trigger::sae_stream}, {"qkm-b", "qkm.stream.stored", Trigger::sae_stream},
    {"qkm-b", "qkm.stream.desk", Trigger::sae_stream},
};
constexpr CrashRow qkm_handovers[]{
    {"qkm-a", "qkm.sae.offered", Trigger::sae_handover},
    {"qkm-a", "qkm.sae.brought", Trigger::sae_handover},
    {"qkm-a", "qkm.sae.acknowledged", Trigger::sae_handover},
};
constexpr CrashRow qkm_ingest[]{
    {"qkm-a", "qkm.ingest.stored", Trigger::key_supply},
    {"qkm-r", "qkm.ingest.stored", Trigger::key_supply},
    {"qkm-b", "qkm.ingest.stored", Trigger::key_supply},
};
constexpr CrashRow qkd_ends[]{
    {"qkd-ar-alice", "qkd.state.stored", Trigger::key_supply},   {"qkd-ar-bob", "qkd.state.stored", Trigger::key_supply},
    {"qkd-ar-alice", "qkd.block.stored", Trigger::key_supply},   {"qkd-ar-bob", "qkd.block.stored", Trigger::key_supply},
    {"qkd-ar-alice", "qkd.block.accepted", Trigger::key_supply}, {"qkd-ar-bob", "qkd.block.accepted", Trigger::key_supply},
};
constexpr CrashRow vendor_ends[]{
    {"qkd-ar-alice", "qkd.vendor.fetched", Trigger::vendor_keys},  {"qkd-ar-bob", "qkd.vendor.fetched", Trigger::vendor_keys},
    {"qkd-ar-alice", "qkd.vendor.stored", Trigger::vendor_keys},   {"qkd-ar-bob", "qkd.vendor.stored", Trigger::vendor_keys},
    {"qkd-ar-alice", "qkd.vendor.told", Trigger::vendor_keys},     {"qkd-ar-bob", "qkd.vendor.told", Trigger::vendor_keys},
    {"qkd-ar-alice", "qkd.vendor.released", Trigger::vendor_keys}, {"qkd-ar-bob", "qkd.vendor.released", Trigger::vendor_keys},
    {"qkd-ar-alice", "qkd.block.accepted", Trigger::vendor_keys},  {"qkd-ar-bob", "qkd.block.accepted", Trigger::vendor_keys},
    {"qkd-ar-alice", "qkd.vendor.given_up", Trigger::spoilt_keys}, {"qkd-ar-bob", "qkd.vendor.given_up", Trigger::spoilt_keys},
};
constexpr CrashRow core_services[]{
    {"cas", "cas.issue.intended", Trigger::element},          {"cas", "cas.issue.signed", Trigger::element},
    {"cas", "cas.issue.recorded", Trigger::element},          {"cas", "cas.terminal.attested", Trigger::enrolment},
    {"cas", "cas.bundle.intended", Trigger::enrolment},       {"cas", "cas.bundle.signed", Trigger::enrolment},
    {"cas", "cas.bundle.recorded", Trigger::enrolment},
    {"cas", "cas.revoke.recorded", Trigger::revocation},      {"iam", "iam.subscriber.created", Trigger::enrolment},
    {"cas", "cas.lists.signed", Trigger::revocation},         {"cas", "cas.lists.published", Trigger::revocation},
    {"iam", "iam.subscriber.changed", Trigger::suspension},   {"iam", "iam.enrol.used", Trigger::enrolment},
    {"iam", "iam.identity.created", Trigger::identity},       {"iam", "iam.outbox.sent", Trigger::suspension},
    {"iam", "iam.behaviour.appended", Trigger::across},       {"cmsp", "cmsp.account.entered", Trigger::enrolment},
    {"cmsp", "cmsp.registration.entered", Trigger::enrolment}, {"cmsp", "cmsp.session.opened", Trigger::across},
    {"cmsp", "cmsp.notify.sent", Trigger::across},            {"cmsp", "cmsp.session.granted", Trigger::across},
};
constexpr CrashRow terminal_enrolment[]{
    {"terminal", "terminal.enrol.asked", Trigger::enrolment},
    {"terminal", "terminal.enrol.certified", Trigger::enrolment},
    {"terminal", "terminal.enrol.delivered", Trigger::enrolment},
    {"terminal", "terminal.enrol.confirmed", Trigger::enrolment},
};
constexpr std::span<const CrashRow> all_rows[]{kms_caller_side, kms_callee_side, kms_same_domain, kms_enrolment, qkm_near_end,      qkm_relay, qkm_centralised,
                                               qkm_far_end,     qkm_saes,        kms_saes,        qkm_streams,     qkm_handovers, qkm_ingest,        qkd_ends,  vendor_ends,
                                               core_services,
                                               terminal_enrolment};

/// A network in which calls are made while its processes die.
class CallsUnderCrashes : public SharedNetwork {
 protected:
  static void SetUpTestSuite() {
    options_.key_lifetime_ms = key_lifetime_ms;
    options_.spares = {{.domain = "a", .kind = Kind::kms, .name = "kms-spare1"},
                       {.domain = "a", .kind = Kind::kms, .name = "kms-spare2"},
                       {.domain = "a", .kind = Kind::kms, .name = "kms-spare3"}};
    SharedNetwork::SetUpTestSuite();
    fingerprints_.clear();
    sessions_with_key_ = 0;
    if (!net().ok()) return;
    for (const char* uid : {"A", "B", "C"}) net().enrol(uid);
    net().await_quantum_keys();
  }

  /// One call's keys. Two that came are equal, and no key was ever had before.
  static TestNetwork::Pair call(const std::string& from, const std::string& to) {
    auto pair = net().apply(from, to, attempt_max);
    if (pair.caller && pair.callee) EXPECT_TRUE(pair.agree()) << "both ends have a key, and not the same";
    const auto& one = pair.caller ? pair.caller : pair.callee;
    if (!one) return pair;
    ++sessions_with_key_;
    EXPECT_TRUE(fingerprints_.insert(to_hex(crypto::digest(crypto::Hash::sha256, one->wk.reveal()))).second) << "a working key came back";
    return pair;
  }

  /// The next call works, with a quantum key where it crosses domains; not necessarily at the first attempt, since stock may have to be made.
  static void expect_calls_to_work(const std::string& from, const std::string& to, wire::Assurance least) {
    std::string reasons;
    const Deadline deadline = Deadline::after(recovery_max);
    while (true) {
      const auto pair = call(from, to);
      if (pair.agree() && pair.caller->assurance >= least && pair.callee->assurance == pair.caller->assurance) return;
      reasons += "\n  " + pair.reasons();
      if (deadline.passed()) break;
    }
    ADD_FAILURE() << "no call from " << from << " to " << to << ":" << reasons;
  }

  static std::set<std::string> fingerprints_;
  static std::size_t sessions_with_key_;
};

std::set<std::string> CallsUnderCrashes::fingerprints_;
std::size_t CallsUnderCrashes::sessions_with_key_ = 0;

class CrashAtEveryStep : public CallsUnderCrashes {
 protected:
  /// One key for both SAEs, by ETSI GS QKD 014; true if both got it. What A was given, B can fetch, unless B dies over it; nothing comes twice.
  static bool deliver_to_saes() { return deliver_to_saes_at("qkm"); }
  /// At a KMS that has just started IAM may not have said yet who there is.
  static bool deliver_to_kms_saes() { return deliver_to_saes_at("kms"); }
  static bool deliver_to_saes_at(const std::string& kind) {
    const std::string near = kind + "-a";
    const std::string far = kind + "-b";
    const SaeAnswer enc = saes_->post("sae-a", near, "/api/v1/keys/sae-b/enc_keys", R"({"number":1})");
    if (enc.status != 200) return false;
    const auto given = enc.json().array("keys");
    if (!given || given->size() != 1) return false;
    const std::string id = given->front().text("key_ID").value_or("");
    const std::string key = given->front().text("key").value_or("");
    EXPECT_TRUE(sae_keys_.insert(id).second && sae_keys_.insert(key).second) << "key " << id << " came twice";
    const SaeAnswer dec = saes_->curl("sae-b", far, "/api/v1/keys/sae-a/dec_keys?key_ID=" + id);
    if (dec.status == 0 || (kind == "kms" && dec.status == 401)) return false;
    EXPECT_EQ(dec.status, 200) << "A has key " << id << ", and B: " << dec.body;
    const auto fetched = dec.json().array("keys");
    if (!fetched || fetched->size() != 1) return false;
    EXPECT_EQ(fetched->front().text("key").value_or(""), key);
    EXPECT_NE(saes_->curl("sae-b", far, "/api/v1/keys/sae-a/dec_keys?key_ID=" + id).status, 200) << "key " << id << " was fetched twice";
    return true;
  }
  static std::optional<SaeClient> saes_;
  static std::set<std::string> sae_keys_;

  /// The next chunk of one stream for both SAEs, by ETSI GS QKD 004; true if both got it. Whatever dies, no index has two contents and no content two indices.
  static bool deliver_by_stream() {
    const std::uint32_t index = stream_next_++;
    const StreamPair got = streams_->chunk(stream_, index);
    stream_ = got.ksid;
    if (got.ksid == "new") stream_next_ = 0;
    std::set<std::string> given(got.chunk.begin(), got.chunk.end());
    given.erase("");
    EXPECT_LE(given.size(), 1U) << "chunk " << index << " is not the same at both ends";
    for (const std::string& chunk : given) EXPECT_TRUE(sae_keys_.insert(chunk).second) << "chunk " << index << " came before";
    // A chunk that only one end got, because the other died over it, is still there or was given to nobody: the other end asks once more.
    if (given.size() == 1 && (got.chunk[0].empty() || got.chunk[1].empty())) {
      const StreamPair again = streams_->chunk(stream_, index);
      for (const std::string& chunk : again.chunk) EXPECT_TRUE(chunk.empty() || given.contains(chunk)) << "chunk " << index << " has two contents";
    }
    return !got.chunk[0].empty() && !got.chunk[1].empty();
  }
  static std::optional<StreamClient> streams_;
  static std::string stream_;  // "new": none yet
  static std::uint32_t stream_next_;

  /// One key for an SAE here and one behind another maker's key manager; true if the one here got it, and then the other can have it.
  static bool deliver_to_other_maker() {
    const SaeAnswer enc = saes_->post("sae-a", "qkm-a", std::string("/api/v1/keys/") + OtherMaker::sae + "/enc_keys", R"({"number":1})");
    if (enc.status != 200) return false;
    const auto given = enc.json().array("keys");
    if (!given || given->size() != 1) return false;
    const std::string id = given->front().text("key_ID").value_or("");
    const std::string key = given->front().text("key").value_or("");
    EXPECT_TRUE(sae_keys_.insert(id).second && sae_keys_.insert(key).second) << "key " << id << " came twice";
    handed_over_[id] = key;
    EXPECT_EQ(maker_->value_of(id).value_or("nothing"), key) << "A has key " << id;
    return true;
  }
  /// What SAE A got is at the other maker, whole; what it did not get is not, or is voided there soon.
  static void expect_other_maker_in_order() {
    TestNetwork::await(
        "the voiding of what SAE A did not get",
        [] { return std::ranges::all_of(maker_->held(), [](const std::string& id) { return handed_over_.contains(id); }); }, recovery_max);
    for (const auto& [id, key] : handed_over_) EXPECT_EQ(maker_->value_of(id).value_or("nothing"), key) << "A has key " << id;
    for (const std::string& complaint : maker_->complaints()) ADD_FAILURE() << complaint;
  }
  static std::unique_ptr<OtherMaker> maker_;
  static std::map<std::string, std::string> handed_over_;  // what SAE A got, by id
  static std::vector<std::unique_ptr<VendorKmes>> vendors_;  // of the links, in their order; none where keys come of optics

  void TearDown() override {
    if (moved_) expect_keys_in_order(net());
  }

  void survive_all(std::span<const CrashRow> rows) {
    moved_ = true;
    for (const CrashRow& row : rows) {
      const testing::ScopedTrace trace(__FILE__, __LINE__, std::string(row.element) + " dies at " + std::string(row.place));
      row.element == "terminal" ? survive_terminal(row) : survive(row);
      if (HasFatalFailure()) return;
    }
  }

 private:
  /// The element dies at the row's place during what leads there, starts again, and the network goes on.
  void survive(const CrashRow& row) {
    const std::string element(row.element);
    const app::TerminalPlan newcomer = row.trigger == Trigger::enrolment || row.trigger == Trigger::revocation ? new_terminal() : app::TerminalPlan{};
    if (row.trigger == Trigger::revocation) ASSERT_TRUE(enrol(newcomer, QANAT_PROGRAM, {}));
    if (row.trigger == Trigger::element) ++spares_used_;
    const std::filesystem::path crashed = next_mark();
    const KeyHunger hunger(row);
    if (row.trigger == Trigger::spoilt_keys) vendors_.front()->spoil(true);
    net().running().stop_element(element, RunningNetwork::Ending::orderly);
    // What works in the background may get there before the element is ready.
    const auto armed = net().running().start_element(element, QANAT_CRASH_PROGRAM, armed_at(row, crashed));
    EXPECT_TRUE(armed || std::filesystem::exists(crashed)) << armed.error().message;

    std::atomic<bool> dead = false;
    std::thread trying([&] {
      while (!dead) attempt(row.trigger, newcomer);
    });
    TestNetwork::await("its death", [&] { return !net().running().lives(element); }, crash_max);
    dead = true;
    EXPECT_TRUE(std::filesystem::exists(crashed)) << "the place was not reached";
    hunger.end();
    if (row.trigger == Trigger::spoilt_keys) vendors_.front()->spoil(false);
    net().running().stop_element(element, RunningNetwork::Ending::kill);
    const auto restarted = net().running().start_element(element);
    trying.join();
    ASSERT_TRUE(restarted) << restarted.error().message;
    go_on(row.trigger, newcomer);
  }

  void survive_terminal(const CrashRow& row) {
    const app::TerminalPlan newcomer = new_terminal();
    const std::filesystem::path crashed = next_mark();
    EXPECT_FALSE(enrol(newcomer, QANAT_CRASH_PROGRAM, armed_at(row, crashed)));
    EXPECT_TRUE(std::filesystem::exists(crashed)) << "the place was not reached";
    go_on(row.trigger, newcomer);
  }

  static void attempt(Trigger trigger, const app::TerminalPlan& newcomer) {
    switch (trigger) {
      case Trigger::across: static_cast<void>(call("A", "B")); return;
      case Trigger::within: static_cast<void>(call("A", "C")); return;
      case Trigger::enrolment: static_cast<void>(enrol(newcomer, QANAT_PROGRAM, {})); return;
      case Trigger::key_supply:
      case Trigger::vendor_keys:
      case Trigger::spoilt_keys: static_cast<void>(call("B", "A")); return;
      case Trigger::suspension: static_cast<void>(net().op().set_subscriber("C", "suspend")); return;
      case Trigger::identity: static_cast<void>(enter_person()); return;
      case Trigger::element: static_cast<void>(enrol_spare()); return;
      case Trigger::sae_keys: static_cast<void>(deliver_to_saes()); return;
      case Trigger::kms_sae_keys: static_cast<void>(deliver_to_kms_saes()); return;
      case Trigger::sae_stream: static_cast<void>(deliver_by_stream()); return;
      case Trigger::sae_handover: static_cast<void>(deliver_to_other_maker()); return;
      case Trigger::revocation: static_cast<void>(net().op().revoke({.domain = newcomer.domain, .kind = Kind::app1, .name = newcomer.uid})); return;
    }
  }

  static Result<wire::Json> enter_person() {
    const wire::Json person = wire::Json::object({{"uid", "witness"}, {"class", "person"}, {"domain", "a"}, {"name", "Crash Witness"}});
    return net().op().ask(points::Endpoint::x5_identity, "iam", wire::Json::object({{"op", "create"}, {"identity", person}}));
  }

  /// The element that is next enrols, as it does when it starts; its certificates, or nothing while CAS is away.
  static Result<std::vector<Bytes>> enrol_spare() {
    ASSIGN_OR_RETURN(node::Config config, node::Config::read(net().network().config_of("kms-spare" + std::to_string(spares_used_))));
    ASSIGN_OR_RETURN(const auto node, node::Node::open(node::Settings::read(config)));
    TRY(node->enrol(Deadline::after(attempt_max)));
    return std::vector<Bytes>{node->credentials().messages->classical.der(), node->credentials().messages->ml_dsa.der()};
  }

  /// After the restart: what was interrupted can be done again, and calls work.
  static void go_on(Trigger trigger, const app::TerminalPlan& newcomer) {
    switch (trigger) {
      case Trigger::within: expect_calls_to_work("A", "C", wire::Assurance::local_rng); return;
      case Trigger::across:
      case Trigger::key_supply: expect_calls_to_work("A", "B", wire::Assurance::one_qkd_path); return;
      case Trigger::vendor_keys:
      case Trigger::spoilt_keys:
        await_further_block(net(), *vendors_.front());
        vendors_.front()->expect_stock_in_order(net());
        expect_calls_to_work("A", "B", wire::Assurance::one_qkd_path);
        return;
      case Trigger::sae_stream:
        TestNetwork::await("a chunk for both SAEs", deliver_by_stream, recovery_max);
        expect_calls_to_work("A", "B", wire::Assurance::one_qkd_path);
        return;
      case Trigger::sae_keys:
        TestNetwork::await("a key for both SAEs", deliver_to_saes, recovery_max);
        expect_calls_to_work("A", "B", wire::Assurance::one_qkd_path);
        return;
      case Trigger::kms_sae_keys:
        TestNetwork::await("a key for both SAEs of the KMSs", deliver_to_kms_saes, recovery_max);
        expect_calls_to_work("A", "B", wire::Assurance::one_qkd_path);
        return;
      case Trigger::sae_handover:
        TestNetwork::await("a key for an SAE behind another maker's key manager", deliver_to_other_maker, recovery_max);
        expect_other_maker_in_order();
        expect_calls_to_work("A", "B", wire::Assurance::one_qkd_path);
        return;
      case Trigger::enrolment: {
        const auto enrolled = enrol(newcomer, QANAT_PROGRAM, {});
        ASSERT_TRUE(enrolled) << enrolled.error().message;
        expect_calls_to_work("B", newcomer.uid, wire::Assurance::one_qkd_path);
        return;
      }
      case Trigger::element: {
        const auto enrolled = enrol_spare();
        ASSERT_TRUE(enrolled) << enrolled.error().message;
        // It lives by the certificates that it got, and gets no others.
        EXPECT_EQ(enrol_spare().value(), *enrolled);
        return;
      }
      case Trigger::suspension:
        ASSERT_TRUE(net().op().set_subscriber("C", "resume"));
        expect_calls_to_work("A", "C", wire::Assurance::local_rng);
        return;
      case Trigger::identity: {
        // Entered before the crash: the same request again is answered with what there is.
        const auto again = enter_person();
        ASSERT_TRUE(again) << again.error().message;
        EXPECT_EQ(again->integer("version").value_or(0), 1);
        return;
      }
      case Trigger::revocation: {
        // Recorded before the crash: the retry finds nothing more to revoke, and the terminal is refused.
        const auto again = net().op().revoke({.domain = newcomer.domain, .kind = Kind::app1, .name = newcomer.uid});
        ASSERT_TRUE(again) << again.error().message;
        EXPECT_FALSE(call(newcomer.uid, "B").caller);
        expect_calls_to_work("A", "B", wire::Assurance::one_qkd_path);
        return;
      }
    }
  }

  /// While it lives, the QKM that the row's element serves (or is) wants more link keys than it can have; it learns so when it starts.
  class KeyHunger {
   public:
    explicit KeyHunger(const CrashRow& row) {
      if (row.trigger != Trigger::key_supply) return;
      const std::string element(row.element);
      qkm_ = element.starts_with("qkm-") ? element : qkm_of(element);
      config_ = text_of(net().network().config_of(qkm_));
      write(net().network().config_of(qkm_), with_water_marks(config_, 100000, 200000));
      if (qkm_ != element) restart();
      restart_at_end_ = qkm_ != element;
    }
    KeyHunger(const KeyHunger&) = delete;
    KeyHunger& operator=(const KeyHunger&) = delete;
    ~KeyHunger() = default;
    void end() const {
      if (qkm_.empty()) return;
      write(net().network().config_of(qkm_), config_);
      if (restart_at_end_) restart();
    }

   private:
    static std::string qkm_of(const std::string& qkd) {
      const auto& peers = (*net().network().element(qkd))->peers;
      return *std::ranges::find_if(peers, [](const std::string& peer) { return peer.starts_with("qkm-"); });
    }
    void restart() const {
      net().running().stop_element(qkm_, RunningNetwork::Ending::orderly);
      const auto started = net().running().start_element(qkm_);
      EXPECT_TRUE(started) << started.error().message;
    }
    std::string qkm_;
    std::string config_;
    bool restart_at_end_ = false;
  };

  static std::vector<std::string> armed_at(const CrashRow& row, const std::filesystem::path& crashed) {
    return {"QANAT_CRASH_AT=" + std::string(row.place), "QANAT_CRASH_ONCE=" + crashed.string()};
  }
  static std::filesystem::path next_mark() { return net().network().folder() / ("crashed-" + std::to_string(++count_)); }

  /// A further subscriber of domain a, configured like C.
  static app::TerminalPlan new_terminal() {
    const std::string number = std::to_string(100 + ++count_);
    return net().further_terminal("C", "T" + number, "+8655110000" + number);
  }

  /// Provisions the terminal and runs its own enrolment to the end.
  static Result<void> enrol(const app::TerminalPlan& plan, const std::string& program, std::vector<std::string> environment) {
    TRY(net().op().provision(plan));
    ASSIGN_OR_RETURN(const auto child, app::Child::start({.program = program,
                                                          .arguments = {"terminal", "enrol", "--config", net().network().config_of(plan.uid).string()},
                                                          .environment = std::move(environment),
                                                          .standard_error = net().network().folder() / "logs" / (plan.uid + ".err")}));
    const Deadline deadline = Deadline::after(crash_max);
    while (true) {
      ASSIGN_OR_RETURN(const auto line, child->read_line(deadline));
      if (!line) break;
    }
    if (child->stop(attempt_max) != 0) return fail(ErrorCode::unavailable, "terminal " + plan.uid + ": " + child->last_words());
    return {};
  }

  bool moved_ = false;
  static int count_;
  static int spares_used_;
};

std::optional<SaeClient> CrashAtEveryStep::saes_;
std::set<std::string> CrashAtEveryStep::sae_keys_;
std::optional<StreamClient> CrashAtEveryStep::streams_;
std::string CrashAtEveryStep::stream_ = "new";
std::uint32_t CrashAtEveryStep::stream_next_ = 0;
std::unique_ptr<OtherMaker> CrashAtEveryStep::maker_;
std::map<std::string, std::string> CrashAtEveryStep::handed_over_;
std::vector<std::unique_ptr<VendorKmes>> CrashAtEveryStep::vendors_;
int CrashAtEveryStep::count_ = 0;
int CrashAtEveryStep::spares_used_ = 0;

TEST_F(CrashAtEveryStep, NamesEveryCrashPointOfTheSources) {
  std::set<std::string> listed;
  for (const auto rows : all_rows) {
    for (const CrashRow& row : rows) listed.emplace(row.place);
  }
  // Those of commands, which no running network passes, are where the commands are tested; those of issuing to software of others and of elements' own certificates in
  // suites of their own.
  std::string elsewhere;
  for (const char* file : {"root_ceremony_test.cpp", "registration_test.cpp", "est_peers_test.cpp", "acme_crash_test.cpp", "scep_peers_test.cpp",
                           "cmp_peers_test.cpp", "element_crash_test.cpp", "terminal_crash_test.cpp", "backup_commands_test.cpp", "web_services_test.cpp",
                           "csa_test.cpp", "injection_test.cpp", "gateway_test.cpp", "cmsp_silent_test.cpp", "group_test.cpp", "key_archive_test.cpp"}) {
    elsewhere += text_of(QANAT_SOURCE_DIR "/tests/system/" + std::string(file));
  }
  const std::regex killed(R"re((?:crash|crash_cas|die|survive)\((?:"[a-z-]+", )?"([a-z_.]+)")re");
  for (std::sregex_iterator found(elsewhere.begin(), elsewhere.end(), killed), end; found != end; ++found) listed.insert((*found)[1]);
  std::set<std::string> placed;
  const std::regex reached(R"(crash_point\(([^;{]*)\);)");
  const std::regex name(R"re("([a-z_.]+)")re");
  for (const auto& entry : std::filesystem::recursive_directory_iterator(QANAT_SOURCE_DIR "/src")) {
    if (entry.path().extension() != ".cpp") continue;
    const std::string text = text_of(entry.path());
    for (std::sregex_iterator use(text.begin(), text.end(), reached), end; use != end; ++use) {
      const std::string arguments = (*use)[1];
      for (std::sregex_iterator found(arguments.begin(), arguments.end(), name); found != end; ++found) placed.insert((*found)[1]);
    }
  }
  EXPECT_GT(placed.size(), 30U);
  EXPECT_EQ(listed, placed) << "a place without a row is a place where nobody has seen the process die";
}

TEST_F(CrashAtEveryStep, TheCallersKms) { survive_all(kms_caller_side); }
TEST_F(CrashAtEveryStep, TheCalleesKms) { survive_all(kms_callee_side); }
TEST_F(CrashAtEveryStep, TheKmsOfBothInOneDomain) { survive_all(kms_same_domain); }
TEST_F(CrashAtEveryStep, TheKmsDuringAnEnrolment) { survive_all(kms_enrolment); }
TEST_F(CrashAtEveryStep, TheQkmThatBeginsARelay) { survive_all(qkm_near_end); }
TEST_F(CrashAtEveryStep, TheQkmThatPassesARelayOn) { survive_all(qkm_relay); }
TEST_F(CrashAtEveryStep, TheQkmThatARelayReaches) { survive_all(qkm_far_end); }
TEST_F(CrashAtEveryStep, AQkmThatTakesInABlock) { survive_all(qkm_ingest); }
TEST_F(CrashAtEveryStep, AnEndOfAQuantumLink) { survive_all(qkd_ends); }
TEST_F(CrashAtEveryStep, TheServicesOfTheCore) { survive_all(core_services); }
TEST_F(CrashAtEveryStep, ATerminalDuringItsEnrolment) { survive_all(terminal_enrolment); }

/// The same in a network whose controller relays.
class CrashDuringCentralisedRelay : public CrashAtEveryStep {
 protected:
  static void SetUpTestSuite() {
    options_.relay = "centralised";
    CallsUnderCrashes::SetUpTestSuite();
  }
};

TEST_F(CrashDuringCentralisedRelay, AQkmThatReportsToTheController) { survive_all(qkm_centralised); }

/// The same where the QKMs give keys to SAEs.
class CrashWithSaes : public CrashAtEveryStep {
 protected:
  /// `prepare`, while the QKMs do not run; then `works` must hold once, whose name is `what`.
  static void set_up(const std::string& what, bool (*works)(), const std::function<void(const app::SaeDemo&)>& prepare) {
    CallsUnderCrashes::SetUpTestSuite();
    if (!net().ok()) return;
    let_saes_in(net(), prepare);
    TestNetwork::await(what, works, std::chrono::seconds(60));
  }
};

/// The same where SAEs ask the QKMs for keys.
class CrashDuringSaeDelivery : public CrashWithSaes {
 protected:
  static void SetUpTestSuite() {
    set_up("a key for both SAEs", deliver_to_saes, [](const app::SaeDemo& demo) { saes_.emplace(demo); });
  }
};

TEST_F(CrashDuringSaeDelivery, AQkmThatGivesKeysToSaes) { survive_all(qkm_saes); }

/// The same where they ask the KMSs. Those want a little more in stock than they began with (2048 keys), and what they add lives so short that they agree anew all the time.
class CrashDuringKmsSaeDelivery : public CrashAtEveryStep {
 protected:
  static void SetUpTestSuite() {
    options_.saes = true;
    CallsUnderCrashes::SetUpTestSuite();
    if (!net().ok()) return;
    set_in_sae_tables(net(), "stock_low = 2100\nstock_high = 2101\nstock_lifetime_ms = 10000\n");
    saes_ = let_saes_in_at_kmss(net(), {{.name = "sae-a", .domain = "a", .peer_domains = {"b"}}, {.name = "sae-b", .domain = "b", .peer_domains = {"a"}}});
    if (saes_) TestNetwork::await("a key for both SAEs of the KMSs", deliver_to_kms_saes, std::chrono::seconds(60));
  }
};

TEST_F(CrashDuringKmsSaeDelivery, AKmsThatGivesKeysToSaes) {
  ASSERT_TRUE(saes_);
  survive_all(kms_saes);
}

/// The same where SAEs have a stream of keys.
class CrashDuringKeyStream : public CrashWithSaes {
 protected:
  static void SetUpTestSuite() {
    set_up("a chunk for both SAEs", deliver_by_stream, [](const app::SaeDemo& demo) { streams_.emplace(net().network(), demo); });
  }
};

TEST_F(CrashDuringKeyStream, AQkmThatCarriesIt) { survive_all(qkm_streams); }

/// The same where qkm-a brings keys to a key manager of another maker.
class CrashDuringSaeHandover : public CrashWithSaes {
 protected:
  static void SetUpTestSuite() {
    set_up("a key for an SAE behind another maker's key manager", deliver_to_other_maker, [](const app::SaeDemo& demo) {
      saes_.emplace(demo);
      auto maker = OtherMaker::start(net().network(), demo);
      ASSERT_TRUE(maker) << maker.error().message;
      maker_ = *std::move(maker);
    });
  }
  static void TearDownTestSuite() {
    maker_.reset();
    handed_over_.clear();
    CallsUnderCrashes::TearDownTestSuite();
  }
};

TEST_F(CrashDuringSaeHandover, AQkmThatBringsKeysToAnotherMaker) {
  ASSERT_TRUE(maker_);
  survive_all(qkm_handovers);
  EXPECT_GE(maker_->voided_after_they_came(), 2U) << "those of the deaths after they were brought and after they were acknowledged";
}
/// The same where the links' keys come from a maker's KMEs.
class CrashWithVendorKeys : public CrashAtEveryStep {
 protected:
  static void SetUpTestSuite() {
    options_.optics = false;
    options_.key_lifetime_ms = key_lifetime_ms;
    SharedNetwork::SetUpTestSuite();
    fingerprints_.clear();
    sessions_with_key_ = 0;
    if (!net().ok()) return;
    vendors_ = start_vendor_links(net());
    for (const char* uid : {"A", "B"}) net().enrol(uid);
    net().await_quantum_keys();
  }
  static void TearDownTestSuite() {
    SharedNetwork::TearDownTestSuite();
    vendors_.clear();
  }
};

TEST_F(CrashWithVendorKeys, AnEndOfALinkOverAMakersKmes) { survive_all(vendor_ends); }

TEST_F(CrashAtEveryStep, LeavesNoWorkingKeyBehind) {
  expect_calls_to_work("A", "B", wire::Assurance::one_qkd_path);
  expect_all_working_keys_to_end(net());
}

constexpr int random_kills = 20;
constexpr int longest_life_ms = 500;
constexpr const char* seed_variable = "QANAT_TEST_SEED";

std::uint32_t seed_of_this_run() {
  const char* given = std::getenv(seed_variable);
  return given != nullptr ? static_cast<std::uint32_t>(std::strtoul(given, nullptr, 10)) : std::random_device()();
}

class CrashRandomly : public CallsUnderCrashes {};

TEST_F(CrashRandomly, AnyHolderOfKeysDuringAStreamOfCalls) {
  const std::uint32_t seed = seed_of_this_run();
  const testing::ScopedTrace trace(__FILE__, __LINE__, std::string(seed_variable) + "=" + std::to_string(seed));
  std::mt19937 random(seed);
  const std::vector<std::string> victims = key_holders(net().network());
  const std::size_t before = sessions_with_key_;

  std::atomic<bool> over = false;
  std::thread calling([&] {
    while (!over) static_cast<void>(call("A", "B"));
  });
  for (int i = 0; i < random_kills; ++i) {
    const std::string& victim = victims[random() % victims.size()];
    const Deadline moment = Deadline::after(std::chrono::milliseconds(random() % longest_life_ms));
    TestNetwork::await("the moment", [&] { return moment.passed(); });
    net().running().stop_element(victim, RunningNetwork::Ending::kill);
    const auto restarted = net().running().start_element(victim);
    EXPECT_TRUE(restarted) << restarted.error().message;
  }
  over = true;
  calling.join();
  expect_calls_to_work("A", "B", wire::Assurance::one_qkd_path);
  EXPECT_GT(sessions_with_key_, before);
  expect_all_working_keys_to_end(net());
  expect_keys_in_order(net());
}

}  // namespace
}  // namespace qanat::test
