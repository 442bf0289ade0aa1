#include "terminal/group_process.hpp"

#include "terminal/group.hpp"
#include "terminal/loaded.hpp"

namespace qanat::terminal {
namespace {

constexpr std::chrono::milliseconds group_order_max{20'000};

wire::Json to_json(const GroupView& view) {
  wire::Json members = wire::Json::array();
  for (const wire::GroupMember& member : view.roster) members.push(wire::Json::object({{"number", member.number.text()}, {"kms", member.kms.text()}}));
  wire::Json left_out = wire::Json::array();
  for (const Number& number : view.left_out) left_out.push(number.text());
  wire::Json readers = wire::Json::array();
  for (const std::string& kms : view.readers()) readers.push(kms);
  return wire::Json::object({{"group", view.which.group.hex()},
                             {"epoch", static_cast<std::int64_t>(view.which.epoch)},
                             {"owner", view.owner.text()},
                             {"members", members},
                             {"left_out", left_out},
                             {"readable_by", readers},
                             {"notice", "not end to end: the KMSs in readable_by can read what this group says"}});
}

Result<GroupView> ordered(GroupClient& client, const GroupPlan& plan, Deadline deadline) {
  if (!plan.group) return client.open(plan.members, deadline);
  ASSIGN_OR_RETURN(GroupView present, client.show(*plan.group, deadline));
  if (plan.order == wire::GroupOrder::show) return Result<GroupView>(std::move(present));
  return client.change(plan.order, present.which, plan.members, deadline);
}

}  // namespace

Result<wire::Json> run_group(node::Node& node, const TerminalSettings& settings, const GroupPlan& plan) {
  ASSIGN_OR_RETURN(Loaded loaded, load(node, settings));
  node.start_reporting();
  const Deadline deadline = Deadline::after(group_order_max);
  const std::shared_ptr<const node::MessageSigner> signer = node.signer();
  const Applicant applicant = applicant_of(node, settings, loaded, *signer);
  KmsLink link(node, settings, loaded);
  const SendToKms send = [&link](points::Endpoint endpoint, ByteView message, Deadline until) { return link.send(endpoint, message, until); };
  const CheckKms check_kms = [&link](Deadline until) { return link.check(until); };
  ASSIGN_OR_RETURN(const auto token_ref, loaded.store->token_ref());
  GroupClient client({.applicant = applicant,
                      .number = settings.number,
                      .token_ref = token_ref.value_or(Bytes(node.suite().digest)),
                      .clock = node.clock(),
                      .rng = node.rng(),
                      .send = send,
                      .check_kms = check_kms});
  ASSIGN_OR_RETURN(const GroupView view, ordered(client, plan, deadline));
  wire::Json out = to_json(view);
  if (!plan.with_key) return out;
  KeyClient source({.applicant = applicant,
                    .store = *loaded.store,
                    .clock = node.clock(),
                    .rng = node.rng(),
                    .send = send,
                    .check_kms = check_kms,
                    .observe = [](const CallEvent&) {},
                    .medium = loaded.medium_in_use(),
                    .charged_required = loaded.must_be_charged(settings)});
  const std::stop_source never;
  ASSIGN_OR_RETURN(const GroupKeys keys, client.keys(view, source, deadline, never.get_token()));
  out.set("wk_fingerprint", keys.fingerprint()).set("assurance", static_cast<int>(keys.assurance())).set("mki", keys.mki().hex());
  return out;
}

}  // namespace qanat::terminal
