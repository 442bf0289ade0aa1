// What a key has carried while the CHILD SAs under it come and go: the count of each begins anew at every rekeying. No I/O.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>

namespace qanat::terminal::gateway {

class CarriedOctets {
 public:
  using Present = std::map<std::string, std::uint64_t>;  // octets of each CHILD SA that there is, by a name that no other had

  /// All that was carried since clear(): by what is there now, and by what was there at a look before as far as it had come then.
  std::uint64_t look(const Present& present) {
    std::erase_if(present_, [&](const auto& former) {
      if (present.contains(former.first)) return false;
      ended_ += former.second;
      return true;
    });
    std::uint64_t out = ended_;
    for (const auto& [name, octets] : present) {
      std::uint64_t& most = present_[name];
      most = std::max(most, octets);
      out += most;
    }
    return out;
  }
  void clear() {
    present_.clear();
    ended_ = 0;
  }

 private:
  Present present_;
  std::uint64_t ended_ = 0;  // of those that are no longer there
};

}  // namespace qanat::terminal::gateway
