// What the suites of refusals share: applications made and sent by hand, and the shape of a refusal.
#pragma once

#include "test_network.hpp"
#include "wire/key_schedule.hpp"

namespace qanat::test {

class Refusals : public SharedNetwork {
 protected:
  static Number number_of(const std::string& uid) { return Number((*net().network().terminal(uid))->number); }

  /// A fresh session between the two numbers, from the caller's side.
  static terminal::KeyWanted wanted(const Number& caller, const Number& called) {
    return {.role = wire::Role::caller,
            .sid_wk = net().rng().id<SidWk>(),
            .sid_call = wire::make_sid_call(caller, called, net().rng().bytes(16)),
            .caller = caller,
            .called = called};
  }
  static terminal::KeyApplication application(const std::string& from, const Number& called, const std::optional<Bytes>& token_ref = {}) {
    return net().terminal(from).application(wanted(number_of(from), called), token_ref).value();
  }
  /// One application, without the retries of the product's own client.
  static Result<Bytes> apply_once(const std::string& from, const Number& called, const std::optional<Bytes>& token_ref = {}) {
    return net().terminal(from).send(points::Endpoint::km1_application, application(from, called, token_ref).octets());
  }
  /// An application of `from` changed by `change` and signed again by its owner.
  template <class Change>
  static Bytes changed(const std::string& from, const Number& called, Change change) {
    wire::KeyRequest message = wire::parse<wire::KeyRequest>(application(from, called).octets()).value().message;
    change(message);
    const terminal::Applicant& applicant = net().terminal(from).applicant();
    return wire::sign_message(applicant.suite, applicant.policy_epoch, message, applicant.signer.signer, applicant.signer.fps, net().rng()).value().octets;
  }

  /// The attempt is refused with this code, for a reason that the message names, and the KMS has put it on record with that reason.
  template <class Attempt>
  static void expect_refused(Attempt attempt, ErrorCode code, const std::string& reason, const std::string& kms = "kms-a") {
    const std::size_t before = net().audit(kms, "km-1.application", reason).size();
    const auto answer = attempt();
    ASSERT_FALSE(answer) << "was served";
    EXPECT_EQ(answer.error().code, code) << answer.error().message;
    EXPECT_NE(answer.error().message.find(reason), std::string::npos) << answer.error().message;
    EXPECT_EQ(net().audit(kms, "km-1.application", reason).size(), before + 1) << "records of " << kms << " that say: " << reason;
  }
};

}  // namespace qanat::test
