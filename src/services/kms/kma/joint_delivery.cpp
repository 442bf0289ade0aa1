#include "services/kms/kma/joint_delivery.hpp"

#include <array>
#include <optional>

#include "base/check.hpp"
#include "node/crash_point.hpp"

namespace qanat::kms {

struct JointDelivery::Item {
  Ready ready;
  bool is_signed = false;
  Result<Handed> outcome = fail(ErrorCode::unavailable, "the deliveries of this moment were abandoned, outcome unknown");
};

struct JointDelivery::Group {
  explicit Group(std::shared_ptr<const node::MessageSigner> signer) : own(std::move(signer)) {}
  std::shared_ptr<const node::MessageSigner> own;
  std::vector<Item*> items;  // by place; each of a thread that waits for `done`
  bool done = false;
  std::condition_variable is_done;
};

/// What the lead owes the others of its group, also when it ends by an exception.
class JointDelivery::Lead {
 public:
  Lead(JointDelivery& of, Group& group) : of_(of), group_(group) {}
  Lead(const Lead&) = delete;
  Lead& operator=(const Lead&) = delete;
  ~Lead() {
    {
      const std::lock_guard lock(of_.mutex_);
      group_.done = true;
    }
    group_.is_done.notify_all();
  }

 private:
  JointDelivery& of_;
  Group& group_;
};

JointDelivery::JointDelivery(node::Node& node, store::Store& store, std::size_t most, std::chrono::milliseconds patience)
    : node_(node), store_(store), most_(most), patience_(patience) {
  CHECK(most >= 1 && most <= wire::joint_messages_max);
}

JointDelivery::Coming::Coming(JointDelivery& to) : to_(to) {
  const std::lock_guard lock(to_.mutex_);
  ++to_.coming_;
  since_ = to_.waits_in_vain_;
}
JointDelivery::Coming::~Coming() {
  const std::lock_guard lock(to_.mutex_);
  if (!is_here_) to_.has_come(*this);
}

void JointDelivery::has_come(const Coming& one) {
  if (one.since_ != waits_in_vain_) return;
  CHECK(coming_ > 0);
  if (--coming_ == 0) gathered_.notify_all();
}

void JointDelivery::close() {
  open_ = nullptr;
  gathered_.notify_all();
}

void JointDelivery::wait_for_others(std::unique_lock<std::mutex>& lock, const Group& group) {
  const auto closed = [&] { return open_.get() != &group; };
  if (in_company_ && gathered_.wait_for(lock, door, closed)) return;
  if (gathered_.wait_for(lock, patience_, [&] { return coming_ == 0 || closed(); })) return;
  ++waits_in_vain_;
  coming_ = 0;
}

Result<Handed> JointDelivery::hand_over(Coming& coming, Ready ready) {
  CHECK(&coming.to_ == this && !coming.is_here_);
  Item item{.ready = std::move(ready)};
  std::unique_lock lock(mutex_);
  // Another signer is in force since the group began, which goes without this one.
  if (open_ && open_->own != item.ready.own) close();
  if (!open_) open_ = std::make_shared<Group>(item.ready.own);
  const std::shared_ptr<Group> group = open_;
  const bool leads = group->items.empty();
  group->items.push_back(&item);
  coming.is_here_ = true;
  has_come(coming);
  if (group->items.size() == most_) close();
  if (leads) {
    wait_for_others(lock, *group);
    if (open_ == group) open_ = nullptr;  // nobody joins from here on
    in_company_ = group->items.size() > 1;
    ++signatures_;
    deliveries_ += group->items.size();
    lock.unlock();
    const Lead lead(*this, *group);
    sign(*group);
    if (!store_.side_by_side()) finish(group->items);
  } else {
    group->is_done.wait(lock, [&] { return group->done; });
    lock.unlock();
  }
  if (item.is_signed && store_.side_by_side()) finish(std::array{&item});
  return item.outcome;
}

void JointDelivery::describe(wire::Json& body) {
  const std::lock_guard lock(mutex_);
  body.set("deliveries", wire::Json::object({{"count", deliveries_}, {"signatures", signatures_}}));
}

// An item's own outcome is told at the very end: whatever throws before leaves it abandoned.
void JointDelivery::finish(std::span<Item* const> items) {
  Verdicts verdicts;
  Result<void> done = put(items, verdicts);
  if (!done) {  // a refusal may rest on what another work did, so none counts either
    for (Item* one : items) one->outcome = fail(done.error());
    return;
  }
  const auto is_over = [&](std::size_t i) { return verdicts[i] && *verdicts[i] == Handed::over; };
  std::vector<audit::Event> events;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!is_over(i)) continue;
    items[i]->ready.committed();
    events.push_back(items[i]->ready.event);
  }
  node::crash_point("kms.wk.put");
  if (!events.empty()) done = node_.record(events);
  for (std::size_t i = 0; i < items.size(); ++i) items[i]->outcome = done || !is_over(i) ? verdicts[i] : fail(done.error());
}

void JointDelivery::sign(const Group& group) {
  const crypto::Suite& suite = node_.suite();
  const node::MessageSigner& own = *group.own;
  std::vector<Bytes> tbs;
  tbs.reserve(group.items.size());
  for (const Item* one : group.items) tbs.push_back(wire::to_be_signed(wire::KeyDeliver::type, one->ready.message.header_and_body(), own.fps));
  std::optional<wire::JointTree> tree;
  if (tbs.size() > 1) {
    std::vector<Bytes> leaves;
    leaves.reserve(tbs.size());
    for (const Bytes& one : tbs) leaves.push_back(wire::joint_leaf(suite, one));
    tree.emplace(suite, std::move(leaves));
  }
  const Bytes block = own.signer.sign(tree ? wire::joint_tbs(tree->signed_root(), own.fps) : tbs.front(), node_.rng());
  for (std::size_t place = 0; place < group.items.size(); ++place) {
    wire::append_signature(group.items[place]->ready.message, block, tree ? tree->path(place) : Bytes{});
    group.items[place]->is_signed = true;
  }
}

Result<void> JointDelivery::put(std::span<Item* const> items, Verdicts& verdicts) {
  const bool alone = items.size() == 1;
  return store_.transact([&](store::Transaction& transaction) -> Result<void> {
    verdicts.clear();
    for (const Item* one : items) {
      const Ready& ready = one->ready;
      if (!alone) TRY(transaction.run("SAVEPOINT delivery", {}));
      verdicts.push_back(ready.work(transaction, {.h_req = ready.h_req, .h_deliver = ready.message.hash, .octets = ready.message.octets}));
      if (alone) return verdicts.back() ? Result<void>() : fail(verdicts.back().error());
      if (!verdicts.back()) TRY(transaction.run("ROLLBACK TO delivery", {}));
      TRY(transaction.run("RELEASE delivery", {}));
    }
    return {};
  });
}

}  // namespace qanat::kms
