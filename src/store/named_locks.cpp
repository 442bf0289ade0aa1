#include "store/named_locks.hpp"

namespace qanat::store {

class NamedLocks::Held final : public Store::Lock {
 public:
  Held(NamedLocks& locks, std::string name) : locks_(locks), name_(std::move(name)) {}
  ~Held() override {
    {
      const std::lock_guard lock(locks_.mutex_);
      locks_.held_.erase(name_);
    }
    locks_.changed_.notify_all();
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

 private:
  NamedLocks& locks_;
  const std::string name_;
};

Result<std::unique_ptr<Store::Lock>> NamedLocks::take(std::string_view name, Deadline deadline) {
  std::unique_lock lock(mutex_);
  if (!changed_.wait_until(lock, deadline.at(), [&] { return !held_.contains(name); })) {
    return fail(ErrorCode::deadline_exceeded, "somebody else holds the lock '" + std::string(name) + "'");
  }
  held_.emplace(name);
  return std::unique_ptr<Store::Lock>(std::make_unique<Held>(*this, std::string(name)));
}

}  // namespace qanat::store
