#include "crypto/maker_library.hpp"

namespace qanat::crypto {

std::string library_name(const std::filesystem::path& file) {
  std::error_code error;
  const std::filesystem::path real = std::filesystem::weakly_canonical(file, error);
  return error ? file.string() : real.string();
}

Result<void*> load_library(std::string_view what, const std::string& name) {
  const std::string where = std::string(what) + " " + name + ": ";
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(name, ignored)) return fail(ErrorCode::not_found, where + "is not there");
  void* const library = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* const reason = ::dlerror();
    return fail(ErrorCode::invalid_argument, where + "cannot be loaded: " + (reason != nullptr ? reason : "no reason given"));
  }
  return library;
}

}  // namespace qanat::crypto
