// Several threads' transactions in one commit: while one group waits for the disk the next one gathers. Each thread's work stands or falls
// alone (a savepoint), and is durable when its call returns.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include "store/store.hpp"

namespace qanat::qkm {

class GroupCommit {
 public:
  static constexpr std::size_t together_max = 64;

  explicit GroupCommit(store::Store& store) : store_(store) {}

  /// As Store::transact(), in company. What `work` remembers outside of the database must bear that its transaction is undone afterwards.
  template <class Work>
  auto transact(Work&& work) -> decltype(work(std::declval<store::Transaction&>())) {
    using R = decltype(work(std::declval<store::Transaction&>()));
    std::optional<R> out;
    const Result<void> done = run([&](store::Transaction& transaction) -> Result<void> {
      out.emplace(work(transaction));
      if (!*out) return fail(out->error());
      return {};
    });
    if (!done) return fail(done.error());
    return std::move(*out);
  }

 private:
  struct Item {
    const std::function<Result<void>(store::Transaction&)>& work;
    Result<void> outcome = fail(ErrorCode::internal, "the group was abandoned");
    bool done = false;
  };
  Result<void> run(const std::function<Result<void>(store::Transaction&)>& work);
  void commit(const std::vector<Item*>& group);

  store::Store& store_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Item*> waiting_;
  bool busy_ = false;
};

}  // namespace qanat::qkm
