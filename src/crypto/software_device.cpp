#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "crypto/aead.hpp"
#include "crypto/device.hpp"
#include "crypto/kdf.hpp"

namespace qanat::crypto {
namespace {

constexpr std::size_t master_key_octets = 32;
constexpr std::string_view seal_label = "qanat software device seal";

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) noexcept : fd_(fd) {}
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() {
    if (fd_ >= 0) (void)::close(fd_);
  }
  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] bool is_open() const noexcept { return fd_ >= 0; }

 private:
  int fd_;
};

std::unexpected<Error> file_failure(ErrorCode code, const std::filesystem::path& path, std::string_view what) {
  return fail(code, "master key " + path.string() + ": " + std::string(what));
}
std::unexpected<Error> system_failure(const std::filesystem::path& path, std::string_view call) {
  return file_failure(ErrorCode::internal, path, std::string(call) + ": " + std::strerror(errno));
}

Result<void> write_all(const FileDescriptor& file, const std::filesystem::path& path, ByteView octets) {
  while (!octets.empty()) {
    const ssize_t written = ::write(file.get(), octets.data(), octets.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return system_failure(path, "write");
    octets = octets.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Result<void> sync_folder(const std::filesystem::path& path) {
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  const FileDescriptor handle(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!handle.is_open() || ::fsync(handle.get()) != 0) return system_failure(path, "fsync of the folder");
  return {};
}

// Writes the key beside its place and links it there: another process sees no key or a whole one, and the first of two creators wins.
Result<void> create_master_key(const std::filesystem::path& path, Rng& rng) {
  const std::filesystem::path beside = path.string() + "." + to_hex(rng.bytes(8));
  Result<void> outcome;
  {
    const FileDescriptor file(::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR));
    if (!file.is_open()) return system_failure(beside, "create");
    const Secret key = rng.secret(master_key_octets);
    outcome = write_all(file, beside, key.reveal());
    if (outcome && ::fsync(file.get()) != 0) outcome = system_failure(beside, "fsync");
  }
  if (outcome && ::link(beside.c_str(), path.c_str()) != 0 && errno != EEXIST) outcome = system_failure(path, "link");
  (void)::unlink(beside.c_str());
  if (!outcome) return outcome;
  return sync_folder(path);
}

Result<Secret> read_master_key(const FileDescriptor& file, const std::filesystem::path& path) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return system_failure(path, "fstat");
  if (!S_ISREG(status.st_mode)) return file_failure(ErrorCode::denied, path, "is not a regular file");
  if (status.st_uid != ::geteuid()) return file_failure(ErrorCode::denied, path, "belongs to another user");
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) return file_failure(ErrorCode::denied, path, "others can reach it: its mode must be 0600");
  if (status.st_size != static_cast<off_t>(master_key_octets)) return file_failure(ErrorCode::invalid_argument, path, "is not 32 octets long");
  Secret key(master_key_octets);
  std::size_t done = 0;
  while (done < key.size()) {
    const ssize_t got = ::read(file.get(), key.writable().data() + done, key.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return system_failure(path, "read");
    done += static_cast<std::size_t>(got);
  }
  return Result<Secret>(std::move(key));
}

class SoftwareDevice final : public CryptoDevice {
 public:
  SoftwareDevice(Secret master_key, Rng& rng) : seal_prk_(hkdf_extract(Hash::sha256, as_bytes(seal_label), master_key)), rng_(rng) {}

  [[nodiscard]] std::string_view kind() const noexcept override { return "software"; }
  Result<Secret> random(std::size_t size) override { return Result<Secret>(rng_.secret(size)); }
  [[nodiscard]] Rng& rng() noexcept override { return rng_; }

  // A random nonce is fresh enough: a context's key would have to seal 2^32 secrets before a repetition became likely.
  Result<Bytes> seal(ByteView context, const Secret& secret) override {
    Bytes out = rng_.bytes(aead_iv);
    append(out, crypto::seal(Aead::aes_256_gcm, key_of(context), Bytes(out), context, secret.reveal()));
    return out;
  }

  Result<Secret> unseal(ByteView context, ByteView sealed) override {
    if (sealed.size() < aead_iv + aead_tag) return fail(ErrorCode::denied, "device: sealed octets are too short");
    auto secret = open(Aead::aes_256_gcm, key_of(context), sealed.first(aead_iv), context, sealed.subspan(aead_iv));
    if (!secret) return fail(ErrorCode::denied, "device: sealed octets were changed, moved, or sealed by another device");
    return secret;
  }

 private:
  [[nodiscard]] Secret key_of(ByteView context) const { return hkdf_expand(Hash::sha256, seal_prk_, {context}, key_size(Aead::aes_256_gcm)); }

  Secret seal_prk_;
  Rng& rng_;
};

}  // namespace

Result<std::unique_ptr<CryptoDevice>> open_software_device(const std::filesystem::path& master_key, Rng& rng) {
  const auto open_existing = [&] { return ::open(master_key.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK); };
  int fd = open_existing();
  if (fd < 0 && errno == ENOENT) {
    TRY(create_master_key(master_key, rng));
    fd = open_existing();
  }
  const FileDescriptor file(fd);
  if (!file.is_open()) return system_failure(master_key, "open");
  ASSIGN_OR_RETURN(Secret key, read_master_key(file, master_key));
  return Result<std::unique_ptr<CryptoDevice>>(std::make_unique<SoftwareDevice>(std::move(key), rng));
}

}  // namespace qanat::crypto
