// Roles and grants in the database, and the decision over what stands there. Whoever changes them is decided on by the same function.
#pragma once

#include "services/iam/idm/register.hpp"
#include "services/iam/upm/policy.hpp"
#include "store/store.hpp"

namespace qanat::iam {

/// Whom the configuration gives a duty when IAM starts for the first time; afterwards grants are given and taken by those who may.
struct Founders {
  std::vector<Identity> security_administrators;
  std::vector<Identity> auditors;
  std::vector<Identity> operators;
  std::vector<Identity> elements;  // entered as identities
};

/// A founder that could not be entered, as somebody else has its uid or user name.
struct LeftOut {
  Identity founder;
  std::string why;
};

/// Called inside the transaction in which a subject ("A", "class:terminal") loses what it might do until now: nothing that rests on it may go on.
using PrivilegeLost = std::function<Result<void>(store::Transaction&, const std::string& subject)>;

class Privileges {
 public:
  Privileges(store::Store& store, PrivilegeLost lost) : store_(store), lost_(std::move(lost)) {}

  /// The built-in roles as this program has them; what every class may; the founders' identities, and their grants if no security administrator has one yet.
  /// A founder whose name somebody else has is left out and gets nothing: no entry in the register keeps IAM from starting. `conflict` if nobody would be
  /// security administrator.
  Result<std::vector<LeftOut>> found(IdentityRegister& identities, const Founders& founders, UnixMs now);

  /// Of the record with this uid; an unknown subject is a decision too.
  Result<Decision> decide(const Uid& subject, const Question& question, UnixMs now);

  /// Enters or replaces a role. `conflict` for a built-in one; `denied` if somebody who has it would then have two duties. Who has it holds it anew if it
  /// says something else than before.
  Result<void> define(const Role& role);
  /// `conflict` for a built-in role or one that is granted.
  Result<void> undefine(const std::string& role);
  Result<std::vector<Role>> roles();

  /// `not_found` without such a role or subject; `denied` by separation of duties. The same grant again is the one that is there.
  Result<Grant> give(Grant grant, UnixMs now);
  /// `denied` for the last grant of a security administrator.
  Result<Grant> take(std::int64_t id);
  /// Of a role that the subject has been given, whether or not the grant still holds.
  Result<Duty> duty_of(const Uid& subject);
  /// Of one subject, or all (`subject` empty).
  Result<std::vector<Grant>> grants(const std::string& subject);

 private:
  static Result<Standpoint> standpoint(store::Transaction& transaction, const Uid& subject);
  static Result<Grant> enter(store::Transaction& transaction, Grant grant, UnixMs now);

  store::Store& store_;
  const PrivilegeLost lost_;
};

}  // namespace qanat::iam
