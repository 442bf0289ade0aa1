// The test double of an SDF device (sdf_test_library.cpp) for one test: a folder with its key-encryption keys, and orders to misbehave.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "crypto/device.hpp"
#include "temporary_directory.hpp"

namespace qanat::test {

class SdfFolder {
 public:
  /// The device is there, with KEK 1 and KEK 2.
  SdfFolder() {
    std::filesystem::create_directories(device());
    ::setenv("QANAT_SDF_FOLDER", device().c_str(), 1);
    make_kek(1, 'a');
    make_kek(2, 'b');
  }
  ~SdfFolder() { ::unsetenv("QANAT_SDF_FOLDER"); }
  SdfFolder(const SdfFolder&) = delete;
  SdfFolder& operator=(const SdfFolder&) = delete;

  [[nodiscard]] std::filesystem::path device() const { return folder_ / "device"; }
  [[nodiscard]] std::filesystem::path file(const std::string& name) const { return folder_ / name; }
  [[nodiscard]] static std::filesystem::path library() { return QANAT_SDF_LIBRARY; }
  [[nodiscard]] static crypto::SdfSettings settings(std::uint32_t key_index = 1) { return {.module = library(), .key_index = key_index}; }

  /// 16 octets that are all `octet`.
  void make_kek(unsigned int index, char octet) const { write("kek-" + std::to_string(index), std::string(16, octet)); }
  void remove_kek(unsigned int index) const { std::filesystem::remove(device() / ("kek-" + std::to_string(index))); }
  /// See sdf_test_library.cpp. The count of calls begins anew.
  void order(const std::string& orders) const {
    std::filesystem::remove(device() / "calls");
    write("orders", orders + "\n");
  }
  void obey() const { std::filesystem::remove(device() / "orders"); }
  void go_away() const { std::filesystem::rename(device(), file("away")); }
  void come_back() const { std::filesystem::rename(file("away"), device()); }

 private:
  void write(const std::string& name, const std::string& text) const { std::ofstream(device() / name, std::ios::binary | std::ios::trunc) << text; }

  TemporaryDirectory folder_;
};

}  // namespace qanat::test
