// For clients whose TLS library reads its roots from one folder of the system and from nowhere else (libcurl with GnuTLS): preloaded, it has them read the
// folder that QANAT_TEST_ROOTS names in its place. The client stays what it is, and goes on to check what it is shown.
#include <dirent.h>
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

constexpr std::string_view system_roots = "/etc/ssl/certs";

std::string in_place_of(const char* path) {
  const char* const folder = std::getenv("QANAT_TEST_ROOTS");
  const std::string_view asked(path);
  if (folder == nullptr || !asked.starts_with(system_roots)) return path;
  return folder + std::string(asked.substr(system_roots.size()));
}

template <class Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

DIR* opendir(const char* path) { return real<DIR*(const char*)>("opendir")(in_place_of(path).c_str()); }
FILE* fopen(const char* path, const char* mode) { return real<FILE*(const char*, const char*)>("fopen")(in_place_of(path).c_str(), mode); }
FILE* fopen64(const char* path, const char* mode) { return real<FILE*(const char*, const char*)>("fopen64")(in_place_of(path).c_str(), mode); }
}
