#include "crypto/sdf_module.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <map>
#include <mutex>

namespace qanat::crypto {
namespace {

constexpr unsigned int sm4_bits = 128;
/// A key of one block under a KEK: makers add a header or a padding to it, or nothing.
constexpr std::size_t wrapped_octets_max = 256;
/// What is given to a device in one call: less than any maker's limit.
constexpr std::size_t piece_octets = 4096;
/// Room behind what a call is to write, for a maker's library that pads although it should not: that is an error, and must not be an overrun.
constexpr std::size_t spare_octets = 2 * sm4_block;

struct NamedSdr {
  int value;
  std::string_view name;
};
constexpr std::array named_sdrs{
    NamedSdr{sdr_ok, "SDR_OK"},
    NamedSdr{sdr_unknown, "SDR_UNKNOWERR"},
    NamedSdr{sdr_not_supported, "SDR_NOTSUPPORT"},
    NamedSdr{sdr_communication, "SDR_COMMFAIL"},
    NamedSdr{sdr_hardware, "SDR_HARDFAIL"},
    NamedSdr{sdr_open_device, "SDR_OPENDEVICE"},
    NamedSdr{sdr_open_session, "SDR_OPENSESSION"},
    NamedSdr{sdr_permission, "SDR_PARDENY"},
    NamedSdr{sdr_no_such_key, "SDR_KEYNOTEXIST"},
    NamedSdr{sdr_algorithm, "SDR_ALGNOTSUPPORT"},
    NamedSdr{sdr_mode, "SDR_ALGMODNOTSUPPORT"},
    NamedSdr{sdr_symmetric_operation, "SDR_SYMOPERR"},
    NamedSdr{sdr_key_type, "SDR_KEYTYPEERR"},
    NamedSdr{sdr_key, "SDR_KEYERR"},
    NamedSdr{sdr_no_buffer, "SDR_NOBUFFER"},
    NamedSdr{sdr_argument_in, "SDR_INARGERR"},
    NamedSdr{sdr_argument_out, "SDR_OUTARGERR"},
};

/// Looks the functions up, and remembers which are not there.
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

Result<SdfFunctions> find_sdf_functions(const std::string& name) {
  const std::string where = "SDF library " + name + ": ";
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(name, ignored)) return fail(ErrorCode::not_found, where + "is not there");
  void* const library = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* const reason = ::dlerror();
    return fail(ErrorCode::invalid_argument, where + "cannot be loaded: " + (reason != nullptr ? reason : "no reason given"));
  }
  SdfFunctions out;
  Symbols symbols(library);
  symbols.find(out.open_device, "SDF_OpenDevice");
  symbols.find(out.close_device, "SDF_CloseDevice");
  symbols.find(out.open_session, "SDF_OpenSession");
  symbols.find(out.close_session, "SDF_CloseSession");
  symbols.find(out.generate_random, "SDF_GenerateRandom");
  symbols.find(out.generate_key_with_kek, "SDF_GenerateKeyWithKEK");
  symbols.find(out.import_key_with_kek, "SDF_ImportKeyWithKEK");
  symbols.find(out.destroy_key, "SDF_DestroyKey");
  symbols.find(out.encrypt, "SDF_Encrypt");
  symbols.find(out.decrypt, "SDF_Decrypt");
  symbols.find(out.calculate_mac, "SDF_CalculateMAC");
  if (!symbols.missing().empty()) return fail(ErrorCode::invalid_argument, where + "is without " + symbols.missing());
  return out;
}

struct SdfLibraries {
  std::mutex mutex;
  std::map<std::string, SdfFunctions, std::less<>> by_file;  // of which nothing is ever taken away
};

SdfLibraries& sdf_libraries() {
  static SdfLibraries libraries;
  return libraries;
}

std::unexpected<Error> misbehaved(std::string_view call, std::string_view how) {
  return fail(ErrorCode::internal, std::string(call) + ": the device says that it is done, and " + std::string(how));
}

std::string call_with_kek(std::string_view call, unsigned int kek_index) { return std::string(call) + " with KEK " + std::to_string(kek_index); }

/// One call of SDF_Encrypt or SDF_Decrypt: both have the same shape.
using Pass = decltype(&SDF_Encrypt);

Result<void> pass_over(Pass pass, std::string_view call, void* session, SdfKey key, Sm4Block iv, std::span<std::uint8_t> piece) {
  Secret out(piece.size() + spare_octets);
  // What a device leaves as it was is then no result, and is seen.
  std::ranges::copy(piece, out.writable().begin());
  auto length = static_cast<unsigned int>(out.size());
  const int value = pass(session, key.handle, sgd_sm4_cbc, iv.data(), piece.data(), static_cast<unsigned int>(piece.size()), out.writable().data(), &length);
  if (value != sdr_ok) return sdf_failure(call, value);
  if (length != piece.size()) return misbehaved(call, "gives " + std::to_string(length) + " octets for " + std::to_string(piece.size()));
  const std::span<std::uint8_t> result = out.writable().first(piece.size());
  if (equal_constant_time(result, piece)) return misbehaved(call, "gives back what it was given");
  std::ranges::copy(result, piece.begin());
  return {};
}

}  // namespace

std::string name_of_sdr(int value) {
  const auto* const found = std::ranges::find(named_sdrs, value, &NamedSdr::value);
  if (found != named_sdrs.end()) return std::string(found->name);
  const auto number = static_cast<std::uint32_t>(value);
  const std::array<std::uint8_t, 4> octets{static_cast<std::uint8_t>(number >> 24U), static_cast<std::uint8_t>(number >> 16U),
                                           static_cast<std::uint8_t>(number >> 8U), static_cast<std::uint8_t>(number)};
  return "return value 0x" + to_hex(octets);
}

std::unexpected<Error> sdf_failure(std::string_view call, int value) {
  const ErrorCode code = value == sdr_no_such_key ? ErrorCode::not_found : value == sdr_permission ? ErrorCode::denied : ErrorCode::internal;
  return fail(code, std::string(call) + ": " + name_of_sdr(value));
}

Result<const SdfFunctions*> load_sdf_library(const std::filesystem::path& file) {
  std::error_code error;
  const std::filesystem::path real = std::filesystem::weakly_canonical(file, error);
  const std::string name = error ? file.string() : real.string();
  SdfLibraries& libraries = sdf_libraries();
  const std::scoped_lock lock(libraries.mutex);
  auto found = libraries.by_file.find(name);
  if (found == libraries.by_file.end()) {
    ASSIGN_OR_RETURN(const SdfFunctions functions, find_sdf_functions(name));
    found = libraries.by_file.emplace(name, functions).first;
  }
  return &found->second;
}

Result<std::unique_ptr<SdfSession>> SdfSession::open(const SdfFunctions& functions) {
  void* device = nullptr;
  if (const int value = functions.open_device(&device); value != sdr_ok) return sdf_failure("SDF_OpenDevice", value);
  std::unique_ptr<SdfSession> out(new SdfSession(functions, device));
  if (const int value = functions.open_session(device, &out->session_); value != sdr_ok) {
    out->session_ = nullptr;
    return sdf_failure("SDF_OpenSession", value);
  }
  return out;
}

SdfSession::~SdfSession() {
  if (session_ != nullptr) {
    for (void* const key : keys_) (void)functions_.destroy_key(session_, key);
    (void)functions_.close_session(session_);
  }
  (void)functions_.close_device(device_);
}

Result<SdfSession::MadeKey> SdfSession::make_key(unsigned int kek_index) {
  const std::string call = call_with_kek("SDF_GenerateKeyWithKEK", kek_index);
  MadeKey out{.key = {}, .wrapped = Bytes(wrapped_octets_max)};
  auto length = static_cast<unsigned int>(out.wrapped.size());
  const int value = functions_.generate_key_with_kek(session_, sm4_bits, sgd_sm4_ecb, kek_index, out.wrapped.data(), &length, &out.key.handle);
  if (value != sdr_ok) return sdf_failure(call, value);
  keys_.push_back(out.key.handle);
  if (length < sm4_block || length > out.wrapped.size()) return misbehaved(call, "the wrapped key has " + std::to_string(length) + " octets");
  out.wrapped.resize(length);
  return out;
}

Result<SdfKey> SdfSession::import_key(unsigned int kek_index, ByteView wrapped) {
  Bytes copy = to_bytes(wrapped);  // the interface wants it writable
  SdfKey out;
  const int value = functions_.import_key_with_kek(session_, sgd_sm4_ecb, kek_index, copy.data(), static_cast<unsigned int>(copy.size()), &out.handle);
  if (value != sdr_ok) return sdf_failure(call_with_kek("SDF_ImportKeyWithKEK", kek_index), value);
  keys_.push_back(out.handle);
  return out;
}

Result<void> SdfSession::encrypt(SdfKey key, const Sm4Block& iv, std::span<std::uint8_t> blocks) {
  // The chain goes through the calls: the IV of each is the last block of ciphertext before it.
  Sm4Block chain = iv;
  for (; !blocks.empty(); blocks = blocks.subspan(std::min(blocks.size(), piece_octets))) {
    const std::span<std::uint8_t> piece = blocks.first(std::min(blocks.size(), piece_octets));
    TRY(pass_over(functions_.encrypt, "SDF_Encrypt", session_, key, chain, piece));
    std::ranges::copy(piece.last(sm4_block), chain.begin());
  }
  return {};
}

Result<void> SdfSession::decrypt(SdfKey key, const Sm4Block& iv, std::span<std::uint8_t> blocks) {
  Sm4Block chain = iv;
  for (; !blocks.empty(); blocks = blocks.subspan(std::min(blocks.size(), piece_octets))) {
    const std::span<std::uint8_t> piece = blocks.first(std::min(blocks.size(), piece_octets));
    Sm4Block next{};
    std::ranges::copy(piece.last(sm4_block), next.begin());
    TRY(pass_over(functions_.decrypt, "SDF_Decrypt", session_, key, chain, piece));
    chain = next;
  }
  return {};
}

Result<Sm4Block> SdfSession::mac(SdfKey key, std::array<std::uint8_t, 2 * sm4_block> data) {
  constexpr std::string_view call = "SDF_CalculateMAC";
  Sm4Block iv{};
  std::array<std::uint8_t, sm4_block + spare_octets> room{};
  auto length = static_cast<unsigned int>(room.size());
  const int value =
      functions_.calculate_mac(session_, key.handle, sgd_sm4_mac, iv.data(), data.data(), static_cast<unsigned int>(data.size()), room.data(), &length);
  if (value != sdr_ok) return sdf_failure(call, value);
  if (length != sm4_block) return misbehaved(call, "the MAC has " + std::to_string(length) + " octets");
  Sm4Block out{};
  std::ranges::copy(std::span(room).first(sm4_block), out.begin());
  if (out == Sm4Block{}) return misbehaved(call, "gives no MAC");
  return out;
}

Result<void> SdfSession::random(std::span<std::uint8_t> out) {
  for (; !out.empty(); out = out.subspan(std::min(out.size(), piece_octets))) {
    const auto length = static_cast<unsigned int>(std::min(out.size(), piece_octets));
    if (const int value = functions_.generate_random(session_, length, out.data()); value != sdr_ok) return sdf_failure("SDF_GenerateRandom", value);
  }
  return {};
}

}  // namespace qanat::crypto
