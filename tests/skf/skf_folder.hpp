// The test double of an SKF device (skf_test_library.cpp) for one test: a folder with an application and its PIN, and orders to misbehave.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "crypto/device.hpp"
#include "temporary_directory.hpp"

namespace qanat::test {

class SkfFolder {
 public:
  /// The device is there, with the application "qkd" and its PIN; the file pin_file() has the same.
  SkfFolder() {
    std::filesystem::create_directories(device());
    ::setenv("QANAT_SKF_FOLDER", device().c_str(), 1);
    write("name", "key 1");
    write("application-qkd", pin());
    write_private(pin_file(), pin() + "\n");
  }
  ~SkfFolder() { ::unsetenv("QANAT_SKF_FOLDER"); }
  SkfFolder(const SkfFolder&) = delete;
  SkfFolder& operator=(const SkfFolder&) = delete;

  [[nodiscard]] std::filesystem::path device() const { return folder_ / "device"; }
  [[nodiscard]] std::filesystem::path file(const std::string& name) const { return folder_ / name; }
  [[nodiscard]] static std::string pin() { return "31415926"; }
  [[nodiscard]] std::filesystem::path pin_file() const { return folder_ / "pin"; }
  [[nodiscard]] static std::filesystem::path library() { return QANAT_SKF_LIBRARY; }
  [[nodiscard]] crypto::SkfSettings settings(const std::string& container = "qanat") const {
    return {.module = library(), .device = "", .application = "qkd", .container = container, .pin_file = pin_file(), .auth_key_file = {}};
  }

  void write(const std::string& name, const std::string& text) const { std::ofstream(device() / name, std::ios::binary | std::ios::trunc) << text; }
  [[nodiscard]] bool has(const std::string& name) const { return std::filesystem::exists(device() / name); }
  void remove(const std::string& name) const { std::filesystem::remove(device() / name); }
  void write_private(const std::filesystem::path& to, const std::string& text, mode_t mode = 0600) const {
    std::ofstream(to, std::ios::binary | std::ios::trunc) << text;
    ASSERT_EQ(::chmod(to.c_str(), mode), 0);
  }
  /// See device_double.hpp. The count of calls begins anew.
  void order(const std::string& orders) const {
    remove("calls");
    write("orders", orders + "\n");
  }
  void obey() const { remove("orders"); }
  void go_away() const { std::filesystem::rename(device(), file("away")); }
  void come_back() const { std::filesystem::rename(file("away"), device()); }

 private:
  TemporaryDirectory folder_;
};

}  // namespace qanat::test
