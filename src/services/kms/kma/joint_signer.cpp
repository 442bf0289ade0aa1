#include "services/kms/kma/joint_signer.hpp"

#include <optional>

#include "base/check.hpp"

namespace qanat::kms {

struct JointSigner::Group {
  std::shared_ptr<const node::MessageSigner> own;
  std::vector<Bytes> tbs;  // by place
  struct Signature {
    Bytes block;
    std::optional<wire::JointTree> tree;  // none over one message alone
  };
  std::optional<Result<Signature>> outcome;  // when the lead has signed
};

/// What the lead owes the others of its group, also when it ends by an exception.
class JointSigner::Lead {
 public:
  Lead(JointSigner& signer, Group& group) : signer_(signer), group_(group) {}
  Lead(const Lead&) = delete;
  Lead& operator=(const Lead&) = delete;
  ~Lead() { tell(fail(ErrorCode::internal, "the signature over several deliveries was not made")); }
  void tell(Result<Group::Signature> outcome) {
    const std::lock_guard lock(signer_.mutex_);
    if (group_.outcome) return;
    group_.outcome = std::move(outcome);
    signer_.changed_.notify_all();
  }

 private:
  JointSigner& signer_;
  Group& group_;
};

JointSigner::JointSigner(const crypto::Suite& suite, std::size_t most, std::chrono::milliseconds patience) : suite_(suite), most_(most), patience_(patience) {
  CHECK(most >= 1 && most <= wire::joint_messages_max);
}
JointSigner::~JointSigner() = default;

JointSigner::Coming::Coming(JointSigner& signer) : signer_(signer) {
  const std::lock_guard lock(signer_.mutex_);
  ++signer_.coming_;
}
JointSigner::Coming::~Coming() {
  const std::lock_guard lock(signer_.mutex_);
  if (!is_here_) signer_.has_come();
}

void JointSigner::has_come() {
  if (--coming_ == 0) changed_.notify_all();
}

Result<void> JointSigner::sign(Coming& coming, wire::Framed<wire::KeyDeliver>& delivery, const std::shared_ptr<const node::MessageSigner>& own,
                               crypto::Rng& rng) {
  CHECK(&coming.signer_ == this && !coming.is_here_);
  std::unique_lock lock(mutex_);
  // Another signer is in force since the group began, which goes without this one.
  if (!open_ || open_->own != own) open_ = std::make_shared<Group>(Group{.own = own, .tbs = {}, .outcome = {}});
  const std::shared_ptr<Group> group = open_;
  const std::size_t place = group->tbs.size();
  group->tbs.push_back(wire::to_be_signed(wire::KeyDeliver::type, delivery.header_and_body(), own->fps));
  coming.is_here_ = true;
  has_come();
  if (group->tbs.size() == most_) {
    open_ = nullptr;
    changed_.notify_all();
  }
  if (place == 0) {
    changed_.wait_for(lock, patience_, [&] { return coming_ == 0 || open_ != group; });
    if (open_ == group) open_ = nullptr;  // nobody joins from here on
    lock.unlock();
    Lead lead(*this, *group);
    Group::Signature made;
    if (group->tbs.size() == 1) {
      made.block = own->signer.sign(group->tbs.front(), rng);
    } else {
      std::vector<Bytes> leaves;
      for (const Bytes& one : group->tbs) leaves.push_back(wire::joint_leaf(suite_, one));
      made.tree.emplace(suite_, std::move(leaves));
      made.block = own->signer.sign(wire::joint_tbs(made.tree->signed_root(), own->fps), rng);
    }
    lead.tell(std::move(made));
  } else {
    changed_.wait(lock, [&] { return group->outcome.has_value(); });
    lock.unlock();
  }
  // Nobody changes it any more.
  const Result<Group::Signature>& outcome = *group->outcome;
  if (!outcome) return fail(outcome.error());
  wire::append_signature(delivery, outcome->block, outcome->tree ? outcome->tree->path(place) : Bytes{});
  return {};
}

}  // namespace qanat::kms
