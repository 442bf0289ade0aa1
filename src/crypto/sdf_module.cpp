#include "crypto/sdf_module.hpp"

#include <algorithm>
#include <array>

namespace qanat::crypto {
namespace {

constexpr unsigned int sm4_bits = 128;
/// A key of one block under a KEK: makers add a header or a padding to it, or nothing.
constexpr std::size_t wrapped_octets_max = 256;

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

std::string call_with_kek(std::string_view call, unsigned int kek_index) { return std::string(call) + " with KEK " + std::to_string(kek_index); }

/// One call of SDF_Encrypt or SDF_Decrypt: both have the same shape.
using Pass = decltype(&SDF_Encrypt);

class SdfSession final : public Sm4Session {
 public:
  SdfSession(const SdfFunctions& functions, void* device, unsigned int kek_index) : functions_(functions), device_(device), kek_index_(kek_index) {}
  ~SdfSession() override;
  Result<void> open();

  [[nodiscard]] Wrapper wrapper() const override;
  Result<Bytes> make_key(BoxKey place) override;
  Result<void> import_key(BoxKey place, ByteView wrapped) override;
  Result<void> encrypt(BoxKey key, const Sm4Block& iv, std::span<std::uint8_t> blocks) override {
    return pass_over(functions_.encrypt, "SDF_Encrypt", key, iv, blocks);
  }
  Result<void> decrypt(BoxKey key, const Sm4Block& iv, std::span<std::uint8_t> blocks) override {
    return pass_over(functions_.decrypt, "SDF_Decrypt", key, iv, blocks);
  }
  Result<Sm4Block> mac(TwoBlocks data) override;
  Result<void> random(std::span<std::uint8_t> out) override;

 private:
  Result<void> pass_over(Pass pass, std::string_view call, BoxKey key, const Sm4Block& iv, std::span<std::uint8_t> blocks);
  [[nodiscard]] void*& place_of(BoxKey key) { return keys_[static_cast<std::size_t>(key)]; }
  void destroy(BoxKey key);

  const SdfFunctions& functions_;
  void* device_;
  unsigned int kek_index_;
  void* session_ = nullptr;
  std::array<void*, 2> keys_{};
};

Result<void> SdfSession::open() {
  if (const int value = functions_.open_session(device_, &session_); value != sdr_ok) {
    session_ = nullptr;
    return sdf_failure("SDF_OpenSession", value);
  }
  return {};
}

SdfSession::~SdfSession() {
  if (session_ != nullptr) {
    destroy(BoxKey::encryption);
    destroy(BoxKey::mac);
    (void)functions_.close_session(session_);
  }
  (void)functions_.close_device(device_);
}

void SdfSession::destroy(BoxKey key) {
  void*& handle = place_of(key);
  if (handle != nullptr) (void)functions_.destroy_key(session_, handle);
  handle = nullptr;
}

Wrapper SdfSession::wrapper() const {
  const std::uint64_t index = kek_index_;
  Wrapper out{.text = std::to_string(kek_index_), .octets = Bytes(8)};
  for (std::size_t i = 0; i < out.octets.size(); ++i) out.octets[i] = static_cast<std::uint8_t>(index >> (8 * (out.octets.size() - 1 - i)));
  return out;
}

Result<Bytes> SdfSession::make_key(BoxKey place) {
  const std::string call = call_with_kek("SDF_GenerateKeyWithKEK", kek_index_);
  destroy(place);
  Bytes out(wrapped_octets_max);
  auto length = static_cast<unsigned int>(out.size());
  const int value = functions_.generate_key_with_kek(session_, sm4_bits, sgd_sm4_ecb, kek_index_, out.data(), &length, &place_of(place));
  if (value != sdr_ok) {
    place_of(place) = nullptr;  // whatever was left there
    return sdf_failure(call, value);
  }
  if (length < sm4_block || length > out.size()) return misbehaved(call, "the wrapped key has " + std::to_string(length) + " octets");
  out.resize(length);
  return out;
}

Result<void> SdfSession::import_key(BoxKey place, ByteView wrapped) {
  destroy(place);
  Bytes copy = to_bytes(wrapped);  // the interface wants it writable
  const int value = functions_.import_key_with_kek(session_, sgd_sm4_ecb, kek_index_, copy.data(), static_cast<unsigned int>(copy.size()), &place_of(place));
  if (value != sdr_ok) {
    place_of(place) = nullptr;
    return sdf_failure(call_with_kek("SDF_ImportKeyWithKEK", kek_index_), value);
  }
  return {};
}

Result<void> SdfSession::pass_over(Pass pass, std::string_view call, BoxKey key, const Sm4Block& iv, std::span<std::uint8_t> blocks) {
  return in_pieces(call, pass == functions_.encrypt, iv, blocks,
                   [&](Sm4Block chain, std::span<std::uint8_t> piece, std::span<std::uint8_t> out, unsigned int& length) -> Result<void> {
                     const int value =
                         pass(session_, place_of(key), sgd_sm4_cbc, chain.data(), piece.data(), static_cast<unsigned int>(piece.size()), out.data(), &length);
                     if (value != sdr_ok) return sdf_failure(call, value);
                     return {};
                   });
}

Result<Sm4Block> SdfSession::mac(TwoBlocks data) {
  constexpr std::string_view call = "SDF_CalculateMAC";
  Sm4Block iv{};
  std::array<std::uint8_t, sm4_block + spare_octets> room{};
  auto length = static_cast<unsigned int>(room.size());
  const int value = functions_.calculate_mac(session_, place_of(BoxKey::mac), sgd_sm4_mac, iv.data(), data.data(), static_cast<unsigned int>(data.size()),
                                             room.data(), &length);
  if (value != sdr_ok) return sdf_failure(call, value);
  return mac_of(call, room, length);
}

Result<void> SdfSession::random(std::span<std::uint8_t> out) {
  for (; !out.empty(); out = out.subspan(std::min(out.size(), piece_octets))) {
    const auto length = static_cast<unsigned int>(std::min(out.size(), piece_octets));
    if (const int value = functions_.generate_random(session_, length, out.data()); value != sdr_ok) return sdf_failure("SDF_GenerateRandom", value);
  }
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

void SdfFunctions::find_in(Symbols& symbols) {
  symbols.find(open_device, "SDF_OpenDevice");
  symbols.find(close_device, "SDF_CloseDevice");
  symbols.find(open_session, "SDF_OpenSession");
  symbols.find(close_session, "SDF_CloseSession");
  symbols.find(generate_random, "SDF_GenerateRandom");
  symbols.find(generate_key_with_kek, "SDF_GenerateKeyWithKEK");
  symbols.find(import_key_with_kek, "SDF_ImportKeyWithKEK");
  symbols.find(destroy_key, "SDF_DestroyKey");
  symbols.find(encrypt, "SDF_Encrypt");
  symbols.find(decrypt, "SDF_Decrypt");
  symbols.find(calculate_mac, "SDF_CalculateMAC");
}

Result<const SdfFunctions*> load_sdf_library(const std::filesystem::path& file) {
  static MakerLibraries<SdfFunctions> libraries("SDF library");
  return libraries.of(file);
}

Result<std::unique_ptr<Sm4Session>> open_sdf_session(const SdfFunctions& functions, std::uint32_t kek_index) {
  void* device = nullptr;
  if (const int value = functions.open_device(&device); value != sdr_ok) return sdf_failure("SDF_OpenDevice", value);
  auto session = std::make_unique<SdfSession>(functions, device, kek_index);
  TRY(session->open());
  return std::unique_ptr<Sm4Session>(std::move(session));
}

}  // namespace qanat::crypto
