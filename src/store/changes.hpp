// Who waits for what to change, within this process. Private to store: elements see Store::announce and Store::watch.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <string>

#include "store/store.hpp"

namespace qanat::store {

class Changes {
 public:
  /// Printable ASCII of at most 200 octets without quote and backslash.
  static bool is_channel(std::string_view text);
  void announce(std::string_view channel);
  /// Everybody looks again: announcements of others may have been missed.
  void announce_all();
  /// `look_every`: after how long a waiting watch looks by itself, if others than this process may make changes.
  std::unique_ptr<Watch> watch(std::string_view channel, std::optional<std::chrono::milliseconds> look_every);

 private:
  class Watcher;
  std::mutex mutex_;
  std::multimap<std::string, Watcher*, std::less<>> watchers_;
};

}  // namespace qanat::store
