#include "quantum/qkm/group_commit.hpp"

#include <algorithm>

namespace qanat::qkm {

Result<void> GroupCommit::run(const std::function<Result<void>(store::Transaction&)>& work) {
  Item item{.work = work};
  std::unique_lock lock(mutex_);
  waiting_.push_back(&item);
  while (!item.done) {
    if (busy_) {
      changed_.wait(lock);
      continue;
    }
    busy_ = true;
    const auto last = waiting_.begin() + static_cast<std::ptrdiff_t>(std::min(waiting_.size(), together_max));
    const std::vector<Item*> group(waiting_.begin(), last);
    waiting_.erase(waiting_.begin(), last);
    lock.unlock();
    commit(group);
    lock.lock();
    for (Item* one : group) one->done = true;
    busy_ = false;
    changed_.notify_all();
  }
  return item.outcome;
}

void GroupCommit::commit(const std::vector<Item*>& group) {
  const Result<void> committed = store_.transact([&](store::Transaction& transaction) -> Result<void> {
    for (Item* item : group) {
      if (group.size() == 1) {
        item->outcome = item->work(transaction);
        return item->outcome;
      }
      TRY(transaction.run("SAVEPOINT one", {}));
      item->outcome = item->work(transaction);
      if (!item->outcome) TRY(transaction.run("ROLLBACK TO one", {}));
      TRY(transaction.run("RELEASE one", {}));
    }
    return {};
  });
  if (committed) return;
  for (Item* item : group) {
    if (item->outcome) item->outcome = fail(committed.error());
  }
}

}  // namespace qanat::qkm
