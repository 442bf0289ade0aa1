// Shared libraries of devices' makers in this process. What was loaded stays until the process ends: makers' libraries seldom survive being unloaded. Private
// to crypto.
#pragma once

#include <dlfcn.h>

#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace qanat::crypto {

/// The file by one name, however it was spelled.
std::string library_name(const std::filesystem::path& file);

/// `what` begins the messages: "SDF library". not_found if there is no such file, invalid_argument if it cannot be loaded.
Result<void*> load_library(std::string_view what, const std::string& name);

/// Looks functions up, and remembers which are not there.
class Symbols {
 public:
  explicit Symbols(void* library) : library_(library) {}
  template <class Function>
  void find(Function& function, const char* name) {
    function = reinterpret_cast<Function>(::dlsym(library_, name));
    if (function == nullptr) missing_ += (missing_.empty() ? "" : ", ") + std::string(name);
  }
  [[nodiscard]] const std::string& missing() const noexcept { return missing_; }

 private:
  void* library_;
  std::string missing_;
};

/// The functions of a kind of library, looked up once for each file. `Functions` has `find_in(Symbols&)`.
template <class Functions>
class MakerLibraries {
 public:
  explicit MakerLibraries(std::string_view what) : what_(what) {}

  /// As load_library(); invalid_argument too for a library without some of the functions, which the message names.
  Result<const Functions*> of(const std::filesystem::path& file) {
    const std::string name = library_name(file);
    const std::scoped_lock lock(mutex_);
    auto found = by_file_.find(name);
    if (found == by_file_.end()) {
      ASSIGN_OR_RETURN(void* const library, load_library(what_, name));
      Functions functions;
      Symbols symbols(library);
      functions.find_in(symbols);
      if (!symbols.missing().empty()) return fail(ErrorCode::invalid_argument, std::string(what_) + " " + name + ": is without " + symbols.missing());
      found = by_file_.emplace(name, functions).first;
    }
    return &found->second;
  }

 private:
  std::string_view what_;
  std::mutex mutex_;
  std::map<std::string, Functions, std::less<>> by_file_;  // of which nothing is ever taken away
};

}  // namespace qanat::crypto
