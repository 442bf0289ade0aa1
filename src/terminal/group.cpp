#include "terminal/group.hpp"

#include <algorithm>

namespace qanat::terminal {
namespace {

constexpr int order_attempts_max = 3;

std::unexpected<Error> state_denied(const std::string& why) { return fail(ErrorCode::denied, "GroupState: " + why); }

}  // namespace

std::vector<std::string> GroupView::readers() const {
  std::vector<std::string> out;
  for (const wire::GroupMember& member : roster) {
    if (std::ranges::find(out, member.kms.text()) == out.end()) out.push_back(member.kms.text());
  }
  std::ranges::sort(out);
  return out;
}

KeyWanted group_key_wanted(const crypto::Suite& suite, const GroupView& view, const Number& own) {
  return {.role = wire::Role::callee,
          .sid_wk = wire::group_sid_wk(suite, view.which, own),
          .sid_call = wire::group_sid_call(suite, view.which, view.owner, own),
          .caller = view.owner,
          .called = own};
}

Result<MediaKeys> GroupKeys::of(const Number& sender) const {
  ASSIGN_OR_RETURN(wire::MediaKey key, wire::group_media_key(suite_, key_.wk, view_.which, view_.owner, view_.roster, sender));
  return Result<MediaKeys>(MediaKeys{.key = std::move(key.key), .salt = std::move(key.salt)});
}

Result<GroupView> GroupClient::open(std::vector<Number> members, Deadline deadline) {
  return ask(wire::GroupOrder::open, {.group = parts_.rng.id<wire::GroupId>(), .epoch = 0}, std::move(members), deadline);
}

Result<GroupView> GroupClient::change(wire::GroupOrder order, const wire::GroupEpoch& present, std::vector<Number> members, Deadline deadline) {
  return ask(order, present, std::move(members), deadline);
}

Result<GroupView> GroupClient::show(const wire::GroupId& group, Deadline deadline) {
  return ask(wire::GroupOrder::show, {.group = group, .epoch = 0}, {}, deadline);
}

Result<GroupView> GroupClient::ask(wire::GroupOrder order, const wire::GroupEpoch& present, std::vector<Number> members, Deadline deadline) {
  const Applicant& applicant = parts_.applicant;
  std::ranges::sort(members);
  const wire::GroupRequest message{.group = present.group,
                                   .order = order,
                                   .epoch = present.epoch,
                                   .uid = applicant.uid,
                                   .number = parts_.number,
                                   .kms_id = applicant.kms,
                                   .nonce = parts_.rng.bytes(wire::nonce_size),
                                   .ts_ms = parts_.clock.now_ms(),
                                   .min_assurance = applicant.min_assurance,
                                   .token_ref = parts_.token_ref,
                                   .fps = applicant.signer.fps,
                                   .members = std::move(members)};
  ASSIGN_OR_RETURN(const auto asked,
                   wire::sign_message(applicant.suite, applicant.policy_epoch, message, applicant.signer.signer, applicant.signer.fps, parts_.rng));
  for (int attempt = 1;; ++attempt) {
    ASSIGN_OR_RETURN(const auto kms, parts_.check_kms(deadline));
    const auto answer = parts_.send(points::Endpoint::km1_group, asked.octets, deadline);
    if (answer) return judge(asked, *answer, *kms);
    // It may have been carried out, and its answer lost.
    if (answer.error().code != ErrorCode::unavailable || attempt == order_attempts_max || deadline.passed()) return fail(answer.error());
  }
}

Result<GroupView> GroupClient::judge(const wire::Framed<wire::GroupRequest>& asked, ByteView answer, const node::Sender& kms) {
  ASSIGN_OR_RETURN(const auto state, wire::parse<wire::GroupState>(answer));
  const wire::GroupState& said = state.message;
  TRY(wire::verify(state, kms.verifier, kms.fps));
  const UnixMs now = parts_.clock.now_ms();
  const UnixMs off = said.ts_ms > now ? said.ts_ms - now : now - said.ts_ms;
  if (said.fps != kms.fps) return state_denied("names other certificates than the KMS's pinned ones");
  if (said.h_req != asked.hash) return state_denied("answers another order");
  if (said.group != asked.message.group || said.uid != parts_.applicant.uid || said.kms_id != parts_.applicant.kms) return state_denied("is for somebody else");
  if (off > delivery_clock_window_ms) return state_denied("its time is " + std::to_string(off) + " ms off, more than the clock window");
  const bool orders = asked.message.order != wire::GroupOrder::show;
  if (orders && said.owner != parts_.number) return state_denied("another's group");
  if (orders && said.epoch <= asked.message.epoch) return state_denied("no epoch was begun");
  if (!wire::has(said.roster, parts_.number)) return state_denied("this terminal is not in the group");
  for (const Number& gone : asked.message.order == wire::GroupOrder::leave ? asked.message.members : std::vector<Number>{}) {
    if (wire::has(said.roster, gone)) return state_denied(gone.text() + " is still in the group");
  }
  return GroupView{
      .which = {.group = said.group, .epoch = said.epoch, .nonce = said.nonce}, .owner = said.owner, .roster = said.roster, .left_out = said.left_out};
}

Result<GroupKeys> GroupClient::keys(const GroupView& view, KeySource& source, Deadline deadline, const std::stop_token& stop) {
  const KeyWanted wanted = group_key_wanted(parts_.applicant.suite, view, parts_.number);
  ASSIGN_OR_RETURN(WorkingKey key, source.fetch(wanted, deadline, stop));
  source.acknowledge(key.h_deliver, deadline);
  return Result<GroupKeys>(GroupKeys(parts_.applicant.suite, view, std::move(key)));
}

}  // namespace qanat::terminal
