// What the test doubles of makers' libraries (tests/sdf, tests/skf) have in common: a folder that is the device, orders to misbehave, and SM4 of OpenSSL, where
// Qanat uses none for this. Compiled into those libraries.
//
// Without the folder the device is away, and what was open in it is lost. The file `orders` in it makes it misbehave, one order a line:
//   SDF_Encrypt fail    it fails
//   SDF_Encrypt short   it says that it is done, with fewer octets than it should give
//   SDF_Encrypt mute    it says that it is done, and writes nothing
//   SDF_GenerateKeyWithKEK same   it makes one key again and again; of random octets: the same ones in each call
//   * fail 3            every call from the third on fails; the file `calls` counts them
//   * kill 3            the third call kills the process
#pragma once

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace device_double {

namespace fs = std::filesystem;
using Octets = std::vector<unsigned char>;
inline constexpr unsigned int block = 16;
inline constexpr unsigned int longest_call = 8192;

enum class How { well, fail, brief, mute, same };

/// The device's folder, which an environment variable names; nothing while it is away.
class Folder {
 public:
  explicit Folder(const char* variable) : variable_(variable) {}
  [[nodiscard]] std::optional<fs::path> path() const {
    const char* const name = std::getenv(variable_);
    std::error_code ignored;
    if (name == nullptr || !fs::is_directory(name, ignored)) return std::nullopt;
    return fs::path(name);
  }
  [[nodiscard]] std::optional<Octets> read(const std::string& name) const {
    const auto where = path();
    if (!where) return std::nullopt;
    std::ifstream in(*where / name, std::ios::binary);
    if (!in) return std::nullopt;
    return Octets{std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& name, const Octets& octets) const {
    std::ofstream(*path() / name, std::ios::binary | std::ios::trunc)
        .write(reinterpret_cast<const char*>(octets.data()), static_cast<std::streamsize>(octets.size()));
  }

  /// How this call is to go, as it was ordered; `fail` while the device is away.
  [[nodiscard]] How ordered(std::string_view function) const {
    const auto where = path();
    if (!where) return How::fail;
    std::ifstream in(*where / "orders");
    for (std::string line; std::getline(in, line);) {
      std::istringstream words(line);
      std::string who;
      std::string what;
      long from = 1;
      words >> who >> what >> from;
      if (who == "*") {
        if (counted_calls(*where) < from) continue;
        if (what == "kill") (void)::kill(::getpid(), SIGKILL);
        return How::fail;
      }
      if (who != function) continue;
      if (what == "short") return How::brief;
      if (what == "mute") return How::mute;
      if (what == "same") return How::same;
      return How::fail;
    }
    return How::well;
  }

 private:
  /// One more call: how many it were, since the file was made.
  static long counted_calls(const fs::path& where) {
    long count = 0;
    std::ifstream(where / "calls") >> count;
    std::ofstream(where / "calls", std::ios::trunc) << ++count;
    return count;
  }

  const char* variable_;
};

/// SM4 over whole blocks.
inline std::optional<Octets> sm4(const EVP_CIPHER* cipher, const Octets& key, const unsigned char* iv, const unsigned char* data, unsigned int length,
                                 int encrypting) {
  const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  Octets out(length + block);
  int first = 0;
  int last = 0;
  if (EVP_CipherInit_ex2(context.get(), cipher, key.data(), iv, encrypting, nullptr) != 1 || EVP_CIPHER_CTX_set_padding(context.get(), 0) != 1 ||
      EVP_CipherUpdate(context.get(), out.data(), &first, data, static_cast<int>(length)) != 1 ||
      EVP_CipherFinal_ex(context.get(), out.data() + first, &last) != 1)
    return std::nullopt;
  out.resize(static_cast<std::size_t>(first) + static_cast<std::size_t>(last));
  return out;
}

/// Random octets as they were ordered; false if there are none.
inline bool random_octets(How how, unsigned int length, unsigned char* out) {
  if (how == How::mute) return true;
  if (how != How::same) return RAND_bytes(out, static_cast<int>(length)) == 1;
  for (unsigned int i = 0; i < length; ++i) out[i] = static_cast<unsigned char>(37 * i + (i >> 8U) + 11);
  return true;
}

/// A key of one block; `same`: always that one.
inline std::optional<Octets> made_key(How how) {
  Octets out(block, 0x5A);
  if (how != How::same && RAND_bytes(out.data(), static_cast<int>(out.size())) != 1) return std::nullopt;
  return out;
}

}  // namespace device_double
