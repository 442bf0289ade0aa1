// SoftHSM2 for tests: tokens of their own in a temporary folder.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "crypto/device.hpp"
#include "temporary_directory.hpp"

namespace qanat::test {

/// Where Debian's package has the module.
inline constexpr const char* softhsm_module = "/usr/lib/softhsm/libsofthsm2.so";

/// One per process: the module reads SOFTHSM2_CONF when it is loaded, and is loaded once.
class SoftHsm {
 public:
  static SoftHsm& instance() {
    static SoftHsm only;
    return only;
  }

  /// A new token with this label; its PIN is pin(). A label is used once.
  void make_token(const std::string& label) const { run("softhsm2-util --init-token --free --label '" + label + "' --pin " + pin() + " --so-pin 87654321"); }
  void delete_token(const std::string& label) const { run("softhsm2-util --delete-token --token '" + label + "'"); }
  [[nodiscard]] static std::string pin() { return "424242"; }
  [[nodiscard]] std::filesystem::path pin_file() const { return folder_ / "pin"; }
  [[nodiscard]] std::filesystem::path configuration() const { return folder_ / "softhsm2.conf"; }
  [[nodiscard]] std::filesystem::path tokens() const { return folder_ / "tokens"; }
  [[nodiscard]] std::filesystem::path file(const std::string& name) const { return folder_ / name; }
  [[nodiscard]] crypto::Pkcs11Settings settings(const std::string& label) const {
    return {.module = softhsm_module, .token = label, .key = "qanat master key", .pin_file = pin_file()};
  }

  void write_pin(const std::filesystem::path& to, const std::string& text, mode_t mode = 0600) const {
    std::ofstream(to, std::ios::binary | std::ios::trunc) << text;
    ASSERT_EQ(::chmod(to.c_str(), mode), 0);
  }

 private:
  SoftHsm() {
    std::filesystem::create_directories(tokens());
    std::ofstream(configuration()) << "directories.tokendir = " << tokens().string()
                                   << "\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n";
    write_pin(pin_file(), pin() + "\n");
    ::setenv("SOFTHSM2_CONF", configuration().c_str(), 1);
  }
  static void run(const std::string& line) { ASSERT_EQ(std::system((line + " >/dev/null").c_str()), 0) << line; }

  TemporaryDirectory folder_;
};

}  // namespace qanat::test
